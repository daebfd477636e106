//! The JSON Schema of the document, and the check of a tree against it: what is published is what is enforced.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::error::{At, Faults, nearest};
use super::raw::RawConfig;
use super::tree::{Kind, Node};

/// The JSON Schema (draft 2020-12) of the document.
pub fn json_schema() -> Value {
    schema_of::<RawConfig>()
}

fn schema_of<Raw: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(Raw).to_value();
    forbid_null(&mut schema);
    schema
}

/// A key without a value is refused, not read as absent: `tls:` must not silently mean cleartext.
fn forbid_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    map.extend(only);
                }
            }
            map.retain(|name, value| !(name == "default" && value.is_null()));
            if let Some(Value::Object(default)) = map.get_mut("default") {
                default.retain(|_, value| !value.is_null());
            }
            map.values_mut().for_each(forbid_null);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_null),
        _ => {}
    }
}

/// What a value must be.
pub(super) enum Rule {
    Any,
    Bool,
    Int {
        min: i128,
        max: i128,
    },
    Text {
        min: usize,
        max: usize,
    },
    OneOf(Vec<String>),
    List {
        item: Arc<Self>,
        min: usize,
        max: usize,
    },
    Map {
        keys: HashMap<String, Arc<Self>>,
        required: Vec<String>,
    },
    TextOrMap(Arc<Self>, Arc<Self>),
}

/// Longest text of a key that names no other bound.
const TEXT_BYTES_MAX: usize = 4096;

/// The rule of a whole document.
pub(super) fn document() -> &'static Rule {
    static RULE: OnceLock<Rule> = OnceLock::new();
    RULE.get_or_init(of::<RawConfig>)
}

/// The rule of a document of any type.
pub(super) fn of<Raw: JsonSchema>() -> Rule {
    let schema = schema_of::<Raw>();
    let none = Map::new();
    let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&none);
    compile(&schema, definitions)
}

fn compile(schema: &Value, definitions: &Map<String, Value>) -> Rule {
    let length = |name: &str, default: usize| {
        schema
            .get(name)
            .and_then(Value::as_u64)
            .map_or(default, |value| usize::try_from(value).unwrap_or(default))
    };
    if let Some(name) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|name| name.strip_prefix("#/$defs/"))
    {
        return definitions
            .get(name)
            .map_or(Rule::Any, |found| compile(found, definitions));
    }
    if let Some(names) = names_of(schema) {
        return Rule::OneOf(names);
    }
    if let Some([text, map]) = schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) {
        return Rule::TextOrMap(
            Arc::new(compile(text, definitions)),
            Arc::new(compile(map, definitions)),
        );
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => Rule::Bool,
        Some("integer") => {
            let bound = |name: &str, default: i128| {
                schema
                    .get(name)
                    .and_then(Value::as_u64)
                    .map_or(default, i128::from)
            };
            Rule::Int {
                min: bound("minimum", 0),
                max: bound("maximum", i128::from(u32::MAX)),
            }
        }
        Some("string") => Rule::Text {
            min: length("minLength", 0),
            max: length("maxLength", TEXT_BYTES_MAX),
        },
        Some("array") => {
            let item = schema
                .get("items")
                .map_or(Rule::Any, |item| compile(item, definitions));
            Rule::List {
                item: Arc::new(item),
                min: length("minItems", 0),
                max: length("maxItems", 100_000),
            }
        }
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let keys = properties
                .into_iter()
                .flatten()
                .map(|(name, rule)| (name.clone(), Arc::new(compile(rule, definitions))))
                .collect();
            let required = schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            Rule::Map {
                keys,
                required: required.filter_map(Value::as_str).map(str::to_owned).collect(),
            }
        }
        _ => Rule::Any,
    }
}

/// The values of a closed set, in either form that schemars writes.
fn names_of(schema: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(text).collect();
    }
    schema
        .get("oneOf")?
        .as_array()?
        .iter()
        .map(|one| one.get("const").and_then(text))
        .collect()
}

