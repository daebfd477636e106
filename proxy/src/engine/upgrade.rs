//! `101 Switching Protocols`: from here on bytes go both ways unread.

use std::future::poll_fn;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use weir_schema::telemetry::record::Outcome;

use super::forward::Exchange;
use super::outgoing;
use super::request::Request;
use super::retry::Answer;
use super::serve::Stop;
use crate::downstream::{Downstream, ResponseBody, ResponseParts};
use crate::telemetry::Tally;
use crate::upstream::UpstreamFault;
use crate::upstream::connect::UpstreamStream;
use crate::upstream::pool::InFlight;

/// Both ends of a connection that switched protocols; the upstream counts it as in flight.
pub(crate) struct Tunnel {
    stream: UpstreamStream,
    ahead: BytesMut,
    _in_flight: InFlight,
}

/// Passes the 101 on and hands out the tunnel.
///
/// # Errors
/// When the client left, or the upstream does not speak HTTP/1.1 or switches to what nobody asked for.
pub(crate) async fn switch<D: Downstream>(
    answer: Answer,
    request: &Request,
    down: &mut D,
    tally: &mut Tally<'_>,
) -> Result<Option<Tunnel>, Stop> {
    let Exchange::H1(exchange) = answer.exchange else {
        return Err(Stop::Upstream(UpstreamFault::Protocol));
    };
    let response = &answer.head;
    let offered = request.field(b"upgrade").unwrap_or_default();
    let Some(upgrade) = response
        .field(b"upgrade")
        .filter(|chosen| all_offered(chosen, offered))
    else {
        return Err(Stop::Upstream(UpstreamFault::Protocol));
    };
    {
        let mut fields = outgoing::response_fields(response, tally);
        fields.push((b"upgrade", upgrade));
        down.start(&ResponseParts {
            status: 101,
            fields: &fields,
            body: ResponseBody::None,
        })
        .map_err(|_| Stop::Gone)?;
    }
    poll_fn(|cx| down.poll_flush(cx)).await.map_err(|_| Stop::Gone)?;
    tally.status = 101;
    tally.outcome = Outcome::Answered;
    let (stream, ahead) = exchange.into_upgraded();
    Ok(Some(Tunnel {
        stream,
        ahead,
        _in_flight: answer.in_flight,
    }))
}

/// Whether every protocol that the upstream chose is one that the client offered (RFC 9110 section 7.8).
fn all_offered(chosen: &[u8], offered: &[u8]) -> bool {
    protocols(chosen).all(|protocol| protocols(offered).any(|offer| weir_h1::header_eq(offer, protocol)))
}

fn protocols(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

impl Tunnel {
    /// Copies both ways until one side ends.
    pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut self, client: &mut S, ahead: &[u8]) {
        let started = async {
            client.write_all(&self.ahead).await?;
            client.flush().await?;
            self.stream.write_all(ahead).await?;
            self.stream.flush().await
        };
        if started.await.is_ok() {
            // Either side may end a tunnel as it likes: there is nothing to report.
            let _ = copy_bidirectional(client, &mut self.stream).await;
        }
    }
}
