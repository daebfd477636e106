//! What requests are accepted and refused, class by class.

#![allow(clippy::unwrap_used)]

use weir_h1::RequestError::*;
use weir_h1::{Framing, Limits, RequestError, RequestHead, Scan, parse_request, parse_request_from};

const LIMITS: Limits = Limits {
    head_bytes_max: 4096,
    fields_max: 40,
    target_bytes_max: 512,
};

fn parse(input: &[u8]) -> Result<Option<RequestHead>, RequestError> {
    let whole = parse_request(input, &LIMITS);
    // However the input is cut, the outcome is the same.
    for step in [1, 2, 7] {
        let mut scan = Scan::default();
        let mut outcome = Ok(None);
        let mut end = 0;
        while end < input.len() && matches!(outcome, Ok(None)) {
            end = (end + step).min(input.len());
            outcome = parse_request_from(&input[..end], &LIMITS, &mut scan);
        }
        assert_eq!(
            format!("{outcome:?}"),
            format!("{whole:?}"),
            "{:?}",
            String::from_utf8_lossy(input)
        );
    }
    whole
}

fn accepted(input: &[u8]) -> RequestHead {
    let outcome = parse(input);
    assert!(
        matches!(outcome, Ok(Some(_))),
        "{:?}: {outcome:?}",
        String::from_utf8_lossy(input)
    );
    outcome.unwrap().unwrap()
}

#[track_caller]
fn refused(input: &[u8], error: RequestError) {
    assert_eq!(
        parse(input).err(),
        Some(error),
        "{:?}",
        String::from_utf8_lossy(input)
    );
}

/// A request with these lines after `GET / HTTP/1.1` and a Host.
fn with(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n\r\n").into_bytes()
}

fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: a.test\r\n\r\n").into_bytes()
}

#[test]
fn a_plain_request_is_read_whole() {
    let input = b"POST /a?b=c HTTP/1.1\r\nHost: a.test:81\r\nX-Empty:\r\nX-Blank: \t \r\nX-Text: \t a b\t\r\nContent-Length: 3\r\n\r\nabcGET";
    let head = accepted(input);
    assert_eq!(head.method.of(input), b"POST");
    assert_eq!(head.target.of(input), b"/a?b=c");
    assert_eq!(head.path.of(input), b"/a?b=c");
    assert_eq!(head.host.unwrap().of(input), b"a.test:81");
    assert_eq!(head.framing, Framing::Length(3));
    assert_eq!(&input[head.head_bytes..], b"abcGET");
    let fields: Vec<_> = head
        .fields
        .iter()
        .map(|f| (f.name.of(input), f.value.of(input)))
        .collect();
    assert_eq!(fields[1], (&b"X-Empty"[..], &b""[..]));
    assert_eq!(fields[2], (&b"X-Blank"[..], &b""[..]));
    assert_eq!(fields[3], (&b"X-Text"[..], &b"a b"[..]));
    assert!(head.keep_alive && !head.expect_continue && !head.upgrade);
}

