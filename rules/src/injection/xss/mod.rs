//! Script injection: a value is read as HTML five times, as text between tags, as attributes of a tag, and as what
//! follows an open quote of each kind, and is refused for a tag, attribute, address or comment that can run a script.

mod html;
mod names;

use html::{Html, Piece, Start};
use names::Attribute;

/// Whether a value can run a script in any of its places.
///
/// A place is left out without what it needs. Text needs a `<`, or it holds no tag. After a quote the value is one
/// attribute's value without a name until the quote closes it, so the quote must be there. And everywhere only tags,
/// comments and document types, which begin with `<`, and the values of attributes, which follow a `=`, are judged.
/// The test `early_exit_agrees_with_the_full_detector` holds it to that.
pub(crate) fn detect(value: &[u8]) -> bool {
    let tag = memchr::memchr(b'<', value).is_some();
    if !tag && memchr::memchr(b'=', value).is_none() {
        return false;
    }
    let quoted =
        |quote: u8| memchr::memchr(quote, value).is_some() && runs_script(value, Start::Quoted(quote));
    (tag && runs_script(value, Start::Text))
        || runs_script(value, Start::Attributes)
        || quoted(b'\'')
        || quoted(b'"')
        || quoted(b'`')
}

/// The detector without its early exits.
#[cfg(test)]
pub(crate) fn full(value: &[u8]) -> bool {
    use Start::{Attributes, Quoted, Text};
    [Text, Attributes, Quoted(b'\''), Quoted(b'"'), Quoted(b'`')]
        .into_iter()
        .any(|start| runs_script(value, start))
}

/// Whether a value can run a script in one place.
fn runs_script(value: &[u8], start: Start) -> bool {
    let mut name = None;
    let mut probes = names::PREFIX_PROBES_MAX;
    for piece in Html::new(value, start) {
        let named = name.take();
        let script = match piece {
            Piece::Doctype => true,
            Piece::Tag(tag) => names::is_script_tag(tag),
            Piece::Comment(text) => is_script_comment(text),
            Piece::Name(text) => {
                name = Some(text);
                false
            }
            Piece::Value(text) => {
                match named.map_or(Attribute::Plain, |n| names::attribute(n, &mut probes)) {
                    Attribute::Plain => false,
                    Attribute::Script => true,
                    Attribute::Address => names::is_script_address(text),
                    Attribute::NamesAnother => names::attribute(text, &mut probes) != Attribute::Plain,
                }
            }
            Piece::Other => false,
        };
        if script {
            return true;
        }
    }
    false
}

/// Comments that old browsers take for code: conditional ones, XML processing, entities, and any with a backtick, which
/// ends a tag for them.
fn is_script_comment(text: &[u8]) -> bool {
    let begins = |mark: &[u8], longer: usize| {
        text.len() >= mark.len() + longer
            && text
                .get(..mark.len())
                .is_some_and(|t| t.eq_ignore_ascii_case(mark))
    };
    memchr::memchr(b'`', text).is_some()
        || begins(b"[if", 1)
        || begins(b"xml", 1)
        || begins(b"import", 0)
        || begins(b"entity", 0)
}
