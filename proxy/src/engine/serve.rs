//! One exchange from head to record. Read it top to bottom; the stages themselves are in `weir_decide::pipeline`.

use std::sync::Arc;

use weir_decide::pipeline::{self, Routed};
use weir_decide::refuse::Refusal;
use weir_decide::screen::Screening;
use weir_schema::codes::RefusalCode;
use weir_schema::telemetry::record::Outcome;

use super::body::{self, HoldLimits, REPLAY_BYTES_MAX};
use super::forward::{self, Exchange, Forwarded, Patience, Upload};
use super::hold_response::{self, HeldResponse, HoldResponse, hold_response};
use super::outgoing::{self, Forwarding};
use super::request::{ConnectionInfo, FieldList, Request};
use super::{respond, retry, upgrade};
use crate::downstream::Downstream;
use crate::listen::watchdog::Watchdog;
use crate::live::{ClearedRequest, Live, TenantLive};
use crate::telemetry::Tally;
use crate::upstream::pool::{InFlight, PoolState};
use crate::upstream::{ResponseMessage, UpstreamFault};

/// Why an exchange ends without the upstream's answer.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The client left.
    Gone,
    /// We refuse.
    Refuse(Box<Refusal>),
    /// The upstream failed.
    Upstream(UpstreamFault),
}

impl Stop {
    pub(crate) fn refuse(code: RefusalCode) -> Self {
        Self::Refuse(Refusal::boxed(code))
    }
}

/// Serves one exchange. Returns the tunnel to run when the upstream switched protocols.
pub(crate) async fn serve<D: Downstream>(
    info: &ConnectionInfo,
    request: &Request,
    down: &mut D,
    watchdog: &mut Watchdog,
) -> Option<upgrade::Tunnel> {
    let live = info.shared.live.load_full();
    let mut tally = Tally::begin(info, &live, request);
    let mut screening = Screening::default();
    let result = exchange(info, &live, request, down, watchdog, &mut screening, &mut tally).await;
    let tunnel = match result {
        Ok(tunnel) => tunnel,
        Err(stop) => {
            finish_stopped(request, down, &mut tally, stop).await;
            None
        }
    };
    if let Some(report) = screening.finish() {
        tally.reported(&report);
    }
    tally.finish(down.bytes());
    tunnel
}

async fn finish_stopped<D: Downstream>(request: &Request, down: &mut D, tally: &mut Tally<'_>, stop: Stop) {
    let refusal = match stop {
        Stop::Gone => {
            tally.outcome = Outcome::ClientGone;
            down.abort();
            return;
        }
        Stop::Refuse(refusal) => *refusal,
        Stop::Upstream(fault) => Refusal::new(fault.code()),
    };
    tally.refused(&refusal);
    respond::refuse(down, request, &refusal, tally).await;
}

async fn exchange<D: Downstream>(
    info: &ConnectionInfo,
    live: &Live,
    request: &Request,
    down: &mut D,
    watchdog: &mut Watchdog,
    screening: &mut Screening,
    tally: &mut Tally<'_>,
) -> Result<Option<upgrade::Tunnel>, Stop> {
    let routed = decide(info, live, request, screening, tally)?;
    if request.max_forwards() == Some(0) {
        respond::options(down, tally.request_id().as_bytes())
            .await
            .map_err(|_| Stop::Gone)?;
        tally.status = 200;
        return Ok(None);
    }
    let plan = Plan::new(&routed, request, screening, live, tally)?;
    let held = if plan.holds {
        Some(body::hold(down, &plan.hold, &info.shared.held).await?)
    } else {
        None
    };
    let bytes = held.as_ref().map_or(&[][..], |held| &held.bytes);
    let cleared = routed.judge_body(bytes, screening, tally).map_err(Stop::Refuse)?;
    tally.decided();

    let Some(pool) = cleared.tenant().pool(cleared.route_at()) else {
        return Err(Stop::refuse(RefusalCode::NoRoute));
    };
    let mut upload = Upload::new(
        request.has_body && held.as_ref().is_none_or(|held| held.end.is_none()),
        bytes.len() as u64,
        plan.body_bytes_max,
    );
    if upload.open {
        down.allow_body();
        if pool.speaks_h2() {
            // Streaming calls may be silent for long, and hold no connection of the origin while they are.
            down.free_body();
        }
    }
    let forwarding = Forwarding {
        info,
        live,
        request,
        cleared: &cleared,
        pool,
        request_id: *tally.request_id(),
    };
    let attempts = retry::Attempts {
        forwarding: &forwarding,
        held: held.as_ref(),
        deadline: plan.deadline,
        retry_idempotency_key: plan.retry_idempotency_key,
    };
    let mut answer = attempts.run(&mut upload, down, watchdog, tally).await?;
    tally.first_byte();

    if answer.head.status == 101 {
        return upgrade::switch(answer, request, down, tally).await;
    }
    let patience = Patience {
        timeout: pool.pool.read_timeout,
        deadline: plan.deadline,
    };
    let mut held_response = HeldResponse::default();
    if screening.wants_response() {
        judge_response_head(&cleared, &answer.head, screening, tally)?;
    }
    if screening.wants_response_body() && hold_response::may_be_held(&answer.head) {
        let hold = HoldResponse {
            bytes_max: cleared.response_bytes_max(),
            total: &info.shared.held,
            total_max: live.config.client.inspection_bytes_max,
        };
        let (exchange, upload) = (&mut answer.exchange, &mut upload);
        held_response = Box::pin(hold_response(&hold, exchange, upload, down, watchdog, patience)).await?;
        cleared
            .judge_response_body(&held_response.bytes, screening, tally)
            .map_err(Stop::Refuse)?;
    }
    {
        let fields = outgoing::response_fields(&answer.head, tally);
        let parts = outgoing::response_parts(&answer.head, &fields);
        down.start(&parts)
            .map_err(|_| Stop::Upstream(UpstreamFault::Protocol))?;
    }
    tally.status = answer.head.status;
    let forwarded = forward::response_body(
        &mut answer.exchange,
        &mut upload,
        down,
        watchdog,
        patience,
        held_response,
    )
    .await;
    tally.outcome = match forwarded {
        Forwarded::Whole => Outcome::Answered,
        Forwarded::ClientGone => Outcome::ClientGone,
        Forwarded::UpstreamCut => Outcome::UpstreamCut,
    };
    if forwarded == Forwarded::Whole {
        recycle(answer.exchange, &answer.in_flight, pool);
    } else {
        down.abort();
    }
    Ok(None)
}

