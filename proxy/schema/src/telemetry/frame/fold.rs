//! Keeps the number of entries bounded.

use std::collections::{BTreeMap, HashSet};

use super::{Entry, FOLDED};

/// Entries by tenant and route.
type Table = BTreeMap<(String, String), Entry>;

/// Brings entries of any order, also several of the same pair, to at most `entries_max` (at least 1), ascending, each pair
/// once. Over it, routes of every tenant are folded into one entry of the tenant first; if that is not enough, tenants with
/// the fewest requests are folded into one entry for all of them. Sums stay as they are. Gives how many pairs lost their
/// own entry.
pub fn fold(entries: Vec<Entry>, entries_max: usize) -> (Vec<Entry>, u64) {
    let mut table = gather(entries);
    let mut folded = 0;
    if table.len() > entries_max {
        let before = table.len();
        let by_tenant = table.into_values().map(|mut entry| {
            if !entry.tenant.is_empty() {
                FOLDED.clone_into(&mut entry.route);
            }
            entry
        });
        table = gather(by_tenant.collect());
        folded = before;
    }
    if table.len() > entries_max {
        let keep = most_requests(&table, entries_max.saturating_sub(1));
        let rest = table.into_values().map(|mut entry| {
            if !keep.contains(&entry.tenant) {
                FOLDED.clone_into(&mut entry.tenant);
                FOLDED.clone_into(&mut entry.route);
            }
            entry
        });
        table = gather(rest.collect());
    }
    (
        table.into_values().collect(),
        u64::try_from(folded).unwrap_or(u64::MAX),
    )
}

fn gather(entries: Vec<Entry>) -> Table {
    let mut table = Table::new();
    for entry in entries {
        match table.entry((entry.tenant.clone(), entry.route.clone())) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(entry);
            }
            std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().merge(&entry),
        }
    }
    table
}

/// The tenants that keep an entry, as many as `count` entries allow.
fn most_requests(table: &Table, count: usize) -> HashSet<String> {
    let mut order: Vec<(u64, &str)> = table
        .values()
        .filter(|entry| entry.tenant != FOLDED)
        .map(|entry| (entry.requests.total(), entry.tenant.as_str()))
        .collect();
    order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let kept = order.into_iter().take(count);
    kept.map(|(_, tenant)| tenant.to_owned()).collect()
}
