//! Tiers: templates of limits and policies, which are in the configuration's edge, with the price and the objectives that go with
//! them, which are a record beside it. Both are written in one commit. A change of a tier reaches its tenants with the version.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use weir_schema::push::ObjectHash;

use super::answer::Answer;
use super::call::{Call, Said};
use super::page::{limit, page};
use super::problem::{Code, Problem};
use crate::store::{IfMatch, Kind, Record, Write};
use crate::versions::{Change, Refused};

/// Characters of a title or feature.
const TEXT_CHARS_MAX: usize = 200;
/// Features of a tier.
const FEATURES_MAX: usize = 100;
/// The whole, in millionths.
const MILLION: u32 = 1_000_000;

/// What a tier promises and costs.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Terms {
    /// For people.
    #[schema(max_length = 200)]
    title: String,
    /// Fee of a month in nano-units of the price book's currency.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    month_nanos: u64,
    /// Requests that are answered, in millionths: 999000 is 99.9 %.
    #[schema(minimum = 1, maximum = 999999)]
    availability_ppm: u32,
    /// Requests that are answered in time, in millionths.
    #[schema(minimum = 1, maximum = 999999)]
    latency_ppm: u32,
    /// In time is within so many milliseconds.
    #[schema(minimum = 1, maximum = 600000)]
    latency_ms: u32,
    /// What else is in it, by name.
    #[serde(default)]
    #[schema(max_items = 100)]
    features: Vec<String>,
}

/// A tier that is to be written.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTier {
    terms: Terms,
    /// As in the configuration's `tiers`: limits, geo and WAF that are its tenants' defaults.
    #[schema(value_type = Object)]
    defaults: Map<String, Value>,
}

/// A tier.
#[derive(Serialize, ToSchema)]
pub(super) struct Tier {
    id: String,
    /// None of a tier that was written into the configuration only.
    terms: Option<Terms>,
    /// As in the configuration's `tiers`.
    #[schema(value_type = Object)]
    defaults: Value,
}

/// The tiers as they stand.
struct Edge {
    document: Value,
    revision: u64,
}

/// The three that there are from the beginning: fee a month, availability, time, requests a second.
const STANDARD: [(&str, &str, u64, u32, u32, u64); 3] = [
    ("starter", "Starter", 29, 999_000, 1000, 100),
    ("professional", "Professional", 299, 999_500, 500, 2_000),
    ("enterprise", "Enterprise", 2_999, 999_900, 250, 20_000),
];

fn standard(
    (id, title, month, availability_ppm, latency_ms, requests): (&str, &str, u64, u32, u32, u64),
) -> (String, NewTier) {
    let terms = Terms {
        title: title.to_owned(),
        month_nanos: month * 1_000_000_000,
        availability_ppm,
        latency_ppm: 990_000,
        latency_ms,
        features: Vec::new(),
    };
    let defaults = json!({"limits": {"tenant": {"requests": requests}}, "waf": {"mode": "block"}});
    let defaults = defaults.as_object().cloned().unwrap_or_default();
    (id.to_owned(), NewTier { terms, defaults })
}

fn edge(call: &Call) -> Result<Edge, Problem> {
    let none = || {
        Problem::new(
            Code::Conflict,
            "there is no configuration yet: publish `edge` first",
        )
    };
    let newest = call.parts().versions.newest().ok_or_else(none)?;
    let entry = newest.content.listing.get("edge").ok_or_else(none)?;
    let bytes = call
        .parts()
        .versions
        .objects()
        .get(&entry.hash)?
        .unwrap_or_default();
    let document = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(Code::ServerFault, format!("edge: {error}")))?;
    Ok(Edge {
        document,
        revision: newest.head().revision,
    })
}

fn defaults<'a>(edge: &'a Value, id: &str) -> Option<&'a Value> {
    edge["tiers"].as_array()?.iter().find(|tier| tier["id"] == id)
}

