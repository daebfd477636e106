//! The way of a request through the stages, in their order: the only file that knows them all.
//!
//! Each stage is a type that can only be made from the one before, so a request cannot be screened before it was admitted,
//! nor forwarded before its body was judged:
//!
//! ```text
//! Guarded -> Resolved -> Located -> Admitted -> Screened -> Routed -> Cleared
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;
use weir_geoip::{Database, Place, canonical};
use weir_schema::codes::RefusalCode;
use weir_schema::config::checked::{BodyOverLimit, ClientLimits, Region, Route, TenantState, Trust, WafMode};

use crate::guard::head_refusal;
use crate::limit::{Admission, Check, ClaimVerifier, InFlightPermit, Table};
use crate::policy::{HasPolicy, Owner};
use crate::refuse::Refusal;
use crate::resolve::HostTable;
use crate::screen::{Judges, Screening};
use crate::switch::{Switched, WafSwitches};
use crate::view::{ConnectionView, RequestView};
use crate::{client_address, geo, path, resolve};

/// Seconds after which a client may ask again for a tenant that is not ready.
const PENDING_RETRY_S: u64 = 30;

/// What the stages look at: parts of one version, and state beside it.
pub struct Edge<'a, T: Clone> {
    /// Bounds of a request head.
    pub client: &'a ClientLimits,
    /// Whom hosts belong to.
    pub hosts: &'a HostTable<Owner<T>>,
    /// Where migrating tenants go.
    pub regions: &'a [Region],
    /// Whom to believe about client addresses.
    pub trust: &'a Trust,
    /// Country and network databases.
    pub geo: Option<&'a Database>,
    /// Buckets of all limits.
    pub limits: &'a Table,
    /// Reads claims of bearer tokens.
    pub claims: &'a dyn ClaimVerifier,
    /// What is switched of the WAF; `None` when nothing is.
    pub switches: Option<&'a WafSwitches>,
    /// False for a request that is only explained: limits are looked at, not charged.
    pub charge: bool,
}

/// What is new with each request.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic time.
    pub now_ns: u64,
    /// Milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// Reads the clock of `unix_ms` again.
    pub clock_unix_ms: fn() -> u64,
    /// Differs between requests.
    pub request_id: u128,
}

/// Learns what the stages find, also of a request that is refused later. All methods do nothing by default.
pub trait Observer<T> {
    /// The tenant is known.
    fn resolved(&mut self, _tenant: &T) {}
    /// The client and its place are known.
    fn located(&mut self, _client: IpAddr, _place: &Place) {}
    /// The limits were asked; `policy` is the value of `RateLimit-Policy`.
    fn limited(&mut self, _checks: &[Check<'_>], _admission: &Admission, _policy: &Arc<[u8]>) {}
    /// A switch changes what the tenant's document says of the WAF: the mode that counts, and what is switched.
    fn switched(&mut self, _mode: WafMode, _switched: &Switched) {}
    /// The rule engine is about to run.
    fn screening(&mut self) {}
    /// The rule engine ran.
    fn screened(&mut self) {}
    /// The route is known, and its position among the tenant's.
    fn routed(&mut self, _tenant: &T, _at: usize, _route: &Route) {}
}

/// Why a stage stops a request.
pub type Stop = Box<Refusal>;

/// The head is one that is served.
#[derive(Clone, Copy)]
pub struct Guarded<'a> {
    connection: &'a ConnectionView<'a>,
    request: &'a RequestView<'a>,
}

impl<'a> Guarded<'a> {
    /// Checks what any head must keep, whatever protocol it came by.
    ///
    /// # Errors
    /// The refusal of a head that is too large, or whose method, host or target is not served.
    pub fn new(
        connection: &'a ConnectionView<'a>,
        request: &'a RequestView<'a>,
        limits: &ClientLimits,
    ) -> Result<Self, Stop> {
        match head_refusal(request, limits) {
            Some(code) => Err(Refusal::boxed(code)),
            None => Ok(Self { connection, request }),
        }
    }

