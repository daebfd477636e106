//! Every way a request can be refused: one stable code, used as metric label, log field, `explain` answer and problem type.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal, $title:literal;)*) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum RefusalCode {
            $($(#[$doc])* $variant,)*
        }

        impl RefusalCode {
            /// All codes, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable code: metric label, log field and last part of the problem type.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }

            /// A sentence for the client; says nothing about the inside.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }
        }
    };
}

codes! {
    /// Two framings, or one that can be read in two ways: RFC 9112 section 6.3.
    AmbiguousFraming = "ambiguous_framing", 400, "The length of the request body is ambiguous.";
    /// A body slower than the least rate, or not ended in time.
    BodyTimeout = "body_timeout", 408, "The request body did not arrive in time.";
    /// A body above a limit of the tenant or route.
    BodyTooLarge = "body_too_large", 413, "The request body is too large.";
    /// An expectation other than 100-continue.
    ExpectationFailed = "expectation_failed", 417, "The expectation is not supported.";
    /// The client's place is refused by the tenant.
    GeoBlocked = "geo_blocked", 403, "Access from your location is not allowed.";
    /// The client's place is not known and the tenant refuses that.
    GeoUnknown = "geo_unknown", 403, "Access from an unknown location is not allowed.";
    /// A head that did not end in time.
    HeaderTimeout = "header_timeout", 408, "The request head did not arrive in time.";
    /// Too many header bytes or fields.
    HeaderTooLarge = "header_too_large", 431, "The request header is too large.";
    /// SNI and Host belong to different tenants.
    HostMismatch = "host_mismatch", 421, "The host does not belong to this connection.";
    /// Too many requests of the tenant in flight.
    InFlightLimit = "in_flight_limit", 503, "Too many requests are in progress.";
    /// No buffer left for inspection.
    InspectionBuffer = "inspection_buffer", 503, "The server is busy.";
    /// A fault of ours.
    InternalError = "internal_error", 500, "The server failed.";
    /// A Host that is no host.
    InvalidHost = "invalid_host", 400, "The Host header is invalid or missing.";
    /// A target that is no target.
    InvalidTarget = "invalid_target", 400, "The request target is invalid.";
    /// Over the limit of the client address.
    LimitAddress = "limit_address", 429, "Too many requests from your address.";
    /// Over the limit of all tenants.
    LimitGlobal = "limit_global", 429, "The server is receiving too many requests.";
    /// Over the limit of a key.
    LimitKey = "limit_key", 429, "Too many requests with your key.";
    /// Over the limit of the route.
    LimitRoute = "limit_route", 429, "Too many requests for this resource.";
    /// Over the limit of the tenant.
    LimitTenant = "limit_tenant", 429, "Too many requests for this site.";
    /// Bytes that are no HTTP request.
    MalformedRequest = "malformed_request", 400, "The request is malformed.";
    /// A method that is never forwarded.
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed.";
    /// No endpoint of the pool is healthy.
    NoHealthyUpstream = "no_healthy_upstream", 503, "No server is available for this request.";
    /// No route of the tenant matches.
    NoRoute = "no_route", 404, "There is nothing at this address.";
    /// The whole request took longer than the route allows.
    RouteTimeout = "route_timeout", 504, "The request took too long.";
    /// The target is longer than the limit.
    TargetTooLong = "target_too_long", 414, "The request target is too long.";
    /// The tenant is gone.
    TenantDeleted = "tenant_deleted", 410, "This site is gone.";
    /// The tenant is moving to another region.
    TenantMigrating = "tenant_migrating", 307, "This site has moved.";
    /// The tenant is not ready yet.
    TenantPending = "tenant_pending", 503, "This site is not ready yet.";
    /// The tenant's configuration failed.
    TenantQuarantined = "tenant_quarantined", 503, "This site is temporarily unavailable.";
    /// The tenant is stopped.
    TenantSuspended = "tenant_suspended", 403, "This site is suspended.";
    /// No tenant has this host.
    UnknownHost = "unknown_host", 404, "This host is not served here.";
    /// A transfer coding other than chunked.
    UnsupportedCoding = "unsupported_coding", 501, "The transfer coding is not supported.";
    /// An HTTP version other than 1.0, 1.1 and 2.
    UnsupportedVersion = "unsupported_version", 505, "The HTTP version is not supported.";
    /// An upgrade that the route does not let through.
    UpgradeRefused = "upgrade_refused", 403, "The protocol upgrade is not allowed.";
    /// No connection to an upstream.
    UpstreamConnect = "upstream_connect", 502, "The server behind this site cannot be reached.";
    /// An answer that is no HTTP response.
    UpstreamProtocol = "upstream_protocol", 502, "The server behind this site sent an invalid response.";
    /// The upstream ended the exchange early.
    UpstreamReset = "upstream_reset", 502, "The server behind this site closed the connection.";
    /// The upstream did not answer in time.
    UpstreamTimeout = "upstream_timeout", 504, "The server behind this site did not answer in time.";
    /// A rule refused the request.
    WafBlocked = "waf_blocked", 403, "The request was refused by a security rule.";
    /// Arguments or a body that rules could not read by their type: malformed, too many, too deep.
    WafUnreadable = "waf_unreadable", 400, "The content of the request could not be read.";
    /// A rule refused the response.
    WafResponseBlocked = "waf_response_blocked", 502, "The response was refused by a security rule.";
}