/// The tag is that of both parts.
fn tag(record: Option<&Record>, defaults: &Value) -> u64 {
    let text = format!("{} {defaults}", record.map_or(0, |record| record.etag));
    let hash = ObjectHash::of(text.as_bytes());
    hash.as_bytes()
        .iter()
        .take(8)
        .fold(0, |tag, byte| tag << 8 | u64::from(*byte))
}

fn shown(id: &str, record: Option<&Record>, defaults: &Value) -> Result<Tier, Problem> {
    let terms = record.map(|record| record.json()).transpose()?;
    Ok(Tier {
        id: id.to_owned(),
        terms,
        defaults: defaults.clone(),
    })
}

/// `GET /v1/tiers`
pub(super) async fn list(call: Call) -> Result<Answer, Problem> {
    let edge = edge(&call).map_or(Value::Null, |edge| edge.document);
    let after = call.query.text("after").unwrap_or_default();
    let tiers = edge["tiers"].as_array().into_iter().flatten();
    let mut tiers: Vec<(&str, &Value)> = tiers
        .filter_map(|tier| Some((tier["id"].as_str()?, tier)))
        .filter(|(id, _)| *id > after)
        .collect();
    tiers.sort_unstable_by_key(|(id, _)| *id);
    tiers.truncate(limit(&call) + 1);
    let mut items = Vec::with_capacity(tiers.len());
    for (id, defaults) in tiers {
        items.push(shown(
            id,
            call.parts().store.get(Kind::Tier, id)?.as_ref(),
            defaults,
        )?);
    }
    page(&call, items, |tier: &Tier| tier.id.clone())
}

/// `GET /v1/tiers/{id}`
pub(super) async fn get(call: Call) -> Result<Answer, Problem> {
    let id = call.param("id");
    let edge = edge(&call).map_or(Value::Null, |edge| edge.document);
    let defaults = defaults(&edge, id).ok_or_else(|| Problem::not_found("tier", id))?;
    let record = call.parts().store.get(Kind::Tier, id)?;
    Ok(Answer::ok(&shown(id, record.as_ref(), defaults)?)?.with_etag(tag(record.as_ref(), defaults)))
}

fn check(new: &NewTier) -> Result<(), Problem> {
    let terms = &new.terms;
    let wrong = |pointer: &str, detail: &str| Err(Problem::at(Code::Invalid, pointer, detail));
    if terms.title.chars().count() > TEXT_CHARS_MAX {
        return wrong("/terms/title", "at most 200 characters");
    }
    if terms.month_nanos > 9_007_199_254_740_991 {
        return wrong("/terms/month_nanos", "at most 9007199254740991");
    }
    for (pointer, ppm) in [
        ("/terms/availability_ppm", terms.availability_ppm),
        ("/terms/latency_ppm", terms.latency_ppm),
    ] {
        if !(1..MILLION).contains(&ppm) {
            return wrong(
                pointer,
                "from 1 to 999999: an objective leaves some budget, and not all",
            );
        }
    }
    if !(1..=600_000).contains(&terms.latency_ms) {
        return wrong("/terms/latency_ms", "from 1 to 600000");
    }
    let long = |feature: &String| feature.chars().count() > TEXT_CHARS_MAX;
    if terms.features.len() > FEATURES_MAX || terms.features.iter().any(long) {
        return wrong("/terms/features", "at most 100 of at most 200 characters");
    }
    Ok(())
}

