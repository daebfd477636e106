//! Tenants. A tenant is its path in the configuration, `tenants/<id>`, and nothing else: what is rolled back is rolled back with
//! its state. Beside it, a deleted one has a record of when its grace ends. Its tag is that of its object, so that those who
//! change different tenants do not disturb each other.

mod life;
mod purge;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use weir_schema::push::ObjectHash;

pub(super) use life::State;
use life::Step;
pub(super) use purge::purge;

use super::answer::Answer;
use super::call::{Call, Said};
use super::id;
use super::page::{limit, page};
use super::problem::{Code, Problem};
use super::route::{Param, ParamKind};
use crate::store::{EventQuery, IfMatch, Kind, Write};
use crate::versions::{Change, Refused};

/// How long a deleted tenant can be restored, where nothing else is said: 30 days.
const GRACE_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// How often a change is made again because another one came first.
const TRIES_MAX: u32 = 16;
/// Events in an export.
const EXPORT_EVENTS: usize = 10_000;

pub(super) const GRACE: Param = Param {
    name: "grace_ms",
    kind: ParamKind::Integer(0, 365 * 24 * 60 * 60 * 1000),
    about: "How long it can be restored, milliseconds; 30 days if not given.",
};

/// A tenant that is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    /// Its name.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    id: String,
    /// As in the configuration's `tenants`; without `state` it is pending, and waits to be activated.
    #[schema(value_type = Object)]
    tenant: Map<String, Value>,
    /// Pools that only this tenant names.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pools: Vec<Map<String, Value>>,
}

/// Where a tenant is to go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Migration {
    /// The region.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    region: String,
}

/// A tenant.
#[derive(Serialize, ToSchema)]
pub(super) struct Tenant {
    id: String,
    state: State,
    tier: Option<String>,
    /// The region that it moves to.
    migrate_to: Option<String>,
    /// When its grace ends, Unix time in milliseconds.
    deletes_ms: Option<u64>,
    /// As in the configuration's `tenants`.
    #[schema(value_type = Object)]
    tenant: Value,
    /// Pools that only this tenant names.
    #[schema(value_type = Vec<Object>)]
    pools: Value,
    /// The newest revision of the configuration; of a change the one that it made.
    revision: u64,
}

/// What is kept of a deleted tenant.
#[derive(Serialize, Deserialize)]
struct Grace {
    deletes_ms: u64,
    before: State,
}

/// A tenant as it stands.
struct Found {
    document: Value,
    revision: u64,
    etag: u64,
    grace: Option<Grace>,
}

/// What an edit asks for beside the new document.
struct Edited {
    action: &'static str,
    detail: Value,
    /// A record of its grace: a new one, or none any more.
    grace: Option<Grace>,
}

fn path_of(id: &str) -> String {
    format!("tenants/{id}")
}

fn tag(hash: &ObjectHash) -> u64 {
    hash.as_bytes()
        .iter()
        .take(8)
        .fold(0, |tag, byte| tag << 8 | u64::from(*byte))
}

fn state(document: &Value) -> State {
    serde_json::from_value(document["tenant"]["state"].clone()).unwrap_or(State::Active)
}

fn find(call: &Call, id: &str) -> Result<Option<Found>, Problem> {
    let Some(newest) = call.parts().versions.newest() else {
        return Ok(None);
    };
    let Some(entry) = newest.content.listing.get(&path_of(id)) else {
        return Ok(None);
    };
    let bytes = call
        .parts()
        .versions
        .objects()
        .get(&entry.hash)?
        .unwrap_or_default();
    let document = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(Code::ServerFault, format!("tenant {id}: {error}")))?;
    let grace = call
        .parts()
        .store
        .get(Kind::Tenant, id)?
        .map(|record| record.json())
        .transpose()?;
    Ok(Some(Found {
        document,
        revision: newest.head().revision,
        etag: tag(&entry.hash),
        grace,
    }))
}

fn existing(call: &Call, id: &str) -> Result<Found, Problem> {
    find(call, id)?.ok_or_else(|| Problem::not_found("tenant", id))
}

