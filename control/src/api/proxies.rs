//! Proxies: who may join, and what those who did serve. Regions are where they stand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use weir_schema::push::JoinToken;

use super::answer::Answer;
use super::call::{Call, Said};
use super::id;
use super::page::{limit, page};
use super::problem::{Code, Problem};
use crate::push::{ProxyRecord, new_proxy};
use crate::store::{Batch, IfMatch, Kind, Record};

/// A proxy that is to be let in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProxy {
    /// Its name.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    id: String,
    /// The region that it stands in.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    region: String,
}

/// A proxy.
#[derive(Serialize, ToSchema)]
pub(super) struct Proxy {
    id: String,
    region: String,
    /// It may not join any more.
    revoked: bool,
    /// Unix time in milliseconds.
    created_ms: u64,
    /// For how long it does not serve what it is to serve, milliseconds; 0 when it does.
    stale_ms: u64,
    /// What is known of it since control started: whether it is connected, what it serves, is to serve and refused.
    #[schema(value_type = Object)]
    state: Value,
}

/// A proxy that was let in.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedProxy {
    /// What `weir proxy --control` joins with. It is shown once, and kept nowhere.
    join_token: String,
    proxy: Proxy,
}

/// A region.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Region {
    id: String,
    /// Proxies that were seen since control started.
    proxies: u64,
    /// Those that are connected.
    connected: u64,
    /// Those that do not serve what they are to serve.
    stale: u64,
}

fn shown(call: &Call, id: &str, record: &ProxyRecord) -> Proxy {
    let state = call
        .parts()
        .fleet
        .get(id)
        .filter(|state| state.region == record.region);
    Proxy {
        id: id.to_owned(),
        region: record.region.clone(),
        revoked: record.revoked,
        created_ms: record.created_ms,
        stale_ms: state.as_ref().map_or(0, |state| state.stale_ms(call.now_ms)),
        state: state.map_or_else(|| json!({"connected": false}), |state| json!(state)),
    }
}

fn read(call: &Call, record: &Record) -> Result<Proxy, Problem> {
    Ok(shown(call, &record.id, &record.json()?))
}

/// `GET /v1/proxies`
pub(super) async fn list(call: Call) -> Result<Answer, Problem> {
    let wanted = limit(&call) + 1;
    let mut after = call.query.text("after").map(str::to_owned);
    let mut proxies = Vec::new();
    // Those of other regions are passed over.
    loop {
        let records = call.parts().store.list(Kind::Proxy, after.as_deref(), wanted)?;
        let whole = records.len() < wanted;
        after = records.last().map(|record| record.id.clone());
        for record in &records {
            let proxy = read(&call, record)?;
            if call.for_region(&proxy.region).is_ok() && proxies.len() < wanted {
                proxies.push(proxy);
            }
        }
        if whole || proxies.len() >= wanted {
            return page(&call, proxies, |proxy| proxy.id.clone());
        }
    }
}

/// `GET /v1/proxies/{id}`
pub(super) async fn get(call: Call) -> Result<Answer, Problem> {
    let record = call.existing(Kind::Proxy, call.param("id"))?;
    let proxy = read(&call, &record)?;
    call.for_region(&proxy.region)?;
    Ok(Answer::ok(&proxy)?.with_etag(record.etag))
}

/// `POST /v1/proxies`
pub(super) async fn create(mut call: Call) -> Result<Answer, Problem> {
    let new: NewProxy = call.json()?;
    id::check("/id", &new.id)?;
    id::check("/region", &new.region)?;
    call.for_region(&new.region)?;
    let (record, secret) = new_proxy(&new.id, &new.region, call.now_ms)?;
    let token = JoinToken {
        node: new.id.clone(),
        region: new.region.clone(),
        deployment: call.parts().versions.deployment().to_owned(),
        secret,
        keys: call.parts().versions.public_keys().await,
        authority: call.parts().pinned,
    };
    let batch = Batch::at(call.now_ms).put(Kind::Proxy, &new.id, &record, IfMatch::Absent)?;
    let said = Said {
        action: "proxy.create",
        subject: format!("proxy/{}", new.id),
        detail: json!({"region": new.region}),
    };
    // The token of a dry run joins nothing.
    let join_token = if call.dry_run {
        String::new()
    } else {
        token.encode()
    };
    let created = CreatedProxy {
        join_token,
        proxy: shown(&call, &new.id, &record),
    };
    let answer = Answer::created(format!("/v1/proxies/{}", new.id), &created)?;
    call.commit(batch, said, answer).await
}

/// `POST /v1/proxies/{id}/revoke`
pub(super) async fn revoke(mut call: Call) -> Result<Answer, Problem> {
    let id = call.param("id").to_owned();
    let record = call.existing(Kind::Proxy, &id)?;
    let mut proxy: ProxyRecord = record.json()?;
    call.for_region(&proxy.region)?;
    let (_, if_match) = call.to_change(Kind::Proxy, &id)?;
    if if_match != IfMatch::Etag(record.etag) {
        return Err(Problem::new(
            Code::PreconditionFailed,
            "it was changed since: read it again",
        ));
    }
    proxy.revoked = true;
    let batch = Batch::at(call.now_ms).put(Kind::Proxy, &id, &proxy, if_match)?;
    let said = Said {
        action: "proxy.revoke",
        subject: format!("proxy/{id}"),
        detail: json!({"region": proxy.region}),
    };
    let answer = Answer::ok(&shown(&call, &id, &proxy))?;
    call.commit(batch, said, answer).await
}

/// `GET /v1/regions`
pub(super) async fn regions(call: Call) -> Result<Answer, Problem> {
    let mut regions: BTreeMap<String, Region> = BTreeMap::new();
    for (_, state) in call.parts().fleet.all() {
        if call.for_region(&state.region).is_err() {
            continue;
        }
        let region = regions.entry(state.region.clone()).or_default();
        region.id.clone_from(&state.region);
        region.proxies += 1;
        region.connected += u64::from(state.connected);
        region.stale += u64::from(state.stale_ms(call.now_ms) > 0);
    }
    let after = call.query.text("after").unwrap_or_default();
    let regions = regions.into_values().filter(|region| region.id.as_str() > after);
    let regions = regions.take(limit(&call) + 1).collect();
    page(&call, regions, |region: &Region| region.id.clone())
}
