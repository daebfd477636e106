//! What a new configuration would change.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::checked::CheckedConfig;

/// What a new configuration would change.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Diff {
    /// Changed sections and items.
    pub entries: Vec<DiffEntry>,
    /// Changed keys that count only after a restart.
    pub restart_keys: Vec<String>,
}

/// One section or item that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiffEntry {
    /// `tenant`, `pool`, `listener`, `region`, `rule_set`, `quarantined`, or the name of a section.
    pub kind: &'static str,
    /// Id of the item; empty for a section.
    pub id: String,
    /// What happened to it.
    pub change: Change,
    /// What is different in it; empty for added and removed items.
    pub fields: Vec<FieldChange>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only in the new configuration.
    Added,
    /// In both, differently.
    Changed,
    /// Only in the old configuration.
    Removed,
}

/// One value that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// JSON pointer inside the item, in the checked form.
    pub pointer: String,
    /// Value before; null when there was none.
    pub old: Value,
    /// Value after; null when there is none.
    pub new: Value,
}

/// Compares two configurations.
pub fn diff(old: &CheckedConfig, new: &CheckedConfig) -> Diff {
    let mut diff = Diff::default();
    diff.section("node", &old.node, &new.node);
    diff.section("admin", &old.admin, &new.admin);
    diff.section("client", &old.client, &new.client);
    diff.section("drain", &old.drain, &new.drain);
    diff.section("trust", &old.trust, &new.trust);
    diff.section("geo", &old.geo, &new.geo);
    diff.section("limits", &old.limits, &new.limits);
    diff.section("waf", &old.waf, &new.waf);
    diff.section("observability", &old.observability, &new.observability);
    diff.section(
        "quarantine_tenants",
        &old.quarantine_tenants,
        &new.quarantine_tenants,
    );
    diff.items("listener", &old.listeners, &new.listeners, |one| one.id.as_str());
    diff.items("region", &old.regions, &new.regions, |one| one.id.as_str());
    diff.items("pool", &old.pools, &new.pools, |one| one.id.as_str());
    diff.items("rule_set", &old.rule_sets, &new.rule_sets, |one| one.id.as_str());
    diff.items("tenant", &old.tenants, &new.tenants, |one| one.id.as_str());
    diff.items("quarantined", &old.quarantined, &new.quarantined, |one| {
        one.id.as_ref().map_or("", |id| id.as_str())
    });
    diff
}

impl Diff {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn section<T: Serialize + PartialEq>(&mut self, kind: &'static str, old: &T, new: &T) {
        if old == new {
            return;
        }
        let fields = changed_fields(old, new);
        for field in &fields {
            let key = format!("{kind}{}", field.pointer.replace('/', "."));
            if matches!(kind, "node" | "admin") || key == "limits.table_keys" {
                self.restart_keys.push(key);
            }
        }
        self.entries.push(DiffEntry {
            kind,
            id: String::new(),
            change: Change::Changed,
            fields,
        });
    }

    fn items<T: Serialize + PartialEq>(
        &mut self,
        kind: &'static str,
        old: &[T],
        new: &[T],
        id: fn(&T) -> &str,
    ) {
        let before: BTreeMap<&str, &T> = old.iter().map(|one| (id(one), one)).collect();
        let after: BTreeMap<&str, &T> = new.iter().map(|one| (id(one), one)).collect();
        let mut add = |id: &str, change, fields| {
            self.entries.push(DiffEntry {
                kind,
                id: id.to_owned(),
                change,
                fields,
            })
        };
        for (id, one) in &before {
            match after.get(id) {
                None => add(id, Change::Removed, Vec::new()),
                Some(other) if other != one => add(id, Change::Changed, changed_fields(one, other)),
                Some(_) => {}
            }
        }
        for id in after.keys().filter(|id| !before.contains_key(*id)) {
            add(id, Change::Added, Vec::new());
        }
    }
}

fn changed_fields<T: Serialize>(old: &T, new: &T) -> Vec<FieldChange> {
    let value = |one: &T| serde_json::to_value(one).unwrap_or(Value::Null);
    let mut fields = Vec::new();
    walk(&value(old), &value(new), String::new(), &mut fields);
    fields
}

fn walk(old: &Value, new: &Value, pointer: String, fields: &mut Vec<FieldChange>) {
    if old == new {
        return;
    }
    if let (Value::Object(before), Value::Object(after)) = (old, new) {
        let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let at = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            walk(
                before.get(name).unwrap_or(&Value::Null),
                after.get(name).unwrap_or(&Value::Null),
                at,
                fields,
            );
        }
        return;
    }
    match (old, new) {
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (place, (old, new)) in before.iter().zip(after).enumerate() {
                walk(old, new, format!("{pointer}/{place}"), fields);
            }
        }
        _ => fields.push(FieldChange {
            pointer,
            old: old.clone(),
            new: new.clone(),
        }),
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "no change");
        }
        for entry in &self.entries {
            let sign = match entry.change {
                Change::Added => '+',
                Change::Changed => '~',
                Change::Removed => '-',
            };
            writeln!(f, "{}", format!("{sign} {} {}", entry.kind, entry.id).trim_end())?;
            for field in &entry.fields {
                writeln!(f, "    {}: {} -> {}", field.pointer, field.old, field.new)?;
            }
        }
        for key in &self.restart_keys {
            writeln!(f, "! {key} changes only after a restart")?;
        }
        Ok(())
    }
}
