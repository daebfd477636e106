//! No input panics, and cutting it does not change data or outcome.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_h1::{ChunkError, ChunkedDecoder};

fn decode(input: &[u8], step: usize) -> (Vec<u8>, Result<bool, ChunkError>) {
    let mut decoder = ChunkedDecoder::new(512);
    let (mut data, mut at, mut end) = (Vec::new(), 0, 0);
    loop {
        let piece = &input[at..end];
        match decoder.decode(piece) {
            Err(error) => return (data, Err(error)),
            Ok(decoded) => {
                data.extend_from_slice(&piece[decoded.data.clone()]);
                at += decoded.consumed;
                if decoded.done || (decoded.consumed == 0 && end == input.len()) {
                    return (data, Ok(decoded.done));
                }
                if decoded.consumed == 0 {
                    end = (end + step).min(input.len());
                }
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let whole = decode(input, input.len().max(1));
    for step in [1, 2, 5] {
        assert_eq!(decode(input, step), whole);
    }
});
