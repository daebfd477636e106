//! Configuration documents for tests: one working document, changed key by key.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// A document in the raw form that users write.
#[derive(Clone, Debug)]
pub struct Config(Value);

impl Config {
    /// Listener `web` and admin on ports of the kernel's choice, pool `app` at `origin`, tenant `acme` with `acme.test`, its
    /// subdomains and `127.0.0.1`, and one route `all`. Every other key has its default.
    pub fn with_origin(origin: SocketAddr) -> Self {
        Self(json!({
            "version": 1,
            "node": { "workers": 1 },
            "admin": { "address": "127.0.0.1:0" },
            "listeners": [ { "id": "web", "address": "127.0.0.1:0" } ],
            "pools": [ { "id": "app", "endpoints": [ origin.to_string() ] } ],
            "tenants": [ {
                "id": "acme",
                "hosts": ["acme.test", "*.acme.test", "127.0.0.1"],
                "routes": [ { "id": "all", "pool": "app" } ],
            } ],
        }))
    }

    /// Sets the value at a JSON pointer; objects on the way are made, `-` appends to a list.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut place = &mut self.0;
        for part in pointer.split('/').skip(1) {
            place = step(place, part, pointer);
        }
        *place = value.into();
        self
    }

    /// Adds a TLS listener `websecure` and gives the tenant a certificate by file names relative to the document.
    #[must_use]
    pub fn with_tls(self, cert_file: &str, key_file: &str) -> Self {
        self.set(
            "/listeners/-",
            json!({ "id": "websecure", "address": "127.0.0.1:0", "tls": {} }),
        )
        .set(
            "/tenants/0/tls/certificates",
            json!([ { "cert_file": cert_file, "key_file": key_file } ]),
        )
    }

    /// A second tenant with its own host and certificate files, on the same pool.
    #[must_use]
    pub fn with_tenant(self, id: &str, host: &str) -> Self {
        self.set(
            "/tenants/-",
            json!({ "id": id, "hosts": [host], "routes": [ { "id": "all", "pool": "app" } ] }),
        )
    }

    /// The document as JSON text (which is also YAML).
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(&self.0).expect("a JSON value is always printable")
    }

    /// The document as a value.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

fn step<'a>(place: &'a mut Value, part: &str, pointer: &str) -> &'a mut Value {
    if let Value::Array(items) = place {
        let index = if part == "-" {
            items.push(Value::Null);
            items.len() - 1
        } else {
            part.parse()
                .unwrap_or_else(|_| panic!("{pointer}: {part} is no index"))
        };
        return items
            .get_mut(index)
            .unwrap_or_else(|| panic!("{pointer}: no element {part}"));
    }
    if !place.is_object() {
        *place = json!({});
    }
    place
        .as_object_mut()
        .expect("made an object above")
        .entry(part)
        .or_insert(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_makes_objects_and_appends() {
        let origin = "127.0.0.1:9".parse().unwrap();
        let config = Config::with_origin(origin)
            .set("/client/h2/streams_max", 3)
            .with_tenant("b", "b.test");
        assert_eq!(config.value().pointer("/client/h2/streams_max"), Some(&json!(3)));
        assert_eq!(
            config.value().pointer("/tenants/1/hosts/0"),
            Some(&json!("b.test"))
        );
        assert_eq!(
            config.value().pointer("/pools/0/endpoints/0"),
            Some(&json!("127.0.0.1:9"))
        );
    }
}
