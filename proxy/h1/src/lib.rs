//! A strict HTTP/1.1 codec without IO, for both directions (RFC 9110, 9112, 3986).
//!
//! Bytes come in as slices of one growing buffer; heads come out as spans into that buffer, so nothing is
//! copied and nothing is allocated up to 24 fields. Whatever two readers could understand differently
//! (framing above all) is refused with a named error instead of being repaired.
//!
//! | to | see |
//! |---|---|
//! | read a request head | [`parse_request`], [`parse_request_from`] |
//! | read a response head | [`parse_response`], [`parse_response_from`] |
//! | read a chunked body | [`ChunkedDecoder`] |
//! | write | [`write_status_line`], [`write_field`], [`write_chunk_head`], [`write_last_chunk`], [`http_date`] |

mod chunked;
mod date;
mod fields;
mod framing;
mod grammar;
mod host;
mod request;
mod response;
mod scan;
mod span;
mod target;
mod trailer;
mod write;

pub use chunked::{ChunkError, ChunkedDecoder, Decoded, EXTENSION_BYTES_MAX, Trailer};
pub use date::{calendar_date, http_date};
pub use fields::is_hop_by_hop;
pub use grammar::{header_eq, valid_field_name, valid_field_value};
pub use host::{split_host_port, valid_host};
pub use request::{METHOD_BYTES_MAX, RequestError, RequestHead, parse_request, parse_request_from};
pub use response::{ResponseError, ResponseHead, parse_response, parse_response_from};
pub use scan::Scan;
pub use span::{FieldSpan, FieldSpans, Framing, Limits, Span, Version};
pub use target::valid_target;
pub use trailer::{TrailerRule, trailer_rule};
pub use write::{
    CHUNK_END, LAST_CHUNK, reason, write_chunk_head, write_field, write_last_chunk, write_status_line,
};
