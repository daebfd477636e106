//! Transformations: one small file per family, one row per name.
//!
//! To add one: write the function, add a row to [`TABLE`], add its cases to `testdata/transformations.json`.

mod base64;
mod best_fit;
mod cmd_line;
mod comments;
mod css_decode;
mod digest;
mod escape_seq_decode;
mod hex;
mod html_entity_decode;
mod js_decode;
mod length;
mod lowercase;
mod normalize_path;
mod nulls;
mod parity;
#[cfg(test)]
mod tests;
mod uppercase;
mod url_decode;
mod utf8_to_unicode;
mod whitespace;

use std::sync::LazyLock;

use crate::filter::ByteMap;
pub(crate) use base64::decode_onto as base64_decode_onto;
pub(crate) use url_decode::{decode_onto as url_decode_onto, path_onto as path_decode_onto};

/// Appends the result to the buffer and says whether it differs from the input. When it says `false` the buffer
/// beyond its first length means nothing.
pub(crate) type Apply = fn(&[u8], &mut Vec<u8>) -> bool;

/// One transformation under its SecLang name.
pub(crate) struct Transformation {
    pub(crate) name: &'static str,
    pub(crate) apply: Apply,
    /// Inclusive ranges of bytes; a value without any of them is left unchanged.
    trigger: &'static [(u8, u8)],
    /// Whether it only changes the case of ASCII letters, which filters do not tell.
    pub(crate) keeps_mask: bool,
}

const fn row(name: &'static str, apply: Apply, trigger: &'static [(u8, u8)]) -> Transformation {
    Transformation {
        name,
        apply,
        trigger,
        keeps_mask: false,
    }
}

const fn case_row(name: &'static str, apply: Apply, trigger: &'static [(u8, u8)]) -> Transformation {
    let keeps_mask = true;
    Transformation {
        name,
        apply,
        trigger,
        keeps_mask,
    }
}

/// Every value may change.
const ANY: &[(u8, u8)] = &[(0, 255)];
const BACKSLASH: &[(u8, u8)] = &[(b'\\', b'\\')];
const SPACE: &[(u8, u8)] = &[(b'\t', b'\r'), (b' ', b' ')];
const SPACE_OR_NBSP: &[(u8, u8)] = &[(b'\t', b'\r'), (b' ', b' '), (0xA0, 0xA0)];
/// Segments are only rewritten where there are slashes or dots.
const PATH: &[(u8, u8)] = &[(b'.', b'/')];
const PATH_WIN: &[(u8, u8)] = &[(b'.', b'/'), (b'\\', b'\\')];
const PERCENT: &[(u8, u8)] = &[(b'%', b'%'), (b'+', b'+')];
const COMMENT: &[(u8, u8)] = &[
    (b'#', b'#'),
    (b'*', b'*'),
    (b'-', b'-'),
    (b'/', b'/'),
    (b'<', b'<'),
];
const CMD_LINE: &[(u8, u8)] = &[
    (b'\t', b'\r'),
    (b' ', b' '),
    (b'"', b'"'),
    (b'\'', b'\''),
    (b',', b','),
    (b';', b';'),
    (b'A', b'Z'),
    (b'\\', b'\\'),
    (b'^', b'^'),
];

/// The rows that may change a value with these bytes, as bits; all others answer it as it is.
pub(crate) fn triggered(bytes: &ByteMap) -> u64 {
    static TRIGGERS: LazyLock<Triggers> = LazyLock::new(|| {
        let rows = |byte: u8| -> u64 {
            let hit = |t: &Transformation| t.trigger.iter().any(|(low, high)| (*low..=*high).contains(&byte));
            let hits = TABLE.iter().enumerate().filter(|(_, t)| hit(t));
            hits.map(|(at, _)| 1_u64 << at).sum()
        };
        Triggers::new((0..=255).map(rows).collect())
    });
    let triggers = &*TRIGGERS;
    let many = triggers.many.iter().filter(|(set, _)| set.meets(bytes));
    let all = many.fold(empty_changes(), |all, (_, rows)| all | rows);
    let rare = bytes.intersection(&triggers.rare);
    let rows = rare.iter().filter_map(|b| triggers.rows.get(usize::from(b)));
    rows.fold(all, |all, rows| all | rows)
}

/// The rows that each byte triggers. Letters, digits and the like, which most bytes of a value are, trigger the same
/// rows as many others and are asked for together.
struct Triggers {
    /// By byte.
    rows: Vec<u64>,
    /// Sets of many bytes with the same rows.
    many: Vec<(ByteMap, u64)>,
    /// The bytes of none of them.
    rare: ByteMap,
}

impl Triggers {
    /// Bytes with the same rows from which on they are a set.
    const MANY: usize = 8;

