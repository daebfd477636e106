//! `CheckedConfig` becomes `Live`: files are read, rules compiled, pools kept. Unchanged tenants keep their compiled
//! parts; state that must survive a swap lives in [`Shared`], keyed by stable ids.

mod aside;
mod overlay;
mod rule_cache;
mod stamp;

use std::collections::{HashMap, HashSet};
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
use weir_decide::switch::WafSwitches;
use weir_geoip::Database;
use weir_rules::{Collections, Diagnostic, Disk, Overlay, RuleSet, Source};
use weir_schema::codes::RefusalCode;
use weir_schema::config::checked::{
    AccessLog, AuditLog, CheckedConfig, KeySource, Pool, RuleSetSource, Tenant, WafMode,
};
use weir_schema::ids::{PoolId, RuleSetId, TenantId};

use crate::claims::Claims;
use crate::engine::body::HeldBytes;
use crate::listen::certs::Certificates;
use crate::pace;
use crate::switches::Switches;
use crate::telemetry::access_log::Writer;
use crate::telemetry::audit::Auditor;
use crate::telemetry::frames::{Accounts, Frames};
use crate::telemetry::registry::{Metrics, TenantMetrics};
use crate::upstream::pool::{EndpointState, PoolState};

use rule_cache::RuleCache;
use stamp::Stamp;

pub(crate) use aside::Faults;

/// What outlives every version.
pub(crate) struct Shared {
    pub(crate) live: ArcSwap<Live>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) frames: Frames,
    pub(crate) access_log: Writer,
    pub(crate) audit: Auditor,
    pub(crate) limits: Table,
    pub(crate) claims: Claims,
    pub(crate) held: HeldBytes,
    pub(crate) guard: weir_decide::guard::ConnectionGuard,
    pub(crate) switches: Switches,
}

impl Shared {
    /// Counts a request whose head could not be read.
    pub(crate) fn unread(&self, code: RefusalCode) {
        self.metrics.unread(code);
        self.frames.unread(code);
    }
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
    pub(crate) audit_log: Option<Arc<AuditLog>>,
    pub(crate) certificates: Certificates,
    geo: Option<(GeoKey, Arc<Database>)>,
    rule_sets: RuleCache,
    /// What works but may not mean what an operator thinks.
    pub(crate) warnings: Vec<String>,
}

/// The files of the databases; `None` if they must be read again.
type GeoKey = Option<Vec<Stamp>>;

/// A tenant, compiled.
pub(crate) struct TenantLive {
    pub(crate) policy: TenantPolicy,
    /// Where each route goes, in the order of the tenant's routes.
    pools: Vec<Arc<PoolState>>,
    pub(crate) metrics: Arc<TenantMetrics>,
    pub(crate) accounts: Accounts,
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
    /// Tenants that are set aside and served on an older version.
    pub(crate) fn kept_tenants(&self) -> impl Iterator<Item = &TenantId> {
        let aside = self
            .config
            .quarantined
            .iter()
            .filter_map(|aside| aside.id.as_ref());
        aside.filter(|id| self.tenants.contains_key(*id))
    }

    /// What the stages look at.
    pub(crate) fn edge<'a>(
        &'a self,
        shared: &'a Shared,
        switches: Option<&'a WafSwitches>,
        charge: bool,
    ) -> Edge<'a, Arc<TenantLive>> {
        Edge {
            client: &self.config.client,
            hosts: &self.hosts,
            regions: &self.config.regions,
            trust: &self.config.trust,
            geo: self.geo.as_ref().map(|(_, database)| &**database),
            limits: &shared.limits,
            claims: &shared.claims,
            switches,
            charge,
        }
    }
}

