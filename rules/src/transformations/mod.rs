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

pub(crate) use url_decode::{decode_onto as url_decode_onto, path_onto as path_decode_onto};

/// Appends the result to the buffer and says whether it differs from the input. When it says `false` the buffer
/// beyond its first length means nothing.
pub(crate) type Apply = fn(&[u8], &mut Vec<u8>) -> bool;

/// One transformation under its SecLang name.
pub(crate) struct Transformation {
    pub(crate) name: &'static str,
    pub(crate) apply: Apply,
}

const fn row(name: &'static str, apply: Apply) -> Transformation {
    Transformation { name, apply }
}

/// Every transformation, by name. Names are matched without regard to case.
pub(crate) const TABLE: &[Transformation] = &[
    row("base64Decode", base64::apply),
    row("base64DecodeExt", base64::apply_forgiving),
    row("base64Encode", base64::encode),
    row("cmdLine", cmd_line::apply),
    row("compressWhitespace", whitespace::compress),
    row("cssDecode", css_decode::apply),
    row("escapeSeqDecode", escape_seq_decode::apply),
    row("hexDecode", hex::decode),
    row("hexEncode", hex::encode),
    row("htmlEntityDecode", html_entity_decode::apply),
    row("jsDecode", js_decode::apply),
    row("length", length::apply),
    row("lowercase", lowercase::apply),
    row("md5", digest::md5),
    row("normalisePath", normalize_path::apply),
    row("normalisePathWin", normalize_path::apply_windows),
    row("normalizePath", normalize_path::apply),
    row("normalizePathWin", normalize_path::apply_windows),
    row("parityEven7bit", parity::even),
    row("parityOdd7bit", parity::odd),
    row("parityZero7bit", parity::zero),
    row("removeComments", comments::remove),
    row("removeCommentsChar", comments::remove_marks),
    row("removeNulls", nulls::remove),
    row("removeWhitespace", whitespace::remove),
    row("replaceComments", comments::replace),
    row("replaceNulls", nulls::replace),
    row("sha1", digest::sha1),
    row("sqlHexDecode", hex::sql_decode),
    row("trim", whitespace::trim),
    row("trimLeft", whitespace::trim_left),
    row("trimRight", whitespace::trim_right),
    row("uppercase", uppercase::apply),
    row("urlDecode", url_decode::apply),
    row("urlDecodeUni", url_decode::apply_unicode),
    row("urlEncode", url_decode::encode),
    row("utf8toUnicode", utf8_to_unicode::apply),
];

/// The row of `TABLE` for a name.
pub(crate) fn find(name: &str) -> Option<usize> {
    TABLE.iter().position(|t| t.name.eq_ignore_ascii_case(name))
}
