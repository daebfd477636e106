//! `CheckedConfig` becomes `Live`: files are read, rules compiled, pools kept. Unchanged tenants keep their compiled
//! parts; state that must survive a swap lives in [`Shared`], keyed by stable ids.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use weir_decide::limit::{GlobalLimit, InFlight, Table, TenantLimits};
use weir_decide::pipeline::{Cleared, Edge};
use weir_decide::policy::{HasPolicy, Owner, TenantPolicy};
use weir_decide::resolve::HostTable;
use weir_decide::retry::Budget;
use weir_decide::route::RouteTable;
use weir_geoip::Database;
use weir_rules::{Disk, RuleSet, Source};
use weir_schema::config::checked::{AccessLog, CheckedConfig, Pool, RuleSetSource, WafMode};
use weir_schema::ids::{PoolId, TenantId};

use crate::claims::Claims;
use crate::engine::body::HeldBytes;
use crate::listen::certs::Certificates;
use crate::telemetry::access_log::Writer;
use crate::telemetry::registry::{Metrics, TenantMetrics};
use crate::upstream::pool::{EndpointState, PoolState};

/// What outlives every version.
pub(crate) struct Shared {
    pub(crate) live: ArcSwap<Live>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: Writer,
    pub(crate) limits: Table,
    pub(crate) claims: Claims,
    pub(crate) held: HeldBytes,
    pub(crate) guard: weir_decide::guard::ConnectionGuard,
}

/// One version, compiled.
pub(crate) struct Live {
    pub(crate) generation: u64,
    pub(crate) config: Arc<CheckedConfig>,
    pub(crate) hosts: HostTable<Owner<Arc<TenantLive>>>,
    pub(crate) tenants: HashMap<TenantId, Arc<TenantLive>>,
    pub(crate) pools: HashMap<PoolId, Arc<PoolState>>,
    global_limit: Option<Arc<GlobalLimit>>,
    pub(crate) access_log: Option<Arc<AccessLog>>,
    pub(crate) certificates: Certificates,
    geo: Option<(GeoKey, Arc<Database>)>,
    rule_sets: RuleCache,
}

/// Paths, sizes and change times of the databases.
type GeoKey = Vec<(PathBuf, Vec<u8>)>;
/// Compiled rules by the text of all their files.
type RuleCache = HashMap<Vec<(PathBuf, String)>, Arc<RuleSet>>;

/// A tenant, compiled.
pub(crate) struct TenantLive {
    pub(crate) policy: TenantPolicy,
    /// Where each route goes, in the order of the tenant's routes.
    pools: Vec<Arc<PoolState>>,
    pub(crate) metrics: Arc<TenantMetrics>,
}

impl TenantLive {
    /// Where a route goes.
    pub(crate) fn pool(&self, route: usize) -> Option<&Arc<PoolState>> {
        self.pools.get(route)
    }
}

/// A request that may be forwarded.
pub(crate) type ClearedRequest = Cleared<Arc<TenantLive>>;

impl HasPolicy for TenantLive {
    fn policy(&self) -> &TenantPolicy {
        &self.policy
    }
}

impl Live {
    /// What the stages look at.
    pub(crate) fn edge<'a>(&'a self, shared: &'a Shared, charge: bool) -> Edge<'a, Arc<TenantLive>> {
        Edge {
            client: &self.config.client,
            hosts: &self.hosts,
            regions: &self.config.regions,
            trust: &self.config.trust,
            geo: self.geo.as_ref().map(|(_, database)| &**database),
            limits: &shared.limits,
            claims: &shared.claims,
            charge,
        }
    }
}

/// Something that the document names could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    /// A certificate or key.
    #[error("tenant {tenant}: {reason}; give a PEM chain and its key")]
    Certificate {
        /// Whose.
        tenant: TenantId,
        /// What is wrong.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A database.
    #[error("geo database: {0}")]
    Geo(String),
    /// An upstream's authorities, or its name.
    #[error("pool {pool}: {reason}")]
    Pool {
        /// Which.
        pool: PoolId,
        /// What is wrong.
        reason: String,
    },
    /// Rules.
    #[error("{0}")]
    Rule(String),
}