/// Runs every stage that needs no body.
fn decide(
    info: &ConnectionInfo,
    live: &Live,
    request: &Request,
    screening: &mut Screening,
    tally: &mut Tally<'_>,
) -> Result<Routed<Arc<TenantLive>>, Stop> {
    let fields = request.fields();
    let view = request.view(&fields);
    let moment = tally.moment();
    let edge = live.edge(&info.shared, true);
    pipeline::decide(&edge, &info.view(), &view, &moment, screening, tally).map_err(Stop::Refuse)
}

fn judge_response_head(
    cleared: &ClearedRequest,
    head: &ResponseMessage,
    screening: &mut Screening,
    tally: &mut Tally<'_>,
) -> Result<(), Stop> {
    let fields: FieldList<'_> = head.each_field().collect();
    cleared
        .judge_response_head(head.status, &fields, screening, tally)
        .map_err(Stop::Refuse)
}

/// What the route and the tenant say about the body and the time.
struct Plan {
    holds: bool,
    hold: HoldLimits,
    body_bytes_max: Option<u64>,
    deadline: Option<tokio::time::Instant>,
    retry_idempotency_key: bool,
}

impl Plan {
    /// # Errors
    /// The body is known to be too large before a byte of it was read.
    fn new(
        routed: &Routed<Arc<TenantLive>>,
        request: &Request,
        screening: &Screening,
        live: &Live,
        tally: &Tally<'_>,
    ) -> Result<Self, Stop> {
        let route = routed.tenant().policy.route(routed.route_at());
        let body_bytes_max = route.and_then(|route| route.body_bytes_max);
        let inspect_max = routed.inspect_bytes_max(screening);
        let inspect_or_replay_max = inspect_max.unwrap_or(REPLAY_BYTES_MAX);
        let hold = HoldLimits {
            hold_max: inspect_or_replay_max.min(body_bytes_max.unwrap_or(u64::MAX)),
            refuse_over: routed.refuses_over_inspection(screening)
                || body_bytes_max.is_some_and(|max| max <= inspect_or_replay_max),
            total_max: live.config.client.inspection_bytes_max,
        };
        let over = |max: u64| request.length.is_some_and(|length| length > max);
        if over(body_bytes_max.unwrap_or(u64::MAX)) || (hold.refuse_over && over(hold.hold_max)) {
            return Err(Stop::refuse(RefusalCode::BodyTooLarge));
        }
        let replayable = request.length.is_some_and(|length| length <= REPLAY_BYTES_MAX);
        Ok(Self {
            holds: request.has_body && !request.upgrade && (inspect_max.is_some() || replayable),
            hold,
            body_bytes_max,
            deadline: route
                .and_then(|route| route.timeout)
                .map(|timeout| tally.started() + timeout),
            retry_idempotency_key: route.is_some_and(|route| route.retry_idempotency_key),
        })
    }
}

/// Keeps the upstream connection when it can carry another request.
fn recycle(exchange: Exchange, in_flight: &InFlight, pool: &PoolState) {
    if let Exchange::H1(exchange) = exchange
        && let Some(stream) = exchange.into_reusable()
    {
        in_flight.0.put_idle(stream, pool.pool.idle_connections_max);
    }
}
