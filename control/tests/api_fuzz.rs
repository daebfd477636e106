//! The API against schemathesis (PyPI), from the OpenAPI document that is committed. `.ci/setup` installs it.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use weir_control::api::{Api, ApiAddress, ApiOptions, ApiParts, ApiServer, Limits};
use weir_control::push::{Fleet, FrameSink, Hub, Keeping};
use weir_control::rollouts::Rollouts;
use weir_control::store::{SqliteOptions, SqliteStore, Store};
use weir_control::versions::{Compiler, Tried, Versions};
use weir_schema::push::ObjectHash;

/// For all of it.
const FUZZ_MAX: Duration = Duration::from_secs(540);

struct TakesAll;

impl Compiler for TakesAll {
    fn check(
        &mut self,
        _index: &ObjectHash,
        _object: &dyn Fn(&ObjectHash) -> Option<Vec<u8>>,
    ) -> Result<Tried, Vec<Value>> {
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

async fn serve(folder: &Path) -> (String, String, watch::Sender<bool>) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&SqliteOptions::new(folder)).unwrap());
    let versions = Versions::open(Arc::clone(&store), Box::new(TakesAll), 1)
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
    let parts = ApiParts {
        store,
        versions,
        fleet,
        rollouts: Arc::new(rollouts),
        pinned: None,
    };
    // It tries wrong tokens more often than an address may.
    let limits = Limits {
        failed_logins: 100_000,
        ..Limits::default()
    };
    let api = Api::with_limits(parts, limits).unwrap();
    api.tokens().bootstrap(folder, 1).await.unwrap();
    let address = ApiAddress::Tcp("127.0.0.1:0".parse().unwrap());
    let options = ApiOptions {
        address,
        certificate: None,
        plain: false,
    };
    let server = ApiServer::bind(&options, &api).await.unwrap();
    let url = format!("http://{}", server.address().unwrap().unwrap());
    let (ended, end) = watch::channel(false);
    tokio::spawn(server.run(end));
    let token = std::fs::read_to_string(folder.join("admin.token")).unwrap();
    (url, token.trim().to_owned(), ended)
}

fn schemathesis() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let venv = root.join("target/schemathesis/bin/schemathesis");
    let found = venv.exists().then_some(venv);
    assert!(
        found.is_some() || std::env::var("CI").as_deref() != Ok("true"),
        "schemathesis is missing: .ci/setup installs it"
    );
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_failure() {
    let Some(schemathesis) = schemathesis() else {
        eprintln!("not checked: schemathesis is not installed (CI=true .ci/setup installs it)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (url, token, _ended) = serve(folder.path()).await;
    let control = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seed = std::env::var("WEIR_FUZZ_SEED").unwrap_or_else(|_| "1".to_owned());
    let examples = std::env::var("WEIR_FUZZ_EXAMPLES").unwrap_or_else(|_| "15".to_owned());
    let child = tokio::process::Command::new(schemathesis)
        .arg("--config-file")
        .arg(control.join("tests/schemathesis.toml"))
        .arg("run")
        .arg(control.join("openapi.json"))
        .args([
            "--url",
            &url,
            "--header",
            &format!("Authorization: Bearer {token}"),
        ])
        // Never ends; its own test has it.
        .args(["--exclude-path", "/v1/events/watch"])
        .args([
            "--rate-limit",
            "150/s",
            "--seed",
            &seed,
            "--max-examples",
            &examples,
            "--no-color",
        ])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(FUZZ_MAX, child)
        .await
        .expect("schemathesis ends")
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let tail: Vec<&str> = said.lines().rev().take(25).collect();
    println!("{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
