//! What is accepted and what is refused, as tables; and what must hold for any bytes.

use proptest::prelude::*;
use weir_h1::{ChunkedDecoder, Framing, Limits, parse_request, parse_response};

const LIMITS: Limits = Limits {
    head_bytes_max: 32 * 1024,
    fields_max: 100,
    target_bytes_max: 8192,
};

fn request(text: &str) -> Result<Option<Framing>, &'static str> {
    parse_request(text.as_bytes(), &LIMITS)
        .map(|head| head.map(|head| head.framing))
        .map_err(|error| error.code())
}

#[test]
fn requests_are_accepted() {
    for (text, framing) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
        ("GET / HTTP/1.0\r\n\r\n", Framing::None),
        ("GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
        ("OPTIONS * HTTP/1.1\r\nHost: a:80\r\n\r\n", Framing::None),
        (
            "GET /?a=|{}^` HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
            Framing::None,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            Framing::Length(5),
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            Framing::Chunked,
        ),
        (
            "PURGE / HTTP/1.1\r\nHost: a_b.c.\r\nX:\r\nY: \t v \r\n\r\n",
            Framing::None,
        ),
    ] {
        assert_eq!(request(text), Ok(Some(framing)), "{text:?}");
    }
}

#[test]
fn requests_are_refused() {
    for (text, code) in [
        ("GET / HTTP/1.1\r\n\r\n", "missing_host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "bad_host"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "bad_host"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "bad_host"),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "bad_host"),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "bad_host"),
        ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", "bad_host"),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "bad_host"),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "method_not_allowed"),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "method_not_allowed"),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_method"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "unsupported_version"),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "unsupported_version"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", "bad_version"),
        ("GET /\r\n\r\n", "bad_request_line"),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", "bad_request_line"),
        ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", "bad_field"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "bad_field"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "bad_field"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", "bad_field"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "bad_field"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "ambiguous_framing",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "ambiguous_framing",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
            "ambiguous_framing",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
            "ambiguous_framing",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
            "ambiguous_framing",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "ambiguous_framing",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            "ambiguous_framing",
        ),
        (
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "ambiguous_framing",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "unsupported_coding",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            "unsupported_coding",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n",
            "bad_expectation",
        ),
    ] {
        assert_eq!(request(text), Err(code), "{text:?}");
    }
}

#[test]
fn responses_that_can_be_read_in_two_ways_are_refused() {
    let parse = |text: &str| {
        parse_response(text.as_bytes(), &LIMITS, b"GET").map(|head| head.map(|head| head.framing))
    };
    assert_eq!(
        parse("HTTP/1.1 204\r\nContent-Length: 3\r\n\r\n"),
        Ok(Some(Framing::None))
    );
    assert_eq!(parse("HTTP/1.1 200 OK\r\n\r\n"), Ok(Some(Framing::UntilClose)));
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
    ] {
        assert!(parse(text).is_err(), "{text:?}");
    }
}

fn decode(pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let mut decoder = ChunkedDecoder::new(1024);
    let (mut body, mut held) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let decoded = decoder.decode(&held).ok()?;
            body.extend_from_slice(&held[decoded.data.clone()]);
            held.drain(..decoded.consumed);
            if decoded.done {
                return held.is_empty().then_some(body);
            }
            if decoded.consumed == 0 {
                break;
            }
        }
    }
    None
}

#[test]
fn broken_chunks_are_refused() {
    assert_eq!(
        decode(&[b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"]),
        Some(b"hello".to_vec())
    );
    for text in [
        &b"\r\nhello\r\n0\r\n\r\n"[..],
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5;\0\r\nhello\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\n",
        b"0\r\nX y\r\n\r\n",
    ] {
        assert_eq!(decode(&[text]), None, "{:?}", String::from_utf8_lossy(text));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_request(&bytes, &LIMITS);
        let _ = parse_response(&bytes, &LIMITS, b"GET");
        let _ = decode(&[&bytes]);
    }

    #[test]
    fn a_split_changes_nothing(body in proptest::collection::vec(any::<u8>(), 1..200), at in 0_usize..300) {
        let mut coded = Vec::new();
        for chunk in body.chunks(37) {
            weir_h1::write_chunk_head(&mut coded, chunk.len());
            coded.extend_from_slice(chunk);
            coded.extend_from_slice(weir_h1::CHUNK_END);
        }
        coded.extend_from_slice(weir_h1::LAST_CHUNK);
        let at = at.min(coded.len());
        prop_assert_eq!(decode(&[&coded[..at], &coded[at..]]), Some(body));
    }

    #[test]
    fn a_prefix_of_a_good_head_is_never_refused(at in 0_usize..80) {
        let head = b"POST /a/b?c=d HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nX-Y: z\r\n\r\n";
        let at = at.min(head.len() - 1);
        prop_assert!(matches!(parse_request(&head[..at], &LIMITS), Ok(None)));
    }
}
