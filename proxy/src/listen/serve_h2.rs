//! Drives an HTTP/2 connection: accepts streams, runs each as an exchange of its own task.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use weir_decide::h2_frames::FrameFault;
use weir_schema::codes::RefusalCode;
use weir_schema::config::checked::ClientLimits;
use weir_schema::telemetry::record::Protocol;

use super::h2_watch::{Ledger, Transport, Watched};
use super::leave::{self, Leave};
use super::watchdog::Watchdog;
use crate::downstream::h2::H2Stream;
use crate::engine::request::{ConnectionInfo, Request};
use crate::engine::{respond, serve};
use crate::meter::Metered;
use crate::telemetry::unread::Sent;

/// How long a client without open streams may take to leave after GOAWAY.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the last GOAWAY to a client that is cut may take.
const CUT_TIMEOUT: Duration = Duration::from_millis(500);

/// Runs until the connection ends.
pub(crate) async fn run<S: Transport>(stream: S, info: Arc<ConnectionInfo>, mut leave: Leave) {
    let limits = info.shared.live.load().config.client.clone();
    let ledger = Arc::new(Ledger::default());
    let watched = Watched::new(stream, &limits, Arc::clone(&ledger));
    let handshake = builder(&limits).handshake::<_, Bytes>(watched);
    let Ok(Ok(connection)) = tokio::time::timeout(limits.handshake_timeout, handshake).await else {
        info.shared.metrics.cuts.with_label_values(&["h2_preface"]).inc();
        return;
    };
    let mut stopped = pin!(leave::begins(&mut leave));
    let mut front = Front {
        connection,
        ledger,
        info: Arc::clone(&info),
        open: Arc::default(),
        idle: Watchdog::new(limits.first_byte_timeout),
        idle_timeout: limits.h2.idle_timeout,
        leaving: false,
        served: false,
        gathered: true,
    };
    front.run(&mut stopped).await;
}

fn builder(limits: &ClientLimits) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    let resets_max = limits.h2.resets_max as usize;
    builder
        .max_concurrent_streams(limits.h2.streams_max)
        .max_header_list_size(limits.h2.header_list_bytes_max)
        .max_concurrent_reset_streams(resets_max)
        .max_pending_accept_reset_streams(resets_max)
        .max_local_error_reset_streams(Some(resets_max))
        .max_send_buffer_size(128 * 1024)
        .initial_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024);
    builder
}

/// A client's connection.
struct Front<S: Transport> {
    connection: Connection<Watched<S>, Bytes>,
    ledger: Arc<Ledger>,
    info: Arc<ConnectionInfo>,
    open: Arc<AtomicU32>,
    idle: Watchdog,
    idle_timeout: Duration,
    /// GOAWAY was sent.
    leaving: bool,
    served: bool,
    /// Other tasks were let run since it was woken.
    gathered: bool,
}

type Accepted = Option<Result<(http::Request<RecvStream>, SendResponse<Bytes>), h2::Error>>;

/// What a connection does next.
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on the stack of the loop that takes it apart"
)]
enum Event {
    Accepted(Accepted),
    Fault(FrameFault),
    Idle,
    Stop,
}

impl<S: Transport> Front<S> {
    /// Runs until the connection ends.
    async fn run(&mut self, stopped: &mut (impl Future<Output = ()> + Unpin)) {
        self.ledger.hold(true);
        loop {
            match self.next(stopped).await {
                Event::Accepted(Some(Ok((request, respond)))) => {
                    self.idle.set(self.idle_timeout);
                    self.served = true;
                    self.begin(request, respond);
                }
                Event::Accepted(Some(Err(error))) => {
                    if let Some(reason) = self.cut_by(&error) {
                        self.count_cut(reason);
                    }
                    return;
                }
                Event::Accepted(None) => return,
                Event::Fault(fault) => {
                    let (reason, code) = match fault {
                        FrameFault::ControlFlood => ("h2_control_flood", Reason::ENHANCE_YOUR_CALM),
                        FrameFault::NoSettings => ("h2_preface", Reason::PROTOCOL_ERROR),
                        FrameFault::ResetFlood => ("h2_reset_flood", Reason::ENHANCE_YOUR_CALM),
                        FrameFault::SlowHead => ("header_timeout", Reason::ENHANCE_YOUR_CALM),
                    };
                    self.count_cut(reason);
                    self.say_goodbye(code).await;
                    return;
                }
                Event::Idle if self.leaving => return,
                Event::Idle => {
                    self.leave();
                    self.idle.set(LEAVE_TIMEOUT);
                    let reason = if self.served {
                        "idle_timeout"
                    } else {
                        "first_byte_timeout"
                    };
                    self.count_cut(reason);
                }
                Event::Stop => {
                    self.leave();
                    self.idle.set(LEAVE_TIMEOUT.min(self.idle_timeout));
                }
            }
        }
    }