/// Something that the document names could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    /// A certificate or key.
    #[error("{reason}; give a PEM chain and its key")]
    Certificate {
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
    /// Something wholly inside a tenant.
    #[error("tenant {tenant}: {error}")]
    Tenant {
        /// Whose.
        tenant: TenantId,
        /// What is wrong.
        error: Box<Self>,
    },
    /// A key that tokens are verified with.
    #[error("{}: {reason}; give a PEM public key, or the secret for HS256", path.display())]
    TokenKey {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Compiles a version; parts that `previous` has compiled from the same input are taken from it. Tenants whose own files
/// cannot be used are set aside where the document says so.
///
/// # Errors
/// All that could not be used; nothing has changed then.
pub(crate) fn compile(
    mut config: CheckedConfig,
    previous: Option<&Live>,
    metrics: &Metrics,
) -> Result<Live, Vec<CompileError>> {
    let mut errors = Vec::new();
    let mut build = Build {
        previous,
        metrics,
        rule_sets: RuleCache::after(previous.map(|live| &live.rule_sets)),
        warnings: Vec::new(),
        errors: &mut errors,
        faults: Faults::default(),
    };
    let mut pools = build.pools(&config);
    let geo = build.geo(&config);
    let global_limit = build.global_limit(&config);
    let mut tenants = build.tenants(&config, &pools, global_limit.as_ref());
    overlay::warn_of_switches(&config.waf, &tenants, &mut build.warnings);
    let old_certificates = previous.map(|live| &live.certificates);
    let mut certificates = Certificates::read(&config, old_certificates, &mut build.faults);
    let faults = std::mem::take(&mut build.faults);
    if !build.errors.is_empty() || !(faults.is_empty() || config.quarantine_tenants) {
        errors.extend(faults.into_errors());
        return Err(errors);
    }
    faults.set_aside(&mut config);
    for id in config.quarantined.iter().filter_map(|aside| aside.id.as_ref()) {
        tenants.remove(id);
        certificates.remove(id);
        let Some(old) = previous.and_then(|live| live.tenants.get(id)) else {
            continue;
        };
        tenants.insert(id.clone(), build.kept(old, &mut pools, global_limit.as_ref()));
        if let Some(old) = old_certificates.and_then(|old| old.of(id)) {
            certificates.insert(id.clone(), Arc::clone(old));
        }
    }
    for tenant in &mut config.tenants {
        // An unchanged tenant's document is kept once, not once per version.
        if let Some(live) = tenants.get(&tenant.id)
            && live.policy.tenant == *tenant
        {
            *tenant = Arc::clone(&live.policy.tenant);
        }
    }
    let hosts = owners(&config, &tenants);
    let of_tenants = hosts.iter().filter_map(|(host, owner)| match owner {
        Owner::Tenant(live) => Some((host.clone(), live.policy.tenant.id.clone())),
        Owner::Quarantined => None,
    });
    Ok(Live {
        generation: previous.map_or(1, |live| live.generation + 1),
        certificates: Certificates::new(certificates, of_tenants),
        hosts: HostTable::build(hosts),
        tenants,
        pools,
        global_limit,
        access_log: config.observability.access_log.clone().map(Arc::new),
        audit_log: config.observability.audit_log.clone().map(Arc::new),
        geo,
        rule_sets: build.rule_sets,
        warnings: build.warnings,
        config: Arc::new(config),
    })
}

/// Who has each host: sound tenants first, then those that stay on an older version, then nobody.
fn owners(
    config: &CheckedConfig,
    tenants: &HashMap<TenantId, Arc<TenantLive>>,
) -> Vec<(String, Owner<Arc<TenantLive>>)> {
    let sound = config.tenants.iter().map(|tenant| &tenant.id);
    let aside = config.quarantined.iter().filter_map(|aside| aside.id.as_ref());
    let mut seen = HashSet::new();
    let mut hosts = Vec::new();
    for live in sound.chain(aside).filter_map(|id| tenants.get(id)) {
        for host in live.policy.tenant.hosts.iter().filter(|host| seen.insert(*host)) {
            hosts.push((host.clone(), Owner::Tenant(Arc::clone(live))));
        }
    }
    for host in config.quarantined.iter().flat_map(|aside| &aside.hosts) {
        if seen.insert(host) {
            hosts.push((host.clone(), Owner::Quarantined));
        }
    }
    hosts
}

struct Build<'a> {
    previous: Option<&'a Live>,
    metrics: &'a Metrics,
    rule_sets: RuleCache,
    warnings: Vec<String>,
    errors: &'a mut Vec<CompileError>,
    faults: Faults,
}

/// The named rule sets of a version.
#[derive(Default)]
struct Sets<'a> {
    sources: HashMap<&'a RuleSetId, Vec<Source>>,
    /// Compiled where a tenant uses them; `None` for a set that cannot be.
    rules: HashMap<&'a RuleSetId, Option<Arc<RuleSet>>>,
}

