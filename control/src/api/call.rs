//! A request that may be served: who asks, for what, under which precondition.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::Answer;
use super::idempotency::Key;
use super::problem::{Code, Problem};
use super::query::Query;
use super::{Api, ApiParts};
use crate::auth::Principal;
use crate::store::{Batch, IfMatch, Kind, NewEvent, Record, StoreError, Write};
use crate::versions::Actor;

/// A request that may be served.
pub(super) struct Call {
    pub(super) api: Arc<Api>,
    pub(super) who: Arc<Principal>,
    pub(super) actor: Actor,
    pub(super) now_ms: u64,
    /// Path of the request.
    pub(super) path: String,
    pub(super) params: Vec<(String, String)>,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) dry_run: bool,
    pub(super) key: Option<Key>,
}

/// What an event says; who, when and from where is known.
pub(super) struct Said {
    pub(super) action: &'static str,
    pub(super) subject: String,
    pub(super) detail: Value,
}

impl Call {
    pub(super) fn parts(&self) -> &ApiParts {
        &self.api.parts
    }

    /// A parameter of the path.
    pub(super) fn param(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// A number in the path.
    pub(super) fn number(&self, name: &str) -> Result<u64, Problem> {
        self.param(name)
            .parse()
            .map_err(|_| Problem::parameter(name, "it must be a number"))
    }

    /// The body.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let mut reader = serde_json::Deserializer::from_slice(&self.body);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            use serde_json::error::Category;
            let code = match error.inner().classify() {
                Category::Data => Code::Invalid,
                Category::Eof | Category::Io | Category::Syntax => Code::BadRequest,
            };
            Problem::at(code, pointer(error.path()), error.inner().to_string())
        })?;
        reader
            .end()
            .map_err(|error| Problem::at(Code::BadRequest, "", error.to_string()))?;
        Ok(value)
    }

    /// The state that is meant by `If-Match`; none when there is no such header.
    pub(super) fn if_match(&self) -> Result<Option<IfMatch>, Problem> {
        let Some(value) = self.headers.get(header::IF_MATCH) else {
            return Ok(None);
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Some(IfMatch::Any));
        }
        let etag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let etag = etag.and_then(|etag| etag.parse().ok()).map(IfMatch::Etag);
        // What is no tag of ours matches nothing.
        etag.map(Some).ok_or_else(|| {
            Problem::new(
                Code::PreconditionFailed,
                "If-Match is not a tag that was given here",
            )
        })
    }

    /// The state of an existing thing that is to be changed: `If-Match` must be there.
    pub(super) fn required_match(&self) -> Result<IfMatch, Problem> {
        self.if_match()?.ok_or_else(|| {
            Problem::new(
                Code::PreconditionRequired,
                "read it first, and send its ETag as If-Match; `*` is whatever it is",
            )
        })
    }

    /// A record that is there.
    pub(super) fn existing(&self, kind: Kind, id: &str) -> Result<Record, Problem> {
        let record = self.parts().store.get(kind, id)?;
        record.ok_or_else(|| Problem::not_found(&kind.as_str().replace('_', " "), id))
    }

    /// A record that is to be changed, which the request's `If-Match` is for; the second is for its writing.
    pub(super) fn to_change(&self, kind: Kind, id: &str) -> Result<(Record, IfMatch), Problem> {
        let record = self.existing(kind, id)?;
        match self.required_match()? {
            IfMatch::Etag(etag) if etag != record.etag => Err(Problem::new(
                Code::PreconditionFailed,
                "it was changed since: read it again",
            )),
            // `*` means what is there now: what comes in between still is refused.
            _ => {
                let etag = IfMatch::Etag(record.etag);
                Ok((record, etag))
            }
        }
    }

    /// Refuses who may not touch all.
    pub(super) fn for_everything(&self) -> Result<(), Problem> {
        if self.who.scope.is_all() {
            return Ok(());
        }
        Err(Problem::new(
            Code::Forbidden,
            "that needs a token over all tenants and all regions",
        ))
    }

    /// Refuses who may not touch a region.
    pub(super) fn for_region(&self, region: &str) -> Result<(), Problem> {
        if self.who.scope.regions.has(region) {
            return Ok(());
        }
        Err(Problem::new(
            Code::Forbidden,
            format!("the token is not for region {region}"),
        ))
    }

    /// Refuses who may not touch a tenant.
    pub(super) fn for_tenant(&self, tenant: &str) -> Result<(), Problem> {
        if self.who.scope.tenants.has(tenant) {
            return Ok(());
        }
        Err(Problem::new(
            Code::Forbidden,
            format!("the token is not for tenant {tenant}"),
        ))
    }

    /// An event of this call.
    pub(super) fn event(&self, said: Said, result: &str) -> NewEvent {
        NewEvent {
            actor: self.actor.name.clone(),
            action: said.action.to_owned(),
            subject: said.subject,
            from: self.actor.from.clone(),
            result: result.to_owned(),
            detail: said.detail,
        }
    }

    /// The one way to change something: the change, its event and the answer for its Idempotency-Key are written together. A dry
    /// run looks whether it could be, and gives the answer all the same.
    pub(super) async fn commit(
        &mut self,
        batch: Batch,
        said: Said,
        answer: Answer,
    ) -> Result<Answer, Problem> {
        let puts = batch
            .writes
            .iter()
            .any(|write| matches!(write, Write::Put { .. }));
        if self.dry_run {
            self.try_out(&batch)?;
            return Ok(answer);
        }
        let mut batch = batch.event(self.event(said, "done"));
        if let (Some(key), Answer::Json(document)) = (self.key.take(), &answer) {
            batch = batch.and(key.write(document)?);
            self.api.idempotency.one_more();
        }
        let committed = self
            .parts()
            .store
            .commit(batch.clone())
            .await
            .map_err(|error| refused(error, &batch))?;
        // The tag of the thing is that of the first record.
        let first = committed.etags.first().copied().filter(|_| puts);
        Ok(match first {
            Some(etag) => answer.with_etag(etag),
            None => answer,
        })
    }

    /// What keeps the answer for its Idempotency-Key, to be written with the change.
    pub(super) fn kept(&self, answer: &Answer) -> Result<Option<Write>, Problem> {
        match (&self.key, answer) {
            (Some(key), Answer::Json(document)) if !self.dry_run => {
                self.api.idempotency.one_more();
                key.write(document).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Keeps the answer of a change that was committed elsewhere for its Idempotency-Key.
    pub(super) async fn keep(&mut self, answer: Answer) -> Result<Answer, Problem> {
        if let (Some(key), Answer::Json(document)) = (self.key.take(), &answer) {
            let batch = Batch::at(self.now_ms).and(key.write(document)?);
            self.parts().store.commit(batch).await?;
            self.api.idempotency.one_more();
        }
        Ok(answer)
    }

    fn try_out(&self, batch: &Batch) -> Result<(), Problem> {
        for write in &batch.writes {
            let (Write::Put {
                kind, id, if_match, ..
            }
            | Write::Delete { kind, id, if_match }) = write
            else {
                continue;
            };
            let found = self.parts().store.get(*kind, id)?.map(|record| record.etag);
            let fits = match if_match {
                IfMatch::Absent => found.is_none(),
                IfMatch::Any => true,
                IfMatch::Etag(etag) => found == Some(*etag),
            };
            if !fits {
                let error = StoreError::Precondition {
                    kind: *kind,
                    id: id.clone(),
                    found,
                };
                return Err(refused(error, batch));
            }
        }
        Ok(())
    }
}

fn refused(error: StoreError, batch: &Batch) -> Problem {
    let StoreError::Precondition { kind, id, .. } = &error else {
        return error.into();
    };
    let absent = batch.writes.iter().any(|write| {
        matches!(write, Write::Put { kind: k, id: i, if_match: IfMatch::Absent, .. } if k == kind && i == id)
    });
    if absent {
        let detail = format!("there is a {} {id} already", kind.as_str().replace('_', " "));
        return Problem::new(Code::AlreadyExists, detail);
    }
    Problem::new(Code::PreconditionFailed, "it was changed since: read it again")
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segments = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
        Segment::Enum { variant } => Some(format!("/{variant}")),
        Segment::Unknown => None,
    });
    segments.collect()
}
