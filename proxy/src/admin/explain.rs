//! `POST /explain`: what would be decided about a request, and why. The same stages as for real traffic, with an observer
//! that writes down what it sees; limits are looked at and not charged, and nothing is sent anywhere.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::{Value, json};
use weir_decide::limit::{Admission, Check};
use weir_decide::outlier::Cause;
use weir_decide::path;
use weir_decide::pipeline::{self, Moment, Observer};
use weir_decide::refuse::Refusal;
use weir_decide::screen::Screening;
use weir_decide::switch::Switched;
use weir_decide::view::{ConnectionView, RequestView};
use weir_geoip::Place;
use weir_h1::{Limits, RequestError};
use weir_rules::RuleMatch;
use weir_schema::config::checked::{Route, WafMode};
use weir_schema::telemetry::record::Protocol;

use crate::clock;
use crate::engine::body::REPLAY_BYTES_MAX;
use crate::engine::request::{FieldList, Request};
use crate::live::{Live, Shared, TenantLive};
use crate::random;
use crate::upstream::pool::PoolState;

/// A request to explain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// Method; GET without it.
    #[serde(default = "Question::get")]
    method: String,
    /// `http://host/path?query`, or `https://`: then the connection counts as encrypted for this host.
    url: String,
    /// Header fields in their order.
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// The connection's other end; loopback without it.
    #[serde(default = "Question::loopback")]
    peer: IpAddr,
    /// The body.
    #[serde(default)]
    body: String,
}

impl Question {
    fn get() -> String {
        "GET".to_owned()
    }

    const fn loopback() -> IpAddr {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    }

    /// The request as bytes of HTTP/1.1, so that it goes through the same parser as any other.
    ///
    /// # Errors
    /// What is wrong with the question.
    fn head(&self) -> Result<(Vec<u8>, bool), String> {
        let (encrypted, rest) = match (
            self.url.strip_prefix("http://"),
            self.url.strip_prefix("https://"),
        ) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err("url: give http://HOST/PATH or https://HOST/PATH".to_owned()),
        };
        let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let slash = if target.starts_with('/') { "" } else { "/" };
        let named = |name: &str| {
            self.headers
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        let mut head = format!("{} {slash}{target} HTTP/1.1\r\n", self.method).into_bytes();
        if !named("host") {
            head.extend_from_slice(format!("host: {host}\r\n").as_bytes());
        }
        for (name, value) in &self.headers {
            head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if !self.body.is_empty() && !named("content-length") && !named("transfer-encoding") {
            head.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        Ok((head, encrypted))
    }
}

/// Writes down what the stages find.
#[derive(Default)]
struct Trail {
    stages: Vec<Value>,
}

impl Trail {
    fn note(&mut self, stage: &str, mut found: Value) {
        if let Some(members) = found.as_object_mut() {
            members.insert("stage".to_owned(), stage.into());
        }
        self.stages.push(found);
    }
}

impl Observer<Arc<TenantLive>> for Trail {
    fn resolved(&mut self, tenant: &Arc<TenantLive>) {
        let document = &tenant.policy.tenant;
        self.note("resolve", json!({"tenant": document.id, "state": document.state}));
    }

    fn located(&mut self, client: IpAddr, place: &Place) {
        let text = |code: [u8; 2]| String::from_utf8_lossy(&code).into_owned();
        let found = json!({
            "client": client,
            "country": text(place.country),
            "continent": place.continent.map(text),
            "asn": place.asn,
            "class": format!("{:?}", place.class).to_lowercase(),
        });
        self.note("locate", found);
    }

    fn limited(&mut self, checks: &[Check<'_>], admission: &Admission, _policy: &Arc<[u8]>) {
        let states = checks.iter().zip(admission.states());
        let limits: Vec<Value> = states
            .map(|(check, state)| {
                json!({"limit": check.name, "remaining": state.remaining, "full_in_s": state.reset_s})
            })
            .collect();
        self.note("admit", json!({"limits": limits}));
    }

    fn switched(&mut self, mode: WafMode, switched: &Switched) {
        let found =
            json!({"mode": mode, "mode_max": switched.mode_max, "rules_off": switched.rules_off.as_deref()});
        self.note("switch", found);
    }

    fn routed(&mut self, _tenant: &Arc<TenantLive>, _at: usize, route: &Route) {
        self.note("route", json!({"route": route.id, "pool": route.pool}));
    }
}

/// Explains a request.
///
/// # Errors
/// Why the question cannot be answered.
pub(crate) fn explain(shared: &Shared, question: &Question) -> Result<Value, String> {
    let live = shared.live.load_full();
    let (head, encrypted) = question.head()?;
    let client = &live.config.client;
    let limits = Limits {
        head_bytes_max: client.header_bytes_max as usize,
        fields_max: client.header_fields_max as usize,
        target_bytes_max: client.target_bytes_max as usize,
    };
    let parsed = match weir_h1::parse_request(&head, &limits) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return Err("the request has no end: is there a line break in a header?".to_owned()),
        Err(error) => return Ok(unread(&live, &error)),
    };
    let request = Request::from_h1(BytesMut::from(head.as_slice()), parsed);
    let fields: FieldList<'_> = request.fields();
    let view = request.view(&fields);
    let certificate = named(&view).and_then(|name| live.certificates.find(name));
    if encrypted && certificate.is_none() {
        return Ok(no_certificate(&live));
    }
    let connection = ConnectionView {
        peer: SocketAddr::new(question.peer, 0),
        local: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), if encrypted { 443 } else { 80 }),
        sni_tenant: certificate.filter(|_| encrypted).map(|found| &found.tenant),
    };
    let body = question.body.as_bytes();
    let mut trail = Trail::default();
    let mut screening = Screening::default();
    let decided = decide(
        shared,
        &live,
        &connection,
        &view,
        body,
        &mut screening,
        &mut trail,
    );
    let report = screening.finish();
    let rules: Vec<Value> = report
        .iter()
        .flat_map(|report| &report.matches)
        .map(rule)
        .collect();
    let verdict = match &decided {
        Ok(_) => json!({"decision": "forward"}),
        Err(refusal) => json!({
            "decision": "refuse",
            "status": refusal.status,
            "code": refusal.code.as_str(),
            "title": refusal.code.title(),
            "retry_after_s": refusal.retry_after_s,
            "location": refusal.location,
            "limit": refusal.violated,
        }),
    };
    Ok(json!({
        "generation": live.generation,
        "verdict": verdict,
        "path_normal_form": String::from_utf8_lossy(&path::normalise(view.path())),
        "protocol": Protocol::Http11.as_str(),
        "stages": trail.stages,
        "rules": rules,
        "score": report.as_ref().map(|report| report.score),
        "budget_exceeded": report.as_ref().map(|report| report.budget_exceeded),
        "upstream": decided.ok(),
    }))
}

