//! Checks of names that come from outside.

use weir_schema::ids::RegionId;

use super::problem::{Code, Problem};

/// What [`check`] takes, for the OpenAPI document.
pub(super) const PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$";
/// Characters of a note.
pub(super) const NOTE_CHARS_MAX: usize = 1000;

/// Whether a text is an id.
pub(super) fn is_id(text: &str) -> bool {
    // All ids have one form.
    RegionId::new(text).is_some()
}

/// An id in the body.
pub(super) fn check(pointer: &str, text: &str) -> Result<(), Problem> {
    if is_id(text) {
        return Ok(());
    }
    let detail = "an id is 1 to 63 of a-z A-Z 0-9 . _ - and begins with a letter or digit";
    Err(Problem::at(Code::Invalid, pointer, detail))
}

/// A note in the body.
pub(super) fn check_note(note: &str) -> Result<(), Problem> {
    if note.chars().count() <= NOTE_CHARS_MAX {
        return Ok(());
    }
    Err(Problem::at(
        Code::Invalid,
        "/note",
        format!("a note has at most {NOTE_CHARS_MAX} characters"),
    ))
}
