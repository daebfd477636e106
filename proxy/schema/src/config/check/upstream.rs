//! Pools.

use std::collections::{HashMap, HashSet};

use super::super::checked::{Ejection, Endpoint, HealthCheck, Pool, Retry, UpstreamTls};
use super::super::error::At;
use super::super::raw::{List, RawEndpoint, RawHealth, RawPool, RawUpstreamTls};
use super::edge::ms;
use super::{Scope, text};
use crate::ids::PoolId;

pub(super) fn pools(raw: &List<RawPool>, scope: &mut Scope<'_>) -> Vec<Pool> {
    let (mut ids, mut pools) = (HashMap::new(), Vec::new());
    let list = At::Root.key("pools");
    for (place, one) in raw.iter() {
        let at = list.item(place);
        scope.unique(&mut ids, &one.id, place, &at);
        pools.extend(pool(one, &at, scope));
    }
    pools
}

fn pool(raw: &RawPool, at: &At<'_>, scope: &mut Scope<'_>) -> Option<Pool> {
    let id = scope.id(&raw.id, &at.key("id"), PoolId::new);
    let endpoints = endpoints(&raw.endpoints, &at.key("endpoints"), scope);
    let tls = raw
        .tls
        .as_ref()
        .and_then(|tls| upstream_tls(tls, &at.key("tls"), scope));
    let health = raw
        .health
        .as_ref()
        .and_then(|health| health_check(health, raw, &at.key("health"), scope));
    if raw.connect_timeout_ms > raw.connect_total_timeout_ms {
        let message = format!(
            "one attempt may take {} ms, all together only {} ms",
            raw.connect_timeout_ms, raw.connect_total_timeout_ms
        );
        let hint = "`connect_timeout_ms` at most `connect_total_timeout_ms`".to_owned();
        scope
            .faults
            .add(&at.key("connect_timeout_ms"), "conflict", message, hint);
    }
    if raw.retry.backoff_base_ms > raw.retry.backoff_max_ms {
        let message = format!(
            "the first wait of {} ms is above the longest of {} ms",
            raw.retry.backoff_base_ms, raw.retry.backoff_max_ms
        );
        let hint = "`backoff_base_ms` at most `backoff_max_ms`".to_owned();
        scope
            .faults
            .add(&at.key("retry").key("backoff_base_ms"), "conflict", message, hint);
    }
    if raw.outlier.ejection_base_ms > raw.outlier.ejection_max_ms {
        let message = format!(
            "the first ejection of {} ms is above the longest of {} ms",
            raw.outlier.ejection_base_ms, raw.outlier.ejection_max_ms
        );
        let hint = "`ejection_base_ms` at most `ejection_max_ms`".to_owned();
        scope.faults.add(
            &at.key("outlier").key("ejection_base_ms"),
            "conflict",
            message,
            hint,
        );
    }
    Some(Pool {
        id: id?,
        endpoints,
        protocol: raw.protocol.into(),
        balance: raw.balance.into(),
        tls,
        health,
        connect_timeout: ms(raw.connect_timeout_ms),
        connect_total_timeout: ms(raw.connect_total_timeout_ms),
        read_timeout: ms(raw.read_timeout_ms),
        idle_timeout: ms(raw.idle_timeout_ms),
        idle_connections_max: raw.idle_connections_max,
        retry: Retry {
            retries_max: raw.retry.retries_max,
            budget_percent: raw.retry.budget_percent,
            budget_min_per_s: raw.retry.budget_min_per_s,
            backoff_base: ms(raw.retry.backoff_base_ms),
            backoff_max: ms(raw.retry.backoff_max_ms),
        },
        outlier: Ejection {
            after: raw.outlier.eject_after,
            base: ms(raw.outlier.ejection_base_ms),
            max: ms(raw.outlier.ejection_max_ms),
            percent_max: raw.outlier.ejected_percent_max,
        },
    })
}