#[test]
fn request_lines() {
    let cases: &[(&str, RequestError)] = &[
        ("GET /", BadRequestLine),
        ("GET", BadRequestLine),
        ("GET  / HTTP/1.1", BadTarget),
        ("GET /  HTTP/1.1", BadTarget),
        ("GET / HTTP/1.1 ", BadVersion),
        ("GET / x HTTP/1.1", BadTarget),
        ("GET\t/ HTTP/1.1", BadMethod),
        (" GET / HTTP/1.1", BadMethod),
        ("G@T / HTTP/1.1", BadMethod),
        ("G\u{1}T / HTTP/1.1", BadMethod),
        ("{}GET / HTTP/1.1", BadMethod),
        ("\u{16}\u{3}\u{1} / HTTP/1.1", BadMethod),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGH / HTTP/1.1", BadMethod),
        ("GET / HTTP/0.9", BadVersion),
        ("GET / HTTP/1.2", UnsupportedVersion),
        ("GET / HTTP/2.0", UnsupportedVersion),
        ("GET / HTTP/3.0", UnsupportedVersion),
        ("PRI * HTTP/2.0", UnsupportedVersion),
        ("GET / http/1.1", BadVersion),
        ("GET / HTTP/1.10", BadVersion),
        ("GET / HTTP/11", BadVersion),
        ("GET / HTTP/1", BadVersion),
        ("GET / HTTP/-1.1", BadVersion),
        ("GET / ", BadVersion),
        ("GET / HTTPS/1.1", BadVersion),
        ("GET / HTTP/1.1\t", BadVersion),
        ("CONNECT a.test:443 HTTP/1.1", MethodNotAllowed),
        ("TRACE / HTTP/1.1", MethodNotAllowed),
        ("trace / HTTP/1.1", MethodNotAllowed),
        ("GET a.test:443 HTTP/1.1", BadTarget),
        ("GET * HTTP/1.1", BadTarget),
        ("options * HTTP/1.1", BadTarget),
        ("GET a/b HTTP/1.1", BadTarget),
        ("GET ?x HTTP/1.1", BadTarget),
        ("GET ftp://a.test/ HTTP/1.1", BadTarget),
        ("GET http:/a.test/ HTTP/1.1", BadTarget),
        ("GET http:///x HTTP/1.1", BadTarget),
        ("GET http://u@a.test/ HTTP/1.1", BadTarget),
        ("GET http://a.test?x y HTTP/1.1", BadTarget),
        ("GET http://a.test?x#y HTTP/1.1", BadTarget),
        ("GET http://a.test#y HTTP/1.1", BadTarget),
        ("GET http://?x HTTP/1.1", BadTarget),
        ("GET /#f HTTP/1.1", BadTarget),
        ("GET /?#f HTTP/1.1", BadTarget),
        ("GET /\u{e9} HTTP/1.1", BadTarget),
        ("GET /\u{7f} HTTP/1.1", BadTarget),
        ("GET /\u{0} HTTP/1.1", BadTarget),
        ("GET /a\tb HTTP/1.1", BadTarget),
        ("GET /a\rb HTTP/1.1", BadRequestLine),
    ];
    for (request_line, error) in cases {
        refused(&line(request_line), *error);
    }
    for byte in "\"<>".bytes() {
        refused(&line(&format!("GET /{} HTTP/1.1", byte as char)), BadTarget);
        refused(&line(&format!("GET /?{} HTTP/1.1", byte as char)), BadTarget);
    }
    for byte in "|^[]".bytes() {
        accepted(&line(&format!("GET /{} HTTP/1.1", byte as char)));
        accepted(&line(&format!("GET /?{} HTTP/1.1", byte as char)));
    }
    for byte in "{}`\\".bytes() {
        refused(&line(&format!("GET /{} HTTP/1.1", byte as char)), BadTarget);
        accepted(&line(&format!("GET /?{} HTTP/1.1", byte as char)));
    }
    for good in [
        "GET /?a[]=1&b=%zz?/ HTTP/1.1",
        "get / HTTP/1.1",
        "M-SEARCH //x/../y HTTP/1.0",
        "OPTIONS * HTTP/1.1",
    ] {
        accepted(&line(good));
    }
}