    fn new(rows: Vec<u64>) -> Self {
        let mut many: Vec<(ByteMap, u64)> = Vec::new();
        let mut rare = ByteMap::default();
        for (byte, own) in (0..=255_u8).zip(&rows) {
            if rows.iter().filter(|other| *other == own).count() < Self::MANY {
                rare.insert(byte);
            } else if let Some((set, _)) = many.iter_mut().find(|(_, of)| of == own) {
                set.insert(byte);
            } else {
                many.push((ByteMap::of(&[byte]), *own));
            }
        }
        Self { rows, many, rare }
    }
}

/// The rows that change even the empty value.
fn empty_changes() -> u64 {
    static ROWS: LazyLock<u64> = LazyLock::new(|| {
        let changes = |t: &Transformation| (t.apply)(b"", &mut Vec::new());
        let rows = TABLE.iter().enumerate().filter(|(_, t)| changes(t));
        rows.map(|(at, _)| 1_u64 << at).sum()
    });
    *ROWS
}

/// Transformations whose result may be longer than their input; that of all others never is (a test looks).
const LENGTHENING: &[&str] = &[
    "base64Encode",
    "hexEncode",
    "length",
    "md5",
    "sha1",
    "urlEncode",
    "utf8toUnicode",
];

/// The rows of a chain that make a value longer if they are triggered by it, as bits: that of its first step, or all when
/// a later step may do so, whose trigger an earlier one may make.
pub(crate) fn lengthening(chain: &[u16]) -> u64 {
    static ROWS: LazyLock<u64> = LazyLock::new(|| {
        let found = TABLE
            .iter()
            .enumerate()
            .filter(|(_, t)| LENGTHENING.contains(&t.name));
        found.map(|(at, _)| 1_u64 << at).sum()
    });
    let Some((first, later)) = chain.split_first() else {
        return 0;
    };
    let lengthens = |row: &u16| *ROWS >> row & 1 == 1;
    match later.iter().any(lengthens) {
        true => !0,
        false => u64::from(lengthens(first)) << first,
    }
}

/// Every transformation, by name. Names are matched without regard to case.
pub(crate) const TABLE: &[Transformation] = &[
    row("base64Decode", base64::apply, ANY),
    row("base64DecodeExt", base64::apply_forgiving, ANY),
    row("base64Encode", base64::encode, ANY),
    row("cmdLine", cmd_line::apply, CMD_LINE),
    row("compressWhitespace", whitespace::compress, SPACE_OR_NBSP),
    row("cssDecode", css_decode::apply, BACKSLASH),
    row("escapeSeqDecode", escape_seq_decode::apply, BACKSLASH),
    row("hexDecode", hex::decode, ANY),
    row("hexEncode", hex::encode, ANY),
    row("htmlEntityDecode", html_entity_decode::apply, &[(b'&', b'&')]),
    row("jsDecode", js_decode::apply, BACKSLASH),
    row("length", length::apply, ANY),
    case_row("lowercase", lowercase::apply, &[(b'A', b'Z')]),
    row("md5", digest::md5, ANY),
    row("normalisePath", normalize_path::apply, PATH),
    row("normalisePathWin", normalize_path::apply_windows, PATH_WIN),
    row("normalizePath", normalize_path::apply, PATH),
    row("normalizePathWin", normalize_path::apply_windows, PATH_WIN),
    row("parityEven7bit", parity::even, ANY),
    row("parityOdd7bit", parity::odd, ANY),
    row("parityZero7bit", parity::zero, ANY),
    row("removeComments", comments::remove, COMMENT),
    row("removeCommentsChar", comments::remove_marks, COMMENT),
    row("removeNulls", nulls::remove, &[(0, 0)]),
    row("removeWhitespace", whitespace::remove, SPACE_OR_NBSP),
    row("replaceComments", comments::replace, &[(b'/', b'/')]),
    row("replaceNulls", nulls::replace, &[(0, 0)]),
    row("sha1", digest::sha1, ANY),
    row("sqlHexDecode", hex::sql_decode, &[(b'0', b'0')]),
    row("trim", whitespace::trim, SPACE),
    row("trimLeft", whitespace::trim_left, SPACE),
    row("trimRight", whitespace::trim_right, SPACE),
    case_row("uppercase", uppercase::apply, &[(b'a', b'z')]),
    row("urlDecode", url_decode::apply, PERCENT),
    row("urlDecodeUni", url_decode::apply_unicode, PERCENT),
    row("urlEncode", url_decode::encode, ANY),
    row("utf8toUnicode", utf8_to_unicode::apply, &[(0x80, 0xFF)]),
];

// A set of rows is a word of bits.
const _: () = assert!(TABLE.len() <= 64);

/// The row of `TABLE` for a name.
pub(crate) fn find(name: &str) -> Option<usize> {
    TABLE.iter().position(|t| t.name.eq_ignore_ascii_case(name))
}
