//! The log of events: what was done or refused, by whom, when, from where.

use serde_json::Value;
use utoipa::ToSchema;

use super::answer::Answer;
use super::call::Call;
use super::page::{limit, page};
use super::problem::{Code, Problem};
use super::route::{Param, ParamKind};
use crate::store::EventQuery;

/// Greatest number in a query.
const NUMBER_MAX: u64 = i64::MAX.cast_unsigned();

pub(super) const ACTION: Param = Param {
    name: "action",
    kind: ParamKind::Text(128),
    about: "Of this action; all that begin with it when it ends in a dot.",
};
pub(super) const ACTOR: Param = Param {
    name: "actor",
    kind: ParamKind::Text(128),
    about: "Of this actor.",
};
pub(super) const SUBJECT: Param = Param {
    name: "subject",
    kind: ParamKind::Text(256),
    about: "About this, like `tenant/acme`. A token that is not over everything must give a tenant of its scope.",
};
pub(super) const SINCE: Param = Param {
    name: "since_ms",
    kind: ParamKind::Integer(0, NUMBER_MAX),
    about: "Not before, Unix time in milliseconds.",
};
pub(super) const UNTIL: Param = Param {
    name: "until_ms",
    kind: ParamKind::Integer(0, NUMBER_MAX),
    about: "Before, Unix time in milliseconds.",
};
pub(super) const NEWEST_FIRST: Param = Param {
    name: "newest_first",
    kind: ParamKind::Flag,
    about: "Backwards from the newest.",
};

/// An event, for the OpenAPI document: what [`crate::store::Event`] is as JSON.
#[derive(ToSchema)]
#[schema(as = Event)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct EventDocument {
    /// Its number.
    seq: u64,
    /// Unix time in milliseconds.
    time_ms: u64,
    /// Who: the id of a token, of a proxy, or `system`.
    actor: String,
    /// What: `noun.verb`.
    action: String,
    /// To what: `noun/id`.
    subject: String,
    /// From where: an address, or empty for control itself.
    from: String,
    /// `done`, or the code of the refusal.
    result: String,
    /// More.
    #[schema(value_type = Option<Object>)]
    detail: Value,
}

/// What is asked for; whoever does not see everything sees the events of a tenant of theirs.
pub(super) fn query(call: &Call) -> Result<EventQuery, Problem> {
    let subject = call.query.text("subject").map(str::to_owned);
    if !call.who.scope.is_all() {
        match subject
            .as_deref()
            .and_then(|subject| subject.strip_prefix("tenant/"))
        {
            Some(tenant) => call.for_tenant(tenant)?,
            None => {
                let detail = "the token is not over everything: ask with ?subject=tenant/<id>";
                return Err(Problem::new(Code::Forbidden, detail));
            }
        }
    }
    Ok(EventQuery {
        from_seq: call.query.integer("after"),
        newest_first: call.query.flag("newest_first"),
        action: call.query.text("action").map(str::to_owned),
        actor: call.query.text("actor").map(str::to_owned),
        subject,
        since_ms: call.query.integer("since_ms"),
        until_ms: call.query.integer("until_ms"),
        limit: limit(call) + 1,
    })
}

/// `GET /v1/events`
pub(super) async fn list(call: Call) -> Result<Answer, Problem> {
    let query = query(&call)?;
    let store = std::sync::Arc::clone(&call.parts().store);
    // A filter may have to look at many of them.
    let events = tokio::task::spawn_blocking(move || store.events(&query)).await;
    let events = events.map_err(|error| Problem::new(Code::ServerFault, error.to_string()))??;
    page(&call, events, |event| event.seq.to_string())
}
