//! What tenants change of their rule set, checked.

use super::super::checked::{ExcludedRules, Exclusion};
use super::super::error::At;
use super::super::raw::{List, RawExclusion, RawTx, RawWaf};
use super::Scope;
use crate::config::rule::shown;

/// Exclusions; each names its rules once.
pub(super) fn exclusions(raw: &List<RawExclusion>, at: &At<'_>, scope: &mut Scope<'_>) -> Vec<Exclusion> {
    let mut all = Vec::new();
    for (place, one) in raw.iter() {
        let at = at.item(place);
        let rules = match (one.id, &one.tag, &one.message) {
            (Some(first), None, None) => ExcludedRules::Ids {
                first,
                last: one.id_last.unwrap_or(first),
            },
            (None, Some(tag), None) if one.id_last.is_none() => ExcludedRules::Tag(tag.clone()),
            (None, None, Some(message)) if one.id_last.is_none() => ExcludedRules::Message(message.clone()),
            _ => {
                scope.faults.add(
                    &at,
                    "conflict",
                    "the exclusion does not say once which rules it is about",
                    "exactly one of `id` (with or without `id_last`), `tag` and `message`".to_owned(),
                );
                continue;
            }
        };
        if let ExcludedRules::Ids { first, last } = rules
            && last < first
        {
            let message = format!("{last} is below `id`, {first}");
            scope.invalid(&at.key("id_last"), message, "the last id of the range");
        }
        all.push(Exclusion {
            rules,
            targets: one.targets.iter().map(|(_, target)| target.clone()).collect(),
            note: one.note.clone(),
        });
    }
    all
}

/// The TX variables that `tx` and the keys with a name of their own set; `None` when no key is there. A key with a name of its
/// own and `tx` may not both set one.
pub(super) fn variables(
    raw: &RawWaf,
    base: &[(String, String)],
    at: &At<'_>,
    scope: &mut Scope<'_>,
) -> Vec<(String, String)> {
    let mut own: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: Option<u32>| {
        own.extend(value.map(|value| (name.to_owned(), value.to_string())));
    };
    set("blocking_paranoia_level", raw.paranoia.map(u32::from));
    set("detection_paranoia_level", raw.paranoia.map(u32::from));
    set("inbound_anomaly_score_threshold", raw.inbound_threshold);
    set("outbound_anomaly_score_threshold", raw.outbound_threshold);
    let by_key = own.len();
    let empty = List::default();
    let list = at.key("tx");
    for (place, RawTx { name, value }) in raw.tx.as_ref().unwrap_or(&empty).iter() {
        let item = list.item(place);
        let at = item.key("name");
        if !super::text::token(name, 128) {
            let message = format!("`{}` is not a variable's name", shown(name));
            scope.invalid(&at, message, "the name without `tx.`");
            continue;
        }
        let name = name.to_ascii_lowercase();
        match own.iter().position(|(known, _)| *known == name) {
            // More in detection than `paranoia` blocks is what the pair is for.
            Some(known) if known < by_key && name == "detection_paranoia_level" => {
                if let Some(slot) = own.get_mut(known) {
                    slot.1.clone_from(value);
                }
            }
            Some(_) => scope.faults.add(
                &at,
                "duplicate_id",
                format!("`tx.{name}` is set already"),
                "each variable once, by its own key or here".to_owned(),
            ),
            None => own.push((name, value.clone())),
        }
    }
    let inherited = base
        .iter()
        .filter(|(name, _)| own.iter().all(|(own, _)| own != name));
    let mut all: Vec<_> = inherited.cloned().collect();
    all.append(&mut own);
    all
}
