//! Drives an HTTP/2 connection: accepts streams, runs each as an exchange of its own task.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use tokio::io::{AsyncRead, AsyncWrite};
use weir_schema::codes::RefusalCode;

use super::leave::{self, Leave};
use super::watchdog::Watchdog;
use crate::downstream::h2::H2Stream;
use crate::engine::request::{ConnectionInfo, Request};
use crate::engine::{respond, serve};
use crate::meter::Metered;

/// Runs until the connection ends.
pub(crate) async fn run<S>(stream: S, info: Arc<ConnectionInfo>, mut leave: Leave)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = info.shared.live.load().config.client.clone();
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(limits.h2.streams_max)
        .max_header_list_size(limits.h2.header_list_bytes_max)
        .max_concurrent_reset_streams(limits.h2.resets_max as usize)
        .max_pending_accept_reset_streams(limits.h2.resets_max as usize)
        .max_local_error_reset_streams(Some(limits.h2.resets_max as usize))
        .max_send_buffer_size(256 * 1024)
        .initial_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024);
    let handshake = tokio::time::timeout(limits.handshake_timeout, builder.handshake::<S, Bytes>(stream));
    let Ok(Ok(mut connection)) = handshake.await else {
        info.shared.metrics.cuts.with_label_values(&["h2_preface"]).inc();
        return;
    };
    let open = Arc::new(AtomicU32::new(0));
    let mut idle = Watchdog::new(limits.first_byte_timeout);
    let mut leaving = false;
    let mut leave_begins = Box::pin(async move { leave::begins(&mut leave).await });
    loop {
        let accepted = poll_fn(|cx| {
            if let Poll::Ready(accepted) = connection.poll_accept(cx) {
                return Poll::Ready(Some(accepted));
            }
            if !leaving && leave_begins.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            if open.load(Ordering::Relaxed) > 0 {
                idle.set(limits.h2.idle_timeout);
            }
            idle.poll_expired(cx).map(|()| None)
        });
        match accepted.await {
            Some(Some(Ok((request, respond)))) => {
                idle.set(limits.h2.idle_timeout);
                let guard = OpenStream::enter(&open);
                let info = Arc::clone(&info);
                tokio::spawn(Metered::new(async move {
                    exchange(request, respond, &info).await;
                    drop(guard);
                }));
            }
            Some(Some(Err(error))) => {
                if !error.is_io() {
                    info.shared.metrics.cuts.with_label_values(&["h2_abuse"]).inc();
                }
                return;
            }
            Some(None) => return,
            None if leaving => return,
            None => {
                leaving = true;
                idle.set(limits.h2.idle_timeout);
                connection.graceful_shutdown();
            }
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

async fn exchange(request: http::Request<RecvStream>, respond: SendResponse<Bytes>, info: &ConnectionInfo) {
    let (parts, body) = request.into_parts();
    let limits = info.shared.live.load().config.client.clone();
    let end = body.is_end_stream();
    let fields = parts.headers.len();
    let Some(request) = Request::from_h2(&parts, end) else {
        let mut stream = H2Stream::new(body, respond, 0, &limits);
        respond::refuse_connection(&mut stream, RefusalCode::InvalidTarget).await;
        return stream.finish();
    };
    let mut stream = H2Stream::new(body, respond, request.buffer.len(), &limits);
    let refused = if matches!(request.method(), b"CONNECT" | b"TRACE") {
        Some(RefusalCode::MethodNotAllowed)
    } else if fields > limits.header_fields_max as usize {
        Some(RefusalCode::HeaderTooLarge)
    } else if request.target.of(&request.buffer).len() > limits.target_bytes_max as usize {
        Some(RefusalCode::TargetTooLong)
    } else if !weir_h1::valid_host(request.host()) {
        Some(RefusalCode::InvalidHost)
    } else {
        None
    };
    if let Some(code) = refused {
        respond::refuse_connection(&mut stream, code).await;
        info.shared.metrics.unread(code);
    } else {
        let mut watchdog = Watchdog::new(limits.idle_timeout);
        let _ = serve::serve(info, &request, &mut stream, &mut watchdog).await;
    }
    stream.finish();
}
