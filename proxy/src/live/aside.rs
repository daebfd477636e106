//! Tenants whose own files cannot be used. Where the document says so they are set aside alone: a tenant that served before
//! stays on the version that did, the hosts of any other answer that it is set aside.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use weir_schema::config::checked::{CheckedConfig, Quarantined, Tenant};
use weir_schema::ids::TenantId;

use super::CompileError;

/// Most reasons kept of a tenant.
const REASONS_MAX: usize = 20;

/// What is wrong wholly inside tenants.
#[derive(Default)]
pub(crate) struct Faults(BTreeMap<TenantId, Vec<CompileError>>);

impl Faults {
    /// Records what is wrong with a tenant.
    pub(crate) fn add(&mut self, tenant: &TenantId, errors: impl IntoIterator<Item = CompileError>) {
        self.0.entry(tenant.clone()).or_default().extend(errors);
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything, for a document that is refused.
    pub(super) fn into_errors(self) -> impl Iterator<Item = CompileError> {
        self.0.into_iter().flat_map(|(tenant, errors)| {
            errors.into_iter().map(move |error| CompileError::Tenant {
                tenant: tenant.clone(),
                error: Box::new(error),
            })
        })
    }

    /// Moves the faulty tenants of a configuration to those that are set aside. Hosts that a sound tenant has stay with it.
    pub(super) fn set_aside(self, config: &mut CheckedConfig) {
        type Tenants = Vec<Arc<Tenant>>;
        let (faulty, sound): (Tenants, Tenants) = std::mem::take(&mut config.tenants)
            .into_iter()
            .partition(|tenant| self.0.contains_key(&tenant.id));
        let served: HashSet<&String> = sound.iter().flat_map(|tenant| &tenant.hosts).collect();
        let aside: Vec<Quarantined> = faulty
            .iter()
            .map(|tenant| Quarantined {
                id: Some(tenant.id.clone()),
                hosts: tenant
                    .hosts
                    .iter()
                    .filter(|host| !served.contains(host))
                    .cloned()
                    .collect(),
                reasons: self
                    .0
                    .get(&tenant.id)
                    .map(|errors| reasons(errors))
                    .unwrap_or_default(),
            })
            .collect();
        config.quarantined.extend(aside);
        config.tenants = sound;
    }
}

fn reasons(errors: &[CompileError]) -> Vec<String> {
    errors.iter().take(REASONS_MAX).map(ToString::to_string).collect()
}
