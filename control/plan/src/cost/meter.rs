//! What is measured of a tenant: integers that add up in any order.

use serde::{Deserialize, Serialize};

/// Usage of one tenant on one route in one region within one minute, or a sum of such. Merging is commutative and
/// associative; that each frame is merged once is the collector's care. Sums stop at 2^64 - 1, which is 584 years of CPU
/// or 18 exabytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// Requests, also refused ones.
    pub requests: u64,
    /// CPU of the proxy's workers, nanoseconds, the WAF's among them.
    pub cpu_ns: u64,
    /// CPU spent in the WAF, nanoseconds: a part of `cpu_ns`.
    pub waf_cpu_ns: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// Time that connections were open, milliseconds.
    pub connection_ms: u64,
    /// Time that upstreams took, milliseconds. Not priced.
    pub upstream_ms: u64,
}

impl Usage {
    /// Adds another measurement.
    pub const fn merge(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.cpu_ns = self.cpu_ns.saturating_add(other.cpu_ns);
        self.waf_cpu_ns = self.waf_cpu_ns.saturating_add(other.waf_cpu_ns);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.connection_ms = self.connection_ms.saturating_add(other.connection_ms);
        self.upstream_ms = self.upstream_ms.saturating_add(other.upstream_ms);
    }

    /// The quantity that a meter prices, in its base unit. Each nanosecond of CPU is priced once, as WAF or not.
    pub const fn quantity(&self, meter: Meter) -> u64 {
        match meter {
            Meter::BytesIn => self.bytes_in,
            Meter::BytesOut => self.bytes_out,
            Meter::Connections => self.connection_ms,
            Meter::Cpu => self.cpu_ns.saturating_sub(self.waf_cpu_ns),
            Meter::Requests => self.requests,
            Meter::WafCpu => self.waf_cpu_ns,
        }
    }
}

/// What has a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Meter {
    /// Bytes from clients, per GB (10^9).
    BytesIn,
    /// Bytes to clients, per GB (10^9).
    BytesOut,
    /// Open connections, per hour.
    Connections,
    /// CPU outside the WAF, per second.
    Cpu,
    /// Requests, per million.
    Requests,
    /// CPU in the WAF, per second.
    WafCpu,
}

impl Meter {
    /// All meters, in order.
    pub const ALL: [Self; 6] = [
        Self::BytesIn,
        Self::BytesOut,
        Self::Connections,
        Self::Cpu,
        Self::Requests,
        Self::WafCpu,
    ];

    /// Its name in documents and exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BytesIn => "bytes_in",
            Self::BytesOut => "bytes_out",
            Self::Connections => "connections",
            Self::Cpu => "cpu",
            Self::Requests => "requests",
            Self::WafCpu => "waf_cpu",
        }
    }

    /// Base units (bytes, milliseconds, nanoseconds, requests) in the unit that its price is for.
    pub const fn per(self) -> u64 {
        match self {
            Self::BytesIn | Self::BytesOut | Self::Cpu | Self::WafCpu => 1_000_000_000,
            Self::Connections => 3_600_000,
            Self::Requests => 1_000_000,
        }
    }

    /// What it measures, for a line of an invoice.
    pub const fn title(self) -> &'static str {
        match self {
            Self::BytesIn => "Traffic in",
            Self::BytesOut => "Traffic out",
            Self::Connections => "Open connections",
            Self::Cpu => "CPU",
            Self::Requests => "Requests",
            Self::WafCpu => "WAF CPU",
        }
    }

    /// The unit that its price is for.
    pub const fn price_unit(self) -> &'static str {
        match self {
            Self::BytesIn | Self::BytesOut => "GB",
            Self::Connections => "Hours",
            Self::Cpu | Self::WafCpu => "Seconds",
            Self::Requests => "1000000 Requests",
        }
    }

    /// Its place in [`Self::ALL`].
    pub const fn place(self) -> usize {
        self as usize
    }
}

// Every price times every quantity is a whole number of grains.
const _: () = {
    let mut place = 0;
    while place < Meter::ALL.len() {
        let meter = Meter::ALL[place];
        assert!(super::Grains::PER_NANO % meter.per() as i128 == 0 && meter.place() == place);
        place += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usage() -> impl Strategy<Value = Usage> {
        any::<[u64; 7]>().prop_map(|n| Usage {
            requests: n[0],
            cpu_ns: n[1],
            waf_cpu_ns: n[2],
            bytes_in: n[3],
            bytes_out: n[4],
            connection_ms: n[5],
            upstream_ms: n[6],
        })
    }

    fn sum<'a>(all: impl IntoIterator<Item = &'a Usage>) -> Usage {
        all.into_iter().fold(Usage::default(), |mut sum, one| {
            sum.merge(one);
            sum
        })
    }

    proptest! {
        #[test]
        fn merging_does_not_depend_on_order_or_grouping(all in prop::collection::vec(usage(), 0..20), cut in 0_usize..20) {
            let (left, right) = all.split_at(cut.min(all.len()));
            let mut halves = sum(right);
            halves.merge(&sum(left));
            prop_assert_eq!(sum(&all), halves);
            prop_assert_eq!(sum(&all), sum(all.iter().rev()));
        }
    }
}
