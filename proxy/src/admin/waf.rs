//! `GET /waf` and `POST /waf`: the kill switches of the WAF. A change is in effect for the next request when it is answered.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use weir_schema::config::checked::WafMode;
use weir_schema::ids::TenantId;

use crate::clock;
use crate::live::Live;
use crate::process::Process;
use crate::switches::{Position, SWITCHES_MAX, Scope, Switch};

/// Longest time of a switch that ends by itself: 30 days, in seconds.
const FOR_S_MAX: u64 = 30 * 24 * 3600;
/// Names and ids that a refusal lists.
const LISTED_MAX: usize = 10;
/// Tenants whose rules are asked for ids to list.
const SETS_ASKED_MAX: usize = 100;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    Detect,
    Off,
    /// The switch is cleared.
    On,
}

/// The body of `POST /waf`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    scope: Scope,
    rule: Option<u64>,
    mode: Wanted,
    for_s: Option<u64>,
}

/// Why a change is refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(
        "{0}; send JSON like {{\"scope\": \"all\" or {{\"tenant\": \"ID\"}}, \"rule\": 942100, \"mode\": \"off\", \"detect\" or \
         \"on\", \"for_s\": 3600}}; without `rule` it is about the whole WAF, without `for_s` until it is switched on"
    )]
    BadBody(String),
    #[error("`for_s` is {0}: give 1 to {FOR_S_MAX} seconds (30 days), or leave it out")]
    BadDuration(u64),
    #[error("a rule is `off` or `on`; `detect` is for a tenant's WAF or the whole WAF: leave `rule` out")]
    RuleMode,
    #[error("process {0} took over: ask again, it will answer")]
    Successor(u32),
    #[error("{SWITCHES_MAX} switches are set: clear some, or write them into the document")]
    TooMany,
    #[error("`for_s` goes with `off` and `detect`; `on` clears the switch at once")]
    TimedOn,
    #[error("rule {id} is in no rules of {whose}; {valid}")]
    UnknownRule { id: u64, whose: String, valid: String },
    #[error("tenant {id} is not served; {valid}")]
    UnknownTenant { id: TenantId, valid: String },
}

