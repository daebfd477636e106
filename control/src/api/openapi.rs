//! The OpenAPI 3.1 document, made from the table of routes. `control/openapi.json` is what this gives.

use serde_json::{Map, Value, json};

use super::id::PATTERN;
use super::idempotency::KEY_BYTES_MAX;
use super::problem::ProblemDocument;
use super::query::DRY_RUN;
use super::route::{BodyKind, Param, ParamKind, Route, Verb};
use super::routes::ROUTES;
use super::schema::{Schemas, of};

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut schemas = Schemas::default();
    let problem = of::<ProblemDocument>(&mut schemas);
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = route.path.replace("{*", "{");
        let operations = paths.entry(path).or_insert_with(|| json!({}));
        operations[route.verb.as_str()] = operation(route, &problem, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Weir control",
            "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "The admin API of Weir's control process. Problems are RFC 9457. What exists is changed with If-Match. A POST \
                with Idempotency-Key is done once. Lists are in pages: follow `next`. `dry_run=true` tries a change without making it.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "weir_<id>_<secret>"}},
            "schemas": schemas.0,
        },
    })
}

fn operation(route: &Route, problem: &Value, schemas: &mut Schemas) -> Value {
    let mut parameters: Vec<Value> = path_params(route.path);
    parameters.extend(route.query.iter().map(query_param));
    if route.writes() {
        parameters.push(query_param(&DRY_RUN));
    }
    if route.if_match {
        parameters.push(
            json!({"name": "If-Match", "in": "header", "required": false, "schema": {"type": "string"},
            "description": "The ETag that was read, or `*`. Without it what exists is not changed: 428."}),
        );
    }
    if route.verb == Verb::Post {
        parameters.push(json!({"name": "Idempotency-Key", "in": "header", "required": false,
            "schema": {"type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX, "pattern": "^[!-~]+$"},
            "description": "The same key with the same request is done once, and answered again, for a day."}));
    }
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "description": format!("Needs the role `{}`.", route.role.as_str()),
        "tags": [route.id.split('.').next().unwrap_or_default()],
        "parameters": parameters,
        "responses": responses(route, problem, schemas),
    });
    let content = match route.body {
        BodyKind::None => None,
        BodyKind::Json(of) => Some(json!({"application/json": {"schema": of(schemas)}})),
        BodyKind::MergePatch => Some(json!({"application/merge-patch+json": {"schema": {"type": "object"}}})),
        BodyKind::Bytes => Some(json!({"application/json": {"schema": {"type": "object"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}})),
    };
    if let Some(content) = content {
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

fn path_params(path: &str) -> Vec<Value> {
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let params = names.map(|name| {
        let name = name.trim_start_matches('*');
        let schema = match name {
            "revision" => json!({"type": "integer", "format": "int64", "minimum": 0}),
            "path" => json!({"type": "string", "minLength": 1, "maxLength": 512}),
            _ => json!({"type": "string", "pattern": PATTERN}),
        };
        json!({"name": name, "in": "path", "required": true, "schema": schema})
    });
    params.collect()
}

fn query_param(param: &Param) -> Value {
    let schema = match param.kind {
        ParamKind::Flag => json!({"type": "boolean"}),
        ParamKind::Integer(least, greatest) => {
            json!({"type": "integer", "format": "int64", "minimum": least, "maximum": greatest})
        }
        ParamKind::Text(chars) => json!({"type": "string", "minLength": 1, "maxLength": chars}),
    };
    json!({"name": param.name, "in": "query", "required": false, "schema": schema, "description": param.about})
}

/// Every status that a route can have.
fn responses(route: &Route, problem: &Value, schemas: &mut Schemas) -> Value {
    let content = match route.answer {
        Some(of) => json!({"application/json": {"schema": of(schemas)}}),
        None => json!({"text/event-stream": {"schema": {"type": "string"}}}),
    };
    let mut responses = Map::new();
    responses.insert(
        route.status.to_string(),
        json!({"description": "Done.", "content": content}),
    );
    let mut problems = vec![
        ("400", "The request cannot be read."),
        ("401", "No token, or one that is not valid."),
        ("403", "The role or scope of the token does not reach so far."),
        ("404", "It does not exist."),
        ("429", "Too many requests; see Retry-After."),
        ("500", "Control failed."),
        ("503", "Control has too much to do; see Retry-After."),
    ];
    if route.writes() {
        problems.push(("409", "It exists already, or is not possible as things stand."));
        problems.push(("413", "The body is too large."));
        problems.push(("422", "What was sent is not valid; `errors` says where."));
    }
    if !matches!(route.body, BodyKind::None) {
        problems.push(("415", "The body has another type than is taken here."));
    }
    if route.if_match {
        problems.push(("412", "It was changed since it was read."));
        problems.push(("428", "If-Match is missing."));
    }
    problems.sort_unstable();
    for (status, description) in problems {
        let content = json!({"application/problem+json": {"schema": problem}});
        responses.insert(
            status.to_owned(),
            json!({"description": description, "content": content}),
        );
    }
    Value::Object(responses)
}
