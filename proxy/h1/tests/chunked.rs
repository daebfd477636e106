//! Chunked bodies: accepted, refused, and cut anywhere.

use proptest::prelude::*;
use weir_h1::{
    CHUNK_END, ChunkError, ChunkedDecoder, EXTENSION_BYTES_MAX, LAST_CHUNK, write_chunk_head,
    write_last_chunk,
};

type Outcome = Result<(Vec<u8>, usize, bool), ChunkError>;

/// Decodes `input` given in pieces of `step` bytes: the data, the bytes consumed and whether it is done.
fn decode(decoder: &mut ChunkedDecoder, input: &[u8], step: usize) -> Outcome {
    let (mut data, mut at, mut end) = (Vec::new(), 0, 0);
    loop {
        let piece = &input[at..end];
        let decoded = decoder.decode(piece)?;
        assert!(decoded.data.end <= decoded.consumed && decoded.consumed <= piece.len());
        data.extend_from_slice(&piece[decoded.data.clone()]);
        at += decoded.consumed;
        if decoded.done || (decoded.consumed == 0 && end == input.len()) {
            return Ok((data, at, decoded.done));
        }
        if decoded.consumed == 0 {
            end = (end + step).min(input.len());
        }
    }
}

fn outcome(input: &[u8]) -> Outcome {
    let whole = decode(&mut ChunkedDecoder::new(256), input, input.len().max(1));
    for step in 1..4 {
        assert_eq!(
            decode(&mut ChunkedDecoder::new(256), input, step),
            whole,
            "{:?}",
            String::from_utf8_lossy(input)
        );
    }
    whole
}

