//! Telemetry frames for a collector that comes for them: how many wait, the oldest of them, and that they have arrived.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::process::Process;

/// Bytes of a batch; a single frame may have more.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Longest wait for a frame.
const WAIT_MS_MAX: u64 = 30_000;

fn none() -> Response {
    let message = "no frames are made; start the proxy with --frames NODE";
    let answer = Json(json!({"errors": [{"message": message}]}));
    (StatusCode::NOT_FOUND, answer).into_response()
}

/// How full the spool is.
pub(super) async fn state(State(process): State<Arc<Process>>) -> Response {
    match process.shared.frames.queue() {
        Some(queue) => Json(queue.state()).into_response(),
        None => none(),
    }
}

#[derive(Deserialize)]
pub(super) struct Wait {
    #[serde(default)]
    wait_ms: u64,
}

/// The oldest frames that are not acknowledged, one JSON object per line; nothing when none comes in time.
pub(super) async fn batch(State(process): State<Arc<Process>>, Query(wait): Query<Wait>) -> Response {
    let Some(queue) = process.shared.frames.queue() else {
        return none();
    };
    let mut outlet = queue.outlet();
    let wait = Duration::from_millis(wait.wait_ms.min(WAIT_MS_MAX)).max(Duration::from_secs(1));
    let batch = tokio::time::timeout(wait, outlet.next_batch(BATCH_BYTES_MAX)).await;
    let mut lines = Vec::new();
    for frame in batch.unwrap_or_default() {
        lines.extend_from_slice(&frame.json);
        lines.push(b'\n');
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}

#[derive(Deserialize)]
pub(super) struct Arrived {
    epoch: u64,
    seq: u64,
}

/// All frames of an epoch up to one have arrived: they are not kept any longer.
pub(super) async fn ack(State(process): State<Arc<Process>>, Query(arrived): Query<Arrived>) -> Response {
    let Some(queue) = process.shared.frames.queue() else {
        return none();
    };
    queue.ack(arrived.epoch, arrived.seq).await;
    Json(queue.state()).into_response()
}
