//! Every key of the configuration changes something that a test sees.

use std::collections::BTreeSet;

use serde_json::Value;

/// Names of all properties in the JSON Schema of the document.
fn keys(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(properties) = map.get("properties").and_then(Value::as_object) {
                found.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| keys(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

/// Whether the sources of the facts name a key in a pointer or in a document.
fn tested(key: &str, sources: &str) -> bool {
    let forms = [format!("/{key}\""), format!("/{key}/"), format!("\"{key}\"")];
    forms.iter().any(|form| sources.contains(form.as_str()))
}

#[test]
fn every_key_has_a_fact() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let facts = files.filter(|path| path.is_file() && !path.ends_with("config_keys.rs"));
    let mut sources: String = facts.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    sources.push_str(include_str!("../src/config.rs"));
    let mut all = BTreeSet::new();
    keys(&weir_schema::config::json_schema(), &mut all);
    assert!(all.len() > 80, "the schema has only {} keys", all.len());
    let untested: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|key| !tested(key, &sources))
        .collect();
    assert!(untested.is_empty(), "keys without a fact: {untested:?}");
}

#[test]
fn the_document_of_the_tests_is_valid() {
    let text = weir_tests::config::Config::with_origin("127.0.0.1:9".parse().unwrap())
        .with_tls("a.pem", "a.key")
        .text();
    let document = weir_schema::config::Document {
        name: "test".into(),
        base: ".".into(),
        text,
    };
    let checked = weir_schema::config::check(&document);
    assert!(checked.is_ok(), "{:?}", checked.err());
}
