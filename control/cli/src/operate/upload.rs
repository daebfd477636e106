//! What of a document has to be sent: control has most of it already.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};
use weir_control::bundle::{Bundle, is_managed};
use weir_schema::push::ObjectHash;

use super::ask::{Client, query};
use super::list::{PAGE, pages};
use super::trouble::Trouble;

/// Bytes of a change; control takes no more.
const CHANGE_BYTES_MAX: usize = 128 << 20;

/// What control serves.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// 0 before the first version.
    pub(super) revision: u64,
    /// Hashes by path.
    pub(super) paths: BTreeMap<String, String>,
}

impl Served {
    /// Asks for it.
    pub(super) fn ask(client: &Client) -> Result<Self, Trouble> {
        let mut served = Self::default();
        let mut first = None;
        let path = format!("/v1/config{}", query(&[("limit", Some(PAGE.to_owned()))]));
        pages(client, &path, |items, etag| {
            if *first.get_or_insert(etag) != etag {
                return Err(Trouble::Invalid(vec![
                    "somebody changed the configuration while it was read: try again".to_owned(),
                ]));
            }
            for item in items {
                if let (Some(path), Some(hash)) = (item["path"].as_str(), item["hash"].as_str()) {
                    served.paths.insert(path.to_owned(), hash.to_owned());
                }
            }
            Ok(true)
        })?;
        served.revision = first.flatten().unwrap_or(0);
        Ok(served)
    }
}

/// What differs.
#[derive(Debug, Default)]
pub(super) struct Upload {
    put: BTreeMap<String, Vec<u8>>,
    /// Paths that the document made once and has no more.
    pub(super) remove: Vec<String>,
}

impl Upload {
    /// Of a document's objects from what is served.
    pub(super) fn of(bundle: Bundle, served: &Served) -> Self {
        let gone = served.paths.keys().filter(|path| is_managed(path));
        let remove = gone.filter(|path| !bundle.contains_key(*path)).cloned().collect();
        let put = bundle.into_iter().filter(|(path, bytes)| {
            let hash = served.paths.get(path);
            hash.is_none_or(|hash| *hash != ObjectHash::of(bytes).to_string())
        });
        Self {
            put: put.collect(),
            remove,
        }
    }

    /// Paths that are sent.
    pub(super) fn paths(&self) -> impl Iterator<Item = &String> {
        self.put.keys()
    }

    /// The body of the request.
    ///
    /// # Errors
    /// When it is too much at once.
    pub(super) fn body(&self, note: &str, emergency: bool) -> Result<Value, Trouble> {
        let (mut put, mut files) = (Map::new(), Map::new());
        let mut bytes = 0_usize;
        for (path, object) in &self.put {
            if path.starts_with("files/") {
                bytes = bytes.saturating_add(object.len().div_ceil(3) * 4);
                files.insert(path.clone(), json!(BASE64.encode(object)));
            } else {
                bytes = bytes.saturating_add(object.len());
                let document = serde_json::from_slice(object)
                    .map_err(|error| Trouble::Invalid(vec![format!("{path}: {error}")]))?;
                put.insert(path.clone(), document);
            }
            bytes = bytes.saturating_add(path.len() + 8);
            if bytes > CHANGE_BYTES_MAX - 4096 {
                return Err(Trouble::Invalid(vec![format!(
                    "control takes at most {} MiB at once, and more differs: send the largest files first, one by one, with \
                     `weir config put files/... -f FILE`",
                    CHANGE_BYTES_MAX >> 20
                )]));
            }
        }
        Ok(json!({"put": put, "files": files, "remove": self.remove, "note": note, "emergency": emergency}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(paths: &[(&str, &[u8])]) -> Served {
        let hashed = paths
            .iter()
            .map(|(path, bytes)| ((*path).to_owned(), ObjectHash::of(bytes).to_string()));
        Served {
            revision: 3,
            paths: hashed.collect(),
        }
    }

    #[test]
    fn only_what_differs_is_sent_and_only_what_a_document_makes_is_removed() {
        let bundle: Bundle = [
            ("edge", &b"{\"version\":1}"[..]),
            ("files/a", b"new"),
            ("files/b", b"same"),
            ("tenants/t", b"{}"),
        ]
        .map(|(path, bytes)| (path.to_owned(), bytes.to_vec()))
        .into();
        let served = served(&[
            ("edge", b"{\"version\":1}"),
            ("edge/eu", b"{}"),
            ("files/a", b"old"),
            ("files/b", b"same"),
            ("files/gone", b"x"),
            ("tenants/gone", b"{}"),
        ]);
        let upload = Upload::of(bundle, &served);
        assert_eq!(upload.remove, ["files/gone", "tenants/gone"]);
        let body = upload.body("why", true).unwrap();
        assert_eq!(
            body,
            json!({"put": {"tenants/t": {}}, "files": {"files/a": "bmV3"}, "remove": ["files/gone", "tenants/gone"],
                "note": "why", "emergency": true})
        );
    }

    #[test]
    fn too_much_at_once_is_told() {
        let bundle = Bundle::from([("files/big".to_owned(), vec![0; 100 << 20])]);
        let upload = Upload::of(bundle, &Served::default());
        assert!(matches!(upload.body("", false), Err(Trouble::Invalid(_))));
    }
}