/// Compiles a version; parts that `previous` has compiled from the same input are taken from it.
///
/// # Errors
/// All that could not be used; nothing has changed then.
pub(crate) fn compile(
    config: CheckedConfig,
    previous: Option<&Live>,
    metrics: &Metrics,
) -> Result<Live, Vec<CompileError>> {
    let mut errors = Vec::new();
    let mut build = Build {
        previous,
        metrics,
        rule_sets: HashMap::new(),
        errors: &mut errors,
    };
    let pools = build.pools(&config);
    let geo = build.geo(&config);
    let global_limit = build.global_limit(&config);
    let tenants = build.tenants(&config, &pools, global_limit.as_ref());
    let rule_sets = std::mem::take(&mut build.rule_sets);
    let certificates = Certificates::compile(&config, previous.map(|live| &live.certificates), &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let quarantined = config
        .quarantined
        .iter()
        .flat_map(|quarantined| &quarantined.hosts);
    let hosts = tenants
        .values()
        .flat_map(|live| {
            live.policy
                .tenant
                .hosts
                .iter()
                .map(|host| (host.clone(), Owner::Tenant(Arc::clone(live))))
        })
        .chain(quarantined.map(|host| (host.clone(), Owner::Quarantined)));
    let access_log = config.observability.access_log.clone().map(Arc::new);
    Ok(Live {
        generation: previous.map_or(1, |live| live.generation + 1),
        hosts: HostTable::build(hosts),
        tenants,
        pools,
        global_limit,
        access_log,
        certificates,
        geo,
        rule_sets,
        config: Arc::new(config),
    })
}

struct Build<'a> {
    previous: Option<&'a Live>,
    metrics: &'a Metrics,
    rule_sets: RuleCache,
    errors: &'a mut Vec<CompileError>,
}