fn shown(id: &str, document: &Value, revision: u64, grace: Option<&Grace>) -> Tenant {
    let text = |name: &str| document["tenant"][name].as_str().map(str::to_owned);
    let state = state(document);
    Tenant {
        id: id.to_owned(),
        state,
        tier: text("tier"),
        migrate_to: text("migrate_to"),
        deletes_ms: grace
            .filter(|_| state == State::Deleted)
            .map(|grace| grace.deletes_ms),
        tenant: document["tenant"].clone(),
        pools: if document["pools"].is_array() {
            document["pools"].clone()
        } else {
            json!([])
        },
        revision,
    }
}

/// `GET /v1/tenants`
pub(super) async fn list(call: Call) -> Result<Answer, Problem> {
    let newest = call.parts().versions.newest();
    let after = call.query.text("after").unwrap_or_default();
    let listing = newest.as_ref().map(|newest| &newest.content.listing);
    let paths = listing.into_iter().flat_map(|listing| listing.iter());
    let ids = paths.filter_map(|(path, _)| path.strip_prefix("tenants/"));
    let mut ids: Vec<&str> = ids
        .filter(|id| *id > after && call.for_tenant(id).is_ok())
        .collect();
    ids.sort_unstable();
    ids.truncate(limit(&call) + 1);
    let mut tenants = Vec::with_capacity(ids.len());
    for id in ids {
        // Removed since, by the next version.
        if let Some(found) = find(&call, id)? {
            tenants.push(shown(id, &found.document, found.revision, found.grace.as_ref()));
        }
    }
    page(&call, tenants, |tenant: &Tenant| tenant.id.clone())
}

/// `GET /v1/tenants/{tenant}`
pub(super) async fn get(call: Call) -> Result<Answer, Problem> {
    let id = call.param("tenant");
    let found = existing(&call, id)?;
    let tenant = shown(id, &found.document, found.revision, found.grace.as_ref());
    Ok(Answer::ok(&tenant)?.with_etag(found.etag))
}

/// `GET /v1/tenants/{tenant}/export`
pub(super) async fn export(call: Call) -> Result<Answer, Problem> {
    let id = call.param("tenant");
    let found = existing(&call, id)?;
    let query = EventQuery {
        subject: Some(format!("tenant/{id}")),
        newest_first: true,
        limit: EXPORT_EVENTS,
        ..EventQuery::default()
    };
    let events = call.parts().store.events(&query)?;
    let tenant = shown(id, &found.document, found.revision, found.grace.as_ref());
    Answer::ok(&json!({"exported_ms": call.now_ms, "tenant": tenant, "events": events}))
}

/// `POST /v1/tenants`
pub(super) async fn create(mut call: Call) -> Result<Answer, Problem> {
    let new: NewTenant = call.json()?;
    id::check("/id", &new.id)?;
    call.for_tenant(&new.id)?;
    let mut tenant = new.tenant;
    tenant.insert("id".to_owned(), json!(new.id));
    tenant.entry("state").or_insert_with(|| json!("pending"));
    let document = json!({"tenant": tenant, "pools": new.pools});
    let id = new.id;
    for _ in 0..TRIES_MAX {
        if find(&call, &id)?.is_some() {
            return Err(Problem::new(
                Code::AlreadyExists,
                format!("there is a tenant {id} already"),
            ));
        }
        let revision = call
            .parts()
            .versions
            .newest()
            .map_or(0, |newest| newest.head().revision);
        let edited = Edited {
            action: "tenant.create",
            detail: json!({}),
            grace: None,
        };
        let answer = Answer::created(
            format!("/v1/tenants/{id}"),
            &shown(&id, &document, revision + 1, None),
        )?;
        if let Some(answer) = publish(&mut call, &id, revision, &document, edited, answer).await? {
            return Ok(answer);
        }
    }
    Err(Problem::new(
        Code::Unavailable,
        "too many others change the configuration",
    ))
}

