//! What control is started with: a document, and proxies of the same machine.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use weir_schema::config::Document;
use weir_schema::push::{JoinToken, ObjectHash};

use super::{ControlOptions, Core, tell};
use crate::bundle::{bundle, is_managed};
use crate::clock;
use crate::push::new_proxy;
use crate::store::{Batch, IfMatch, Kind, NewEvent, Store, StoreError};
use crate::versions::{Actor, Change, Refused, Versions};

/// The record that says which document was published last, by the hash of all its objects.
const PUBLISHED: &str = "published_document";

/// Publishes a document if it is another one than was published last: what was changed since then in other ways stays.
///
/// # Errors
/// All that is wrong with it, in lines; nothing has changed then.
pub(super) async fn publish(
    store: &Arc<dyn Store>,
    versions: &Arc<Versions>,
    file: &Path,
) -> Result<(), String> {
    let published = try_publish(store, versions, file).await;
    match &published {
        Ok(Some(revision)) => tell(&json!({"event": "published", "revision": revision})),
        Ok(None) => {}
        Err(reason) => {
            tell(&json!({"event": "publish_refused", "errors": reason.lines().collect::<Vec<_>>()}))
        }
    }
    published.map(drop)
}

async fn try_publish(
    store: &Arc<dyn Store>,
    versions: &Arc<Versions>,
    file: &Path,
) -> Result<Option<u64>, String> {
    let shown = file.display().to_string();
    let base = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let document = Document {
        base: base.unwrap_or_else(|| Path::new(".")).to_owned(),
        text: std::fs::read_to_string(file).map_err(|error| format!("{shown}: {error}"))?,
        name: shown.clone(),
    };
    let put = bundle(&document).map_err(|errors| errors.join("\n"))?;
    let objects = put.iter().map(|(path, bytes)| (path, ObjectHash::of(bytes)));
    let sum = ObjectHash::of(format!("{:?}", objects.collect::<Vec<_>>()).as_bytes());
    let told = |error: StoreError| error.to_string();
    let last = store.get(Kind::Meta, PUBLISHED).map_err(told)?;
    let last: Option<ObjectHash> = last.map(|record| record.json()).transpose().map_err(told)?;
    let newest = versions.newest();
    if newest.is_some() && last == Some(sum) {
        return Ok(None);
    }
    let remember = Batch::at(clock::unix_ms())
        .put(Kind::Meta, PUBLISHED, &sum, IfMatch::Any)
        .map_err(told)?;
    let served = newest.iter().flat_map(|newest| newest.content.listing.iter());
    let remove = served
        .map(|(path, _)| path)
        .filter(|path| is_managed(path) && !put.contains_key(*path))
        .cloned();
    let change = Change {
        remove: remove.collect(),
        put: put.into_iter().collect(),
        note: format!("from {shown}"),
        also: remember.writes,
        ..Change::default()
    };
    match versions
        .apply(change, &Actor::system(), false, clock::unix_ms())
        .await
    {
        Ok(applied) => Ok(Some(applied.revision)),
        Err(Refused::Same(_)) => Ok(None),
        Err(Refused::Invalid(reasons)) => Err(reasons.iter().map(sentence).collect::<Vec<_>>().join("\n")),
        Err(refused) => Err(refused.to_string()),
    }
}

fn sentence(reason: &Value) -> String {
    let text = |key: &str| reason[key].as_str().unwrap_or_default();
    match text("pointer") {
        "" => text("message").to_owned(),
        pointer => format!("{pointer}: {}", text("message")),
    }
}

/// Makes the proxies of this machine that are not there yet, and writes their tokens.
///
/// # Errors
/// A sentence on what cannot be written.
pub(super) async fn join_local(core: &Core, options: &ControlOptions) -> Result<(), String> {
    let folder = options.core.data_dir.join("join");
    for (node, region) in &options.local_proxies {
        let path = folder.join(node);
        let known = core
            .store
            .get(Kind::Proxy, node)
            .map_err(|error| error.to_string())?;
        if known.is_some() && path.is_file() {
            continue;
        }
        let now_ms = clock::unix_ms();
        let (record, secret) = new_proxy(node, region, now_ms).map_err(|error| error.to_string())?;
        let token = JoinToken {
            node: node.clone(),
            region: region.clone(),
            deployment: core.versions.deployment().to_owned(),
            secret,
            keys: core.versions.public_keys().await,
            authority: core.push.pinned(),
        };
        let batch = Batch::at(now_ms)
            .put(Kind::Proxy, node, &record, IfMatch::Any)
            .map_err(|error| error.to_string())?
            .event(NewEvent {
                actor: "system".to_owned(),
                action: "proxy.create".to_owned(),
                subject: format!("proxy/{node}"),
                result: "done".to_owned(),
                detail: json!({"region": region, "local": true}),
                ..NewEvent::default()
            });
        core.store
            .commit(batch)
            .await
            .map_err(|error| error.to_string())?;
        write_secret(&path, &token.encode()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// For its owner only.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