/// Checks a value's shape. Gives it without its faulty parts: an optional key is left out, a list's item is null, and a
/// map that lacks a required key is not given at all.
pub(super) fn shape(node: &Node, rule: &Rule, at: &At<'_>, faults: &mut Faults) -> Option<Value> {
    match (rule, &node.kind) {
        (Rule::Bool, Kind::Bool(value)) => Some(Value::from(*value)),
        (Rule::Int { min, max }, Kind::Int(value)) => {
            if (*min..=*max).contains(value) {
                return u64::try_from(*value).ok().map(Value::from);
            }
            faults.add(
                at,
                "out_of_range",
                format!("{value} is out of range"),
                range(*min, *max),
            );
            None
        }
        (Rule::Text { min, max }, Kind::Text(text)) => {
            let length = text.chars().count();
            if (*min..=*max).contains(&length) {
                return Some(Value::from(&**text));
            }
            let message = if text.is_empty() {
                "the text is empty".to_owned()
            } else {
                format!("the text has {length} characters")
            };
            faults.add(
                at,
                "out_of_range",
                message,
                format!("{} characters", range(*min as i128, *max as i128)),
            );
            None
        }
        (Rule::OneOf(names), Kind::Text(text)) => {
            if names.iter().any(|name| **name == **text) {
                return Some(Value::from(&**text));
            }
            let valid = format!("one of {}", list(names));
            let hint = nearest(text, names.iter().map(String::as_str))
                .map_or_else(|| valid.clone(), |near| format!("did you mean `{near}`? {valid}"));
            faults.add(
                at,
                "unknown_value",
                format!("`{}` is not a value of this key", shown(text)),
                hint,
            );
            None
        }
        (Rule::List { item, min, max }, Kind::List(items)) => {
            items_shape(items, item, (*min, *max), at, faults)
        }
        (Rule::Map { .. }, Kind::Map(_)) => map_shape(node, rule, at, faults),
        (Rule::TextOrMap(text, _), Kind::Text(_)) => shape(node, text, at, faults),
        (Rule::TextOrMap(_, map), Kind::Map(_)) => shape(node, map, at, faults),
        (_, Kind::Null) => {
            faults.add(
                at,
                "empty_value",
                "the key has no value",
                format!("{}, or leave the key out", expected(rule)),
            );
            None
        }
        (Rule::Text { .. } | Rule::OneOf(_), Kind::Int(_) | Kind::Float(_) | Kind::Bool(_)) => {
            faults.add(
                at,
                "wrong_type",
                format!("this is {}, not text", found(&node.kind)),
                "write it in quotes".to_owned(),
            );
            None
        }
        _ => {
            faults.add(
                at,
                "wrong_type",
                format!("this is {}", found(&node.kind)),
                expected(rule),
            );
            None
        }
    }
}

fn items_shape(
    items: &[Node],
    rule: &Rule,
    (min, max): (usize, usize),
    at: &At<'_>,
    faults: &mut Faults,
) -> Option<Value> {
    if !(min..=max).contains(&items.len()) {
        let hint = format!("{} items", range(min as i128, max as i128));
        faults.add(
            at,
            "out_of_range",
            format!("the list has {} items", items.len()),
            hint,
        );
        return None;
    }
    let values = items
        .iter()
        .enumerate()
        .map(|(place, item)| shape(item, rule, &at.item(place), faults).unwrap_or(Value::Null));
    Some(Value::Array(values.collect()))
}

fn map_shape(node: &Node, rule: &Rule, at: &At<'_>, faults: &mut Faults) -> Option<Value> {
    let (Rule::Map { keys, required }, Kind::Map(entries)) = (rule, &node.kind) else {
        return None;
    };
    let mut sound = true;
    let mut seen = HashSet::new();
    let mut values = Map::new();
    for (key, value) in entries {
        let name = &*key.text;
        let Some(rule) = keys.get(name) else {
            if faults.full() {
                faults.add(&At::Root, "unknown_key", "", None);
                continue;
            }
            let mut known: Vec<&str> = keys.keys().map(String::as_str).collect();
            known.sort_unstable();
            let hint = nearest(name, known.iter().copied()).map_or_else(
                || format!("known keys: {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            faults.add(
                &at.key(name),
                "unknown_key",
                format!("unknown key `{}`", shown(name)),
                hint,
            );
            continue;
        };
        if !seen.insert(name) {
            faults.add(
                &at.key(name),
                "duplicate_key",
                format!("the key `{name}` is here twice"),
                "keep one of them".to_owned(),
            );
            continue;
        }
        if let Some(value) = shape(value, rule, &at.key(name), faults) {
            values.insert(name.to_owned(), value);
        } else if required.iter().any(|needed| needed == name) {
            sound = false;
        }
    }
    for name in required {
        if !seen.contains(name.as_str()) {
            let hint = keys
                .get(name)
                .map(|rule| format!("`{name}` is {}", expected(rule)));
            faults.add(at, "missing_key", format!("the key `{name}` is missing"), hint);
            sound = false;
        }
    }
    sound.then_some(Value::Object(values))
}

/// A text cut to what a message can carry.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(80)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(80).is_some() {
        short.push('…');
    }
    short
}

fn range(min: i128, max: i128) -> String {
    if min == max {
        format!("must be {min}")
    } else {
        format!("{min} to {max}")
    }
}

fn list(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn expected(rule: &Rule) -> String {
    match rule {
        Rule::Any => "a value".to_owned(),
        Rule::Bool => "`true` or `false`".to_owned(),
        Rule::Int { min, max } => format!("a whole number, {}", range(*min, *max)),
        Rule::Text { .. } => "text".to_owned(),
        Rule::OneOf(names) => format!("one of {}", list(names)),
        Rule::List { .. } => "a list".to_owned(),
        Rule::Map { .. } => "a map of keys".to_owned(),
        Rule::TextOrMap(..) => "text or a map of keys".to_owned(),
    }
}

const fn found(kind: &Kind) -> &'static str {
    match kind {
        Kind::Null => "nothing",
        Kind::Bool(_) => "a boolean",
        Kind::Int(_) => "a whole number",
        Kind::Float(_) => "a number with a fraction or exponent",
        Kind::Text(_) => "text",
        Kind::List(_) => "a list",
        Kind::Map(_) => "a map of keys",
    }
}
