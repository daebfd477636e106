//! A configuration in parts, as control pushes it: the edge, and each tenant with the pools that are its own. When only
//! tenants changed, only those are checked; the result is that of the whole document.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::check::{Document, check_told};
use super::checked::CheckedConfig;
use super::error::{ConfigError, tenant_of};

/// The parts of a configuration. All texts are JSON.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The document without tenants.
    pub edge: Arc<str>,
    /// By id: an object with `tenant`, as in the document's `tenants`, and `pools`, which only this tenant may name.
    pub tenants: BTreeMap<String, Arc<str>>,
    /// Folder that relative paths resolve against.
    pub base: PathBuf,
    /// What this process says instead of the edge.
    pub own: Own,
    /// Names the whole, as `digest` of the result.
    pub digest: String,
}

/// What a proxy knows better than a configuration that is for many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Region it stands in.
    pub region: Option<String>,
    /// Folder of its state.
    pub state_dir: Option<PathBuf>,
    /// Address of its admin endpoint.
    pub admin: Option<String>,
    /// Addresses of listeners, by their ids.
    pub listeners: BTreeMap<String, String>,
}

impl Own {
    fn apply(&self, edge: &mut Map<String, Value>) {
        let set = |edge: &mut Map<String, Value>, section: &str, key: &str, value: Value| {
            let place = edge.entry(section).or_insert_with(|| json!({}));
            if let Some(place) = place.as_object_mut() {
                place.insert(key.to_owned(), value);
            }
        };
        if let Some(region) = &self.region {
            set(edge, "node", "region", json!(region));
            // A document that names no regions is for whichever there are.
            edge.entry("regions").or_insert_with(|| json!([{"id": region}]));
        }
        if let Some(folder) = &self.state_dir {
            set(edge, "node", "state_dir", json!(folder));
        }
        if let Some(address) = &self.admin {
            set(edge, "admin", "address", json!(address));
        }
        if let Some(folder) = &self.state_dir {
            // What is written does not stand among the files of the version, which come and go with it.
            for log in ["access_log", "audit_log"] {
                let file = edge
                    .get_mut("observability")
                    .and_then(|all| all.get_mut(log)?.get_mut("file"));
                if let Some(file) = file
                    && let Some(path) = file.as_str().map(|path| folder.join(path))
                {
                    *file = json!(path);
                }
            }
        }
        let listeners = edge.get_mut("listeners").and_then(Value::as_array_mut);
        for listener in listeners.into_iter().flatten() {
            let own = listener["id"].as_str().and_then(|id| self.listeners.get(id));
            if let (Some(address), Some(listener)) = (own.cloned(), listener.as_object_mut()) {
                listener.insert("address".to_owned(), json!(address));
            }
        }
    }
}

/// A configuration that was checked in parts.
#[derive(Clone, Debug)]
pub struct CheckedParts {
    /// What was checked.
    pub parts: Parts,
    /// The result.
    pub config: CheckedConfig,
    /// The pools of each tenant.
    pools: HashMap<String, Vec<String>>,
}

fn fault(pointer: String, code: &'static str, message: String) -> ConfigError {
    ConfigError {
        pointer,
        line: None,
        column: None,
        code,
        message,
        hint: None,
    }
}

/// A tenant's part, taken apart.
struct Part {
    tenant: Value,
    pools: Vec<Value>,
}

fn part(id: &str, text: &str) -> Result<Part, ConfigError> {
    let wrong = |message: String| fault(format!("/tenants/{id}"), "wrong_type", message);
    let mut value: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let tenant = value["tenant"].take();
    if tenant["id"].as_str() != Some(id) {
        return Err(wrong(format!(
            "`tenant.id` must be `{id}`, as the object's path says"
        )));
    }
    let pools = match value["pools"].take() {
        Value::Null => Vec::new(),
        Value::Array(pools) => pools,
        _ => return Err(wrong("`pools` is a list".to_owned())),
    };
    Ok(Part { tenant, pools })
}