    /// Finds the tenant of the host.
    ///
    /// # Errors
    /// The refusal of an unknown host, of one that does not go with the connection's certificate, or of the tenant's state.
    pub fn resolve<T: HasPolicy + Clone>(
        self,
        edge: &Edge<'_, T>,
        observer: &mut impl Observer<T>,
    ) -> Result<Resolved<'a, T>, Stop> {
        let mut host = SmallVec::new();
        // A request of HTTP/1.0 may come without a host: only a tenant that takes any host can have it.
        if !resolve::normalise_host(self.request.host, &mut host) && !self.request.host.is_empty() {
            return Err(Refusal::boxed(RefusalCode::InvalidHost));
        }
        let tenant = match edge.hosts.lookup(&host) {
            Some(Owner::Tenant(tenant)) => tenant.clone(),
            Some(Owner::Quarantined) => return Err(Refusal::boxed(RefusalCode::TenantQuarantined)),
            None => {
                let mut refusal = Refusal::boxed(RefusalCode::UnknownHost);
                if self.connection.sni_tenant.is_some() {
                    refusal.status = 421;
                }
                return Err(refusal);
            }
        };
        observer.resolved(&tenant);
        let document = &tenant.policy().tenant;
        if self
            .connection
            .sni_tenant
            .is_some_and(|by_sni| *by_sni != document.id)
        {
            return Err(Refusal::boxed(RefusalCode::HostMismatch));
        }
        if let Some(code) = resolve::state_refusal(&document.state) {
            return Err(self.state(code, &document.state, edge.regions));
        }
        Ok(Resolved {
            guarded: self,
            host,
            tenant,
        })
    }

    fn state(&self, code: RefusalCode, state: &TenantState, regions: &[Region]) -> Stop {
        let mut refusal = Refusal::boxed(code);
        if let TenantState::Migrating { region } = state {
            let known = regions.iter().find(|known| known.id == *region);
            refusal.location = known.and_then(|known| known.ingress.as_deref()).map(|ingress| {
                let path = String::from_utf8_lossy(self.request.path_and_query);
                format!("{}{path}", ingress.trim_end_matches('/'))
            });
        }
        if code == RefusalCode::TenantPending {
            refusal.retry_after_s = Some(PENDING_RETRY_S);
        }
        refusal
    }
}

/// The tenant is known and is served.
pub struct Resolved<'a, T> {
    guarded: Guarded<'a>,
    host: SmallVec<[u8; 64]>,
    tenant: T,
}

impl<'a, T: HasPolicy + Clone> Resolved<'a, T> {
    /// Finds the client and its place.
    ///
    /// # Errors
    /// The refusal of the tenant's geo policy.
    pub fn locate(self, edge: &Edge<'_, T>, observer: &mut impl Observer<T>) -> Result<Located<'a, T>, Stop> {
        let peer = canonical(self.guarded.connection.peer.ip());
        let peer_trusted = client_address::is_trusted(peer, edge.trust);
        let client = client_address::client_address(peer, edge.trust, self.guarded.request.fields);
        let place = edge.geo.map_or_else(Place::default, |geo| geo.locate(client));
        observer.located(client, &place);
        match geo::decide(&self.tenant.policy().tenant.geo, &place) {
            Some(code) => Err(Refusal::boxed(code)),
            None => Ok(Located {
                resolved: self,
                peer_trusted,
                client,
                place,
            }),
        }
    }
}

/// The client is known and may come from where it is.
pub struct Located<'a, T> {
    resolved: Resolved<'a, T>,
    peer_trusted: bool,
    client: IpAddr,
    place: Place,
}

