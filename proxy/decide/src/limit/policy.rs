//! The limits of a tenant, compiled: which buckets a request must pass.

use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;
use weir_schema::codes::RefusalCode;
use weir_schema::config::checked::{KeyLimit, Rate, Route, Tenant};

use super::{Check, ClaimVerifier, GcraParams, address_key, key_hash, key_value, policy_field};
use crate::view::RequestView;

/// Buckets of one request; more than six move to the heap.
pub type Checks<'a> = SmallVec<[Check<'a>; 6]>;

/// The limit over all tenants.
#[derive(Debug)]
pub struct GlobalLimit {
    params: GcraParams,
    key: u64,
}

impl GlobalLimit {
    /// Compiles a rate.
    pub fn new(rate: Rate) -> Self {
        Self {
            params: GcraParams::new(&rate),
            key: key_hash(&[b"global"]),
        }
    }

    fn check(&self) -> Check<'static> {
        Check {
            key_hash: self.key,
            rate: self.params,
            code: RefusalCode::LimitGlobal,
            name: "global",
        }
    }
}

/// The limits of a tenant.
#[derive(Debug)]
pub struct TenantLimits {
    id: String,
    address: Option<GcraParams>,
    keys: Vec<(KeyLimit, GcraParams)>,
    tenant: Option<(u64, GcraParams)>,
    routes: Vec<Option<(u64, GcraParams)>>,
    global: Option<Arc<GlobalLimit>>,
    /// `RateLimit-Policy` by route, and of requests that no route takes: it depends on nothing else.
    policies: Vec<Arc<[u8]>>,
    policy_without_route: Arc<[u8]>,
}

impl TenantLimits {
    /// Compiles a tenant's limits together with the one over all tenants.
    pub fn new(tenant: &Tenant, global: Option<Arc<GlobalLimit>>) -> Self {
        let id = tenant.id.as_str();
        let route = |route: &Route| {
            let key = key_hash(&[b"route", id.as_bytes(), route.id.as_str().as_bytes()]);
            route.limit.map(|rate| (key, GcraParams::new(&rate)))
        };
        let mut limits = Self {
            address: tenant.limits.address.map(|rate| GcraParams::new(&rate)),
            keys: tenant
                .limits
                .keys
                .iter()
                .map(|key| (key.clone(), GcraParams::new(&key.rate)))
                .collect(),
            tenant: tenant
                .limits
                .tenant
                .map(|rate| (key_hash(&[b"tenant", id.as_bytes()]), GcraParams::new(&rate))),
            routes: tenant.routes.iter().map(route).collect(),
            global,
            policies: Vec::new(),
            policy_without_route: Arc::default(),
            id: id.to_owned(),
        };
        limits.policies = (0..limits.routes.len())
            .map(|at| limits.describe(Some(at)))
            .collect();
        limits.policy_without_route = limits.describe(None);
        limits
    }

    /// Value of `RateLimit-Policy` for a route; empty when nothing is limited.
    pub fn policy(&self, route: Option<usize>) -> &Arc<[u8]> {
        route
            .and_then(|route| self.policies.get(route))
            .unwrap_or(&self.policy_without_route)
    }

    fn describe(&self, route: Option<usize>) -> Arc<[u8]> {
        let address = self.address.map(|rate| ("address", rate));
        let keys = self.keys.iter().map(|(limit, rate)| (limit.name.as_str(), *rate));
        let tenant = self.tenant.map(|(_, rate)| ("tenant", rate));
        let route = self.route(route).map(|(_, rate)| ("route", rate));
        let global = self.global.as_ref().map(|global| ("global", global.params));
        let parts = address
            .into_iter()
            .chain(keys)
            .chain(tenant)
            .chain(route)
            .chain(global);
        policy_field(parts).into()
    }

    fn route(&self, route: Option<usize>) -> Option<(u64, GcraParams)> {
        self.routes.get(route?).copied().flatten()
    }

    /// The buckets that a request must pass, in the order of [`Self::policy`]. A key that the request does not have
    /// counts by the client's address.
    pub fn checks<'a>(
        &'a self,
        client: IpAddr,
        request: &RequestView<'_>,
        claims: &dyn ClaimVerifier,
        route: Option<usize>,
    ) -> Checks<'a> {
        let mut checks = Checks::new();
        let mut add = |key_hash, rate, code, name| {
            checks.push(Check {
                key_hash,
                rate,
                code,
                name,
            });
        };
        let id = self.id.as_bytes();
        let address = address_key(client);
        if let Some(rate) = self.address {
            let key = key_hash(&[b"address", id, &address]);
            add(key, rate, RefusalCode::LimitAddress, "address");
        }
        for (limit, rate) in &self.keys {
            let value = key_value(&limit.source, request.fields, request.query(), claims);
            let value = value.as_deref().map_or(address.as_slice(), |value| value);
            let key = key_hash(&[b"key", id, limit.name.as_bytes(), value]);
            add(key, *rate, RefusalCode::LimitKey, &limit.name);
        }
        if let Some((key, rate)) = self.tenant {
            add(key, rate, RefusalCode::LimitTenant, "tenant");
        }
        if let Some((key, rate)) = self.route(route) {
            add(key, rate, RefusalCode::LimitRoute, "route");
        }
        if let Some(global) = &self.global {
            checks.push(global.check());
        }
        checks
    }
}