impl Parts {
    /// The document that the parts are; with `only`, of the edge and these tenants.
    fn document(&self, only: Option<&HashSet<&str>>) -> Result<Composed, Vec<ConfigError>> {
        let wrong = |message: String| vec![fault(String::new(), "wrong_type", message)];
        let edge: Value =
            serde_json::from_str(&self.edge).map_err(|error| wrong(format!("the edge: {error}")))?;
        let Value::Object(mut edge) = edge else {
            return Err(wrong("the edge is a map".to_owned()));
        };
        if edge.contains_key("tenants") {
            return Err(wrong(
                "the edge has no `tenants`: each is an object of its own".to_owned(),
            ));
        }
        self.own.apply(&mut edge);
        let mut pools = match edge.remove("pools") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(pools)) => pools,
            Some(_) => return Err(wrong("`pools` is a list".to_owned())),
        };
        let (mut tenants, mut owned, mut ids, mut errors) =
            (Vec::new(), HashMap::new(), Vec::new(), Vec::new());
        for (id, text) in &self.tenants {
            if only.is_some_and(|only| !only.contains(id.as_str())) {
                continue;
            }
            match part(id, text) {
                Ok(part) => {
                    let names = part.pools.iter().filter_map(|pool| pool["id"].as_str());
                    owned.insert(id.clone(), names.map(str::to_owned).collect());
                    pools.extend(part.pools);
                    tenants.push(part.tenant);
                    ids.push(id.clone());
                }
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        edge.insert("pools".to_owned(), Value::Array(pools));
        edge.insert("tenants".to_owned(), Value::Array(tenants));
        Ok(Composed {
            document: Document {
                name: "pushed".to_owned(),
                base: self.base.clone(),
                text: Value::Object(edge).to_string(),
            },
            ids,
            owned,
        })
    }

    /// The whole document, for whoever needs it as one.
    ///
    /// # Errors
    /// When a part is not JSON, or not what it should be.
    pub fn compose(&self) -> Result<Document, Vec<ConfigError>> {
        self.document(None).map(|composed| composed.document)
    }
}

struct Composed {
    document: Document,
    /// Of the tenants in the document, in order.
    ids: Vec<String>,
    owned: HashMap<String, Vec<String>>,
}

impl Composed {
    fn check(&self) -> Result<CheckedConfig, Vec<ConfigError>> {
        let told = |error: &ConfigError| self.named(error.clone()).to_string();
        check_told(&self.document, &told)
            .map_err(|errors| errors.into_iter().map(|error| self.named(error)).collect())
    }

    /// With the ids of tenants in pointers instead of their places, which nobody sees.
    fn named(&self, mut error: ConfigError) -> ConfigError {
        (error.line, error.column) = (None, None);
        let id = tenant_of(&error.pointer).and_then(|place| self.ids.get(place));
        if let Some(id) = id {
            let inside = error.pointer.splitn(4, '/').nth(3);
            error.pointer = match inside {
                Some(inside) => format!("/tenants/{id}/{inside}"),
                None => format!("/tenants/{id}"),
            };
        }
        error
    }
}

/// Checks a configuration in parts. Tenants that are as in `previous` are taken from there while the edge is the same.
///
/// # Errors
/// All faults; pointers name tenants by their ids.
pub fn check_parts(parts: Parts, previous: Option<&CheckedParts>) -> Result<CheckedParts, Vec<ConfigError>> {
    let usable = previous.filter(|previous| {
        let (old, new) = (&previous.parts, &parts);
        (Arc::ptr_eq(&old.edge, &new.edge) || old.edge == new.edge)
            && old.base == new.base
            && old.own == new.own
    });
    // Who is set aside, and why, hangs on all tenants: then all are checked.
    let usable = usable.filter(|previous| previous.config.quarantined.is_empty());
    if let Some(previous) = usable
        && let Some(checked) = check_changed(&parts, previous)?
    {
        return Ok(checked);
    }
    let composed = parts.document(None)?;
    let config = composed.check()?;
    let errors = borrowed(&config, &composed.owned);
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(CheckedParts {
        config: finished(config, &parts.digest),
        pools: composed.owned,
        parts,
    })
}

fn finished(mut config: CheckedConfig, digest: &str) -> CheckedConfig {
    digest.clone_into(&mut config.digest);
    config.pools.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    config.tenants.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    config
}