impl<'a, T: HasPolicy + Clone> Located<'a, T> {
    /// Asks all limits at once, then for a place among the tenant's requests in flight.
    ///
    /// # Errors
    /// The refusal of the limit with the longest wait, or that the tenant is full.
    pub fn admit(
        self,
        edge: &Edge<'_, T>,
        moment: &Moment,
        observer: &mut impl Observer<T>,
    ) -> Result<Admitted<'a, T>, Stop> {
        let policy = self.resolved.tenant.policy();
        let request = self.resolved.guarded.request;
        // The route has a limit too, so it is looked up here; whether there must be one is asked in its own stage.
        let path = path::normalise(request.path());
        let route = policy
            .routes
            .matches(&self.resolved.host, &path, request.method, request.fields);
        self.ask_limits(edge, moment, route, observer)?;
        let Some(permit) = policy.in_flight.enter(policy.tenant.limits.in_flight_max) else {
            let mut refusal = Refusal::boxed(RefusalCode::InFlightLimit);
            refusal.retry_after_s = Some(1);
            return Err(refusal);
        };
        Ok(Admitted {
            located: self,
            route,
            permit,
        })
    }

    fn ask_limits(
        &self,
        edge: &Edge<'_, T>,
        moment: &Moment,
        route: Option<usize>,
        observer: &mut impl Observer<T>,
    ) -> Result<(), Stop> {
        let limits = &self.resolved.tenant.policy().limits;
        let checks = limits.checks(self.client, self.resolved.guarded.request, edge.claims, route);
        if checks.is_empty() {
            return Ok(());
        }
        let admission = if edge.charge {
            edge.limits.admit(&checks, moment.now_ns)
        } else {
            edge.limits.peek(&checks, moment.now_ns)
        };
        observer.limited(&checks, &admission, limits.policy(route));
        let Some(refused) = admission.refused() else {
            return Ok(());
        };
        let mut refusal = Refusal::boxed(refused.code);
        refusal.retry_after_s = Some(refused.retry_after_s);
        refusal.violated = checks.get(refused.index).map(|check| check.name.to_owned());
        Err(refusal)
    }
}

/// No limit is exceeded, and every one is charged.
pub struct Admitted<'a, T> {
    located: Located<'a, T>,
    route: Option<usize>,
    permit: InFlightPermit,
}

impl<'a, T: HasPolicy + Clone> Admitted<'a, T> {
    /// Runs the tenant's rules over the head.
    ///
    /// # Errors
    /// The refusal of a rule.
    pub fn screen(
        self,
        edge: &Edge<'_, T>,
        screening: &mut Screening,
        moment: &Moment,
        observer: &mut impl Observer<T>,
    ) -> Result<Screened<'a, T>, Stop> {
        let Resolved { guarded, tenant, .. } = &self.located.resolved;
        let policy = tenant.policy();
        let Some(rules) = &policy.rules else {
            return Ok(Screened(self));
        };
        let mut judges = Judges {
            rules,
            mode: policy.tenant.waf.mode,
            rules_off: None,
        };
        if let Some(switched) = edge.switches.and_then(|switches| switches.of(&policy.tenant.id)) {
            judges.mode = switched.mode(judges.mode);
            judges.rules_off = switched.rules_off.clone();
            observer.switched(judges.mode, switched);
        }
        if judges.mode != WafMode::Off {
            observer.screening();
            let client = self.located.client;
            let judged = screening.head(
                &judges,
                policy,
                client,
                guarded.connection,
                guarded.request,
                moment,
            );
            observer.screened();
            judged?;
        }
        Ok(Screened(self))
    }
}

/// No rule refuses the head.
pub struct Screened<'a, T>(Admitted<'a, T>);

impl<T: HasPolicy + Clone> Screened<'_, T> {
    /// Takes the tenant's route.
    ///
    /// # Errors
    /// There is none, or it does not let an upgrade through.
    pub fn route(self, observer: &mut impl Observer<T>) -> Result<Routed<T>, Stop> {
        let Admitted {
            located,
            route,
            permit,
        } = self.0;
        let tenant = located.resolved.tenant;
        let found = route.and_then(|at| Some((at, tenant.policy().route(at)?)));
        let Some((at, route)) = found else {
            return Err(Refusal::boxed(RefusalCode::NoRoute));
        };
        observer.routed(&tenant, at, route);
        if located.resolved.guarded.request.upgrade && !route.upgrade {
            return Err(Refusal::boxed(RefusalCode::UpgradeRefused));
        }
        Ok(Routed {
            route: at,
            peer_trusted: located.peer_trusted,
            place: located.place,
            tenant,
            _permit: permit,
        })
    }
}

/// The route is known; the body is still to be judged.
pub struct Routed<T> {
    route: usize,
    peer_trusted: bool,
    place: Place,
    tenant: T,
    /// The tenant's place in flight, for as long as the request runs.
    _permit: InFlightPermit,
}

