//! Whom something is counted for: a route of a tenant, a tenant, or nobody.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use weir_schema::config::checked::Tenant;
use weir_schema::telemetry::frame::FOLDED;

/// A tenant and a route of it, hashed once: it is looked up for every request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Account {
    hash: u64,
    pub(super) tenant: Box<str>,
    pub(super) route: Box<str>,
}

impl Account {
    fn new(tenant: &str, route: &str) -> Arc<Self> {
        let mut hasher = DefaultHasher::new();
        (tenant, route).hash(&mut hasher);
        Arc::new(Self {
            hash: hasher.finish(),
            tenant: tenant.into(),
            route: route.into(),
        })
    }

    /// What belongs to no tenant.
    pub(super) fn nobody() -> Arc<Self> {
        Self::new("", "")
    }

    /// What has no room of its own.
    pub(super) fn folded() -> Arc<Self> {
        Self::new(FOLDED, FOLDED)
    }
}

impl Hash for Account {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Takes the hash that an account has already.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The accounts of a tenant.
pub(crate) struct Accounts {
    tenant: Arc<Account>,
    /// In the order of the tenant's routes.
    routes: Box<[Arc<Account>]>,
}

impl Accounts {
    pub(crate) fn new(tenant: &Tenant) -> Self {
        let id = tenant.id.as_str();
        let routes = tenant.routes.iter();
        Self {
            tenant: Account::new(id, ""),
            routes: routes.map(|route| Account::new(id, route.id.as_str())).collect(),
        }
    }

    /// For what belongs to no route.
    pub(crate) fn tenant(&self) -> &Arc<Account> {
        &self.tenant
    }

    /// For a route, by its place among the tenant's.
    pub(crate) fn route(&self, at: Option<usize>) -> &Arc<Account> {
        at.and_then(|at| self.routes.get(at)).unwrap_or(&self.tenant)
    }
}