#[test]
fn accepted() {
    for (input, body) in [
        ("0\r\n\r\n", ""),
        ("000\r\n\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n", "a0123456789"),
        ("0000000000000003\r\nabc\r\n0\r\n\r\n", "abc"),
        ("3;a\r\nabc\r\n0;b=c\r\n\r\n", "abc"),
        ("3;a=\"q;\\\" \u{e9}\";b ; c = d\r\nabc\r\n0\r\n\r\n", "abc"),
        ("3 ;a\r\nabc\r\n0\r\n\r\n", "abc"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
    ] {
        let rest = format!("{input}GET");
        assert_eq!(
            outcome(rest.as_bytes()),
            Ok((body.into(), input.len(), true)),
            "{input:?}"
        );
    }
}

#[test]
fn refused() {
    use ChunkError::*;
    for (input, error) in [
        ("\r\n", BadSize),
        (";a\r\n", BadSize),
        (" 3\r\n", BadSize),
        ("+3\r\n", BadSize),
        ("-3\r\n", BadSize),
        ("0x3\r\n", BadSize),
        ("3\n", BadSize),
        ("3\rx", BadSize),
        ("g\r\n", BadSize),
        ("3_\r\n", BadSize),
        ("3\u{0}\r\n", BadSize),
        ("00000000000000003\r\n", BadSize),
        ("fffffffffffffffff\r\n", BadSize),
        ("3.\r\n", BadSize),
        ("3,\r\n", BadSize),
        ("3 \r\n", BadExtension),
        ("3;\r\n", BadExtension),
        ("3;a=\r\n", BadExtension),
        ("3;a\n", BadExtension),
        ("3;a \r\n", BadExtension),
        ("3;a=\"b\r\n", BadExtension),
        ("3;a=\"b\n\"\r\n", BadExtension),
        ("3;\u{0}\r\n", BadExtension),
        ("3;a=\u{1}\r\n", BadExtension),
        ("3;a=\"\u{0}\"\r\n", BadExtension),
        ("3;a=\"\\\u{0}\"\r\n", BadExtension),
        ("3;a=b c\r\n", BadExtension),
        ("3 a\r\n", BadExtension),
        ("3;a=\"b\"c\r\n", BadExtension),
        ("3;=b\r\n", BadExtension),
        ("3;\u{7f}\r\n", BadExtension),
        ("3;a\rb", BadSize),
        ("3\r\nabcd\r\n", BadDataEnd),
        ("3\r\nabc\n0\r\n\r\n", BadDataEnd),
        ("3\r\nabc0\r\n", BadDataEnd),
        ("3\r\nabc\r\r\n", BadDataEnd),
        ("0\r\n\n", BadTrailer),
        ("0\r\n\rx", BadTrailer),
        ("0\r\nA: b\n\r\n", BadTrailer),
        ("0\r\nA : b\r\n\r\n", BadTrailer),
        ("0\r\n A: b\r\n", BadTrailer),
        ("0\r\nA: b\r\n c\r\n", BadTrailer),
        ("0\r\nA\r\n", BadTrailer),
        ("0\r\nA: \u{0}\r\n", BadTrailer),
        ("0\r\nContent-Length: 1\r\n", BadTrailer),
        ("0\r\nTransfer-Encoding: chunked\r\n", BadTrailer),
        ("0\r\nHost: a\r\n", BadTrailer),
    ] {
        assert_eq!(outcome(input.as_bytes()), Err(error), "{input:?}");
    }
}

#[test]
fn bounds_hold() {
    let many = |n: usize| format!("0;{}\r\n\r\n", "a".repeat(n - 1));
    assert!(outcome(many(EXTENSION_BYTES_MAX).as_bytes()).is_ok());
    assert_eq!(
        outcome(many(EXTENSION_BYTES_MAX + 1).as_bytes()),
        Err(ChunkError::ExtensionsTooLarge)
    );
    let spread = "1;aaaaaaaaa\r\nx\r\n".repeat(103);
    assert_eq!(outcome(spread.as_bytes()), Err(ChunkError::ExtensionsTooLarge));
    let trailer = |n: usize| format!("0\r\nA:{}\r\n\r\n", "b".repeat(n - 4));
    assert!(outcome(trailer(256).as_bytes()).is_ok());
    assert_eq!(
        outcome(trailer(257).as_bytes()),
        Err(ChunkError::TrailersTooLarge)
    );
    assert!(ChunkedDecoder::new(0).decode(LAST_CHUNK).unwrap().done);
}

#[test]
fn trailers_are_kept_unless_forbidden() {
    let mut decoder = ChunkedDecoder::new(1024);
    let input = b"0\r\nX-Sum: 1\r\nSet-Cookie: a\r\nX-Forwarded-For: 1\r\nIf-Match: x\r\nConnection: close\r\nY:\r\n\r\n";
    assert!(decoder.decode(input).unwrap().done);
    let kept: Vec<_> = decoder.trailers().iter().map(|(n, v)| (&n[..], &v[..])).collect();
    assert_eq!(kept, [(&b"X-Sum"[..], &b"1"[..]), (b"Y", b"")]);
}

#[test]
fn data_before_a_fault_is_given_first_and_the_fault_stays() {
    let mut decoder = ChunkedDecoder::new(64);
    let decoded = decoder.decode(b"3\r\nabcX").unwrap();
    assert_eq!((decoded.data, decoded.consumed), (3..6, 6));
    assert_eq!(decoder.decode(b"X"), Err(ChunkError::BadDataEnd));
    assert_eq!(decoder.decode(b"\r\n"), Err(ChunkError::BadDataEnd));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8), step in 1_usize..100) {
        let mut wire = Vec::new();
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            write_chunk_head(&mut wire, chunk.len());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(CHUNK_END);
        }
        let trailers: [weir_h1::Trailer; 1] = [(Box::from(&b"X-Sum"[..]), Box::from(&b"1"[..]))];
        write_last_chunk(&mut wire, &trailers);
        let mut decoder = ChunkedDecoder::new(64);
        prop_assert_eq!(decode(&mut decoder, &wire, step), Ok((chunks.concat(), wire.len(), true)));
        prop_assert_eq!(decoder.trailers(), &trailers);
    }

    #[test]
    fn the_cut_does_not_matter(input in "([0-3]|\r\n|\r|\n|a|;|=|\"|: |0\r\n|1\r\nx\r\n){0,24}", step in 1_usize..9) {
        let input = input.as_bytes();
        let whole = decode(&mut ChunkedDecoder::new(16), input, input.len().max(1));
        prop_assert_eq!(decode(&mut ChunkedDecoder::new(16), input, step), whole);
    }
}
