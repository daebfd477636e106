//! What running the proxies costs, and whose it is: direct (a tenant's CPU), idle (nodes that nobody used, shared by a key)
//! and overhead (what is there without any traffic, shared by the same key). The parts sum exactly to the cost.
//!
//! These are the operator's costs, after OpenCost's workload, idle and overhead; what tenants pay is in [`charge`](super::charge).

use std::collections::BTreeMap;

use serde::Serialize;
use weir_schema::ids::{RegionId, TenantId};

use super::apportion::split;
use super::book::{PriceBook, ShareKey};
use super::calendar::Day;
use super::meter::Usage;
use super::money::Money;

/// The nodes of a region on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Time that nodes were up, all together, milliseconds.
    pub node_ms: u64,
    /// CPU that they had, nanoseconds: cores times time up.
    pub capacity_ns: u64,
}

/// What is a tenant's of a day's cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// For the CPU that it used.
    pub direct: Money,
    /// For CPU that nobody used.
    pub idle: Money,
    /// For what is there without any traffic.
    pub overhead: Money,
}

/// A day's cost and whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DayCost {
    /// All nodes of all regions, and the day's share of the overhead.
    pub total: Money,
    /// The part of each tenant.
    pub tenants: BTreeMap<TenantId, Share>,
    /// What is nobody's, because there is no tenant.
    pub unshared: Money,
}

/// The usage of tenants on a day, by region.
pub type RegionUsage = BTreeMap<RegionId, BTreeMap<TenantId, Usage>>;

const HOUR_MS: i128 = 3_600_000;

/// Shares a day's cost of operation; `None` when the price book does not say what that is. Where tenants' CPU sums to more
/// than the nodes had, all of the cost is direct.
pub fn share(
    day: Day,
    nodes: &BTreeMap<RegionId, Nodes>,
    usage: &RegionUsage,
    book: &PriceBook,
) -> Option<DayCost> {
    let operation = book.operation.as_ref()?;
    let mut cost = DayCost::default();
    for (region, nodes) in nodes {
        let hour = book.node_hour(region)?.as_nanos();
        let spent = hour.saturating_mul(i128::from(nodes.node_ms)) / HOUR_MS;
        let none = BTreeMap::new();
        let used = usage.get(region).unwrap_or(&none);
        cost.total += Money::nanos(spent);
        let mut weights: Vec<u64> = used.values().map(|usage| usage.cpu_ns).collect();
        let busy = weights.iter().fold(0, |sum: u64, one| sum.saturating_add(*one));
        // The last part is what nobody used.
        weights.push(nodes.capacity_ns.saturating_sub(busy).max(u64::from(busy == 0)));
        let mut parts = split(spent, &weights);
        let idle = parts.pop().unwrap_or(0);
        for (tenant, part) in used.keys().zip(parts) {
            cost.tenants.entry(tenant.clone()).or_default().direct += Money::nanos(part);
        }
        spread(&mut cost, idle, used, operation.shared_by, |share| {
            &mut share.idle
        });
    }
    let overhead = super::charge::day_share(operation.overhead_month.as_nanos(), day);
    cost.total += Money::nanos(overhead);
    let everywhere = merged(usage);
    spread(&mut cost, overhead, &everywhere, operation.shared_by, |share| {
        &mut share.overhead
    });
    Some(cost)
}

/// Shares an amount among tenants by the key.
fn spread(
    cost: &mut DayCost,
    amount: i128,
    usage: &BTreeMap<TenantId, Usage>,
    key: ShareKey,
    part_of: impl Fn(&mut Share) -> &mut Money,
) {
    if usage.is_empty() {
        cost.unshared += Money::nanos(amount);
        return;
    }
    let weights: Vec<u64> = usage
        .values()
        .map(|usage| match key {
            ShareKey::Cpu => usage.cpu_ns,
            ShareKey::Equal => 1,
            ShareKey::Requests => usage.requests,
        })
        .collect();
    for (tenant, part) in usage.keys().zip(split(amount, &weights)) {
        *part_of(cost.tenants.entry(tenant.clone()).or_default()) += Money::nanos(part);
    }
}

