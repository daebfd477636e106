//! From text to a configuration that may run, or all its faults at once.
//!
//! First the tree is read, then its shape is checked against the schema, then what is sound is checked for meaning. A
//! faulty part is left out for the last step, so that one fault hides no other.

mod edge;
mod overlay;
mod tenant;
mod text;
mod upstream;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::checked::{CheckedConfig, Quarantined};
use super::error::{At, ConfigError, Faults, nearest, tenant_of};
use super::raw::{RawConfig, TenantErrors};
use super::rule;
use super::tree::{self, Node};
use crate::ids::TenantId;

/// A document to check.
#[derive(Clone, Debug)]
pub struct Document {
    /// Shown in messages, usually the path of the file.
    pub name: String,
    /// Folder that relative paths in the document resolve against.
    pub base: PathBuf,
    /// YAML or JSON, at most 64 MiB.
    pub text: String,
}

/// Most reasons kept of a quarantined tenant.
const REASONS_MAX: usize = 20;

/// Checks a document. Pure: no file that it names is read.
///
/// # Errors
/// All faults in the order of the document. With `tenant_errors: quarantine`, faults wholly inside tenants set those
/// tenants aside instead.
pub fn check(document: &Document) -> Result<CheckedConfig, Vec<ConfigError>> {
    check_told(document, &ToString::to_string)
}

/// As [`check`]; `told` makes the reasons of tenants that are set aside.
pub(super) fn check_told(
    document: &Document,
    told: &dyn Fn(&ConfigError) -> String,
) -> Result<CheckedConfig, Vec<ConfigError>> {
    let tree = tree::parse(&document.text).map_err(|error| vec![error])?;
    let mut faults = Faults::default();
    let value = rule::shape(&tree, rule::document(), &At::Root, &mut faults);
    let Some(value) = value else {
        return Err(faults.into_errors(Some(&tree)));
    };
    let raw: RawConfig = match serde_json::from_value(value) {
        Ok(raw) => raw,
        Err(error) => {
            // The schema is made from the same types, so this is a fault of ours; it still must not panic.
            faults.add(&At::Root, "wrong_type", error.to_string(), None);
            return Err(faults.into_errors(Some(&tree)));
        }
    };
    let mut scope = Scope {
        base: &document.base,
        names: Names::new(&tree),
        faults,
        hints: HINTS_MAX,
    };
    let built = build(&raw, &mut scope);
    let faults = scope.faults;
    let Some(mut config) = built else {
        return Err(faults.into_errors(Some(&tree)));
    };
    if !faults.is_empty() {
        if raw.tenant_errors == TenantErrors::Refuse || !faults.only_tenants() {
            return Err(faults.into_errors(Some(&tree)));
        }
        config.quarantined = quarantine(faults.into_errors(Some(&tree)), &tree, told);
        let aside: HashSet<&str> = config
            .quarantined
            .iter()
            .filter_map(|one| one.id.as_ref())
            .map(TenantId::as_str)
            .collect();
        config
            .tenants
            .retain(|tenant| !aside.contains(tenant.id.as_str()));
        // A host that a sound tenant serves stays with it.
        let served: HashSet<&String> = config.tenants.iter().flat_map(|tenant| &tenant.hosts).collect();
        for one in &mut config.quarantined {
            one.hosts.retain(|host| !served.contains(host));
        }
    }
    config.digest = digest(&tree);
    Ok(config)
}

/// A document as one JSON value, its shape checked but not its meaning.
///
/// # Errors
/// All faults of its shape.
pub fn document_value(document: &Document) -> Result<serde_json::Value, Vec<ConfigError>> {
    let tree = tree::parse(&document.text).map_err(|error| vec![error])?;
    let mut faults = Faults::default();
    let value = rule::shape(&tree, rule::document(), &At::Root, &mut faults);
    match value.filter(|_| faults.is_empty()) {
        Some(value) => Ok(value),
        None => Err(faults.into_errors(Some(&tree))),
    }
}

/// The folder for last-known-good versions that a document names, also one that does not pass the check. `None` when it
/// names none, or cannot be read at all.
pub fn state_dir_of(document: &Document) -> Option<PathBuf> {
    let tree = tree::parse(&document.text).ok()?;
    let folder = tree.get("node")?.get("state_dir")?.text()?;
    Some(document.base.join(folder))
}