#[test]
fn an_http09_line_or_foreign_bytes_are_refused_at_once() {
    refused(b"GET /\r\n", BadRequestLine);
    refused(b"\x16\x03\x01", BadMethod);
    refused(b"\n", BadRequestLine);
    refused(b"\r\n\r\n", BadRequestLine);
    refused(b"\rG", BadRequestLine);
    accepted(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn absolute_form_wins_and_agrees_with_host() {
    for (target, host, path) in [
        ("http://a.test/x?y", "a.test", "/x?y"),
        ("HTTP://A.test", "a.TEST:80", "/"),
        ("http://a.test?x=/", "a.test", "/?x=/"),
        ("http://a.test:81?", "a.test:81", "/?"),
        ("https://a.test:443/", "a.test", "/"),
        ("http://[::1]:81/", "[::1]:81", "/"),
    ] {
        let input = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
        let head = accepted(&input);
        assert_eq!([head.path_prefix, head.path.of(&input)].concat(), path.as_bytes());
        assert_eq!(head.https, target.starts_with("https"));
        assert!(
            target
                .as_bytes()
                .windows(head.host.unwrap().of(&input).len())
                .any(|w| w == head.host.unwrap().of(&input))
        );
    }
    for (target, path) in [
        ("http://a.test", "*"),
        ("http://a.test?x", "/?x"),
        ("http://a.test/", "/"),
    ] {
        let input = format!("OPTIONS {target} HTTP/1.1\r\nHost: a.test\r\n\r\n").into_bytes();
        let head = accepted(&input);
        assert_eq!(
            [head.path_prefix, head.path.of(&input)].concat(),
            path.as_bytes(),
            "{target}"
        );
    }
    refused(b"GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n", BadHost);
    refused(b"GET http://a.test:81/ HTTP/1.1\r\nHost: a.test\r\n\r\n", BadHost);
    refused(
        b"GET https://a.test/ HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
        BadHost,
    );
    refused(b"GET http://a.test/ HTTP/1.1\r\n\r\n", MissingHost);
}

#[test]
fn host_values() {
    for bad in [
        "",
        " ",
        "a b",
        "u@a.test",
        "a/b",
        "a,b",
        "a:",
        "a:x",
        "a:0",
        "a:65536",
        "a:123456",
        "a:-1",
        "a:+1",
        "a:1:2",
        "[::1",
        "::1",
        "[::1]x",
        "[::1%eth0]",
        "[v1.a]",
        "[]",
        "[:::]",
        "a..b",
        ".a",
        ".",
        "..",
        "a%41",
        "a?b",
        "a#b",
        "a\\b",
        "1.2.3",
        "256.1.1.1",
        "1.2.3.4.5",
        "010.0.0.1",
        "a;b",
        "a'b",
        "a\"b",
        "a<b",
        "\u{e9}",
        "http://a",
        "a*",
        "(a)",
        "a=b",
        "a&b",
        "a!b",
    ] {
        refused(
            format!("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n").as_bytes(),
            BadHost,
        );
        refused(
            format!("GET / HTTP/1.0\r\nHost: {bad}\r\n\r\n").as_bytes(),
            BadHost,
        );
    }
    for good in [
        "a",
        "a.test",
        "A.Test.",
        "a_b.test",
        "a-b",
        "1.2.3.4",
        "1.2.3.4:80",
        "[::1]",
        "[2001:db8::1]:65535",
        "a:1",
        "1a",
        "xn--p1ai",
    ] {
        accepted(format!("GET / HTTP/1.1\r\nHost: {good}\r\n\r\n").as_bytes());
    }
    refused(b"GET / HTTP/1.1\r\n\r\n", MissingHost);
    assert!(accepted(b"GET / HTTP/1.0\r\n\r\n").host.is_none());
    refused(&with("Host: a.test"), BadHost);
}

#[test]
fn field_lines() {
    for bad in [
        "X : y",
        "X\t: y",
        " X: y",
        "\tX: y",
        "X: a\r\n b",
        "X: a\r\n\tb",
        ": y",
        "X",
        "X(: y",
        "X\u{e9}: y",
        "X y: z",
        "X: a\u{0}b",
        "X: \u{1}",
        "X: \u{7f}",
        "X: a\rb",
        "X: a\nY: b",
        "X: a\r\r",
        "\r",
        "X\u{b}: y",
        "X: \u{b}y",
        "\"X\": y",
        "X/Y: z",
        "@: y",
    ] {
        refused(&with(bad), BadField);
    }
    for good in [
        "X:y",
        "X: \u{e9}",
        "X: a\tb",
        "!#$%&'*+-.^_`|~: y",
        "X:::",
        "X: a,b;c=\"d\"",
    ] {
        accepted(&with(good));
    }
    refused(b"GET / HTTP/1.1\nHost: a\n\n", BadRequestLine);
    refused(b"GET / HTTP/1.1\r\nHost: a\n\r\n", BadField);
    refused(b"GET / HTTP/1.1\r\nHost: a\r\n\n", BadField);
}

#[test]
fn framing() {
    for (lines, error) in [
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            AmbiguousFraming,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 1",
            AmbiguousFraming,
        ),
        ("Transfer-Encoding: gzip\r\nContent-Length: 0", AmbiguousFraming),
        ("Content-Length: 1\r\nContent-Length: 1", AmbiguousFraming),
        ("Content-Length: 1\r\nContent-Length: 2", AmbiguousFraming),
        ("Content-Length: 1, 1", AmbiguousFraming),
        ("Content-Length: 1,", AmbiguousFraming),
        ("Content-Length: +1", AmbiguousFraming),
        ("Content-Length: -1", AmbiguousFraming),
        ("Content-Length: 1 1", AmbiguousFraming),
        ("Content-Length: 0x1", AmbiguousFraming),
        ("Content-Length: 1.0", AmbiguousFraming),
        ("Content-Length: 1_0", AmbiguousFraming),
        ("Content-Length: ", AmbiguousFraming),
        ("Content-Length: \u{661}", AmbiguousFraming),
        ("Content-Length: 18446744073709551616", AmbiguousFraming),
        ("Content-Length: 99999999999999999999999", AmbiguousFraming),
        ("Transfer-Encoding: chunked, chunked", AmbiguousFraming),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            AmbiguousFraming,
        ),
        ("Transfer-Encoding: chunked, gzip", AmbiguousFraming),
        ("Transfer-Encoding: chunked,", AmbiguousFraming),
        ("Transfer-Encoding: ,chunked", AmbiguousFraming),
        ("Transfer-Encoding:", AmbiguousFraming),
        ("Transfer-Encoding: gzip, chunked", UnsupportedCoding),
        ("Transfer-Encoding: identity", UnsupportedCoding),
        (
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            UnsupportedCoding,
        ),
        ("Transfer-Encoding: xchunked", UnsupportedCoding),
        ("Transfer-Encoding: chunked;q=1", UnsupportedCoding),
        ("Transfer-Encoding: \"chunked\"", UnsupportedCoding),
        ("Transfer-Encoding: chunk", UnsupportedCoding),
        ("Transfer-Encoding : chunked", BadField),
        ("Transfer-Encoding: \u{b}chunked", BadField),
        ("Connection: host", BadField),
        ("Connection: close, Content-Length", BadField),
        ("Connection: transfer-encoding", BadField),
        ("Connection: a b", BadField),
        ("Expect: 200-ok", BadExpectation),
        ("Expect:", BadExpectation),
    ] {
        refused(&with(lines), error);
    }
    refused(
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        AmbiguousFraming,
    );
    for (lines, framing) in [
        ("X: y", Framing::None),
        ("Content-Length: 0", Framing::Length(0)),
        ("Content-Length: 007", Framing::Length(7)),
        ("content-LENGTH: 18446744073709551615", Framing::Length(u64::MAX)),
        ("Transfer-Encoding: Chunked", Framing::Chunked),
        ("transfer-encoding:\tchunked \t", Framing::Chunked),
    ] {
        assert_eq!(accepted(&with(lines)).framing, framing, "{lines}");
    }
}

