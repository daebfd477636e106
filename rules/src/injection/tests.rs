//! Verdicts that are known, and properties of the early exits.

use proptest::prelude::*;

use super::{sqli, xss};

fn print(value: &str) -> Option<String> {
    sqli::detect(value.as_bytes()).map(|print| print.to_string())
}

#[test]
fn attacks_have_their_print() {
    for (value, expected) in [
        ("1' or '1'='1", "s&sos"),
        ("-1 union all select 1,user(),3-- -", "1UE1("),
        ("x /*! select */", "X"),
        ("x;a+int{ ``o", "X"),
        ("[a] or 1=1 -- ", "n&1c"),
        ("1/**/", "1c"),
    ] {
        assert_eq!(print(value).as_deref(), Some(expected), "{value}");
    }
}

#[test]
fn compound_keywords_are_one_token() {
    for value in [
        "1' into outfile '/tmp/x",
        "1' INTO/**/DUMPFILE '/tmp/x",
        "a in boolean mode) union select 1",
        "1 lock in share mode union select 1",
    ] {
        assert!(print(value).is_some(), "{value}");
    }
}

#[test]
fn plain_text_is_no_injection() {
    for value in [
        "",
        "shoes",
        "1234567",
        "550e8400-e29b-41d4-a716-446655440000",
        "jane.doe@example.com",
        "2026-11-25T12:34:56Z",
        "/img/2024/photo.jpg",
        "it's -- like this",
        "select a colour",
        "Tom & Jerry",
    ] {
        assert_eq!(print(value), None, "{value}");
        assert!(!xss::detect(value.as_bytes()), "{value}");
    }
}

#[test]
fn scripts_are_found_in_each_place() {
    for value in [
        "<script>alert(1)</script>",
        "x onerror=alert(1)",
        "x\" onclick=alert(1) ",
        "x' style=a",
        "x` onload=a",
        "<a href=\"jav&#x61;script:a\">",
        "<a attributename=href to=x>",
        "<sc\0ript>",
        "<!doctype html>",
        "<!--[if IE]>",
    ] {
        assert!(xss::detect(value.as_bytes()), "{value}");
    }
}

#[test]
fn what_follows_an_event_in_a_name_does_not_count() {
    for value in [
        "a onerror\x0B=x",
        "a onerror\x01=x",
        "a onclickme=x",
        "a ONLOAD.1=x",
    ] {
        assert!(xss::detect(value.as_bytes()), "{value}");
    }
    for value in ["a once=x", "a only=1", "a online=1", "a onerr\0or=x"] {
        assert!(!xss::detect(value.as_bytes()), "{value}");
    }
}

/// The byte that a signed comparison takes for the end of the text.
#[test]
fn byte_255_does_not_end_a_tag() {
    assert!(xss::detect(b"<a \xFF onerror=x>"));
}

#[test]
fn cost_is_linear_in_the_length() {
    let pieces = [
        "a.b`",
        "IS`",
        "q'[",
        "$a$",
        "/*",
        "onaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1 ",
        "<!-",
        "-\0",
        "\\'",
        "1,",
    ];
    for piece in pieces {
        let value = piece.repeat(200_000 / piece.len());
        let started = std::time::Instant::now();
        for _ in 0..2 {
            sqli::detect(value.as_bytes());
            xss::detect(value.as_bytes());
        }
        assert!(started.elapsed().as_secs() < 5, "{piece}");
    }
}

/// Pieces that attacks are made of, and bytes.
fn attack_like() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "select",
        "union",
        "into outfile",
        " or ",
        "1=1",
        "'",
        "\"",
        "`",
        "--",
        "#",
        "/*",
        "*/",
        "/*!",
        "(",
        ")",
        ";",
        ",",
        "{",
        "}",
        "@@x",
        "$$",
        "0x1",
        "1e",
        "b'1'",
        "q'(a)'",
        "u&'",
        ".",
        " ",
        "\\",
        "<",
        ">",
        "=",
        "<script",
        "onerror",
        "href",
        "java&#115;cript:",
        "<!--",
        "-->",
        "a",
        "7",
        "_",
        "-",
    ]);
    let piece = prop_oneof![
        4 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

fn agrees(value: &[u8]) -> Result<(), TestCaseError> {
    prop_assert_eq!(sqli::detect(value), sqli::full(value));
    prop_assert_eq!(xss::detect(value), xss::full(value));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn early_exit_agrees_with_the_full_detector(value in attack_like()) {
        agrees(&value)?;
    }

    #[test]
    fn early_exit_agrees_on_plain_values(value in "[a-zA-Z0-9_$\u{80}-\u{FF}]{0,40}|[ -~]{0,40}") {
        agrees(value.as_bytes())?;
    }

    /// One word of each keyword of the list is no injection, which the early exit relies on.
    #[test]
    fn early_exit_agrees_on_keywords(at in any::<prop::sample::Index>()) {
        let list = libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;
        agrees(list[at.index(list.len())].word.as_bytes())?;
    }
}
