//! Tells alerts to Alertmanager and to a webhook. What cannot be delivered is tried again, with full jitter, for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use weir_plan::slo::correlate::{GROUP_BY, groups, uninhibited};
use weir_plan::slo::{Alert, Change, alertmanager, webhook};

/// Messages that wait to be sent; when more come, the newest are dropped and counted: Alertmanager is told again anyway.
const QUEUE: usize = 256;
/// For one try.
const TRY_MAX: Duration = Duration::from_secs(10);
/// Tries of a message.
const TRIES: u32 = 8;

/// Where alerts go.
#[derive(Clone, Debug, Default)]
pub struct DeliveryOptions {
    /// Base address of an Alertmanager, like http://127.0.0.1:9093.
    pub alertmanager: Option<String>,
    /// Address that gets a POST for each group of alerts.
    pub webhook: Option<String>,
    /// Key of the signature in `weir-signature`.
    pub webhook_secret: Option<String>,
    /// Address of control as a browser finds it, for links.
    pub origin: String,
}

/// A message on its way.
struct Message {
    url: String,
    body: Vec<u8>,
    signature: Option<String>,
}

/// Sends alerts.
pub struct Delivery {
    options: DeliveryOptions,
    queue: mpsc::Sender<Message>,
    told_s: AtomicU64,
    /// Messages that were given up.
    pub lost: Arc<AtomicU64>,
}

impl Delivery {
    /// Sends to what the options name; nothing if they name nothing.
    ///
    /// # Errors
    /// A sentence on an address that cannot be used.
    pub fn start(options: DeliveryOptions) -> Result<Option<Self>, String> {
        let urls = [&options.alertmanager, &options.webhook];
        for url in urls.iter().copied().flatten() {
            let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
            if uri.scheme_str() != Some("http") || uri.host().is_none() {
                return Err(format!(
                    "{url}: write http://HOST:PORT/PATH; for https put a proxy beside control"
                ));
            }
        }
        if urls.iter().all(|url| url.is_none()) {
            return Ok(None);
        }
        let (queue, mut messages) = mpsc::channel::<Message>(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                if !deliver(&message).await {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Some(Self {
            options,
            queue,
            told_s: AtomicU64::new(0),
            lost,
        }))
    }

    /// Tells what changed, and now and then what still fires.
    pub(super) fn tell(&self, changes: &[Change], firing: impl FnOnce() -> Vec<Alert>, now_s: u64) {
        let due = now_s >= self.told_s.load(Ordering::Relaxed) + alertmanager::REPEAT_S;
        if changes.is_empty() && !due {
            return;
        }
        self.told_s.store(now_s, Ordering::Relaxed);
        let mut alerts = firing();
        let standing: Vec<Alert> = uninhibited(&alerts).into_iter().cloned().collect();
        let ended = changes.iter().filter_map(|change| match change {
            Change::Resolved(alert) => Some(alert.clone()),
            Change::Fired(_) => None,
        });
        alerts.extend(ended);
        if let Some(base) = self.options.alertmanager.as_ref().filter(|_| !alerts.is_empty()) {
            // Alertmanager groups and inhibits by its own rules, so it gets all.
            let body = alertmanager::payload(&alerts, &self.options.origin, now_s);
            self.send(
                format!("{}/api/v2/alerts", base.trim_end_matches('/')),
                body.to_string().into_bytes(),
                None,
            );
        }
        let Some(url) = self.options.webhook.as_ref().filter(|_| !changes.is_empty()) else {
            return;
        };
        let changed: Vec<&Alert> = changes
            .iter()
            .map(Change::alert)
            .filter(|alert| alert.ended_s.is_some() || standing.contains(alert))
            .collect();
        for group in groups(changed, GROUP_BY) {
            let body = webhook::payload(&group, &self.options.origin)
                .to_string()
                .into_bytes();
            let signature = self.options.webhook_secret.as_ref().map(|secret| {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                let tag = hmac::sign(&key, &webhook::signed(now_s, &body));
                let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                format!("t={now_s},v1={hex}")
            });
            self.send(url.clone(), body, signature);
        }
    }

    fn send(&self, url: String, body: Vec<u8>, signature: Option<String>) {
        let message = Message { url, body, signature };
        if self.queue.try_send(message).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn deliver(message: &Message) -> bool {
    let mut bound = Duration::from_millis(500);
    for _ in 0..TRIES {
        if matches!(timeout(TRY_MAX, post(message)).await, Ok(Ok(()))) {
            return true;
        }
        let mut random = [0; 4];
        // Without randomness all wait alike, which does no harm here.
        let _ = aws_lc_rs::rand::fill(&mut random);
        sleep(bound.mul_f64(f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX))).await;
        bound = (bound * 2).min(Duration::from_secs(30));
    }
    false
}

async fn post(message: &Message) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let uri: Uri = message.url.parse()?;
    let host = uri.host().ok_or("no host")?.to_owned();
    let authority = uri.authority().ok_or("no host")?.to_string();
    let target = uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str)
        .to_owned();
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(target)
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(signature) = &message.signature {
        request = request.header("weir-signature", signature);
    }
    let answer = sender
        .send_request(request.body(Full::new(Bytes::from(message.body.clone())))?)
        .await;
    connection.abort();
    let status = answer?.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("status {status}").into())
    }
}
