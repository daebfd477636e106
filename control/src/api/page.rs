//! Lists in pages: `?limit=&after=`, and `next` in the answer.

use serde::Serialize;

use super::answer::Answer;
use super::call::Call;
use super::problem::Problem;
use super::route::{Param, ParamKind};

/// Things of a page.
const LIMIT_MAX: u64 = 1000;
/// Things of a page, where nothing is said.
const LIMIT: u64 = 100;

pub(super) const PAGE_SIZE: Param = Param {
    name: "limit",
    kind: ParamKind::Integer(1, LIMIT_MAX),
    about: "Items of a page; 100 if not given.",
};
pub(super) const AFTER: Param = Param {
    name: "after",
    kind: ParamKind::Text(512),
    about: "Cursor: where the page before ended. `next` in an answer has it.",
};
pub(super) const AFTER_NUMBER: Param = Param {
    name: "after",
    kind: ParamKind::Integer(0, i64::MAX.cast_unsigned()),
    about: "Cursor: the number where the page before ended.",
};

/// A page of things.
#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

/// How many are asked for.
pub(super) fn limit(call: &Call) -> usize {
    usize::try_from(call.query.integer("limit").unwrap_or(LIMIT)).unwrap_or(0)
}

/// A page of `items`, of which one more was looked for than is asked for; `cursor` is what the next page is after.
pub(super) fn page<T: Serialize>(
    call: &Call,
    mut items: Vec<T>,
    cursor: impl Fn(&T) -> String,
) -> Result<Answer, Problem> {
    let limit = limit(call);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| format!("{}?{}", call.path, call.query.after(&cursor(last))));
    Answer::ok(&Page { items, next })
}
