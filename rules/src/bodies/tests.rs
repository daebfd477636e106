//! Where the chunks of a body end makes no difference.

use proptest::prelude::*;

use super::{Outcome, Reader, Settings};
use crate::compile::XmlArgs;
use crate::variables::Var;

const ARGUMENTS_MAX: usize = 40;

type Entries = Vec<(Var, Vec<u8>, Vec<u8>)>;

fn read(kind: &str, chunks: &[&[u8]]) -> (Entries, Outcome) {
    let settings = Settings {
        json_depth_max: 6,
        separator: b'&',
        file_contents: true,
        xml_args: XmlArgs::On,
    };
    let mut entries = Entries::new();
    let mut sink = |var: Var, name: &[u8], value: &[u8]| {
        let room = entries.iter().filter(|(known, ..)| *known == var).count() < ARGUMENTS_MAX;
        if room {
            entries.push((var, name.to_vec(), value.to_vec()));
        }
        room
    };
    let mut reader = Reader::new(Some(kind), b"multipart/form-data; boundary=b", &settings);
    for chunk in chunks {
        reader.push(chunk, &mut sink);
    }
    let outcome = reader.finish(false, &mut sink);
    (entries, outcome)
}

/// Pieces of which bodies are made, with much that is nearly right.
const PIECES: [&[&str]; 4] = [
    &[
        "a", "=", "&", "%41", "%", "+", "b=1&c=2", "%4", "\u{e9}", "&&", "=&=",
    ],
    &[
        "{",
        "}",
        "[",
        "]",
        "\"",
        ",",
        ":",
        "\"a\":",
        "\"b\"",
        "1",
        "-1.5e3",
        "01",
        "true",
        "null",
        " ",
        "\\",
        "\\u0041",
        "\\uD83D",
        "\\uDE00",
        "\\n",
        "\\x",
        "\n",
        "\u{1}",
        "{\"a\":[1,2,{\"c\":\"d\"}]}",
        "[[[[[[[",
        "\"\\ud83d\\ude00\"",
        ",2",
        "abc",
    ],
    &[
        "<",
        ">",
        "<a>",
        "</a>",
        "<b c=\"d\" e='f'/>",
        "<!--",
        "-->",
        "-",
        "<![CDATA[",
        "]]>",
        "]",
        "<?x",
        "?>",
        "&lt;",
        "&#65;",
        "&am",
        "text",
        " ",
        "=",
        "\"",
        "'",
        "/",
        "<!DOCTYPE x>",
        "<a x = '1'",
        "</ a>",
        "<!",
        "<a b>",
        "</a\n>",
    ],
    &[
        "--b",
        "\r\n--b",
        "\r\n",
        "--",
        "\r",
        "\n",
        "-",
        "Content-Disposition: form-data; name=\"x\"",
        "Content-Disposition: form-data; name=f; filename=\"g\"",
        "\r\n\r\n",
        "value",
        "X: y",
        "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nvalue\r\n--b",
        "\r\nContent-Disposition: form-data; name=\"f\"; filename=\"g\"\r\n\r\nv\r\n-\r\n--\r\n--b",
        "--b--\r\n",
    ],
];
const KINDS: [&str; 4] = ["URLENCODED", "JSON", "XML", "MULTIPART"];
/// Bodies that are right, of which some bytes are then changed.
const VALID: [&str; 4] = [
    "a=1&b=%41+c&&d&e==f&%zz=%4",
    r#"{"a":[{"b":1,"c":[true,null,-1.5e3]},"\ud83d\ude00 \u00e9 \" \ud83dx"],"long name":{"x":"y"},"e":[],"f":{}}"#,
    "<?xml version='1.0'?><!-- a - b --><a b=\"1 &amp; 2\" c='d'>t &lt;&#x41;<![CDATA[<x>]]]]><e/><f g=\"\">u</f\n></a> ",
    "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; \
     filename=\"a\\\"b\"\r\nContent-Type: text/plain\r\n\r\n\r\n--\r\n\r\n--b--\r\n",
];

fn body() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let made = (0..4_usize).prop_flat_map(|kind| {
        let pieces = PIECES.get(kind).copied().unwrap_or_default();
        let body = prop::collection::vec(prop::sample::select(pieces), 0..24);
        (Just(kind), body.prop_map(|pieces| pieces.concat().into_bytes()))
    });
    let changed = (
        0..4_usize,
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..3),
    );
    let changed = changed.prop_map(|(kind, changes)| {
        let mut body = VALID.get(kind).copied().unwrap_or_default().as_bytes().to_vec();
        for (at, byte, how) in changes {
            let at = at.index(body.len());
            match how {
                0 => body.truncate(at + 1),
                1 => drop(body.remove(at)),
                2 => body.insert(at, byte),
                _ => body.splice(at..=at, [byte]).for_each(drop),
            }
            if body.is_empty() {
                break;
            }
        }
        (kind, body)
    });
    prop_oneof![made, changed]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_chunks_give_what_the_whole_gives((kind, body) in body(), size in 1..9_usize) {
        let kind = KINDS[kind];
        let whole = read(kind, &[&body]);
        let single: Vec<&[u8]> = body.chunks(1).collect();
        prop_assert_eq!(&read(kind, &single), &whole);
        let some: Vec<&[u8]> = body.chunks(size).collect();
        prop_assert_eq!(&read(kind, &some), &whole);
        for at in 0..body.len() {
            let (first, second) = body.split_at(at);
            prop_assert_eq!(&read(kind, &[first, b"", second]), &whole, "split at {}", at);
        }
    }
}

#[test]
fn the_bodies_that_are_right_have_no_fault() {
    for (kind, body) in KINDS.iter().zip(VALID) {
        let (entries, outcome) = read(kind, &[body.as_bytes()]);
        assert_eq!(outcome.fault, None, "{kind} {entries:?}");
        assert!(entries.len() > 2, "{kind}");
    }
}

#[test]
fn arguments_are_given_as_soon_as_they_are_complete() {
    let settings = Settings {
        json_depth_max: 6,
        separator: b'&',
        file_contents: false,
        xml_args: XmlArgs::Off,
    };
    let begun: [&[u8]; 4] = [
        b"a=1&b=",
        b"{\"a\":\"1\",\"b\":",
        b"<a b='1' c=",
        b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b\r\nCont",
    ];
    for (kind, body) in KINDS.iter().zip(begun) {
        let mut count = 0;
        let mut reader = Reader::new(Some(kind), b"multipart/form-data; boundary=b", &settings);
        reader.push(body, &mut |var, _, value| {
            count += usize::from(value == b"1" && var != Var::MultipartPartHeaders);
            true
        });
        assert_eq!(count, 1, "{kind}");
    }
}

#[test]
fn what_chunks_cost_grows_with_the_body_only() {
    let long = vec![b'x'; 1 << 20];
    let bodies: [&[&[u8]]; 4] = [
        &[b"a=", &long],
        &[b"[\"", &long, b"\"]"],
        &[b"<a>", &long, b"</a>"],
        &[
            b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n",
            &long,
            b"\r\n--b--",
        ],
    ];
    let started = std::time::Instant::now();
    for (kind, parts) in KINDS.iter().zip(bodies) {
        let body = parts.concat();
        let chunks: Vec<&[u8]> = body.chunks(3).collect();
        let (entries, outcome) = read(kind, &chunks);
        assert_eq!(outcome.fault, None, "{kind}");
        assert!(
            entries.iter().any(|(_, _, value)| value.len() == 1 << 20),
            "{kind}"
        );
    }
    // Looked at again with each chunk, a megabyte would take minutes.
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}