fn digest(tree: &Node) -> String {
    let mut canonical = String::new();
    tree.canonical(&mut canonical);
    Sha256::digest(canonical.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn build(raw: &RawConfig, scope: &mut Scope<'_>) -> Option<CheckedConfig> {
    let node = edge::node(&raw.node, scope);
    let admin = edge::admin(&raw.admin, scope);
    let trust = edge::trust(&raw.trust, scope);
    let listeners = edge::listeners(raw, scope);
    let regions = edge::regions(raw.regions.as_ref(), scope);
    let geo = edge::geo(raw.geo.as_ref(), scope);
    let pools = upstream::pools(&raw.pools, scope);
    let rule_sets = tenant::rule_sets(&raw.rule_sets, scope);
    let tenants = tenant::tenants(raw, &regions, scope);
    let observability = edge::observability(&raw.observability, scope);
    Some(CheckedConfig {
        digest: String::new(),
        node: node?,
        admin: admin?,
        listeners,
        client: edge::client(&raw.client),
        drain: edge::drain(&raw.drain),
        trust,
        regions,
        geo,
        limits: edge::limits(&raw.limits),
        pools: pools.into_iter().map(Arc::new).collect(),
        waf: edge::waf(&raw.waf),
        rule_sets,
        tenants: tenants.into_iter().map(Arc::new).collect(),
        quarantine_tenants: raw.tenant_errors == TenantErrors::Quarantine,
        quarantined: Vec::new(),
        observability,
    })
}

/// The faulty tenants, each once, in the order of the document.
fn quarantine(
    errors: Vec<ConfigError>,
    tree: &Node,
    told: &dyn Fn(&ConfigError) -> String,
) -> Vec<Quarantined> {
    let mut reasons: std::collections::BTreeMap<usize, Vec<String>> = std::collections::BTreeMap::new();
    for error in errors {
        if let Some(place) = tenant_of(&error.pointer) {
            let kept = reasons.entry(place).or_default();
            if kept.len() < REASONS_MAX {
                kept.push(told(&error));
            }
        }
    }
    let tenants = tree.get("tenants").map_or(&[][..], Node::items);
    let aside = reasons.into_iter().map(|(place, reasons)| {
        let tenant = tenants.get(place);
        let id = tenant
            .and_then(|tenant| tenant.get("id"))
            .and_then(Node::text)
            .and_then(TenantId::new);
        let hosts = tenant
            .and_then(|tenant| tenant.get("hosts"))
            .map_or(&[][..], Node::items);
        let hosts = hosts
            .iter()
            .filter_map(Node::text)
            .filter_map(|host| text::host(host).ok())
            .collect();
        Quarantined { id, hosts, reasons }
    });
    aside.collect()
}

/// Most "did you mean" searches through the document's own names.
const HINTS_MAX: u32 = 100;

/// What the checks of sections share.
struct Scope<'a> {
    base: &'a PathBuf,
    names: Names<'a>,
    faults: Faults,
    hints: u32,
}

/// Ids that the document gives, also those of faulty items: one fault must not make others.
struct Names<'a> {
    pools: HashSet<&'a str>,
    regions: HashSet<&'a str>,
    rule_sets: HashSet<&'a str>,
    tiers: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    fn new(tree: &'a Node) -> Self {
        let of = |list: &str| -> HashSet<&'a str> {
            let items = tree.get(list).map_or(&[][..], Node::items);
            items
                .iter()
                .filter_map(|item| item.get("id"))
                .filter_map(Node::text)
                .collect()
        };
        let mut names = Self {
            pools: of("pools"),
            regions: of("regions"),
            rule_sets: of("rule_sets"),
            tiers: of("tiers"),
        };
        names.rule_sets.insert("baseline");
        if tree.get("regions").is_none() {
            names.regions.insert("local");
        }
        names
    }

    const fn of(&self, kind: Kind) -> &HashSet<&'a str> {
        match kind {
            Kind::Pool => &self.pools,
            Kind::Region => &self.regions,
            Kind::RuleSet => &self.rule_sets,
            Kind::Tier => &self.tiers,
        }
    }
}

/// What a reference names.
#[derive(Clone, Copy)]
enum Kind {
    Pool,
    Region,
    RuleSet,
    Tier,
}

impl Kind {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Pool => ("pool", "pools"),
            Self::Region => ("region", "regions"),
            Self::RuleSet => ("rule set", "rule_sets"),
            Self::Tier => ("tier", "tiers"),
        }
    }
}

impl Scope<'_> {
    /// A path of the document, resolved.
    fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    /// Records a value that no check of its text accepts.
    fn invalid(&mut self, at: &At<'_>, message: String, hint: &str) {
        self.faults.add(at, "invalid_value", message, hint.to_owned());
    }

    /// An id, its characters checked.
    fn id<T>(&mut self, text: &str, at: &At<'_>, new: fn(&str) -> Option<T>) -> Option<T> {
        let id = new(text);
        if id.is_none() {
            let message = format!("`{}` is not an id", rule::shown(text));
            self.invalid(
                at,
                message,
                "1 to 63 of a-z A-Z 0-9 . _ -, starting with a letter or digit",
            );
        }
        id
    }

    /// Records an id that an earlier item has already.
    fn unique<'n>(&mut self, seen: &mut HashMap<&'n str, usize>, id: &'n str, place: usize, at: &At<'_>) {
        if let Some(first) = seen.insert(id, place) {
            seen.insert(id, first);
            let message = format!(
                "item {first} of this list has the id `{}` already",
                rule::shown(id)
            );
            self.faults.add_shared(
                &at.key("id"),
                "duplicate_id",
                message,
                "ids are unique in their list".to_owned(),
            );
        }
    }

    /// An id that must be one of the document's.
    fn refer<T>(&mut self, kind: Kind, text: &str, at: &At<'_>, new: fn(&str) -> Option<T>) -> Option<T> {
        let id = self.id(text, at, new)?;
        if self.names.of(kind).contains(text) {
            return Some(id);
        }
        let (word, list) = kind.words();
        let near = if self.hints > 0 {
            nearest(text, self.names.of(kind).iter().copied())
        } else {
            None
        };
        self.hints = self.hints.saturating_sub(1);
        let hint = near.map_or_else(
            || format!("the ids in `{list}`"),
            |near| format!("did you mean `{near}`?"),
        );
        self.faults.add(
            at,
            "unknown_reference",
            format!("there is no {word} `{text}`"),
            hint,
        );
        None
    }
}
