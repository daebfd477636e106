//! What a change does, for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::table::plain;

/// Items of a difference that are shown.
const ITEMS_MAX: usize = 200;
/// Characters of a value that are shown.
const VALUE_CHARS_MAX: usize = 200;

/// The difference as proxies see it: one line for an item, one for each of its fields.
pub(super) fn shown(diff: &Value) -> String {
    let mut text = String::new();
    let entries = diff["entries"].as_array().map_or(&[][..], Vec::as_slice);
    // Writing to a text always works.
    for entry in entries.iter().take(ITEMS_MAX) {
        let sign = match entry["change"].as_str() {
            Some("added") => '+',
            Some("removed") => '-',
            _ => '~',
        };
        let name = |key: &str| plain(entry[key].as_str().unwrap_or_default());
        let _ = writeln!(
            text,
            "{}",
            format!("{sign} {} {}", name("kind"), name("id")).trim_end()
        );
        for field in entry["fields"].as_array().into_iter().flatten() {
            let pointer = plain(field["pointer"].as_str().unwrap_or_default());
            let _ = writeln!(
                text,
                "    {pointer}: {} -> {}",
                short(&field["old"]),
                short(&field["new"])
            );
        }
    }
    if entries.len() > ITEMS_MAX {
        let _ = writeln!(text, "... and {} more", entries.len() - ITEMS_MAX);
    }
    for key in diff["restart_keys"].as_array().into_iter().flatten() {
        let _ = writeln!(
            text,
            "! {} changes only after a restart",
            plain(key.as_str().unwrap_or_default())
        );
    }
    text
}

fn short(value: &Value) -> String {
    let text = plain(&value.to_string());
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    let start: String = text.chars().take(VALUE_CHARS_MAX).collect();
    format!("{start}...")
}

/// What control answered to a change, beside the difference: warnings, and tenants that are set aside.
pub(super) fn remarks(applied: &Value) -> Vec<String> {
    let warnings = applied["warnings"].as_array().into_iter().flatten();
    let mut remarks: Vec<String> = warnings
        .map(|warning| format!("warning: {}", plain(warning.as_str().unwrap_or_default())))
        .collect();
    for aside in applied["quarantined"].as_array().into_iter().flatten() {
        let id = plain(aside["id"].as_str().unwrap_or("without an id"));
        for reason in aside["reasons"].as_array().into_iter().flatten() {
            remarks.push(format!("set aside: tenant {id}: {}", self::reason(reason)));
        }
    }
    remarks
}

/// A reason of a refusal, as proxies and control give them.
pub(super) fn reason(reason: &Value) -> String {
    let message = reason.as_str().or_else(|| reason["message"].as_str());
    let message = message.map_or_else(|| reason.to_string(), str::to_owned);
    let pointer = reason["pointer"].as_str().filter(|pointer| !pointer.is_empty());
    plain(&pointer.map_or_else(|| message.clone(), |pointer| format!("{pointer}: {message}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_has_a_line_for_each_item_and_field() {
        let diff = json!({"entries": [
            {"kind": "tenant", "id": "a", "change": "changed", "fields": [{"pointer": "/state", "old": "active", "new": null}]},
            {"kind": "pool", "id": "b", "change": "added", "fields": []},
            {"kind": "geo", "id": "", "change": "removed", "fields": []},
        ], "restart_keys": ["node.workers"]});
        assert_eq!(
            shown(&diff),
            "~ tenant a\n    /state: \"active\" -> null\n+ pool b\n- geo\n! node.workers changes only after a restart\n"
        );
        assert_eq!(shown(&Value::Null), "");
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(
            short(&json!("x".repeat(500))).chars().count(),
            VALUE_CHARS_MAX + 3
        );
    }

    #[test]
    fn tenants_that_are_set_aside_are_told_with_their_reasons() {
        let applied = json!({"warnings": ["odd"], "quarantined": [{"id": "a", "reasons": [{"pointer": "/x", "message": "no"}, "so"]}]});
        assert_eq!(
            remarks(&applied),
            [
                "warning: odd",
                "set aside: tenant a: /x: no",
                "set aside: tenant a: so"
            ]
        );
    }
}
