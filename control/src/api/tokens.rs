//! Tokens of the admin API, and what the asking one may do.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::answer::Answer;
use super::call::{Call, Said};
use super::id::{check_note, is_id};
use super::page::{limit, page};
use super::problem::{Code, Problem};
use crate::auth::{Names, NewSecret, Role, Scope, TokenRecord};
use crate::store::{Batch, IfMatch, Kind, Record};

/// Latest time: what JavaScript's numbers hold exactly.
const TIME_MAX_MS: u64 = 9_007_199_254_740_991;
/// Names of a scope.
const NAMES_MAX: usize = 1000;

/// A token that is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// What it may do.
    role: Role,
    /// Tenants that it may see or change; `["*"]` is every one, an empty list none.
    #[schema(max_items = 1000, pattern = r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,62})$")]
    tenants: Vec<String>,
    /// Regions that it may see or change; `["*"]` is every one, an empty list none.
    #[schema(max_items = 1000, pattern = r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,62})$")]
    regions: Vec<String>,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 1000)]
    note: String,
    /// Not valid from then on, Unix time in milliseconds.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    expires_ms: Option<u64>,
}

/// A token.
#[derive(Serialize, ToSchema)]
pub(super) struct Token {
    id: String,
    role: Role,
    #[schema(value_type = Vec<String>)]
    tenants: Names,
    #[schema(value_type = Vec<String>)]
    regions: Names,
    note: String,
    /// The token that made it.
    created_by: String,
    /// Unix time in milliseconds.
    created_ms: u64,
    /// Not valid from then on, Unix time in milliseconds.
    expires_ms: Option<u64>,
    /// Not valid since, Unix time in milliseconds.
    revoked_ms: Option<u64>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedToken {
    /// What to send as `Authorization: Bearer`. It is shown once, and kept nowhere.
    secret: String,
    token: Token,
}

fn shown(id: &str, record: TokenRecord, created_ms: u64) -> Token {
    Token {
        id: id.to_owned(),
        role: record.role,
        tenants: record.scope.tenants,
        regions: record.scope.regions,
        note: record.note,
        created_by: record.created_by,
        created_ms,
        expires_ms: record.expires_ms,
        revoked_ms: record.revoked_ms,
    }
}

fn read(record: &Record) -> Result<Token, Problem> {
    Ok(shown(&record.id, record.json()?, record.created_ms))
}

/// `GET /v1/whoami`
pub(super) async fn whoami(call: Call) -> Result<Answer, Problem> {
    let record = call.existing(Kind::Token, &call.who.id)?;
    Answer::ok(&read(&record)?)
}

/// `GET /v1/tokens`
pub(super) async fn list(call: Call) -> Result<Answer, Problem> {
    let records = call
        .parts()
        .store
        .list(Kind::Token, call.query.text("after"), limit(&call) + 1)?;
    let tokens: Result<Vec<Token>, Problem> = records.iter().map(read).collect();
    page(&call, tokens?, |token| token.id.clone())
}

/// `GET /v1/tokens/{id}`
pub(super) async fn get(call: Call) -> Result<Answer, Problem> {
    let record = call.existing(Kind::Token, call.param("id"))?;
    Ok(Answer::ok(&read(&record)?)?.with_etag(record.etag))
}

fn names(pointer: &str, names: Vec<String>) -> Result<Names, Problem> {
    if names.len() > NAMES_MAX {
        return Err(Problem::at(
            Code::Invalid,
            pointer,
            format!("at most {NAMES_MAX} names"),
        ));
    }
    if let Some((place, _)) = names
        .iter()
        .enumerate()
        .find(|(_, name)| *name != "*" && !is_id(name))
    {
        return Err(Problem::at(
            Code::Invalid,
            format!("{pointer}/{place}"),
            "an id, or * for every one",
        ));
    }
    Ok(names
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into())
}

/// `POST /v1/tokens`
pub(super) async fn create(mut call: Call) -> Result<Answer, Problem> {
    let new: NewToken = call.json()?;
    check_note(&new.note)?;
    let scope = Scope {
        tenants: names("/tenants", new.tenants)?,
        regions: names("/regions", new.regions)?,
    };
    if new
        .expires_ms
        .is_some_and(|expires_ms| expires_ms <= call.now_ms || expires_ms > TIME_MAX_MS)
    {
        return Err(Problem::at(
            Code::Invalid,
            "/expires_ms",
            "a time that is still to come",
        ));
    }
    let made = tokio::task::spawn_blocking(NewSecret::make).await;
    let secret = made.map_err(|error| error.to_string()).and_then(|made| made);
    let secret = secret.map_err(|error| Problem::new(Code::ServerFault, error))?;
    let record = TokenRecord {
        role: new.role,
        scope,
        note: new.note,
        hash: secret.hash,
        created_by: call.who.id.clone(),
        expires_ms: new.expires_ms,
        revoked_ms: None,
    };
    let batch = Batch::at(call.now_ms).put(Kind::Token, &secret.id, &record, IfMatch::Absent)?;
    let said = Said {
        action: "token.create",
        subject: format!("token/{}", secret.id),
        detail: json!({"role": record.role, "tenants": record.scope.tenants, "regions": record.scope.regions}),
    };
    let token = shown(&secret.id, record, call.now_ms);
    let location = format!("/v1/tokens/{}", secret.id);
    // A token of a dry run is valid nowhere.
    let shown = if call.dry_run { String::new() } else { secret.token };
    let answer = Answer::created(location, &CreatedToken { secret: shown, token })?;
    call.commit(batch, said, answer).await
}

/// `POST /v1/tokens/{id}/revoke`
pub(super) async fn revoke(mut call: Call) -> Result<Answer, Problem> {
    let id = call.param("id").to_owned();
    let (record, if_match) = call.to_change(Kind::Token, &id)?;
    if id == call.who.id {
        return Err(Problem::new(
            Code::Conflict,
            "a token does not revoke itself: use another one",
        ));
    }
    let mut token: TokenRecord = record.json()?;
    token.revoked_ms = token.revoked_ms.or(Some(call.now_ms));
    let batch = Batch::at(call.now_ms).put(Kind::Token, &id, &token, if_match)?;
    let said = Said {
        action: "token.revoke",
        subject: format!("token/{id}"),
        detail: super::dispatch::nothing(),
    };
    let answer = Answer::ok(&shown(&id, token, record.created_ms))?;
    let answer = call.commit(batch, said, answer).await?;
    call.api.tokens().forget(&id);
    Ok(answer)
}