impl Build<'_> {
    fn read(&mut self, path: &Path) -> Option<Vec<u8>> {
        match fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.errors.push(CompileError::File {
                    path: path.to_owned(),
                    reason: error.to_string(),
                });
                None
            }
        }
    }

    fn pools(&mut self, config: &CheckedConfig) -> HashMap<PoolId, Arc<PoolState>> {
        let mut pools = HashMap::new();
        for pool in &config.pools {
            let old = self.previous.and_then(|live| live.pools.get(&pool.id));
            let state = match old {
                Some(old) if old.pool == *pool => Some(Arc::clone(old)),
                _ => self.pool(pool, old),
            };
            if let Some(state) = state {
                pools.insert(pool.id.clone(), state);
            }
        }
        pools
    }

    fn pool(&mut self, pool: &Arc<Pool>, old: Option<&Arc<PoolState>>) -> Option<Arc<PoolState>> {
        let tls = match &pool.tls {
            None => None,
            Some(tls) => {
                let authorities = match &tls.ca_file {
                    Some(path) => Some(self.read(path)?),
                    None => None,
                };
                let h2 = pool.protocol == weir_schema::config::checked::UpstreamProtocol::H2;
                match crate::upstream::tls::client_config(authorities.as_deref(), h2) {
                    Ok(config) => Some(Arc::new(config)),
                    Err(reason) => {
                        self.errors.push(CompileError::Pool {
                            pool: pool.id.clone(),
                            reason,
                        });
                        return None;
                    }
                }
            }
        };
        // Connections made with another encryption must not be used again.
        let kept = old.filter(|old| {
            old.pool.tls == pool.tls && old.pool.protocol == pool.protocol && pool.tls.is_none()
        });
        let endpoints = crate::upstream::resolve::endpoints(pool, kept.map(|old| old.endpoints.load_full()));
        Some(Arc::new(PoolState {
            endpoints: ArcSwap::from_pointee(endpoints),
            cursor: std::sync::atomic::AtomicUsize::new(0),
            budget: old.filter(|old| old.pool.retry == pool.retry).map_or_else(
                || {
                    Arc::new(Budget::new(
                        pool.retry.budget_percent,
                        pool.retry.budget_min_per_s,
                    ))
                },
                |old| Arc::clone(&old.budget),
            ),
            tls,
            metrics: self.metrics.pool(pool.id.as_str()),
            pool: Arc::clone(pool),
        }))
    }

    fn geo(&mut self, config: &CheckedConfig) -> Option<(GeoKey, Arc<Database>)> {
        let geo = config.geo.as_ref()?;
        let country = match &geo.country_database {
            Some(path) => Some((path.clone(), self.read(path)?)),
            None => None,
        };
        let asn = match &geo.asn_database {
            Some(path) => Some((path.clone(), self.read(path)?)),
            None => None,
        };
        let key: GeoKey = country
            .iter()
            .chain(&asn)
            .map(|(path, bytes)| {
                (
                    path.clone(),
                    <sha2::Sha256 as sha2::Digest>::digest(bytes).to_vec(),
                )
            })
            .collect();
        if let Some((old, database)) = self.previous.and_then(|live| live.geo.as_ref())
            && *old == key
        {
            return Some((key, Arc::clone(database)));
        }
        match Database::open(country.map(|(_, bytes)| bytes), asn.map(|(_, bytes)| bytes)) {
            Ok(database) => Some((key, Arc::new(database))),
            Err(error) => {
                self.errors.push(CompileError::Geo(error.to_string()));
                None
            }
        }
    }

    /// Kept while its rate is the same: tenants are compiled with it.
    fn global_limit(&self, config: &CheckedConfig) -> Option<Arc<GlobalLimit>> {
        let rate = config.limits.requests?;
        let old = self
            .previous
            .filter(|live| live.config.limits.requests == Some(rate));
        old.and_then(|live| live.global_limit.clone())
            .or_else(|| Some(Arc::new(GlobalLimit::new(rate))))
    }

    fn tenants(
        &mut self,
        config: &CheckedConfig,
        pools: &HashMap<PoolId, Arc<PoolState>>,
        global: Option<&Arc<GlobalLimit>>,
    ) -> HashMap<TenantId, Arc<TenantLive>> {
        let bound = config.observability.metric_tenants_max as usize;
        let mut sets: HashMap<&weir_schema::ids::RuleSetId, Vec<Source>> = HashMap::new();
        for set in &config.rule_sets {
            let sources = match &set.source {
                RuleSetSource::Baseline => weir_rules::baseline(),
                RuleSetSource::Files(files) => self.sources(files),
            };
            sets.insert(&set.id, sources);
        }
        let mut tenants = HashMap::with_capacity(config.tenants.len());
        for (index, tenant) in config.tenants.iter().enumerate() {
            let rules = match tenant.waf.mode {
                WafMode::Off => None,
                WafMode::Block | WafMode::Detect => {
                    let mut sources = sets.get(&tenant.waf.rule_set).cloned().unwrap_or_default();
                    sources.extend(self.sources(&tenant.waf.rules));
                    self.rule_set(sources)
                }
            };
            let pools: Vec<Arc<PoolState>> = tenant
                .routes
                .iter()
                .filter_map(|route| pools.get(&route.pool).map(Arc::clone))
                .collect();
            let old = self.previous.and_then(|live| live.tenants.get(&tenant.id));
            let same_global = self
                .previous
                .is_some_and(|live| same(live.global_limit.as_ref(), global));
            let unchanged = old.filter(|old| {
                old.policy.tenant == *tenant
                    && same_global
                    && same(old.policy.rules.as_ref(), rules.as_ref())
                    && old
                        .pools
                        .iter()
                        .zip(&pools)
                        .all(|(old, new)| Arc::ptr_eq(old, new))
            });
            let live = unchanged.map(Arc::clone).unwrap_or_else(|| {
                let metrics = old.map(|old| Arc::clone(&old.metrics)).unwrap_or_else(|| {
                    let own = index < bound;
                    Arc::new(
                        self.metrics
                            .tenant(if own { tenant.id.as_str() } else { "other" }),
                    )
                });
                Arc::new(TenantLive {
                    policy: TenantPolicy {
                        rules,
                        routes: RouteTable::build(&tenant.routes),
                        limits: TenantLimits::new(tenant, global.map(Arc::clone)),
                        in_flight: old
                            .map(|old| Arc::clone(&old.policy.in_flight))
                            .unwrap_or_else(|| Arc::new(InFlight::default())),
                        tenant: Arc::clone(tenant),
                    },
                    pools,
                    metrics,
                })
            });
            tenants.insert(tenant.id.clone(), live);
        }
        tenants
    }

    fn sources(&mut self, files: &[PathBuf]) -> Vec<Source> {
        let mut sources = Vec::new();
        for pattern in files {
            let paths = if pattern.to_string_lossy().contains(['*', '?', '[']) {
                weir_rules::Files::glob(&Disk, pattern).unwrap_or_default()
            } else {
                vec![pattern.clone()]
            };
            if paths.is_empty() {
                let reason = "no file has such a name".to_owned();
                self.errors.push(CompileError::File {
                    path: pattern.clone(),
                    reason,
                });
            }
            for path in paths {
                if let Some(bytes) = self.read(&path) {
                    sources.push(Source {
                        path,
                        text: String::from_utf8_lossy(&bytes).into_owned(),
                    });
                }
            }
        }
        sources
    }

    fn rule_set(&mut self, sources: Vec<Source>) -> Option<Arc<RuleSet>> {
        let key: Vec<(PathBuf, String)> = sources
            .iter()
            .map(|source| (source.path.clone(), source.text.clone()))
            .collect();
        if let Some(known) = self.rule_sets.get(&key) {
            return Some(Arc::clone(known));
        }
        let old = self
            .previous
            .and_then(|live| live.rule_sets.get(&key))
            .map(Arc::clone);
        let rules = match old {
            Some(rules) => rules,
            None => match weir_rules::compile(&sources, &Disk) {
                Ok(compiled) => compiled.rules,
                Err(diagnostics) => {
                    self.errors.extend(
                        diagnostics
                            .iter()
                            .map(|found| CompileError::Rule(found.to_string())),
                    );
                    return None;
                }
            },
        };
        self.rule_sets.insert(key, Arc::clone(&rules));
        Some(rules)
    }
}

/// Whether both are the same part, or both none.
fn same<T>(old: Option<&Arc<T>>, new: Option<&Arc<T>>) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => Arc::ptr_eq(old, new),
        _ => false,
    }
}

/// An endpoint that a sweep or a probe looks at.
pub(crate) fn all_endpoints(live: &Live) -> impl Iterator<Item = (Arc<PoolState>, Arc<EndpointState>)> {
    live.pools.values().flat_map(|pool| {
        let endpoints = pool.endpoints.load_full();
        let pool = Arc::clone(pool);
        (0..endpoints.len()).filter_map(move |at| Some((Arc::clone(&pool), Arc::clone(endpoints.get(at)?))))
    })
}
