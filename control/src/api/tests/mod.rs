//! The API as a client sees it, without a socket.

mod changes;
mod lists;
mod roles;
mod server;
mod tenants;
mod usage;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Extension;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use weir_schema::push::ObjectHash;

use super::dispatch::{Peer, router};
use super::*;
use crate::auth::{Names, NewSecret, Role, Scope, TokenRecord};
use crate::push::{FrameSink, Hub, Keeping};
use crate::store::{Batch, IfMatch, Kind, SqliteOptions, SqliteStore};
use crate::versions::{Compiler, Tried};

/// Refuses what has the word "refused" in it.
struct Reader;

impl Compiler for Reader {
    fn check(
        &mut self,
        index: &ObjectHash,
        object: &dyn Fn(&ObjectHash) -> Option<Vec<u8>>,
    ) -> Result<Tried, Vec<Value>> {
        let index: weir_schema::push::Index = serde_json::from_slice(&object(index).unwrap()).unwrap();
        let pages = index.iter().flatten().map(|hash| object(hash).unwrap());
        for page in pages {
            let page: weir_schema::push::Page = serde_json::from_slice(&page).unwrap();
            for (path, entry) in page {
                let bytes = object(&entry.hash).unwrap();
                if String::from_utf8_lossy(&bytes).contains("refused") {
                    return Err(vec![
                        json!({"path": path, "pointer": "/tenants/0", "message": "no", "code": "bad"}),
                    ]);
                }
            }
        }
        Ok(Tried {
            warnings: vec![],
            quarantined: json!([]),
            diff: json!([]),
            compile_ms: 0,
        })
    }
}

struct NoFrames;

impl FrameSink for NoFrames {
    fn keep(&self, _node: &str, _region: &str, _frames: Vec<Value>) -> Keeping {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status and the end of the problem's type.
    pub(super) fn problem(&self) -> (u16, &str) {
        if self.status >= 400 {
            assert_eq!(
                self.header("content-type"),
                "application/problem+json",
                "{self:?}"
            );
            assert_eq!(self.body["status"], self.status);
        }
        (
            self.status,
            self.body["type"]
                .as_str()
                .unwrap_or_default()
                .trim_start_matches("urn:weir:problem:"),
        )
    }
}

pub(super) struct Bed {
    pub(super) api: Arc<Api>,
    router: Router,
    /// A token of an admin over everything.
    pub(super) admin: String,
    _folder: tempfile::TempDir,
}

pub(super) fn parts(folder: &Path) -> impl Future<Output = ApiParts> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&SqliteOptions::new(folder)).unwrap());
    async move {
        let versions = Versions::open(Arc::clone(&store), Box::new(Reader), 1)
            .await
            .unwrap();
        let (versions, fleet) = (Arc::new(versions), Arc::new(Fleet::default()));
        let hub = Hub::new(
            Arc::clone(&store),
            Arc::clone(&versions),
            Arc::new(NoFrames),
            Arc::clone(&fleet),
        );
        let rollouts = Rollouts::open(Arc::clone(&store), Arc::clone(&versions), Arc::new(hub)).unwrap();
        ApiParts {
            store,
            versions,
            fleet,
            rollouts: Arc::new(rollouts),
            pinned: None,
        }
    }
}

impl Bed {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let api = Api::new(parts(folder.path()).await).unwrap();
        let router = router(&api).layer(Extension(Peer("127.0.0.1".into())));
        let mut bed = Self {
            api,
            router,
            admin: String::new(),
            _folder: folder,
        };
        bed.admin = bed.token(Role::Admin, Scope::ALL).await;
        bed
    }

    /// Makes a token beside the API.
    pub(super) async fn token(&self, role: Role, scope: Scope) -> String {
        let secret = NewSecret::make().unwrap();
        let record = TokenRecord {
            role,
            scope,
            note: String::new(),
            hash: secret.hash,
            created_by: "test".to_owned(),
            expires_ms: None,
            revoked_ms: None,
        };
        let batch = Batch::at(1)
            .put(Kind::Token, &secret.id, &record, IfMatch::Absent)
            .unwrap();
        self.api.parts.store.commit(batch).await.unwrap();
        secret.token
    }

    /// Asks with a token and headers.
    pub(super) async fn ask(
        &self,
        token: &str,
        line: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Got {
        let (method, target) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(target);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let typed = headers.iter().any(|(name, _)| *name == "content-type");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() && !typed {
            request = request.header("content-type", "application/json");
        }
        let body = match body {
            None => String::new(),
            // A text that is a body as it is.
            Some(Value::String(text)) => text,
            Some(body) => body.to_string(),
        };
        let request = request.body(Body::from(body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if headers
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream")
        {
            // Never ends.
            return Got {
                status,
                headers,
                body: Value::Null,
            };
        }
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Got {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    /// Asks as the admin.
    pub(super) async fn admin(&self, line: &str, headers: &[(&str, &str)], body: Option<Value>) -> Got {
        self.ask(&self.admin, line, headers, body).await
    }

    /// The events of an action, newest first.
    pub(super) async fn events(&self, action: &str) -> Vec<Value> {
        let got = self
            .admin(
                &format!("GET /v1/events?newest_first=true&action={action}"),
                &[],
                None,
            )
            .await;
        got.body["items"].as_array().unwrap().clone()
    }
}

pub(super) fn scope(tenants: &[&str], regions: &[&str]) -> Scope {
    let names = |names: &[&str]| -> Names {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<std::collections::BTreeSet<_>>()
            .into()
    };
    Scope {
        tenants: names(tenants),
        regions: names(regions),
    }
}

pub(super) fn proxy(id: &str, region: &str) -> Option<Value> {
    Some(json!({"id": id, "region": region}))
}

#[test]
fn the_openapi_document_is_the_committed_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var_os("WEIR_UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "control/openapi.json is old: WEIR_UPDATE=1 cargo test -p weir-control openapi"
    );
}
