//! How many connections one client may hold open, and what any request head must keep.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use weir_geoip::canonical;
use weir_schema::codes::RefusalCode;
use weir_schema::config::checked::ClientLimits;

use crate::view::RequestView;

/// Which bound a connection would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardRefusal {
    /// That of one address (IPv6: one /64).
    Address,
    /// That of one prefix (IPv4 /24, IPv6 /48).
    Prefix,
    /// That of all clients.
    Total,
}

/// An open connection's place; give it back with [`ConnectionGuard::release`].
#[derive(Debug)]
#[must_use = "a token that is not released keeps its place for ever"]
pub struct GuardToken {
    address: AddressKey,
    prefix: PrefixKey,
}

/// IPv4 address or IPv6 /64, told apart by the first part.
type AddressKey = (bool, u64);
/// IPv4 /24 or IPv6 /48, told apart by the first part.
type PrefixKey = (bool, u64);

/// Counts open connections. Each entry stands for at least one of them, so the tables hold at most `connections_max`.
#[derive(Debug, Default)]
pub struct ConnectionGuard {
    total: AtomicU32,
    addresses: DashMap<AddressKey, u32>,
    prefixes: DashMap<PrefixKey, u32>,
}

impl ConnectionGuard {
    /// Nobody is connected.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a place for a connection from `ip`.
    ///
    /// # Errors
    /// The first bound that it would exceed; nothing is counted then.
    pub fn try_enter(&self, ip: IpAddr, limits: &ClientLimits) -> Result<GuardToken, GuardRefusal> {
        let (address, prefix) = keys(ip);
        let more = |total: u32| {
            total
                .checked_add(1)
                .filter(|total| *total <= limits.connections_max)
        };
        if self
            .total
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .is_err()
        {
            return Err(GuardRefusal::Total);
        }
        if !enter(&self.addresses, address, limits.connections_per_address_max) {
            self.total.fetch_sub(1, Ordering::AcqRel);
            return Err(GuardRefusal::Address);
        }
        if !enter(&self.prefixes, prefix, limits.connections_per_prefix_max) {
            leave(&self.addresses, address);
            self.total.fetch_sub(1, Ordering::AcqRel);
            return Err(GuardRefusal::Prefix);
        }
        Ok(GuardToken { address, prefix })
    }

    /// Gives a place back.
    pub fn release(&self, token: GuardToken) {
        let GuardToken { address, prefix } = token;
        leave(&self.addresses, address);
        leave(&self.prefixes, prefix);
        self.total.fetch_sub(1, Ordering::AcqRel);
    }

    /// Open connections.
    pub fn total(&self) -> u32 {
        self.total.load(Ordering::Acquire)
    }
}

fn keys(ip: IpAddr) -> (AddressKey, PrefixKey) {
    match canonical(ip) {
        IpAddr::V4(v4) => {
            let bits = u64::from(u32::from(v4));
            ((false, bits), (false, bits >> 8))
        }
        IpAddr::V6(v6) => {
            let bits = u64::try_from(u128::from(v6) >> 64).unwrap_or(0);
            ((true, bits), (true, bits >> 16))
        }
    }
}

fn enter<K: Eq + Hash>(table: &DashMap<K, u32>, key: K, max: u32) -> bool {
    match table.entry(key) {
        Entry::Occupied(mut count) => {
            let fits = *count.get() < max;
            *count.get_mut() += u32::from(fits);
            fits
        }
        Entry::Vacant(free) => {
            if max > 0 {
                free.insert(1);
            }
            max > 0
        }
    }
}

fn leave<K: Eq + Hash>(table: &DashMap<K, u32>, key: K) {
    if let Entry::Occupied(mut count) = table.entry(key) {
        if *count.get() <= 1 {
            count.remove();
        } else {
            *count.get_mut() -= 1;
        }
    }
}

/// The refusal of a head that no tenant would be asked about. CONNECT and TRACE are never forwarded, in whatever case: an
/// origin may be less strict about it.
pub fn head_refusal(request: &RequestView<'_>, limits: &ClientLimits) -> Option<RefusalCode> {
    let method = request.method;
    if method.eq_ignore_ascii_case(b"CONNECT") || method.eq_ignore_ascii_case(b"TRACE") {
        Some(RefusalCode::MethodNotAllowed)
    } else if request.fields.len() > limits.header_fields_max as usize {
        Some(RefusalCode::HeaderTooLarge)
    } else if request.target.len() > limits.target_bytes_max as usize {
        Some(RefusalCode::TargetTooLong)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use weir_schema::config::checked::ClientH2;

    fn limits(total: u32, address: u32, prefix: u32) -> ClientLimits {
        let time = Duration::from_secs(1);
        ClientLimits {
            handshake_timeout: time,
            first_byte_timeout: time,
            header_timeout: time,
            idle_timeout: time,
            keepalive_requests_max: 1,
            header_bytes_max: 1,
            header_fields_max: 1,
            target_bytes_max: 1,
            body_rate_min: 1,
            body_rate_grace: time,
            write_timeout: time,
            drain_bytes_max: 1,
            connections_max: total,
            connections_per_address_max: address,
            connections_per_prefix_max: prefix,
            inspection_bytes_max: 1,
            h2: ClientH2 {
                streams_max: 1,
                header_list_bytes_max: 1,
                resets_max: 1,
                resets_per_s: 1,
                control_frames_max: 1,
                control_frames_per_s: 1,
                idle_timeout: time,
                stall_timeout: time,
            },
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_bound_holds_and_a_refusal_counts_nothing() {
        let (guard, limits) = (ConnectionGuard::new(), limits(6, 2, 3));
        let first = guard.try_enter(ip("192.0.2.1"), &limits).unwrap();
        let second = guard.try_enter(ip("::ffff:192.0.2.1"), &limits).unwrap();
        assert_eq!(
            guard.try_enter(ip("192.0.2.1"), &limits).unwrap_err(),
            GuardRefusal::Address
        );
        let third = guard.try_enter(ip("192.0.2.2"), &limits).unwrap();
        assert_eq!(
            guard.try_enter(ip("192.0.2.3"), &limits).unwrap_err(),
            GuardRefusal::Prefix
        );
        guard.release(first);
        let fourth = guard.try_enter(ip("192.0.2.3"), &limits).unwrap();
        let a = guard.try_enter(ip("2001:db8::1"), &limits).unwrap();
        let b = guard.try_enter(ip("2001:db8::2"), &limits).unwrap();
        assert_eq!(
            guard.try_enter(ip("2001:db8::3"), &limits).unwrap_err(),
            GuardRefusal::Address
        );
        let c = guard.try_enter(ip("2001:db8:0:1::1"), &limits).unwrap();
        assert_eq!(guard.total(), 6);
        assert_eq!(
            guard.try_enter(ip("198.51.100.1"), &limits).unwrap_err(),
            GuardRefusal::Total
        );
        for token in [second, third, fourth, a, b, c] {
            guard.release(token);
        }
        assert_eq!(
            (guard.total(), guard.addresses.len(), guard.prefixes.len()),
            (0, 0, 0)
        );
    }
}
