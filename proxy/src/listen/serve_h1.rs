//! Drives an HTTP/1.x connection: heads in, exchanges run, errors answered.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use weir_h1::RequestError;
use weir_schema::codes::RefusalCode;

use super::leave::{self, Leave};
use super::socket::Abort;
use super::watchdog::Watchdog;
use crate::downstream::h1::{H1Connection, HeadFault};
use crate::engine::request::{ConnectionInfo, Request};
use crate::engine::{respond, serve};

/// The refusal that goes with a head that cannot be read.
fn code_of(error: &RequestError) -> RefusalCode {
    match error {
        RequestError::AmbiguousFraming => RefusalCode::AmbiguousFraming,
        RequestError::BadExpectation => RefusalCode::ExpectationFailed,
        RequestError::BadHost | RequestError::MissingHost => RefusalCode::InvalidHost,
        RequestError::BadTarget => RefusalCode::InvalidTarget,
        RequestError::HeadTooLarge | RequestError::TooManyFields => RefusalCode::HeaderTooLarge,
        RequestError::MethodNotAllowed => RefusalCode::MethodNotAllowed,
        RequestError::TargetTooLong => RefusalCode::TargetTooLong,
        RequestError::UnsupportedCoding => RefusalCode::UnsupportedCoding,
        other if other.status() == 505 => RefusalCode::UnsupportedVersion,
        _ => RefusalCode::MalformedRequest,
    }
}

/// Runs until the connection ends.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Abort + Unpin>(
    stream: S,
    ahead: BytesMut,
    info: ConnectionInfo,
    leave: Leave,
) {
    let mut limits = info.shared.live.load().config.client.clone();
    let mut connection = H1Connection::new(stream, ahead, &limits);
    let mut watchdog = Watchdog::new(limits.idle_timeout);
    let mut served: u32 = 0;
    let mut idle_ends = Box::pin(leave::idle_ends(leave.clone(), Instant::now()));
    loop {
        let (buffer, head) = match connection.read_head(&limits, served == 0, &mut idle_ends).await {
            Ok(read) => read,
            Err(fault) => return end(connection, fault, served, &info).await,
        };
        served += 1;
        if head.https && info.tls.is_none() && !peer_trusted(&info) {
            let fault = HeadFault::Misdirected;
            return end(connection, fault, served, &info).await;
        }
        if served >= limits.keepalive_requests_max || leave::is_leaving(&leave) {
            connection.close_after();
        }
        let request = Request::from_h1(buffer, head);
        let tunnel = serve::serve(&info, &request, &mut connection, &mut watchdog).await;
        if let Some(tunnel) = tunnel {
            let (stream, ahead) = connection.upgraded();
            return tunnel.run(stream, &ahead).await;
        }
        connection.recycle(request.buffer);
        if !connection.finish().await {
            if connection.write_timed_out() {
                info.shared
                    .metrics
                    .cuts
                    .with_label_values(&["write_timeout"])
                    .inc();
            }
            return connection.close().await;
        }
        let now = &info.shared.live.load().config;
        if now.client != limits {
            limits = now.client.clone();
        }
    }
}

/// Whether the client is a gateway that may have taken TLS off.
fn peer_trusted(info: &ConnectionInfo) -> bool {
    let peer = weir_geoip::canonical(info.peer.ip());
    let live = info.shared.live.load();
    live.config.trust.proxies.iter().any(|net| net.contains(&peer))
}

async fn end<S: AsyncRead + AsyncWrite + Abort + Unpin>(
    mut connection: H1Connection<S>,
    fault: HeadFault,
    served: u32,
    info: &ConnectionInfo,
) {
    let cut = |reason: &str| info.shared.metrics.cuts.with_label_values(&[reason]).inc();
    let code = match fault {
        HeadFault::Closed => return,
        HeadFault::Idle => {
            cut(if served == 0 {
                "first_byte_timeout"
            } else {
                "idle_timeout"
            });
            return;
        }
        HeadFault::TimedOut => {
            cut("header_timeout");
            RefusalCode::HeaderTimeout
        }
        HeadFault::Misdirected => RefusalCode::HostMismatch,
        HeadFault::Refused(error) => code_of(&error),
    };
    connection.close_after();
    respond::refuse_connection(&mut connection, code).await;
    info.shared.unread(code);
    connection.close().await;
}