fn merged(usage: &RegionUsage) -> BTreeMap<TenantId, Usage> {
    let mut all: BTreeMap<TenantId, Usage> = BTreeMap::new();
    for (tenant, usage) in usage.values().flatten() {
        all.entry(tenant.clone()).or_default().merge(usage);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn book(key: &str) -> PriceBook {
        let text = include_str!("book/example.yaml").replace("shared_by: cpu", &format!("shared_by: {key}"));
        PriceBook::read(&text).unwrap()
    }

    fn parts(cost: &DayCost) -> Money {
        let shares = cost
            .tenants
            .values()
            .map(|share| share.direct + share.idle + share.overhead);
        shares.sum::<Money>() + cost.unshared
    }

    fn used(cpu_ns: u64, requests: u64) -> Usage {
        Usage {
            cpu_ns,
            requests,
            ..Usage::default()
        }
    }

    #[test]
    fn direct_is_by_cpu_idle_and_overhead_by_the_key() {
        let (region, day) = (RegionId::new("eu").unwrap(), Day::parse("2026-11-01").unwrap());
        // Two nodes of one core for a day at 0.10 an hour: 4.80, of which a quarter and an eighth are used.
        let day_ns = 86_400_000_000_000;
        let nodes = BTreeMap::from([(
            region.clone(),
            Nodes {
                node_ms: 2 * 86_400_000,
                capacity_ns: 2 * day_ns,
            },
        )]);
        let tenant = |id: &str| TenantId::new(id).unwrap();
        let tenants = BTreeMap::from([
            (tenant("a"), used(day_ns / 2, 1)),
            (tenant("b"), used(day_ns / 4, 3)),
        ]);
        let usage = RegionUsage::from([(region, tenants)]);
        for (key, idle) in [
            ("cpu", ["2", "1"]),
            ("equal", ["1.5", "1.5"]),
            ("requests", ["0.75", "2.25"]),
        ] {
            let cost = share(day, &nodes, &usage, &book(key)).unwrap();
            let shares: Vec<&Share> = cost.tenants.values().collect();
            assert_eq!(
                [shares[0].direct, shares[1].direct].map(Money::decimal),
                ["1.2", "0.6"]
            );
            assert_eq!(
                [shares[0].idle, shares[1].idle].map(Money::decimal),
                idle,
                "{key}"
            );
            assert_eq!(
                (shares[0].overhead + shares[1].overhead).decimal(),
                "13.333333333"
            );
            assert_eq!((parts(&cost), cost.unshared), (cost.total, Money::ZERO));
        }
        let cost = share(day, &nodes, &RegionUsage::new(), &book("cpu")).unwrap();
        assert_eq!(cost.unshared, cost.total);
    }

    proptest! {
        #[test]
        fn shares_sum_to_the_cost(
            regions in prop::collection::vec((any::<u32>(), any::<u64>(), prop::collection::btree_map(0_u8..20, any::<[u64; 2]>(), 0..20)), 0..4),
            key in 0_usize..3,
        ) {
            let (mut nodes, mut usage) = (BTreeMap::new(), RegionUsage::new());
            for (place, (node_ms, capacity_ns, tenants)) in regions.into_iter().enumerate() {
                let region = RegionId::new(["eu", "us", "ap", "sa"][place]).unwrap();
                nodes.insert(region.clone(), Nodes { node_ms: node_ms.into(), capacity_ns });
                let tenants = tenants.into_iter().map(|(id, n)| (TenantId::new(&format!("t{id}")).unwrap(), used(n[0], n[1])));
                usage.insert(region, tenants.collect());
            }
            let day = Day::parse("2026-11-07").unwrap();
            let cost = share(day, &nodes, &usage, &book(["cpu", "equal", "requests"][key])).unwrap();
            prop_assert_eq!(parts(&cost), cost.total);
        }
    }
}
