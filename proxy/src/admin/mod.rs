//! The proxy's own admin endpoint, on its own listener and runtime.

mod explain;
mod frames;
mod waf;

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::process::{Command, Process};
use crate::reload::{Input, Outcome};

/// Bytes of a document in the body of a reload.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The service that answers operators.
pub(crate) struct AdminService {
    pub(crate) process: Arc<Process>,
    pub(crate) listening: Option<oneshot::Receiver<()>>,
}

#[async_trait]
impl Service for AdminService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _shutdown: ShutdownWatch, _per_fd: usize) {
        let Some(listening) = self.listening.take() else {
            return;
        };
        if listening.await.is_err() {
            return;
        }
        let socket = self.process.admin_socket.try_clone();
        let socket = match socket.and_then(tokio::net::TcpListener::from_std) {
            Ok(socket) => socket,
            Err(error) => return self.process.cannot_start(vec![format!("admin: {error}")]),
        };
        let Ok(address) = socket.local_addr() else { return };
        self.process.is_ready(address).await;
        let mut handed_over = self.process.handed_over.subscribe();
        let served = axum::serve(socket, router(Arc::clone(&self.process)));
        // Ends with the process, or when a successor answers on the same socket.
        let _ = served
            .with_graceful_shutdown(async move {
                let _ = handed_over.wait_for(|over| *over).await;
            })
            .await;
        self.process.admin_ended.send_replace(true);
    }

    fn name(&self) -> &str {
        "admin"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

fn router(process: Arc<Process>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/config", get(config))
        .route(
            "/reload",
            post(reload).layer(DefaultBodyLimit::max(DOCUMENT_BYTES_MAX)),
        )
        .route("/control", get(control))
        .route("/explain", post(explained))
        .route("/frames", get(frames::state))
        .route("/frames/batch", get(frames::batch))
        .route("/frames/ack", post(frames::ack))
        .route("/waf", get(waf::status).post(waf::change))
        .route("/drain", post(drain))
        .route("/upgrade", post(upgrade))
        .with_state(process)
}

/// The connection to control.
async fn control(State(process): State<Arc<Process>>) -> Response {
    match &process.control {
        Some(control) => Json(control.report()).into_response(),
        None => (StatusCode::NOT_FOUND, "this proxy runs without control\n").into_response(),
    }
}

async fn readyz(State(process): State<Arc<Process>>) -> Response {
    if *process.ready.borrow() {
        if process.control.is_some() && process.shared.live.load().config.listeners.is_empty() {
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                "waiting for the first version of control\n",
            )
                .into_response();
        }
        return match process.reloader.fallback() {
            None => "ready\n".into_response(),
            Some(fallback) => format!("ready, {}\n", fallback.sentence()).into_response(),
        };
    }
    (StatusCode::SERVICE_UNAVAILABLE, "draining or not started\n").into_response()
}

async fn metrics(State(process): State<Arc<Process>>) -> Response {
    let shared = &process.shared;
    shared
        .metrics
        .held_bytes
        .set(i64::try_from(shared.held.now()).unwrap_or(i64::MAX));
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        shared.metrics.expose(),
    )
        .into_response()
}

async fn config(State(process): State<Arc<Process>>) -> Json<Value> {
    let live = process.shared.live.load_full();
    let listeners = process.listeners.lock().await;
    let addresses = listeners
        .as_ref()
        .map(crate::listen::accept::Listeners::addresses)
        .unwrap_or_default();
    let addresses: Vec<Value> = addresses
        .iter()
        .map(|(id, address)| json!({"listener": id.as_str(), "address": address.to_string()}))
        .collect();
    Json(
        json!({"generation": live.generation, "digest": live.config.digest, "listening": addresses, "config": &*live.config}),
    )
}

#[derive(Deserialize)]
struct ReloadQuery {
    dry_run: Option<String>,
}

async fn reload(
    State(process): State<Arc<Process>>,
    Query(query): Query<ReloadQuery>,
    body: Bytes,
) -> Response {
    let dry_run = query
        .dry_run
        .is_some_and(|value| value != "0" && value != "false");
    let input = if body.is_empty() {
        Input::File
    } else {
        match String::from_utf8(body.to_vec()) {
            Ok(text) => Input::Text(text),
            Err(_) => {
                let error = json!({"errors": [{"message": "the document is not UTF-8"}]});
                return (StatusCode::UNPROCESSABLE_ENTITY, Json(error)).into_response();
            }
        }
    };
    let outcome = process.reload(input, dry_run).await;
    let status = match outcome {
        Outcome::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Outcome::Checked { .. } | Outcome::Swapped { .. } => StatusCode::OK,
    };
    (status, Json(outcome.event())).into_response()
}

/// Says what would be decided about the request that the body describes.
async fn explained(State(process): State<Arc<Process>>, body: Bytes) -> Response {
    let refused = |message: String| {
        let error = json!({"errors": [{"message": message}]});
        (StatusCode::UNPROCESSABLE_ENTITY, Json(error)).into_response()
    };
    let question = match serde_json::from_slice(&body) {
        Ok(question) => question,
        Err(error) => {
            return refused(format!(
                "{error}; send JSON like {{\"url\": \"http://HOST/PATH\", \"method\": \"GET\", \"headers\": [[\"name\", \"value\"]], \
                 \"peer\": \"192.0.2.1\", \"body\": \"\"}}"
            ));
        }
    };
    match explain::explain(&process.shared, &question) {
        Ok(explanation) => Json(explanation).into_response(),
        Err(message) => refused(message),
    }
}

async fn drain(State(process): State<Arc<Process>>) -> Response {
    // A full channel means that draining was asked for already.
    let _ = process.commands.try_send(Command::Drain);
    (StatusCode::ACCEPTED, "draining\n").into_response()
}

/// Hands over to a new process of this program, and answers once that one serves or has failed to.
async fn upgrade(State(process): State<Arc<Process>>) -> Response {
    let (asked_by, upgraded) = oneshot::channel();
    // A process that ends takes no command; then no answer comes either.
    let _ = process.commands.send(Command::Upgrade(asked_by)).await;
    let failed = |errors: Vec<String>| {
        let errors: Vec<Value> = errors
            .into_iter()
            .map(|message| json!({"message": message}))
            .collect();
        let event = json!({"event": "upgrade_failed", "errors": errors});
        (StatusCode::CONFLICT, Json(event)).into_response()
    };
    match upgraded.await {
        Ok(Ok(pid)) => Json(json!({"event": "handed_over", "pid": pid})).into_response(),
        Ok(Err(errors)) => failed(errors),
        Err(_) => failed(vec!["the proxy is stopping".to_owned()]),
    }
}