impl Build<'_> {
    fn read(&mut self, path: &Path) -> Option<Vec<u8>> {
        match fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.errors.push(unreadable(path, error));
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
        let kept = old.is_some_and(|old| {
            old.pool.tls == pool.tls && old.pool.protocol == pool.protocol && pool.tls.is_none()
        });
        let known = old.map(|old| old.endpoints.load_full());
        let endpoints = crate::upstream::resolve::endpoints(pool, known, kept);
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
        let (country, asn) = (&geo.country_database, &geo.asn_database);
        // Before they are read: see `stamp`.
        let key: GeoKey = country.iter().chain(asn).map(|path| Stamp::of(path)).collect();
        if let Some((old, database)) = self.previous.and_then(|live| live.geo.as_ref())
            && key.is_some()
            && *old == key
        {
            return Some((key, Arc::clone(database)));
        }
        let country = match country {
            Some(path) => Some(self.read(path)?),
            None => None,
        };
        let asn = match asn {
            Some(path) => Some(self.read(path)?),
            None => None,
        };
        match Database::open(country, asn) {
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
        let mut sets = Sets::default();
        for set in &config.rule_sets {
            let sources = match &set.source {
                RuleSetSource::Baseline => Ok(weir_rules::baseline()),
                RuleSetSource::Files(files) => sources(files),
            };
            match sources {
                Ok(sources) => {
                    sets.sources.insert(&set.id, sources);
                }
                Err(errors) => self.errors.extend(errors),
            }
        }
        let mut tenants = HashMap::with_capacity(config.tenants.len());
        for (index, tenant) in config.tenants.iter().enumerate() {
            pace::give_way();
            let rules = match self.rules(tenant, &mut sets) {
                Ok(rules) => rules,
                Err(errors) => {
                    self.faults.add(&tenant.id, errors);
                    continue;
                }
            };
            let errors = token_keys(tenant);
            if !errors.is_empty() {
                self.faults.add(&tenant.id, errors);
                continue;
            }
            let routed: Vec<Arc<PoolState>> = tenant
                .routes
                .iter()
                .filter_map(|route| pools.get(&route.pool).map(Arc::clone))
                .collect();
            let label = if index < bound {
                tenant.id.as_str()
            } else {
                "other"
            };
            let live = self.tenant(tenant, rules, routed, global, label);
            tenants.insert(tenant.id.clone(), live);
        }
        tenants
    }

    /// A tenant with its parts; the one that is served if nothing of it differs.
    fn tenant(
        &self,
        tenant: &Arc<Tenant>,
        rules: Option<Arc<RuleSet>>,
        pools: Vec<Arc<PoolState>>,
        global: Option<&Arc<GlobalLimit>>,
        label: &str,
    ) -> Arc<TenantLive> {
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
        if let Some(unchanged) = unchanged {
            return Arc::clone(unchanged);
        }
        let metrics = old.map(|old| Arc::clone(&old.metrics));
        let in_flight = old.map(|old| Arc::clone(&old.policy.in_flight));
        let collections = old.map(|old| Arc::clone(&old.policy.collections));
        Arc::new(TenantLive {
            policy: TenantPolicy {
                rules,
                collections: collections
                    .unwrap_or_else(|| Collections::in_pool(&self.metrics.rules.collections)),
                routes: RouteTable::build(&tenant.routes),
                limits: TenantLimits::new(tenant, global.map(Arc::clone)),
                in_flight: in_flight.unwrap_or_else(|| Arc::new(InFlight::default())),
                tenant: Arc::clone(tenant),
            },
            pools,
            accounts: Accounts::new(tenant),
            metrics: metrics.unwrap_or_else(|| Arc::new(self.metrics.tenant(label))),
        })
    }

    /// A tenant that stays on its older version. It goes on to the pools of this version where they have the same name; those
    /// that are gone stay for it.
    fn kept(
        &self,
        old: &Arc<TenantLive>,
        pools: &mut HashMap<PoolId, Arc<PoolState>>,
        global: Option<&Arc<GlobalLimit>>,
    ) -> Arc<TenantLive> {
        let routes = old.policy.tenant.routes.iter().zip(&old.pools);
        let routed = routes
            .map(|(route, pool)| {
                let now = pools.entry(route.pool.clone());
                Arc::clone(now.or_insert_with(|| Arc::clone(pool)))
            })
            .collect();
        let id = &old.policy.tenant.id;
        self.tenant(
            &old.policy.tenant,
            old.policy.rules.clone(),
            routed,
            global,
            id.as_str(),
        )
    }

    /// The rules of a tenant. A set that cannot be compiled is told as the set's fault, once.
    fn rules<'s>(
        &mut self,
        tenant: &'s Tenant,
        sets: &mut Sets<'s>,
    ) -> Result<Option<Arc<RuleSet>>, Vec<CompileError>> {
        if tenant.waf.mode == WafMode::Off {
            return Ok(None);
        }
        let id = &tenant.waf.rule_set;
        let Sets { sources, rules } = sets;
        let sources = sources.get(id).map_or(&[][..], Vec::as_slice);
        let shared = match rules.get(id) {
            Some(known) => known.clone(),
            None => {
                let compiled = self.rule_set(sources);
                let compiled = compiled.map_err(|errors| self.errors.extend(errors)).ok();
                rules.insert(id, compiled.clone());
                compiled
            }
        };
        let overlay = overlay::of(&tenant.waf)?;
        let Some(base) = shared.filter(|_| overlay != Overlay::default()) else {
            return Ok(rules.get(id).cloned().flatten());
        };
        let previous = self.previous.map(|live| &live.rule_sets);
        let laid = self
            .rule_sets
            .overlay(&base, &overlay, previous)
            .map_err(rule_errors)?;
        overlay::warn(tenant, &laid.warnings, &mut self.warnings);
        Ok(Some(laid.rules))
    }

    fn rule_set(&mut self, sources: &[Source]) -> Result<Arc<RuleSet>, Vec<CompileError>> {
        let previous = self.previous.map(|live| &live.rule_sets);
        self.rule_sets.get(sources, previous).map_err(rule_errors)
    }
}

