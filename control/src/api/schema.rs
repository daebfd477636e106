//! JSON Schemas of the types that travel.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::ToSchema;

/// Schemas by name.
#[derive(Default)]
pub(super) struct Schemas(pub(super) BTreeMap<String, Value>);

/// Adds the schema of a type and those that it is made of, and gives a reference to it.
pub(super) type Of = fn(&mut Schemas) -> Value;

/// [`Of`] a type.
pub(super) fn of<T: ToSchema>(schemas: &mut Schemas) -> Value {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    let name = T::name().into_owned();
    parts.push((name.clone(), T::schema()));
    for (name, schema) in parts {
        // A schema that is no JSON does not exist.
        schemas
            .0
            .entry(name)
            .or_insert_with(|| serde_json::to_value(schema).unwrap_or_default());
    }
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A page of things of a type.
pub(super) fn page_of<T: ToSchema>(schemas: &mut Schemas) -> Value {
    let item = of::<T>(schemas);
    json!({
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": item},
            "next": {"type": ["string", "null"], "description": "Path of the next page; null after the last one."},
        },
    })
}

/// JSON of a kind that is described elsewhere.
pub(super) fn any(_schemas: &mut Schemas) -> Value {
    json!({"type": "object"})
}