#[test]
fn connection_expect_and_upgrade() {
    for (version, lines, keep_alive, upgrade) in [
        ("1.1", "X: y", true, false),
        ("1.1", "Connection: close", false, false),
        ("1.1", "Connection: Keep-Alive, CLOSE", false, false),
        ("1.0", "X: y", false, false),
        ("1.0", "Connection: keep-alive", true, false),
        ("1.0", "Connection: keep-alive, close", false, false),
        ("1.1", "Connection: Upgrade\r\nUpgrade: websocket", true, true),
        (
            "1.1",
            "Connection: keep-alive, upgrade\r\nUpgrade: websocket",
            true,
            true,
        ),
        ("1.1", "Upgrade: websocket", true, false),
        ("1.1", "Connection: upgrade", true, false),
        ("1.0", "Connection: upgrade\r\nUpgrade: websocket", false, false),
        (
            "1.1",
            "Connection: upgrade, http2-settings\r\nUpgrade: h2c",
            true,
            false,
        ),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: websocket, H2C",
            true,
            false,
        ),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: h2c/1, websocket",
            true,
            false,
        ),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: TLS/1.0, HTTP/2.0",
            true,
            false,
        ),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: HTTP/3",
            true,
            false,
        ),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5",
            true,
            false,
        ),
        (
            "1.1",
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0",
            true,
            true,
        ),
    ] {
        let head = accepted(format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n\r\n").as_bytes());
        assert_eq!(
            (head.keep_alive, head.upgrade),
            (keep_alive, upgrade),
            "{version} {lines}"
        );
    }
    assert!(accepted(&with("Expect: 100-Continue")).expect_continue);
    assert!(!accepted(b"GET / HTTP/1.0\r\nExpect: x\r\n\r\n").expect_continue);
}

#[test]
fn limits_hold_at_the_byte() {
    let fill = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(n)).into_bytes();
    let over = fill(0).len();
    assert_eq!(accepted(&fill(4096 - over)).head_bytes, 4096);
    refused(&fill(4097 - over), HeadTooLarge);
    refused(&vec![b'A'; 4096], TargetTooLong);
    accepted(&line(&format!("GET /{} HTTP/1.1", "a".repeat(511))));
    refused(
        &line(&format!("GET /{} HTTP/1.1", "a".repeat(512))),
        TargetTooLong,
    );
    accepted(&with(&["X: y"; 39].join("\r\n")));
    refused(&with(&["X: y"; 40].join("\r\n")), TooManyFields);
}

#[test]
fn statuses() {
    for (error, status) in [
        (AmbiguousFraming, 400),
        (BadExpectation, 417),
        (BadVersion, 400),
        (HeadTooLarge, 431),
        (MethodNotAllowed, 405),
        (TargetTooLong, 414),
        (TooManyFields, 431),
        (UnsupportedCoding, 501),
        (UnsupportedVersion, 505),
    ] {
        assert_eq!(error.status(), status);
    }
}

#[test]
fn a_lone_cr_is_refused_before_a_line_end_comes() {
    refused(b"GET / HTTP/1.1\rHost: a\r\r", BadRequestLine);
    refused(b"GET / HTTP/1.1\r\nHost: a\rX: y", BadField);
    refused(b"GET / HTTP/1.1\r\nHost: a\r\r\n", BadField);
    for incomplete in [&b"GET / HTTP/1.1\r"[..], b"GET / HTTP/1.1\r\nHost: a\r"] {
        assert!(matches!(parse_request(incomplete, &LIMITS), Ok(None)));
    }
}
