//! The process and the side towards clients.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use super::super::checked::*;
use super::super::error::At;
use super::super::raw::*;
use super::{Kind, Scope, text};
use crate::ids::{ListenerId, RegionId};

pub(super) fn ms(value: u32) -> Duration {
    Duration::from_millis(value.into())
}

/// A bucket; the schema has refused zeros.
pub(super) fn rate(raw: RawRate) -> Rate {
    let requests = NonZeroU32::new(raw.requests).unwrap_or(NonZeroU32::MIN);
    let burst = raw.burst.and_then(NonZeroU32::new).unwrap_or(requests);
    Rate {
        requests,
        window: ms(raw.window_ms),
        burst,
    }
}

pub(super) fn node(raw: &RawNode, scope: &mut Scope<'_>) -> Option<Node> {
    let at = At::Root.key("node");
    let region = scope.refer(Kind::Region, &raw.region, &at.key("region"), RegionId::new);
    let state_dir = raw.state_dir.as_deref().map(|dir| scope.path(dir));
    Some(Node {
        region: region?,
        workers: raw.workers.and_then(NonZeroU32::new),
        state_dir,
    })
}

pub(super) fn admin(raw: &RawAdmin, scope: &mut Scope<'_>) -> Option<Admin> {
    let at = At::Root.key("admin");
    let at = at.key("address");
    let address = socket(&raw.address, &at, scope)?;
    if !address.ip().is_loopback() && !raw.allow_remote {
        let message = format!("{address} is not loopback: the admin endpoint has no authentication");
        scope.invalid(&at, message, "a loopback address, or `allow_remote: true`");
    }
    Some(Admin { address })
}

fn socket(raw: &str, at: &At<'_>, scope: &mut Scope<'_>) -> Option<SocketAddr> {
    text::socket(raw)
        .map_err(|(message, hint)| scope.invalid(at, message, hint))
        .ok()
}

pub(super) fn listeners(raw: &RawConfig, scope: &mut Scope<'_>) -> Vec<Listener> {
    let (mut ids, mut addresses, mut listeners) = (HashMap::new(), HashMap::new(), Vec::new());
    if let Ok(admin) = text::socket(&raw.admin.address) {
        addresses.insert(admin, "the admin endpoint".to_owned());
    }
    let list = At::Root.key("listeners");
    for (place, one) in raw.listeners.iter() {
        let at = list.item(place);
        scope.unique(&mut ids, &one.id, place, &at);
        let id = scope.id(&one.id, &at.key("id"), ListenerId::new);
        let address = socket(&one.address, &at.key("address"), scope);
        if let Some(address) = address.filter(|address| address.port() != 0)
            && let Some(owner) = addresses.insert(address, format!("listener `{}`", one.id))
        {
            scope.faults.add(
                &at.key("address"),
                "duplicate_address",
                format!("{address} belongs to {owner}"),
                "another port".to_owned(),
            );
        }
        if one.proxy_protocol && raw.trust.proxies.is_empty() {
            let hint = "name the load balancers in `trust.proxies`".to_owned();
            scope.faults.add(
                &at.key("proxy_protocol"),
                "conflict",
                "no peer may send a PROXY header: `trust.proxies` is empty",
                hint,
            );
        }
        let speaks = |protocol| {
            one.protocols
                .as_ref()
                .is_none_or(|list| list.iter().any(|(_, one)| *one == protocol))
        };
        if let (Some(id), Some(address)) = (id, address) {
            let tls = one.tls.as_ref().map(listener_tls);
            let (h1, h2) = (speaks(RawClientProtocol::H1), speaks(RawClientProtocol::H2));
            listeners.push(Listener {
                id,
                address,
                h1,
                h2,
                tls,
                proxy_protocol: one.proxy_protocol,
            });
        }
    }
    listeners
}

fn listener_tls(raw: &RawListenerTls) -> ListenerTls {
    let version_min = match raw.version_min {
        RawTlsVersion::V12 => TlsVersion::V12,
        RawTlsVersion::V13 => TlsVersion::V13,
    };
    ListenerTls {
        version_min,
        tickets: raw.tickets,
        ticket_rotation: ms(raw.ticket_rotation_ms),
    }
}

