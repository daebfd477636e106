//! Data tables for transformations, and the public corpus where it is present.

use serde_json::Value;

use super::{LENGTHENING, TABLE, find, lengthening};

fn run(name: &str, input: &[u8]) -> Vec<u8> {
    let mut out = b"kept".to_vec();
    if (TABLE[find(name).unwrap()].apply)(input, &mut out) {
        out.split_off(4)
    } else {
        input.to_vec()
    }
}

#[test]
fn names_are_sorted_and_unique() {
    assert!(TABLE.is_sorted_by(|a, b| a.name < b.name));
}

#[test]
fn the_table_of_cases_holds() {
    let cases: &[(&str, &[u8], &[u8])] = &[
        ("urlDecodeUni", b"%u003cscript%3E+%zz%uFF1C", b"<script> %zz<"),
        ("urlDecode", b"a%2", b"a%2"),
        ("lowercase", b"AbC\xC4", b"abc\xC4"),
        ("jsDecode", b"\\u0061\\x62\\143\\n\\q", b"abc\nq"),
        ("cssDecode", b"\\6a avascript\\\n\\(", b"javascript("),
        ("htmlEntityDecode", b"&lt;&#x41;&#66&nbsp;&foo;", b"<AB\xA0&foo;"),
        ("utf8toUnicode", "aé".as_bytes(), b"a%u00e9"),
        ("removeNulls", b"a\0b", b"ab"),
        ("cmdLine", b"C^a\"T  /etc ,(x", b"cat/etc(x"),
        ("replaceComments", b"a/*x*/b/*", b"a b "),
        ("removeCommentsChar", b"a/*x*/b--#", b"axb"),
        ("normalizePath", b"/a/./b//../c/", b"/a/c/"),
        ("normalizePathWin", b"a\\b\\..\\c", b"a/c"),
        ("compressWhitespace", b"a \t\n b", b"a b"),
        ("removeWhitespace", b" a\tb ", b"ab"),
        ("length", b"12345", b"5"),
        ("base64Decode", b"aGVsbG8=", b"hello"),
        ("base64Encode", b"hello", b"aGVsbG8="),
        ("hexEncode", b"\x0f\xA0", b"0fa0"),
        ("sqlHexDecode", b"x=0x4142 ", b"x=AB "),
        ("trim", b" a ", b"a"),
    ];
    for (name, input, wanted) in cases {
        assert_eq!(run(name, input), *wanted, "{name} of {}", input.escape_ascii());
    }
}

#[test]
fn digests_agree_with_their_standards() {
    assert_eq!(
        run("hexEncode", &run("sha1", b"abc")),
        b"a9993e364706816aba3e25717850c26c9cd0d89d"
    );
    assert_eq!(
        run("hexEncode", &run("md5", b"abc")),
        b"900150983cd24fb0d6963f7d28e17f72"
    );
}

proptest::proptest! {
    #[test]
    fn only_those_named_so_make_a_value_longer(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..12),
        tail in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..6),
    ) {
        let input = [pieces.concat().as_bytes(), tail.as_slice()].concat();
        for row in TABLE.iter().filter(|row| !LENGTHENING.contains(&row.name)) {
            let output = run(row.name, &input);
            proptest::prop_assert!(output.len() <= input.len(), "{} {input:?} -> {output:?}", row.name);
        }
    }
}

/// What transformations look for, whole and cut off.
const PIECES: &[&str] = &[
    "", "/", "//", ".", "..", "../", "./", "\\", "..\\", "%", "%u", "%u00e9", "%uff1c", "%41", "+", "&",
    "&lt;", "&lt", "&nbsp;", "&#", "&#x", "&#x3c;", "&#60", "\\x41", "\\u0041", "\\uff41", "\\101", "\\n",
    "\\", "\\41 ", "\\000041", "/*", "*/", "--", "#", "<!--", "-->", " ", "\t\n", "\u{a0}", "\0", "0x",
    "0x41", "0x4142", "QUJD", "QQ==", "=", "abc", "A", "4a", "\"", "^", ",", ";", "(", "é", "日",
];

#[test]
fn a_later_step_that_lengthens_is_always_reckoned_with() {
    let rows = |names: &[&str]| -> Vec<u16> {
        names
            .iter()
            .map(|name| u16::try_from(find(name).unwrap()).unwrap())
            .collect()
    };
    let first = rows(&["utf8toUnicode", "urlDecodeUni"]);
    assert_eq!(lengthening(&first), 1 << first[0]);
    assert_eq!(lengthening(&rows(&["urlDecodeUni", "utf8toUnicode"])), !0);
    assert_eq!(lengthening(&rows(&["urlDecodeUni", "lowercase"])), 0);
}

/// The corpus writes bytes as `\xHH` and `\u0000` for NUL inside JSON strings.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let hex = |from: usize, to: usize| rest.get(from..to).and_then(|d| u8::from_str_radix(d, 16).ok());
        if let (true, Some(byte)) = (rest.starts_with("\\x"), hex(2, 4)) {
            out.push(byte);
            rest = &rest[4..];
        } else if rest.starts_with("\\u0000") {
            out.push(0);
            rest = &rest[6..];
        } else {
            out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Where the corpus is read differently, and how often: `cssDecode` answers whole code points there, and the last two
/// digits as one byte here, as rules expect; `removeComments` leaves a NUL for an emptied value there; the code points
/// of `urlDecodeUni` keep their low byte there, and follow the best-fit map here.
const ACCEPTED: &[(&str, usize)] = &[("cssDecode ", 2), ("removeComments ", 8), ("urlDecodeUni ", 1)];

#[test]
fn the_public_corpus_agrees() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/waf-data/transformations");
    if !folder.is_dir() {
        assert!(
            std::env::var_os("CI").is_none(),
            "no corpus at {}",
            folder.display()
        );
        println!("skipped: no corpus at {}", folder.display());
        return;
    }
    let (mut seen, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
        for case in cases {
            let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
            if find(&text("name")).is_none() {
                continue;
            }
            seen += 1;
            let got = run(&text("name"), &unescape(&text("input")));
            if got != unescape(&text("output")) && got != text("output").as_bytes() {
                wrong.push(format!(
                    "{} {:?} -> {:?}, not {:?}",
                    text("name"),
                    text("input"),
                    got.escape_ascii().to_string(),
                    text("output")
                ));
            }
        }
    }
    let accepted = |line: &&String| ACCEPTED.iter().any(|(name, _)| line.starts_with(name));
    let unknown: Vec<_> = wrong.iter().filter(|line| !accepted(line)).collect();
    assert!(
        unknown.is_empty() && seen > 300,
        "{} of {seen} differ: {unknown:#?}",
        unknown.len()
    );
    for (name, count) in ACCEPTED {
        assert_eq!(
            wrong.iter().filter(|line| line.starts_with(name)).count(),
            *count,
            "{name}"
        );
    }
}
