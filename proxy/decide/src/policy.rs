//! A tenant as the stages see it: compiled once per version, shared by all its requests.

use std::sync::Arc;

use weir_rules::{Collections, RuleSet};
use weir_schema::config::checked::{Route, Tenant};

use crate::limit::{InFlight, TenantLimits};
use crate::route::RouteTable;

/// A tenant, compiled.
#[derive(Debug)]
pub struct TenantPolicy {
    /// What the document says.
    pub tenant: Arc<Tenant>,
    /// Its rules; `None` when the WAF is off.
    pub rules: Option<Arc<RuleSet>>,
    /// What its rules remember between requests; survives swaps.
    pub collections: Arc<Collections>,
    /// Its routes.
    pub routes: RouteTable,
    /// Its limits.
    pub limits: TenantLimits,
    /// Its requests in flight; survives swaps.
    pub in_flight: Arc<InFlight>,
}

impl TenantPolicy {
    /// A route by its position.
    pub fn route(&self, at: usize) -> Option<&Route> {
        self.tenant.routes.get(at)
    }
}

/// Something that has a compiled tenant: what hosts lead to.
pub trait HasPolicy {
    /// The tenant.
    fn policy(&self) -> &TenantPolicy;
}

impl<T: HasPolicy> HasPolicy for Arc<T> {
    fn policy(&self) -> &TenantPolicy {
        T::policy(self)
    }
}

/// Whom a host belongs to.
#[derive(Clone, Debug)]
pub enum Owner<T> {
    /// This tenant.
    Tenant(T),
    /// A tenant whose configuration failed.
    Quarantined,
}
