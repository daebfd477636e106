//! How many events a rule may cause per second, so that a flood of one kind cannot fill the disk.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use weir_schema::ids::TenantId;

const CELLS: usize = 4096;

/// Counts per second of rules and tenants. Those that fall into one cell share its budget, so the table is bounded and can
/// only let through less.
pub(super) struct Rates {
    /// The second in the upper half, its count in the lower.
    cells: Box<[AtomicU64]>,
    key: RandomState,
}

impl Rates {
    pub(super) fn new() -> Self {
        Self {
            cells: (0..CELLS).map(|_| AtomicU64::new(0)).collect(),
            key: RandomState::new(),
        }
    }

    /// Takes one of the rule's `max` of this second; false when there is none left.
    pub(super) fn take(&self, tenant: &TenantId, rule: u64, second: u64, max: u32) -> bool {
        let at = self.key.hash_one((tenant.as_str(), rule)) % CELLS as u64;
        let Some(cell) = usize::try_from(at).ok().and_then(|at| self.cells.get(at)) else {
            return false;
        };
        let now = second & u64::from(u32::MAX);
        let taken = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            let count = if held >> 32 == now {
                held & u64::from(u32::MAX)
            } else {
                0
            };
            (count < u64::from(max)).then_some(now << 32 | (count + 1))
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_its_budget_once_per_second_and_tenant() {
        let (a, b) = (TenantId::new("a").unwrap(), TenantId::new("b").unwrap());
        let rates = Rates::new();
        let taken = |tenant, rule, second| (0..5).filter(|_| rates.take(tenant, rule, second, 3)).count();
        assert_eq!(
            (taken(&a, 1, 7), taken(&a, 1, 7), taken(&a, 1, 8), taken(&a, 1, 8)),
            (3, 0, 3, 0)
        );
        // Another tenant or rule shares the budget in one of 4096 cases.
        assert!(taken(&b, 1, 8) == 3 || taken(&b, 2, 8) == 3);
    }
}