    /// What comes next. When it is woken it first lets the other tasks run that are ready, once: their answers then leave
    /// in one write. Woken by every answer, it wrote each of them alone.
    async fn next(&mut self, stopped: &mut (impl Future<Output = ()> + Unpin)) -> Event {
        poll_fn(|cx| {
            if !self.gathered {
                self.gathered = true;
                // A task that wakes itself goes to the end of the worker's queue.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let event = self.poll_next(stopped, cx);
            self.gathered = event.is_ready();
            event
        })
        .await
    }

    fn poll_next(
        &mut self,
        stopped: &mut (impl Future<Output = ()> + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Event> {
        self.info.open.works();
        let mut accepted = self.connection.poll_accept(cx);
        if accepted.is_pending() {
            // The round is over: what it wrote leaves. The `h2` crate flushes behind every piece of a body.
            self.ledger.hold(false);
            accepted = self.connection.poll_accept(cx);
            self.ledger.hold(true);
        }
        if let Some(fault) = self.ledger.fault() {
            return Poll::Ready(Event::Fault(fault));
        }
        if let Poll::Ready(accepted) = accepted {
            return Poll::Ready(Event::Accepted(accepted));
        }
        if !self.leaving && std::pin::Pin::new(stopped).poll(cx).is_ready() {
            return Poll::Ready(Event::Stop);
        }
        if self.open.load(Ordering::Relaxed) > 0 {
            self.idle.set(if self.leaving {
                LEAVE_TIMEOUT
            } else {
                self.idle_timeout
            });
        }
        self.idle.poll_expired(cx).map(|()| Event::Idle)
    }

    fn begin(&self, request: http::Request<RecvStream>, respond: SendResponse<Bytes>) {
        let guard = OpenStream::enter(&self.open);
        let (info, ledger) = (Arc::clone(&self.info), Arc::clone(&self.ledger));
        let frames = &self.info.shared.frames;
        tokio::spawn(Metered::new(frames, async move {
            exchange(request, respond, &info, ledger).await;
            drop(guard);
        }));
    }

    fn leave(&mut self) {
        self.leaving = true;
        self.connection.graceful_shutdown();
    }

    /// Sends the last GOAWAY, as far as the client takes it.
    async fn say_goodbye(&mut self, reason: Reason) {
        self.ledger.hold(false);
        self.connection.abrupt_shutdown(reason);
        let gone = poll_fn(|cx| self.connection.poll_closed(cx));
        // The connection ends here either way.
        let _ = tokio::time::timeout(CUT_TIMEOUT, gone).await;
    }

    fn count_cut(&self, reason: &str) {
        self.info.shared.metrics.cuts.with_label_values(&[reason]).inc();
    }

    /// Why the connection was cut, if it was the client's doing.
    fn cut_by(&self, error: &h2::Error) -> Option<&'static str> {
        if self.ledger.stalled() {
            Some("write_stall")
        } else if error.is_io() || error.is_remote() {
            None
        } else if error.reason() == Some(Reason::ENHANCE_YOUR_CALM) {
            Some("h2_abuse")
        } else {
            Some("h2_protocol")
        }
    }
}

struct OpenStream(Arc<AtomicU32>);

impl OpenStream {
    fn enter(open: &Arc<AtomicU32>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn exchange(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    info: &ConnectionInfo,
    ledger: Arc<Ledger>,
) {
    // A client that sends HEADERS and RST_STREAM in one go must not cost an origin a request.
    if poll_fn(|cx| Poll::Ready(respond.poll_reset(cx).is_ready())).await {
        return;
    }
    let (parts, body) = request.into_parts();
    let limits = info.shared.live.load().config.client.clone();
    let end = body.is_end_stream();
    let request = match Request::from_h2(&parts, end) {
        Ok(request) => request,
        Err(code) => {
            let mut stream = H2Stream::new(body, respond, 0, &limits, ledger);
            respond::refuse_unread(&mut stream, info, code, Sent::Bytes(Protocol::Http2)).await;
            return stream.finish();
        }
    };
    let mut stream = H2Stream::new(body, respond, request.buffer.len(), &limits, ledger);
    if let Some(code) = refusal_of(&request, parts.headers.len(), &limits) {
        respond::refuse_unread(&mut stream, info, code, Sent::Head(&request)).await;
    } else {
        if request.field(b"expect").is_some() {
            stream.expect_continue();
        }
        let mut watchdog = Watchdog::new(limits.idle_timeout);
        let _ = serve::serve(info, &request, &mut stream, &mut watchdog).await;
    }
    stream.finish();
}

fn refusal_of(request: &Request, fields: usize, limits: &ClientLimits) -> Option<RefusalCode> {
    if matches!(request.method(), b"CONNECT" | b"TRACE" | b"PRI") {
        Some(RefusalCode::MethodNotAllowed)
    } else if fields > limits.header_fields_max as usize {
        Some(RefusalCode::HeaderTooLarge)
    } else if request.target.of(&request.buffer).len() > limits.target_bytes_max as usize {
        Some(RefusalCode::TargetTooLong)
    } else if request
        .field(b"expect")
        .is_some_and(|expectation| !weir_h1::header_eq(expectation, b"100-continue"))
    {
        Some(RefusalCode::ExpectationFailed)
    } else if !weir_h1::valid_host(request.host()) {
        Some(RefusalCode::InvalidHost)
    } else {
        None
    }
}