/// `PUT /v1/tiers/{id}`: makes or changes it.
pub(super) async fn put(mut call: Call) -> Result<Answer, Problem> {
    let new: NewTier = call.json()?;
    check(&new)?;
    let id = call.param("id").to_owned();
    let edge = edge(&call)?;
    let record = call.parts().store.get(Kind::Tier, &id)?;
    match defaults(&edge.document, &id) {
        None => {
            if let Some(IfMatch::Etag(_)) = call.if_match()? {
                return Err(Problem::new(
                    Code::PreconditionFailed,
                    format!("there is no tier {id}"),
                ));
            }
        }
        Some(defaults) => match call.required_match()? {
            IfMatch::Etag(etag) if etag != tag(record.as_ref(), defaults) => {
                return Err(Problem::new(
                    Code::PreconditionFailed,
                    "the tier was changed since: read it again",
                ));
            }
            _ => {}
        },
    }
    let if_match = record.map_or(IfMatch::Absent, |record| IfMatch::Etag(record.etag));
    let answer = publish(&mut call, edge, vec![(id.clone(), new, if_match)], "tier.change").await?;
    match answer {
        Answer::Json(document) if call.dry_run => Answer::ok(&document.body["items"][0]),
        // The tag has the record's, which is known after the commit.
        _ => get(call).await,
    }
}

/// `POST /v1/tiers/standard`: makes those of the three that are not there.
pub(super) async fn make_standard(mut call: Call) -> Result<Answer, Problem> {
    let edge = edge(&call)?;
    let mut missing = Vec::new();
    for (id, new) in STANDARD.map(standard) {
        if defaults(&edge.document, &id).is_none() {
            // Its terms may be left from before.
            missing.push((id, new, IfMatch::Any));
        }
    }
    publish(&mut call, edge, missing, "tier.standard").await
}

/// Writes tiers into the edge and their records, in one commit.
async fn publish(
    call: &mut Call,
    edge: Edge,
    tiers: Vec<(String, NewTier, IfMatch)>,
    action: &'static str,
) -> Result<Answer, Problem> {
    let Edge {
        mut document,
        revision,
    } = edge;
    let mut also = Vec::new();
    let mut items = Vec::new();
    for (id, new, if_match) in tiers {
        let mut defaults = new.defaults;
        defaults.insert("id".to_owned(), json!(id));
        let defaults = Value::Object(defaults);
        place(&mut document, &id, &defaults)?;
        let body = json!(new.terms).to_string().into_bytes();
        also.push(Write::Put {
            kind: Kind::Tier,
            id: id.clone(),
            body,
            if_match,
        });
        let said = Said {
            action: "tier.change",
            subject: format!("tier/{id}"),
            detail: json!(new.terms),
        };
        also.push(Write::Event(call.event(said, "done")));
        items.push(Tier {
            id,
            terms: Some(new.terms),
            defaults,
        });
    }
    let answer = Answer::ok(&json!({"items": items, "next": null}))?;
    if items.is_empty() {
        return Ok(answer);
    }
    also.extend(call.kept(&answer)?);
    let written = also.clone();
    let change = Change {
        if_revision: Some(revision),
        put: vec![("edge".to_owned(), document.to_string().into_bytes())],
        note: action.to_owned(),
        also,
        ..Change::default()
    };
    let versions = std::sync::Arc::clone(&call.parts().versions);
    match versions
        .apply(change, &call.actor, call.dry_run, call.now_ms)
        .await
    {
        Ok(_) => Ok(answer),
        // Only the terms differ.
        Err(Refused::Same(_)) if call.dry_run => Ok(answer),
        Err(Refused::Same(_)) => {
            let batch = crate::store::Batch {
                now_ms: call.now_ms,
                writes: written,
            };
            call.parts().store.commit(batch).await?;
            Ok(answer)
        }
        Err(refused) => Err(refused.into()),
    }
}

/// Writes the defaults of a tier into the edge.
fn place(edge: &mut Value, id: &str, defaults: &Value) -> Result<(), Problem> {
    let list = edge
        .as_object_mut()
        .map(|edge| edge.entry("tiers").or_insert_with(|| json!([])));
    let Some(list) = list.and_then(Value::as_array_mut) else {
        return Err(Problem::new(
            Code::Conflict,
            "`tiers` of the edge is no list: mend it first",
        ));
    };
    match list.iter_mut().find(|tier| tier["id"] == id) {
        Some(tier) => tier.clone_from(defaults),
        None => list.push(defaults.clone()),
    }
    Ok(())
}