/// Checks what changed; `None` when a tenant would be set aside.
fn check_changed(parts: &Parts, previous: &CheckedParts) -> Result<Option<CheckedParts>, Vec<ConfigError>> {
    let old = &previous.parts.tenants;
    let differs = |id: &str, text: &Arc<str>| {
        old.get(id)
            .is_none_or(|known| !Arc::ptr_eq(known, text) && known != text)
    };
    let changed: HashSet<&str> = parts
        .tenants
        .iter()
        .filter(|(id, text)| differs(id, text))
        .map(|(id, _)| id.as_str())
        .collect();
    // Their pools, and what they held of the names that all share, are free again.
    let gone: HashSet<&str> = old
        .keys()
        .map(String::as_str)
        .filter(|id| changed.contains(id) || !parts.tenants.contains_key(*id))
        .collect();
    let composed = parts.document(Some(&changed))?;
    let mut config = composed.check()?;
    if !config.quarantined.is_empty() {
        return Ok(None);
    }
    let kept = previous
        .config
        .tenants
        .iter()
        .filter(|tenant| !gone.contains(tenant.id.as_str()));
    let kept: Vec<_> = kept.cloned().collect();
    let hosts: HashMap<&str, &str> = kept
        .iter()
        .flat_map(|tenant| {
            tenant
                .hosts
                .iter()
                .map(|host| (host.as_str(), tenant.id.as_str()))
        })
        .collect();
    let freed: HashSet<&str> = gone
        .iter()
        .filter_map(|id| previous.pools.get(*id))
        .flatten()
        .map(String::as_str)
        .collect();
    let edge_pools: HashSet<&str> = {
        let owned: HashSet<&str> = previous.pools.values().flatten().map(String::as_str).collect();
        let pools = previous.config.pools.iter().map(|pool| pool.id.as_str());
        pools.filter(|id| !owned.contains(id)).collect()
    };
    let kept_pools = previous.config.pools.iter().filter(|pool| {
        let id = pool.id.as_str();
        !freed.contains(id) && !edge_pools.contains(id)
    });
    let kept_pools: Vec<_> = kept_pools.cloned().collect();
    let mut errors = clashes(&config, &hosts, &kept_pools, &composed);
    errors.extend(borrowed(&config, &composed.owned));
    if !errors.is_empty() {
        return Err(errors);
    }
    config.tenants.extend(kept);
    config.pools.extend(kept_pools);
    let mut pools = composed.owned;
    for (id, names) in &previous.pools {
        if !gone.contains(id.as_str()) {
            pools.insert(id.clone(), names.clone());
        }
    }
    Ok(Some(CheckedParts {
        config: finished(config, &parts.digest),
        pools,
        parts: parts.clone(),
    }))
}

/// Routes to pools of other tenants.
fn borrowed(config: &CheckedConfig, owned: &HashMap<String, Vec<String>>) -> Vec<ConfigError> {
    let owners: HashMap<&str, &str> = owned
        .iter()
        .flat_map(|(id, pools)| pools.iter().map(|pool| (pool.as_str(), id.as_str())))
        .collect();
    let mut errors = Vec::new();
    for tenant in &config.tenants {
        let id = tenant.id.as_str();
        for route in &tenant.routes {
            let pool = route.pool.as_str();
            if owners.get(pool).is_some_and(|owner| *owner != id) {
                let pointer = format!("/tenants/{id}/routes");
                errors.push(fault(
                    pointer,
                    "unknown_reference",
                    format!("there is no pool `{pool}` for this tenant"),
                ));
            }
        }
    }
    errors
}