/// The name that a client would send in its ClientHello.
fn named<'a>(view: &RequestView<'a>) -> Option<&'a str> {
    let name = view.host.split(|byte| *byte == b':').next().unwrap_or_default();
    std::str::from_utf8(name).ok()
}

/// No request is made: the handshake ends with unrecognized_name.
fn no_certificate(live: &Live) -> Value {
    json!({
        "generation": live.generation,
        "verdict": {
            "decision": "refuse",
            "code": "tls_unknown_name",
            "title": "No tenant has a certificate for this name: the TLS handshake is refused.",
        },
        "stages": [],
        "rules": [],
    })
}

/// Runs the stages; gives the pool's state when the request would be forwarded.
fn decide(
    shared: &Shared,
    live: &Live,
    connection: &ConnectionView<'_>,
    view: &RequestView<'_>,
    body: &[u8],
    screening: &mut Screening,
    trail: &mut Trail,
) -> Result<Value, Box<Refusal>> {
    let moment = Moment {
        now_ns: clock::recent_ns(),
        unix_ms: clock::unix_ms(),
        clock_unix_ms: clock::unix_ms,
        request_id: u128::from(random::next()),
    };
    let switches = shared.switches.now();
    let edge = live.edge(shared, switches.as_ref().map(|switches| &***switches), false);
    let routed = pipeline::decide(&edge, connection, view, &moment, screening, trail)?;
    let tenant = Arc::clone(routed.tenant());
    let pool = tenant.pool(routed.route_at()).map(|pool| upstream(pool));
    let inspected = routed.inspect_bytes_max(screening).unwrap_or(REPLAY_BYTES_MAX);
    let held = body
        .get(..usize::try_from(inspected).unwrap_or(usize::MAX))
        .unwrap_or(body);
    routed.judge_body(held, held.len() == body.len(), screening, trail)?;
    Ok(json!(pool))
}

fn upstream(pool: &PoolState) -> Value {
    let endpoints: Vec<Value> = pool
        .endpoints
        .load()
        .iter()
        .map(|endpoint| {
            json!({
                "address": endpoint.address,
                "weight": endpoint.endpoint.weight,
                "healthy": endpoint.takes_requests(),
                "check": endpoint.healthy.load(Ordering::Relaxed),
                "ejected": endpoint.watch.with(|record, _| record.ejected().map(Cause::as_str)),
                "in_flight": endpoint.in_flight.load(Ordering::Relaxed),
            })
        })
        .collect();
    json!({"pool": pool.pool.id, "balance": pool.pool.balance, "endpoints": endpoints})
}

fn rule(found: &RuleMatch) -> Value {
    json!({
        "id": found.id,
        "phase": found.phase,
        "message": found.message,
        "data": found.data,
        "severity": found.severity,
        "tags": &*found.tags,
        "variable": found.variable,
        "value": found.value,
        "file": found.file.display().to_string(),
        "line": found.line,
    })
}

/// The parser refuses it: no stage sees it.
fn unread(live: &Live, error: &RequestError) -> Value {
    json!({
        "generation": live.generation,
        "verdict": {
            "decision": "refuse",
            "status": error.status(),
            "code": error.code(),
            "title": error.to_string(),
        },
        "stages": [],
        "rules": [],
    })
}
