//! Active checks, connections to dead endpoints, sweeping of idle connections, and resolving names again: one background task.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use weir_decide::health::Health;
use weir_decide::outlier::Outlier;
use weir_schema::config::checked::HealthCheck;
use weir_schema::ids::PoolId;

use super::connect::connect;
use super::pool::{EndpointState, PoolState};
use super::resolve;
use crate::clock;
use crate::live::{Shared, all_endpoints};

/// How often due checks are looked for.
const TICK: Duration = Duration::from_millis(50);
/// How often names are resolved again.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);
/// How often idle connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

type Key = (PoolId, SocketAddr);

struct Watched {
    health: Health,
    next: Instant,
    running: bool,
}

/// Runs until the process ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut watched: HashMap<Key, Watched> = HashMap::new();
    let mut checks: JoinSet<(Key, bool)> = JoinSet::new();
    let mut probes: JoinSet<()> = JoinSet::new();
    let (mut swept, mut resolved) = (Instant::now(), Instant::now());
    let mut tick = tokio::time::interval(TICK);
    loop {
        tick.tick().await;
        clock::sync_wall();
        let live = shared.live.load_full();
        while let Some(done) = checks.try_join_next() {
            if let Ok((key, ok)) = done
                && let Some(state) = watched.get_mut(&key)
            {
                state.running = false;
                state.health.observe(ok);
            }
        }
        while probes.try_join_next().is_some() {}
        let mut present = HashMap::new();
        for (pool, endpoint) in all_endpoints(&live) {
            if take_probe(&pool, &endpoint) {
                probes.spawn(probe(Arc::clone(&pool), Arc::clone(&endpoint)));
            }
            publish(&shared, &pool, &endpoint);
            let Some(check) = &pool.pool.health else {
                endpoint.healthy.store(true, Ordering::Relaxed);
                continue;
            };
            let key = (pool.pool.id.clone(), endpoint.address);
            let mut state = watched.remove(&key).unwrap_or_else(|| Watched {
                health: Health::new(check.unhealthy_after, check.healthy_after),
                next: Instant::now(),
                running: false,
            });
            endpoint
                .healthy
                .store(state.health.is_healthy(), Ordering::Relaxed);
            if !state.running && state.next <= Instant::now() {
                state.running = true;
                state.next = Instant::now() + check.interval;
                let (key, pool, endpoint) = (key.clone(), Arc::clone(&pool), Arc::clone(&endpoint));
                checks.spawn(async move { (key, passes(&pool, &endpoint).await) });
            }
            present.insert(key, state);
        }
        watched = present;
        if swept.elapsed() >= SWEEP_EVERY {
            swept = Instant::now();
            all_endpoints(&live).for_each(|(pool, endpoint)| endpoint.sweep(pool.pool.idle_timeout));
            for (id, pool) in &live.pools {
                let idle = pool
                    .endpoints
                    .load()
                    .iter()
                    .map(|endpoint| endpoint.idle_count())
                    .sum();
                shared.metrics.idle_connections(id.as_str(), idle);
            }
        }
        if resolved.elapsed() >= RESOLVE_EVERY {
            resolved = Instant::now();
            resolve_again(live.pools.values().cloned().collect());
        }
    }
}

/// Whether a dead endpoint should be connected to again.
fn take_probe(pool: &PoolState, endpoint: &EndpointState) -> bool {
    let (policy, wait) = (&pool.pool.outlier, pool.pool.connect_timeout);
    let watch = &endpoint.watch;
    !watch.is_settled() && watch.with(|record, now_ns| record.take_probe(now_ns, policy, wait))
}

/// Connects to a dead endpoint, so that no request has to wait to find out. The next request gets the connection.
async fn probe(pool: Arc<PoolState>, endpoint: Arc<EndpointState>) {
    let Ok(stream) = connect(endpoint.address, pool.pool.connect_timeout, pool.tls()).await else {
        pool.failed(&endpoint, super::UpstreamFault::Connect, false);
        return;
    };
    if !pool.speaks_h2() {
        endpoint.put_idle(stream, pool.pool.idle_connections_max);
    }
    endpoint.watch.with(Outlier::connected);
}

fn publish(shared: &Shared, pool: &PoolState, endpoint: &EndpointState) {
    let takes = endpoint.takes_requests();
    let known = if takes { 2 } else { 1 };
    if endpoint.published.swap(known, Ordering::Relaxed) == known {
        return;
    }
    let address = endpoint.address.to_string();
    let gauge = shared
        .metrics
        .upstream_healthy
        .with_label_values(&[pool.pool.id.as_str(), &address]);
    gauge.set(i64::from(takes));
}

fn resolve_again(pools: Vec<Arc<PoolState>>) {
    tokio::task::spawn_blocking(move || {
        for pool in pools {
            if pool
                .pool
                .endpoints
                .iter()
                .any(|endpoint| endpoint.host.parse::<std::net::IpAddr>().is_err())
            {
                let fresh = resolve::endpoints(&pool.pool, Some(pool.endpoints.load_full()), true);
                pool.endpoints.store(Arc::new(fresh));
            }
        }
    });
}

async fn passes(pool: &PoolState, endpoint: &EndpointState) -> bool {
    let Some(check) = &pool.pool.health else {
        return true;
    };
    let asked = async {
        if pool.speaks_h2() {
            ask_h2(pool, endpoint, check).await
        } else {
            ask_h1(pool, endpoint, check).await
        }
    };
    let status = tokio::time::timeout(check.timeout, asked).await.ok().flatten();
    status.is_some_and(|status| (check.status.0..=check.status.1).contains(&status))
}

async fn ask_h1(pool: &PoolState, endpoint: &EndpointState, check: &HealthCheck) -> Option<u16> {
    let mut stream = connect(endpoint.address, check.timeout, pool.tls()).await.ok()?;
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\nuser-agent: weir-health\r\nconnection: close\r\n\r\n",
        check.path, check.host
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    let limits = weir_h1::Limits {
        head_bytes_max: 16 * 1024,
        fields_max: 100,
        target_bytes_max: 0,
    };
    let mut head = Vec::new();
    loop {
        let mut piece = [0_u8; 2048];
        let count = stream.read(&mut piece).await.ok()?;
        head.extend_from_slice(piece.get(..count)?);
        match weir_h1::parse_response(&head, &limits, b"GET") {
            Ok(Some(response)) if response.status >= 200 => return Some(response.status),
            Ok(Some(_)) | Err(_) => return None,
            Ok(None) if count == 0 => return None,
            Ok(None) => {}
        }
    }
}

async fn ask_h2(pool: &PoolState, endpoint: &EndpointState, check: &HealthCheck) -> Option<u16> {
    let stream = connect(endpoint.address, check.timeout, pool.tls()).await.ok()?;
    let mut handle = super::h2::handshake(stream)
        .await
        .ok()?
        .handle()
        .ready()
        .await
        .ok()?;
    let scheme = if pool.tls().is_some() { "https" } else { "http" };
    let uri = format!("{scheme}://{}{}", check.host, check.path);
    let request = http::Request::get(uri)
        .header("user-agent", "weir-health")
        .body(())
        .ok()?;
    let (response, _) = handle.send_request(request, true).ok()?;
    Some(response.await.ok()?.status().as_u16())
}
