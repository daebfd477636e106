//! What responses are accepted and refused, and where their bodies end.

use weir_h1::ResponseError::*;
use weir_h1::{Framing, Limits, ResponseError, ResponseHead, Scan, parse_response, parse_response_from};

const LIMITS: Limits = Limits {
    head_bytes_max: 4096,
    fields_max: 40,
    target_bytes_max: 0,
};

fn parse(input: &[u8], method: &[u8]) -> Result<Option<ResponseHead>, ResponseError> {
    let whole = parse_response(input, &LIMITS, method);
    let mut scan = Scan::default();
    let mut outcome = Ok(None);
    for end in 1..=input.len() {
        outcome = parse_response_from(&input[..end], &LIMITS, method, &mut scan);
        if !matches!(outcome, Ok(None)) {
            break;
        }
    }
    assert_eq!(format!("{outcome:?}"), format!("{whole:?}"));
    whole
}

#[test]
fn status_lines() {
    for (line, error) in [
        ("HTTP/1.1 200\tOK", BadStatusLine),
        ("HTTP/1.1  200 OK", BadStatusLine),
        ("HTTP/1.1 2000 OK", BadStatusLine),
        ("HTTP/1.1 20 OK", BadStatusLine),
        ("HTTP/1.1 099 OK", BadStatusLine),
        ("HTTP/1.1 600 OK", BadStatusLine),
        ("HTTP/1.1 +20 OK", BadStatusLine),
        ("HTTP/1.1 2x0 OK", BadStatusLine),
        ("HTTP/1.1", BadStatusLine),
        ("HTTP/1.1 ", BadStatusLine),
        ("HTTP/1.1200 OK", BadStatusLine),
        ("HTTP/1.1 200 \u{1}", BadStatusLine),
        ("HTTP/1.1 200 a\rb", BadStatusLine),
        ("HTTP/2.0 200 OK", BadVersion),
        ("HTTP/3.0 200 OK", BadVersion),
        ("HTTP/1.2 200 OK", BadVersion),
        ("HTTP/0.9 200 OK", BadVersion),
        ("http/1.1 200 OK", BadStatusLine),
        ("ICY 200 OK", BadStatusLine),
        ("", BadStatusLine),
        ("\r\nHTTP/1.1 200 OK", BadStatusLine),
    ] {
        let input = format!("{line}\r\n\r\n");
        assert_eq!(parse(input.as_bytes(), b"GET").err(), Some(error), "{line:?}");
    }
    for (line, status, reason) in [
        ("HTTP/1.1 200 OK", 200, "OK"),
        ("HTTP/1.0 200 ", 200, ""),
        ("HTTP/1.1 599", 599, ""),
        ("HTTP/1.1 404 Not\tFound \u{e9}", 404, "Not\tFound \u{e9}"),
    ] {
        let input = format!("{line}\r\n\r\n").into_bytes();
        let head = parse(&input, b"GET").unwrap().unwrap();
        assert_eq!((head.status, head.reason.of(&input)), (status, reason.as_bytes()));
    }
    assert_eq!(parse(b"HTTP/1.1 200 OK\n", b"GET").err(), Some(BadStatusLine));
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\nA: b\n", b"GET").err(), Some(BadField));
}

/// The framing, and whether the connection can be used again.
type Outcome = Result<(Framing, bool), ResponseError>;

#[test]
fn framing_and_reuse() {
    let cases: &[(&str, &str, &str, Outcome)] = &[
        ("GET", "200", "Content-Length: 5", Ok((Framing::Length(5), true))),
        (
            "GET",
            "200",
            "Transfer-Encoding: chunked",
            Ok((Framing::Chunked, true)),
        ),
        ("GET", "200", "X: y", Ok((Framing::UntilClose, false))),
        (
            "GET",
            "200",
            "Connection: close\r\nContent-Length: 5",
            Ok((Framing::Length(5), false)),
        ),
        ("HEAD", "200", "Content-Length: 5", Ok((Framing::None, true))),
        (
            "HEAD",
            "200",
            "Transfer-Encoding: chunked",
            Ok((Framing::None, true)),
        ),
        ("HEAD", "200", "X: y", Ok((Framing::None, true))),
        ("GET", "304", "Content-Length: 100", Ok((Framing::None, true))),
        ("GET", "204", "X: y", Ok((Framing::None, true))),
        ("GET", "204", "Content-Length: 0", Ok((Framing::None, true))),
        ("GET", "204", "Content-Length: 5", Ok((Framing::None, false))),
        (
            "GET",
            "204",
            "Transfer-Encoding: chunked",
            Ok((Framing::None, false)),
        ),
        ("GET", "103", "Link: x", Ok((Framing::None, true))),
        (
            "GET",
            "101",
            "Connection: upgrade\r\nUpgrade: x",
            Ok((Framing::None, true)),
        ),
        ("CONNECT", "200", "X: y", Ok((Framing::None, true))),
        (
            "CONNECT",
            "403",
            "Content-Length: 1",
            Ok((Framing::Length(1), true)),
        ),
        (
            "GET",
            "200",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            Err(AmbiguousFraming),
        ),
        (
            "HEAD",
            "200",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            Err(AmbiguousFraming),
        ),
        (
            "GET",
            "200",
            "Content-Length: 5\r\nContent-Length: 6",
            Err(AmbiguousFraming),
        ),
        (
            "GET",
            "200",
            "Content-Length: 5\r\nContent-Length: 5",
            Err(AmbiguousFraming),
        ),
        ("GET", "200", "Content-Length: 5, 5", Err(AmbiguousFraming)),
        ("GET", "200", "Content-Length: 5x", Err(AmbiguousFraming)),
        ("GET", "200", "Content-Length: ", Err(AmbiguousFraming)),
        ("GET", "304", "Content-Length: -1", Err(AmbiguousFraming)),
        (
            "GET",
            "200",
            "Transfer-Encoding: gzip, chunked",
            Err(UnsupportedCoding),
        ),
        (
            "GET",
            "200",
            "Transfer-Encoding: identity",
            Err(UnsupportedCoding),
        ),
        (
            "GET",
            "200",
            "Transfer-Encoding: chunked, chunked",
            Err(AmbiguousFraming),
        ),
        ("GET", "200", "Connection: content-length", Err(BadField)),
        ("GET", "200", "X: a\r\n b", Err(BadField)),
        ("GET", "200", "X : a", Err(BadField)),
        ("GET", "200", "X: \u{0}", Err(BadField)),
    ];
    for (method, status, lines, expected) in cases {
        let input = format!("HTTP/1.1 {status} R\r\n{lines}\r\n\r\nrest");
        let outcome = parse(input.as_bytes(), method.as_bytes()).map(|head| {
            let head = head.unwrap();
            assert_eq!(&input[head.head_bytes..], "rest");
            (head.framing, head.keep_alive)
        });
        assert_eq!(&outcome, expected, "{method} {status} {lines}");
    }
}

#[test]
fn http10_origins() {
    let head = |lines: &str| parse(format!("HTTP/1.0 200 OK\r\n{lines}\r\n\r\n").as_bytes(), b"GET");
    assert!(!head("Content-Length: 1").unwrap().unwrap().keep_alive);
    assert!(
        head("Content-Length: 1\r\nConnection: keep-alive")
            .unwrap()
            .unwrap()
            .keep_alive
    );
    assert_eq!(head("Transfer-Encoding: chunked").err(), Some(AmbiguousFraming));
}
