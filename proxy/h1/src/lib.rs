//! Strict HTTP/1.1 codec without IO: heads, framing and chunked bodies, both directions (RFC 9112, RFC 9110, RFC 3986).
//!
//! What can be read in two ways is refused: that is what request smuggling is made of.

mod chunked;
mod fields;
mod host;
mod request;
mod response;
mod write;

pub use chunked::{
    CHUNK_END, ChunkError, ChunkedDecoder, Decoded, LAST_CHUNK, write_chunk_head, write_last_chunk,
};
pub use fields::{FieldSpan, FieldSpans, Span, connection_nominates, header_eq, is_hop_by_hop};
pub use host::{split_host_port, valid_host};
pub use request::{Framing, Limits, RequestError, RequestHead, Version, parse_request};
pub use response::{ResponseError, ResponseHead, parse_response};
pub use write::{reason, write_field, write_status_line};