pub(super) fn client(raw: &RawClient) -> ClientLimits {
    ClientLimits {
        handshake_timeout: ms(raw.handshake_timeout_ms),
        first_byte_timeout: ms(raw.first_byte_timeout_ms),
        header_timeout: ms(raw.header_timeout_ms),
        idle_timeout: ms(raw.idle_timeout_ms),
        keepalive_requests_max: raw.keepalive_requests_max,
        header_bytes_max: raw.header_bytes_max,
        header_fields_max: raw.header_fields_max,
        target_bytes_max: raw.target_bytes_max,
        body_rate_min: raw.body_rate_min_bytes_per_s,
        body_rate_grace: ms(raw.body_rate_grace_ms),
        write_timeout: ms(raw.write_timeout_ms),
        drain_bytes_max: raw.drain_bytes_max,
        connections_max: raw.connections_max,
        connections_per_address_max: raw.connections_per_address_max,
        connections_per_prefix_max: raw.connections_per_prefix_max,
        inspection_bytes_max: raw.inspection_bytes_max,
        h2: ClientH2 {
            streams_max: raw.h2.streams_max,
            header_list_bytes_max: raw.h2.header_list_bytes_max,
            resets_max: raw.h2.resets_max,
            resets_per_s: raw.h2.resets_per_s,
            control_frames_max: raw.h2.control_frames_max,
            control_frames_per_s: raw.h2.control_frames_per_s,
            idle_timeout: ms(raw.h2.idle_timeout_ms),
            stall_timeout: ms(raw.h2.stall_timeout_ms),
        },
    }
}

pub(super) fn drain(raw: &RawDrain) -> Drain {
    Drain {
        readiness_delay: ms(raw.readiness_delay_ms),
        idle_grace: ms(raw.idle_grace_ms),
        timeout: ms(raw.timeout_ms),
    }
}

pub(super) fn trust(raw: &RawTrust, scope: &mut Scope<'_>) -> Trust {
    let at = At::Root.key("trust");
    let at = at.key("proxies");
    let mut proxies = Vec::new();
    for (place, one) in raw.proxies.iter() {
        match text::network(one) {
            Ok(network) => proxies.push(network),
            Err((message, hint)) => scope.invalid(&at.item(place), message, &hint),
        }
    }
    let header = match raw.header {
        RawForwardedHeader::Forwarded => ForwardedHeader::Forwarded,
        RawForwardedHeader::XForwardedFor => ForwardedHeader::XForwardedFor,
    };
    Trust {
        proxies,
        hops_max: raw.hops_max,
        header,
    }
}

pub(super) fn regions(raw: Option<&List<RawRegion>>, scope: &mut Scope<'_>) -> Vec<Region> {
    let Some(raw) = raw else {
        return RegionId::new("local")
            .map(|id| Region { id, ingress: None })
            .into_iter()
            .collect();
    };
    let (mut ids, mut regions) = (HashMap::new(), Vec::new());
    let list = At::Root.key("regions");
    for (place, one) in raw.iter() {
        let at = list.item(place);
        scope.unique(&mut ids, &one.id, place, &at);
        let ingress = one.ingress.as_deref().and_then(|origin| {
            text::origin(origin)
                .map_err(|(message, hint)| scope.invalid(&at.key("ingress"), message, hint))
                .ok()
        });
        if let Some(id) = scope.id(&one.id, &at.key("id"), RegionId::new) {
            regions.push(Region { id, ingress });
        }
    }
    regions
}

pub(super) fn geo(raw: Option<&RawGeo>, scope: &mut Scope<'_>) -> Option<Geo> {
    let raw = raw?;
    if raw.country_database.is_none() && raw.asn_database.is_none() {
        let hint = "`country_database`, `asn_database`, or leave `geo` out".to_owned();
        scope.faults.add(
            &At::Root.key("geo"),
            "missing_key",
            "`geo` names no database",
            hint,
        );
    }
    let path = |file: &Option<String>| file.as_deref().map(|file| scope.path(file));
    Some(Geo {
        country_database: path(&raw.country_database),
        asn_database: path(&raw.asn_database),
    })
}