impl<T: HasPolicy + Clone> Routed<T> {
    /// Whose request it is.
    pub fn tenant(&self) -> &T {
        &self.tenant
    }

    /// Position of the route among the tenant's.
    pub fn route_at(&self) -> usize {
        self.route
    }

    /// Bytes of the body to judge; `None` when nothing looks at bodies.
    pub fn inspect_bytes_max(&self, screening: &Screening) -> Option<u64> {
        let waf = &self.tenant.policy().tenant.waf;
        screening.is_on().then_some(waf.body_bytes_max)
    }

    /// Whether a body above [`Self::inspect_bytes_max`] is refused. A switch that says only to detect says it of this too.
    pub fn refuses_over_inspection(&self, screening: &Screening) -> bool {
        screening.is_on()
            && !screening.is_lowered()
            && self.tenant.policy().tenant.waf.body_over_limit == BodyOverLimit::Refuse
    }

    /// Reads a part of the body into the rules' variables, so that little is left to do at its end.
    pub fn read_body_chunk(&self, chunk: &[u8], screening: &mut Screening, observer: &mut impl Observer<T>) {
        if screening.is_on() {
            observer.screening();
            screening.body_chunk(chunk);
            observer.screened();
        }
    }

    /// Judges the body, as much as is held of it; must run also without a body, before any upstream is contacted. `whole` is
    /// false when more of it follows.
    ///
    /// # Errors
    /// The refusal of a rule.
    pub fn judge_body(
        self,
        body: &[u8],
        whole: bool,
        screening: &mut Screening,
        observer: &mut impl Observer<T>,
    ) -> Result<Cleared<T>, Stop> {
        if screening.is_on() {
            observer.screening();
            let judged = screening.body(body, whole);
            observer.screened();
            judged?;
        }
        Ok(Cleared(self))
    }
}

/// May be forwarded.
pub struct Cleared<T>(Routed<T>);

impl<T: HasPolicy + Clone> Cleared<T> {
    /// Whose request it is.
    pub fn tenant(&self) -> &T {
        &self.0.tenant
    }

    /// Position of the route among the tenant's.
    pub fn route_at(&self) -> usize {
        self.0.route
    }

    /// The peer is a trusted proxy: its forwarding fields are kept.
    pub fn peer_trusted(&self) -> bool {
        self.0.peer_trusted
    }

    /// Where the client is.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Bytes of the response's body to hold and judge.
    pub fn response_bytes_max(&self) -> u64 {
        self.0.tenant.policy().tenant.waf.response_bytes_max
    }

    /// Judges the head of the response.
    ///
    /// # Errors
    /// The refusal of a rule.
    pub fn judge_response_head(
        &self,
        status: u16,
        fields: &[crate::Field<'_>],
        screening: &mut Screening,
        observer: &mut impl Observer<T>,
    ) -> Result<(), Stop> {
        observer.screening();
        let judged = screening.response_head(status, fields);
        observer.screened();
        judged
    }

    /// Judges the body of the response, as much as is held of it.
    ///
    /// # Errors
    /// The refusal of a rule.
    pub fn judge_response_body(
        &self,
        body: &[u8],
        screening: &mut Screening,
        observer: &mut impl Observer<T>,
    ) -> Result<(), Stop> {
        observer.screening();
        let judged = screening.response_body(body);
        observer.screened();
        judged
    }
}

/// Runs every stage that needs no body.
///
/// # Errors
/// The refusal of the first stage that refuses.
pub fn decide<T: HasPolicy + Clone>(
    edge: &Edge<'_, T>,
    connection: &ConnectionView<'_>,
    request: &RequestView<'_>,
    moment: &Moment,
    screening: &mut Screening,
    observer: &mut impl Observer<T>,
) -> Result<Routed<T>, Stop> {
    Guarded::new(connection, request, edge.client)?
        .resolve(edge, observer)?
        .locate(edge, observer)?
        .admit(edge, moment, observer)?
        .screen(edge, screening, moment, observer)?
        .route(observer)
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