fn endpoints(raw: &List<RawEndpoint>, at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Endpoint> {
    let (mut seen, mut endpoints) = (HashSet::new(), Vec::new());
    for (place, one) in raw.iter() {
        let at = at.item(place);
        let (address, weight, at) = match one {
            RawEndpoint::Short(address) => (address, 1, at),
            RawEndpoint::Full(full) => (&full.address, full.weight, at.key("address")),
        };
        match text::endpoint(address) {
            Ok((host, port)) => {
                if !seen.insert((host.clone(), port)) {
                    let hint = "once, with a larger `weight`".to_owned();
                    scope.faults.add(
                        &at,
                        "duplicate_address",
                        format!("`{address}` is in this pool already"),
                        hint,
                    );
                }
                endpoints.push(Endpoint { host, port, weight });
            }
            Err((message, hint)) => scope.invalid(&at, message, hint),
        }
    }
    endpoints
}

fn upstream_tls(raw: &RawUpstreamTls, at: &At<'_>, scope: &mut Scope<'_>) -> Option<UpstreamTls> {
    let address = raw.server_name.parse::<std::net::IpAddr>().is_ok();
    if !address && !text::name(&raw.server_name) {
        let message = if raw.server_name.is_empty() {
            "`server_name` is empty: nothing would be verified".to_owned()
        } else {
            format!(
                "`{}` is not a name that a certificate carries",
                super::rule::shown(&raw.server_name)
            )
        };
        scope.invalid(
            &at.key("server_name"),
            message,
            "the name in the upstream's certificate",
        );
        return None;
    }
    let ca_file = raw.ca_file.as_deref().map(|file| scope.path(file));
    Some(UpstreamTls {
        server_name: raw.server_name.to_ascii_lowercase(),
        ca_file,
    })
}

fn health_check(raw: &RawHealth, pool: &RawPool, at: &At<'_>, scope: &mut Scope<'_>) -> Option<HealthCheck> {
    let sound = raw.path.starts_with('/')
        && !raw.path.contains('#')
        && raw.path.bytes().all(|b| b.is_ascii_graphic());
    if !sound {
        scope.invalid(
            &at.key("path"),
            format!("`{}` is not a request target", super::rule::shown(&raw.path)),
            "an absolute path, like `/healthz`",
        );
    }
    let host = raw
        .host
        .clone()
        .or_else(|| pool.tls.as_ref().map(|tls| tls.server_name.clone()))
        .unwrap_or_else(|| pool.id.clone());
    let (name, port) = host
        .rsplit_once(':')
        .map_or((host.as_str(), None), |(name, port)| (name, Some(port)));
    if raw.host.is_some() && (!text::name(name) || port.is_some_and(|port| port.parse::<u16>().is_err())) {
        scope.invalid(
            &at.key("host"),
            format!("`{}` is not a host", super::rule::shown(&host)),
            "a host name, perhaps with a port",
        );
    }
    if raw.timeout_ms > raw.interval_ms {
        let message = format!(
            "a check may take {} ms, the next starts after {} ms",
            raw.timeout_ms, raw.interval_ms
        );
        scope.faults.add(
            &at.key("timeout_ms"),
            "conflict",
            message,
            "`timeout_ms` at most `interval_ms`".to_owned(),
        );
    }
    let bounds: Vec<u16> = raw.status.iter().map(|(_, status)| *status).collect();
    let status = match bounds.as_slice() {
        [low, high] if low <= high => Some((*low, *high)),
        // A bound that is not a status has its own error already.
        [] | [_] => None,
        _ => {
            scope.invalid(
                &at.key("status"),
                "the lowest status is above the highest".to_owned(),
                "`[lowest, highest]`, like `[200, 399]`",
            );
            None
        }
    };
    Some(HealthCheck {
        path: raw.path.clone(),
        host,
        interval: ms(raw.interval_ms),
        timeout: ms(raw.timeout_ms),
        unhealthy_after: raw.unhealthy_after,
        healthy_after: raw.healthy_after,
        status: status?,
    })
}