pub(super) fn limits(raw: &RawGlobalLimits) -> GlobalLimits {
    GlobalLimits {
        requests: raw.requests.map(rate),
        table_keys: raw.table_keys,
        headers_always: raw.headers_always,
    }
}

pub(super) fn waf(raw: &RawWafSwitches) -> WafSwitches {
    WafSwitches {
        mode_max: raw.mode_max.map_or(WafMode::Block, super::tenant::waf_mode),
        rules_off: raw.rules_off.iter().map(|(_, id)| *id).collect(),
    }
}

pub(super) fn observability(raw: &RawObservability, scope: &mut Scope<'_>) -> Observability {
    let access_log = raw.access_log.as_ref().and_then(|log| access_log(log, scope));
    let audit_log = raw.audit_log.as_ref().and_then(|log| audit_log(log, scope));
    if let (Some(access), Some(audit)) = (&access_log, &audit_log)
        && access.sink == audit.sink
        && matches!(audit.sink, LogSink::File(_))
    {
        let at = At::Root.key("observability");
        let hint = "a file of its own".to_owned();
        scope.faults.add(
            &at.key("audit_log"),
            "conflict",
            "the access log goes to the same file",
            hint,
        );
    }
    Observability {
        access_log,
        audit_log,
        metric_tenants_max: raw.metric_tenants_max,
    }
}

/// A file or standard output.
fn sink(file: Option<&String>, stdout: bool, at: &At<'_>, scope: &mut Scope<'_>) -> Option<LogSink> {
    match (file, stdout) {
        (Some(file), false) => Some(LogSink::File(scope.path(file))),
        (None, true) => Some(LogSink::Stdout),
        (file, _) => {
            let message = if file.is_some() {
                "the log goes to a file and to standard output"
            } else {
                "the log goes nowhere"
            };
            scope.faults.add(
                at,
                "conflict",
                message,
                "either `file` or `stdout: true`".to_owned(),
            );
            None
        }
    }
}

fn access_log(raw: &RawAccessLog, scope: &mut Scope<'_>) -> Option<AccessLog> {
    let at = At::Root.key("observability");
    let at = at.key("access_log");
    let sink = sink(raw.file.as_ref(), raw.stdout, &at, scope);
    let names = at.key("headers");
    let mut headers = Vec::new();
    for (place, name) in raw.headers.iter() {
        if text::token(name, 256) {
            headers.push(name.to_ascii_lowercase());
        } else {
            scope.invalid(
                &names.item(place),
                format!("`{}` is not a header name", crate::config::rule::shown(name)),
                "letters, digits and `-`",
            );
        }
    }
    let redact_query = raw
        .redact_query
        .iter()
        .map(|(_, name)| name.to_ascii_lowercase())
        .collect();
    Some(AccessLog {
        sink: sink?,
        redact_query,
        headers,
        sample: NonZeroU32::new(raw.sample)?,
    })
}

fn audit_log(raw: &RawAuditLog, scope: &mut Scope<'_>) -> Option<AuditLog> {
    let at = At::Root.key("observability");
    let sink = sink(raw.file.as_ref(), raw.stdout, &at.key("audit_log"), scope);
    Some(AuditLog {
        sink: sink?,
        sample: NonZeroU32::new(raw.sample)?,
        rule_events_per_s_max: NonZeroU32::new(raw.rule_events_per_s_max),
        redact: raw
            .redact
            .iter()
            .map(|(_, part)| part.to_ascii_lowercase())
            .collect(),
        values: match raw.values {
            RawAuditValues::Excerpt => AuditValues::Excerpt,
            RawAuditValues::Hash => AuditValues::Hash,
            RawAuditValues::Omit => AuditValues::Omit,
        },
        value_bytes_max: raw.value_bytes_max,
        matched_max: raw.matched_max,
    })
}