/// Names that a changed tenant wants and another one has.
fn clashes(
    config: &CheckedConfig,
    hosts: &HashMap<&str, &str>,
    kept_pools: &[Arc<super::checked::Pool>],
    composed: &Composed,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for tenant in &config.tenants {
        for host in &tenant.hosts {
            if let Some(owner) = hosts.get(host.as_str()) {
                let message = format!("the host `{host}` belongs to tenant `{owner}` already");
                errors.push(fault(
                    format!("/tenants/{}/hosts", tenant.id.as_str()),
                    "duplicate_host",
                    message,
                ));
            }
        }
    }
    let taken: HashSet<&str> = kept_pools.iter().map(|pool| pool.id.as_str()).collect();
    for (id, names) in &composed.owned {
        for name in names.iter().filter(|name| taken.contains(name.as_str())) {
            let message = format!("another tenant has a pool `{name}` already");
            errors.push(fault(format!("/tenants/{id}/pools"), "duplicate_id", message));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EDGE: &str = r#"{"version":1,"listeners":[{"id":"web","address":"127.0.0.1:0"}],
        "pools":[{"id":"shared","endpoints":["127.0.0.1:1"]}],"tiers":[{"id":"t","limits":{"tenant":{"requests":5}}}]}"#;

    fn parts(edge: &str, tenants: &[(u8, u8, u8, u16)]) -> Parts {
        let text = |(id, host, pool, rate): &(u8, u8, u8, u16)| {
            let id = format!("t{id}");
            let part = json!({
                "tenant": {"id": id, "hosts": [format!("h{host}.test")], "tier": "t",
                    "limits": {"address": {"requests": rate}},
                    "routes": [{"id": "all", "pool": if *pool == 0 { "shared".to_owned() } else { format!("p{pool}") }}]},
                "pools": if *pool < 2 { json!([]) } else { json!([{"id": format!("p{pool}"), "endpoints": ["127.0.0.1:2"]}]) },
            });
            (id, Arc::from(part.to_string()))
        };
        Parts {
            edge: Arc::from(edge),
            tenants: tenants.iter().map(text).collect(),
            base: PathBuf::from("/tmp"),
            own: Own::default(),
            digest: format!("{tenants:?}"),
        }
    }

    fn tenants() -> impl Strategy<Value = Vec<(u8, u8, u8, u16)>> {
        prop::collection::vec(
            (
                0..8_u8,
                0..12_u8,
                prop_oneof![3 => Just(0_u8), 1 => 1..6_u8],
                0..3_u16,
            ),
            0..8,
        )
    }

    proptest! {
        #[test]
        fn checking_what_changed_gives_what_checking_all_gives(old in tenants(), new in tenants(), aside: bool) {
            let edge = if aside { EDGE.replace("\"version\":1", "\"version\":1,\"tenant_errors\":\"quarantine\"") } else { EDGE.to_owned() };
            if let Ok(previous) = check_parts(parts(&edge, &old), None) {
                let (changed, whole) = (
                    check_parts(parts(&edge, &new), Some(&previous)),
                    check_parts(parts(&edge, &new), None),
                );
                match (changed, whole) {
                    (Ok(changed), Ok(whole)) => {
                        prop_assert_eq!(changed.config, whole.config);
                        prop_assert_eq!(changed.pools, whole.pools);
                    }
                    (changed, whole) => prop_assert_eq!(changed.is_err(), whole.is_err()),
                }
            }
        }
    }

    #[test]
    fn faults_name_the_tenant_and_what_a_process_says_of_itself_counts() {
        let mut faulty = parts(EDGE, &[(1, 1, 0, 1), (2, 2, 1, 1)]);
        let errors = check_parts(faulty.clone(), None).unwrap_err();
        assert_eq!(errors[0].pointer, "/tenants/t2/routes/0/pool");
        faulty.tenants.remove("t2");
        faulty.edge = Arc::from(EDGE.replace(
            "\"version\":1",
            "\"version\":1,\"observability\":{\"access_log\":{\"file\":\"access.log\"}}",
        ));
        faulty.own = Own {
            region: Some("eu".to_owned()),
            state_dir: Some(PathBuf::from("/state")),
            admin: Some("127.0.0.1:7".to_owned()),
            listeners: BTreeMap::from([("web".to_owned(), "127.0.0.1:8".to_owned())]),
        };
        let config = check_parts(faulty, None).unwrap().config;
        assert_eq!(config.node.region.as_str(), "eu");
        assert_eq!(config.admin.address.port(), 7);
        assert_eq!(config.listeners[0].address.port(), 8);
        assert_eq!(config.node.state_dir, Some(PathBuf::from("/state")));
        let log = config.observability.access_log.unwrap();
        assert_eq!(
            log.sink,
            crate::config::checked::LogSink::File(PathBuf::from("/state/access.log"))
        );
    }
}