impl Refused {
    fn code(&self) -> &'static str {
        match self {
            Self::BadBody(_) => "waf_switch_bad_body",
            Self::BadDuration(_) => "waf_switch_bad_duration",
            Self::RuleMode => "waf_switch_rule_mode",
            Self::Successor(_) => "waf_switch_successor",
            Self::TimedOn => "waf_switch_timed_on",
            Self::TooMany => "waf_switch_too_many",
            Self::UnknownRule { .. } => "waf_switch_unknown_rule",
            Self::UnknownTenant { .. } => "waf_switch_unknown_tenant",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Successor(_) | Self::TooMany => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

impl IntoResponse for Refused {
    /// RFC 9457.
    fn into_response(self) -> Response {
        let status = self.status();
        let problem = json!({
            "type": "about:blank",
            "title": "The switch of the WAF is not changed.",
            "status": status.as_u16(),
            "code": self.code(),
            "detail": self.to_string(),
        });
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, problem.to_string()).into_response()
    }
}

/// What is switched, by the document and here.
pub(super) async fn status(State(process): State<Arc<Process>>) -> Json<Value> {
    let live = process.shared.live.load_full();
    let file = process.shared.switches.file();
    Json(json!({
        "switches": shown(&process, &live, |_, _| true),
        "switches_max": SWITCHES_MAX,
        "kept_in": file.map(|file| file.display().to_string()),
    }))
}

/// Sets or clears a switch.
pub(super) async fn change(State(process): State<Arc<Process>>, body: Bytes) -> Response {
    match try_change(&process, &body).await {
        Ok(event) => Json(event).into_response(),
        Err(refused) => refused.into_response(),
    }
}

async fn try_change(process: &Arc<Process>, body: &[u8]) -> Result<Value, Refused> {
    let change: Change = serde_json::from_slice(body).map_err(|error| Refused::BadBody(error.to_string()))?;
    let switches = &process.shared.switches;
    let _alone = switches.alone().await;
    if let Some(pid) = process.reloader.successor() {
        return Err(Refused::Successor(pid));
    }
    let live = process.shared.live.load_full();
    let now_ms = clock::unix_ms();
    let wanted = wanted(&change, now_ms)?;
    let (event, switch) = match wanted {
        Some(switch) => {
            known(&live, &switch)?;
            switches.put(switch.clone()).map_err(|_| Refused::TooMany)?;
            ("waf_switched", Some(switch))
        }
        None => ("waf_switch_cleared", switches.clear(&change.scope, change.rule)),
    };
    switches.settle(&process.shared);
    let changed = switch.is_some();
    let kept = process.keep_switches().await;
    let about = |scope: &Scope, rule: Option<u64>| {
        let same_tenant = *scope == Scope::All || *scope == change.scope;
        same_tenant && (rule.is_none() || rule == change.rule)
    };
    let event = json!({
        "event": event,
        "scope": change.scope,
        "rule": change.rule,
        "changed": changed,
        "switch": switch.map(|switch| switch.shown(now_ms)),
        "kept": kept,
        "in_effect": shown(process, &live, about),
    });
    process.events.tell(&event);
    Ok(event)
}

/// The switch that is to be set; `None` when one is to be cleared.
fn wanted(change: &Change, now_ms: u64) -> Result<Option<Switch>, Refused> {
    let mode = match (change.mode, change.rule) {
        (Wanted::On, _) if change.for_s.is_some() => return Err(Refused::TimedOn),
        (Wanted::On, _) => return Ok(None),
        (Wanted::Detect, Some(_)) => return Err(Refused::RuleMode),
        (Wanted::Detect, None) => Position::Detect,
        (Wanted::Off, _) => Position::Off,
    };
    if let Some(for_s) = change.for_s
        && !(1..=FOR_S_MAX).contains(&for_s)
    {
        return Err(Refused::BadDuration(for_s));
    }
    Ok(Some(Switch {
        scope: change.scope.clone(),
        rule: change.rule,
        mode,
        since_unix_ms: now_ms,
        until_unix_ms: change.for_s.map(|for_s| now_ms.saturating_add(for_s * 1000)),
    }))
}

/// Whether the version that is served has what the switch is about.
fn known(live: &Live, switch: &Switch) -> Result<(), Refused> {
    if let Some(id) = switch.scope.tenant().filter(|id| !live.tenants.contains_key(*id)) {
        let mut served: Vec<&str> = live.tenants.keys().map(TenantId::as_str).collect();
        // Names that begin the same way come first.
        let alike = |name: &str| {
            name.bytes()
                .zip(id.as_str().bytes())
                .take_while(|(a, b)| a == b)
                .count()
        };
        served.sort_unstable_by_key(|name| (std::cmp::Reverse(alike(name)), *name));
        return Err(Refused::UnknownTenant {
            id: id.clone(),
            valid: listed("tenants are", &served),
        });
    }
    let Some(id) = switch.rule.filter(|_| !applies(live, &switch.scope, switch.rule)) else {
        return Ok(());
    };
    let mut near: BTreeSet<(u64, u64)> = BTreeSet::new();
    for known in sets(live, &switch.scope)
        .take(SETS_ASKED_MAX)
        .flat_map(|rules| rules.rule_ids())
    {
        near.insert((known.abs_diff(id), known));
        if near.len() > LISTED_MAX + 1 {
            near.pop_last();
        }
    }
    let near: Vec<String> = near.iter().map(|(_, known)| known.to_string()).collect();
    Err(Refused::UnknownRule {
        id,
        whose: switch
            .scope
            .tenant()
            .map_or_else(|| "any tenant".to_owned(), |id| format!("tenant {id}")),
        valid: listed("the nearest ids are", &near),
    })
}

fn listed(what: &str, all: &[impl AsRef<str>]) -> String {
    if all.is_empty() {
        return "there is none".to_owned();
    }
    let first: Vec<&str> = all.iter().take(LISTED_MAX).map(AsRef::as_ref).collect();
    let more = if all.len() > LISTED_MAX { " and others" } else { "" };
    format!("{what} {}{more}", first.join(", "))
}

/// The rules of those that a scope is about; tenants that share a set give it once each.
fn sets<'a>(live: &'a Live, scope: &Scope) -> impl Iterator<Item = &'a weir_rules::RuleSet> {
    let tenant = scope.tenant().cloned();
    let tenants = live.tenants.iter();
    let of = tenants.filter(move |(id, _)| tenant.as_ref().is_none_or(|tenant| tenant == *id));
    of.filter_map(|(_, tenant)| tenant.policy.rules.as_deref())
}

/// Whether a switch is about something that is served.
fn applies(live: &Live, scope: &Scope, rule: Option<u64>) -> bool {
    match rule {
        Some(id) => sets(live, scope).any(|rules| rules.has_rule(id)),
        None => scope.tenant().is_none_or(|id| live.tenants.contains_key(id)),
    }
}

/// Switches of the document, then those that were set here.
fn shown(process: &Process, live: &Live, wanted: impl Fn(&Scope, Option<u64>) -> bool) -> Vec<Value> {
    let document = &live.config.waf;
    let of_document = |rule: Option<u64>, mode: WafMode| {
        json!({"scope": Scope::All, "rule": rule, "mode": mode, "set_by": "document",
            "applies": applies(live, &Scope::All, rule)})
    };
    let mut shown = Vec::new();
    if document.mode_max != WafMode::Block && wanted(&Scope::All, None) {
        shown.push(of_document(None, document.mode_max));
    }
    let rules = document
        .rules_off
        .iter()
        .filter(|id| wanted(&Scope::All, Some(**id)));
    shown.extend(rules.map(|id| of_document(Some(*id), WafMode::Off)));
    let now_ms = clock::unix_ms();
    for switch in process.shared.switches.list() {
        if !wanted(&switch.scope, switch.rule) {
            continue;
        }
        let mut one = switch.shown(now_ms);
        if let Some(members) = one.as_object_mut() {
            members.insert(
                "applies".to_owned(),
                applies(live, &switch.scope, switch.rule).into(),
            );
        }
        shown.push(one);
    }
    shown
}
