//! Endpoints named in a configuration become addresses; addresses that stay keep their state.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use weir_schema::config::checked::{Endpoint, Pool};

use super::pool::EndpointState;

/// Addresses taken of one name.
const ADDRESSES_MAX: usize = 64;

fn addresses(endpoint: &Endpoint) -> Vec<SocketAddr> {
    if let Ok(address) = endpoint.host.parse::<IpAddr>() {
        return vec![SocketAddr::new(address, endpoint.port)];
    }
    // A name that does not resolve now has no address; it is asked again.
    let found = (endpoint.host.as_str(), endpoint.port).to_socket_addrs();
    found
        .map(|found| found.take(ADDRESSES_MAX).collect())
        .unwrap_or_default()
}

/// States for all endpoints of a pool, those of `known` where endpoint and address are the same and connections may be
/// `kept`; what requests told of an address stays in any case. Blocks while names are resolved.
pub(crate) fn endpoints(
    pool: &Pool,
    known: Option<Arc<Vec<Arc<EndpointState>>>>,
    kept: bool,
) -> Vec<Arc<EndpointState>> {
    let known = known.as_deref().map(Vec::as_slice).unwrap_or_default();
    let mut states = Vec::new();
    for endpoint in &pool.endpoints {
        let mut found = addresses(endpoint);
        if found.is_empty() {
            found = known
                .iter()
                .filter(|old| old.endpoint == *endpoint)
                .map(|old| old.address)
                .collect();
        }
        for address in found {
            let old = known.iter().find(|old| old.address == address);
            let same = old.filter(|old| kept && old.endpoint == *endpoint);
            let watch = || old.map(|old| Arc::clone(&old.watch)).unwrap_or_default();
            states.push(same.map_or_else(
                || Arc::new(EndpointState::new(endpoint.clone(), address, watch())),
                Arc::clone,
            ));
        }
    }
    states
}