/// `PUT /v1/tenants/{tenant}`: both parts anew; what it is in its life stays.
pub(super) async fn put(call: Call) -> Result<Answer, Problem> {
    let new: NewTenant = call.json()?;
    let id = call.param("tenant").to_owned();
    if new.id != id {
        return Err(Problem::at(
            Code::Invalid,
            "/id",
            "the id of a tenant does not change",
        ));
    }
    change(call, &id, move |document, grace| {
        let mut tenant = new.tenant.clone();
        for name in ["state", "migrate_to"] {
            match document["tenant"].get(name) {
                Some(value) => tenant.insert(name.to_owned(), value.clone()),
                None => tenant.remove(name),
            };
        }
        tenant.insert("id".to_owned(), json!(new.id));
        *document = json!({"tenant": tenant, "pools": new.pools});
        Ok(Edited {
            action: "tenant.change",
            detail: json!({}),
            grace,
        })
    })
    .await
}

/// `PATCH /v1/tenants/{tenant}`: RFC 7396 on `{"tenant": ..., "pools": ...}`; the tier is changed so, and overrides.
pub(super) async fn patch(call: Call) -> Result<Answer, Problem> {
    let patch: Map<String, Value> = call.json()?;
    if let Some(name) = patch
        .keys()
        .find(|name| !matches!(name.as_str(), "tenant" | "pools"))
    {
        return Err(Problem::at(
            Code::Invalid,
            format!("/{name}"),
            "only `tenant` and `pools` are changed",
        ));
    }
    for name in ["id", "state", "migrate_to"] {
        if patch
            .get("tenant")
            .is_some_and(|tenant| tenant.get(name).is_some())
        {
            return Err(Problem::at(
                Code::Invalid,
                format!("/tenant/{name}"),
                "it has steps of its own: activate, suspend, migrate ...",
            ));
        }
    }
    let id = call.param("tenant").to_owned();
    let patch = Value::Object(patch);
    change(call, &id, move |document, grace| {
        let tier = document["tenant"]["tier"].clone();
        merge(document, &patch);
        let mut detail = json!({});
        if document["tenant"]["tier"] != tier {
            detail = json!({"tier": document["tenant"]["tier"], "tier_before": tier});
        }
        Ok(Edited {
            action: "tenant.change",
            detail,
            grace,
        })
    })
    .await
}

/// JSON Merge Patch (RFC 7396 section 2).
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        let Some(target) = target.as_object_mut() else {
            return;
        };
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.as_str()).or_insert(Value::Null), value);
        }
    }
}

/// `POST /v1/tenants/{tenant}/activate`
pub(super) async fn activate(call: Call) -> Result<Answer, Problem> {
    step(call, Step::Activate, None).await
}

/// `POST /v1/tenants/{tenant}/suspend`
pub(super) async fn suspend(call: Call) -> Result<Answer, Problem> {
    step(call, Step::Suspend, None).await
}

/// `POST /v1/tenants/{tenant}/resume`
pub(super) async fn resume(call: Call) -> Result<Answer, Problem> {
    step(call, Step::Resume, None).await
}

/// `POST /v1/tenants/{tenant}/migrate`
pub(super) async fn migrate(call: Call) -> Result<Answer, Problem> {
    let to: Migration = call.json()?;
    id::check("/region", &to.region)?;
    step(call, Step::Migrate, Some(to.region)).await
}

/// `POST /v1/tenants/{tenant}/delete`: a step of its life like the others, because it can still be read and restored.
pub(super) async fn delete(call: Call) -> Result<Answer, Problem> {
    step(call, Step::Delete, None).await
}

/// `POST /v1/tenants/{tenant}/restore`
pub(super) async fn restore(call: Call) -> Result<Answer, Problem> {
    step(call, Step::Restore, None).await
}

