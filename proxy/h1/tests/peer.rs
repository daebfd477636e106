//! Beside httparse: what both accept has the same parts.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use weir_h1::{Limits, parse_request, parse_response};

const LIMITS: Limits = Limits {
    head_bytes_max: 8192,
    fields_max: 64,
    target_bytes_max: 1024,
};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_request_has_the_same_parts(
        method in "[A-Z]{1,10}", target in "/[a-z0-9/%._-]{0,30}(\\?[a-z0-9=&+]{0,20})?",
        fields in prop::collection::vec(("X-[A-Za-z0-9-]{0,12}", "[!-~]([ -~]{0,20}[!-~])?"), 0..20),
    ) {
        prop_assume!(method != "TRACE" && method != "CONNECT");
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: a.test\r\n");
        for (name, value) in &fields {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\nbody";
        let input = text.as_bytes();
        let mut slots = [httparse::EMPTY_HEADER; 64];
        let mut peer = httparse::Request::new(&mut slots);
        let head_bytes = peer.parse(input).unwrap().unwrap();
        let head = parse_request(input, &LIMITS).unwrap().unwrap();
        prop_assert_eq!(head.head_bytes, head_bytes);
        prop_assert_eq!(head.method.of(input), peer.method.unwrap().as_bytes());
        prop_assert_eq!(head.target.of(input), peer.path.unwrap().as_bytes());
        let ours: Vec<_> = head.fields.iter().map(|f| (f.name.of(input), f.value.of(input))).collect();
        let theirs: Vec<_> = peer.headers.iter().map(|h| (h.name.as_bytes(), h.value)).collect();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn a_valid_response_has_the_same_parts(
        status in 100_u16..600, reason in "[A-Za-z]([A-Za-z ]{0,10}[A-Za-z])?",
        fields in prop::collection::vec(("X-[A-Za-z0-9-]{0,12}", "[!-~]([ -~]{0,20}[!-~])?"), 0..20),
    ) {
        let mut text = format!("HTTP/1.1 {status} {reason}\r\n");
        for (name, value) in &fields {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\nbody";
        let input = text.as_bytes();
        let mut slots = [httparse::EMPTY_HEADER; 64];
        let mut peer = httparse::Response::new(&mut slots);
        let head_bytes = peer.parse(input).unwrap().unwrap();
        let head = parse_response(input, &LIMITS, b"GET").unwrap().unwrap();
        prop_assert_eq!((head.head_bytes, head.status), (head_bytes, peer.code.unwrap()));
        prop_assert_eq!(head.reason.of(input), peer.reason.unwrap().as_bytes());
        let ours: Vec<_> = head.fields.iter().map(|f| (f.name.of(input), f.value.of(input))).collect();
        let theirs: Vec<_> = peer.headers.iter().map(|h| (h.name.as_bytes(), h.value)).collect();
        prop_assert_eq!(ours, theirs);
    }

    /// What we accept, a lenient reader accepts too and ends at the same byte.
    #[test]
    fn nothing_is_accepted_that_the_peer_refuses(lines in "((X|Host|Y-z)( |\t|:|: |\u{0}|\u{1}|a|\r|\n|\r\n|\r\n ){1,4}){0,5}\r\n\r\n") {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}");
        let input = text.as_bytes();
        if let Ok(Some(head)) = parse_request(input, &LIMITS) {
            let mut slots = [httparse::EMPTY_HEADER; 64];
            let mut peer = httparse::Request::new(&mut slots);
            prop_assert_eq!(peer.parse(input).unwrap().unwrap(), head.head_bytes);
        }
    }
}