fn rule_errors(found: Vec<Diagnostic>) -> Vec<CompileError> {
    let errors = found.iter().map(|found| CompileError::Rule(found.to_string()));
    errors.collect()
}

fn unreadable(path: &Path, reason: impl ToString) -> CompileError {
    CompileError::File {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// The texts of rule files; a name may be a pattern.
fn sources(files: &[PathBuf]) -> Result<Vec<Source>, Vec<CompileError>> {
    let (mut sources, mut errors) = (Vec::new(), Vec::new());
    for pattern in files {
        let paths = if pattern.to_string_lossy().contains(['*', '?', '[']) {
            weir_rules::Files::glob(&Disk, pattern).unwrap_or_default()
        } else {
            vec![pattern.clone()]
        };
        if paths.is_empty() {
            errors.push(unreadable(pattern, "no file has such a name"));
        }
        for path in paths {
            pace::give_way();
            match fs::read(&path) {
                Ok(bytes) => sources.push(Source {
                    path,
                    text: String::from_utf8_lossy(&bytes).into_owned(),
                }),
                Err(error) => errors.push(unreadable(&path, error)),
            }
        }
    }
    if errors.is_empty() {
        Ok(sources)
    } else {
        Err(errors)
    }
}

/// What is wrong with the keys that a tenant's tokens are verified with.
fn token_keys(tenant: &Tenant) -> Vec<CompileError> {
    let sources = tenant.limits.keys.iter().map(|key| &key.source);
    let wrong = sources.filter_map(|source| match source {
        KeySource::JwtClaim {
            key_file, algorithm, ..
        } => Some(CompileError::TokenKey {
            path: key_file.clone(),
            reason: crate::claims::read_key(key_file, algorithm).err()?,
        }),
        _ => None,
    });
    wrong.collect()
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