async fn step(call: Call, step: Step, region: Option<String>) -> Result<Answer, Problem> {
    let id = call.param("tenant").to_owned();
    let deletes_ms = call
        .now_ms
        .saturating_add(call.query.integer("grace_ms").unwrap_or(GRACE_MS));
    change(call, &id, move |document, grace| {
        let from = state(document);
        let before = grace.map_or(State::Suspended, |grace| grace.before);
        let to = step.from(from, before)?;
        let Some(tenant) = document["tenant"].as_object_mut() else {
            return Err(Problem::new(
                Code::ServerFault,
                "the tenant's document is no object",
            ));
        };
        tenant.insert("state".to_owned(), json!(to));
        match &region {
            Some(region) => tenant.insert("migrate_to".to_owned(), json!(region)),
            None => tenant.remove("migrate_to"),
        };
        // Where it was to go is not known any more when it is restored.
        let before = if from == State::Migrating {
            State::Active
        } else {
            from
        };
        let grace = (to == State::Deleted).then_some(Grace { deletes_ms, before });
        let mut detail = json!({"from": from, "to": to});
        if let Some(region) = &region {
            detail["region"] = json!(region);
        }
        Ok(Edited {
            action: step.action(),
            detail,
            grace,
        })
    })
    .await
}

/// Edits the document of a tenant; again, when others change the configuration meanwhile.
async fn change(
    mut call: Call,
    id: &str,
    edit: impl Fn(&mut Value, Option<Grace>) -> Result<Edited, Problem>,
) -> Result<Answer, Problem> {
    existing(&call, id)?;
    let wanted = call.required_match()?;
    for _ in 0..TRIES_MAX {
        let found = existing(&call, id)?;
        if matches!(wanted, IfMatch::Etag(etag) if etag != found.etag) {
            return Err(Problem::new(
                Code::PreconditionFailed,
                "the tenant was changed since: read it again",
            ));
        }
        let mut document = found.document;
        let edited = edit(&mut document, found.grace)?;
        let answer = Answer::ok(&shown(id, &document, found.revision + 1, edited.grace.as_ref()))?;
        if let Some(answer) = publish(&mut call, id, found.revision, &document, edited, answer).await? {
            return Ok(answer);
        }
    }
    Err(Problem::new(
        Code::Unavailable,
        "too many others change the configuration",
    ))
}

/// Publishes the document with its event, its grace and the answer; `None` when the configuration is not at `revision` any more.
async fn publish(
    call: &mut Call,
    id: &str,
    revision: u64,
    document: &Value,
    edited: Edited,
    answer: Answer,
) -> Result<Option<Answer>, Problem> {
    let bytes = document.to_string().into_bytes();
    let etag = tag(&ObjectHash::of(&bytes));
    let said = Said {
        action: edited.action,
        subject: format!("tenant/{id}"),
        detail: edited.detail,
    };
    let mut also = vec![Write::Event(call.event(said, "done"))];
    also.push(match edited.grace {
        Some(grace) => Write::Put {
            kind: Kind::Tenant,
            id: id.to_owned(),
            body: json!(grace).to_string().into_bytes(),
            if_match: IfMatch::Any,
        },
        None => Write::Delete {
            kind: Kind::Tenant,
            id: id.to_owned(),
            if_match: IfMatch::Any,
        },
    });
    also.extend(call.kept(&answer)?);
    let change = Change {
        if_revision: Some(revision),
        put: vec![(path_of(id), bytes)],
        note: edited.action.to_owned(),
        also,
        ..Change::default()
    };
    let versions = std::sync::Arc::clone(&call.parts().versions);
    match versions
        .apply(change, &call.actor, call.dry_run, call.now_ms)
        .await
    {
        Ok(_) | Err(Refused::Same(_)) => Ok(Some(answer.with_etag(etag))),
        Err(Refused::Conflict { .. }) => Ok(None),
        Err(refused) => Err(refused.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_merged_as_rfc_7396_says() {
        // The table of its appendix A, those rows that are not about the same.
        for (target, patch, merged) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": "foo"}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            let mut result = target.clone();
            merge(&mut result, &patch);
            assert_eq!(result, merged, "{target} {patch}");
        }
    }
}
