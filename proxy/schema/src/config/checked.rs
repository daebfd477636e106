//! The configuration after every check: values are in bounds, references resolve, tiers are merged into tenants.
//!
//! Only [`super::check`] makes these. Files that the document names (rules, certificates, databases) are not read here:
//! their paths are resolved against the document's folder, and the data plane reads them when it compiles a `Live`.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::ids::{ListenerId, PoolId, RegionId, RouteId, RuleSetId, TenantId, TierId};

/// A document that may be compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedConfig {
    /// SHA-256 of the canonical document, lower-case hex.
    pub digest: String,
    /// Who this process is. Read at boot.
    pub node: Node,
    /// The admin endpoint. Read at boot.
    pub admin: Admin,
    /// Sockets to accept on.
    pub listeners: Vec<Listener>,
    /// What a client may do to a connection.
    pub client: ClientLimits,
    /// How the process ends.
    pub drain: Drain,
    /// Whom to believe about client addresses.
    pub trust: Trust,
    /// All regions.
    pub regions: Vec<Region>,
    /// Country and network databases.
    pub geo: Option<Geo>,
    /// Limits over all tenants.
    pub limits: GlobalLimits,
    /// Where requests can go.
    pub pools: Vec<Arc<Pool>>,
    /// What is taken from the WAF of all tenants.
    pub waf: WafSwitches,
    /// Named sets of SecLang files.
    pub rule_sets: Vec<RuleSet>,
    /// Whom requests belong to.
    pub tenants: Vec<Arc<Tenant>>,
    /// An error wholly inside one tenant sets that tenant aside instead of refusing the document.
    pub quarantine_tenants: bool,
    /// Tenants that failed; empty unless `quarantine_tenants`.
    pub quarantined: Vec<Quarantined>,
    /// Logs and metrics.
    pub observability: Observability,
}

/// Who this process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Region it stands in; one of `regions`.
    pub region: RegionId,
    /// Worker threads; `None` takes one per core.
    pub workers: Option<NonZeroU32>,
    /// Folder for last-known-good versions; `None` keeps none.
    pub state_dir: Option<PathBuf>,
}

/// The admin endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Admin {
    /// Address to listen on; loopback unless the document says `allow_remote: true`.
    pub address: SocketAddr,
}

/// A socket to accept on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// Name in logs and metrics.
    pub id: ListenerId,
    /// Address to listen on; port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// Serve HTTP/1.0 and 1.1.
    pub h1: bool,
    /// Serve HTTP/2: by ALPN with TLS, by prior knowledge without.
    pub h2: bool,
    /// Terminate TLS; `None` is cleartext.
    pub tls: Option<ListenerTls>,
    /// A PROXY protocol v1 or v2 header must come first, from an address in `trust.proxies`.
    pub proxy_protocol: bool,
}

/// TLS of a listener. Certificates belong to tenants; a name without one is refused in the handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerTls {
    /// Lowest version offered.
    pub version_min: TlsVersion,
    /// Largest number of session tickets a TLS 1.3 handshake hands out; 0 switches resumption off.
    pub tickets: u8,
    /// Life of a ticket key; the previous key is still accepted for as long again.
    pub ticket_rotation: Duration,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3, RFC 8446.
    #[serde(rename = "1.3")]
    V13,
}

/// What a client may do to a connection. Defaults are safe against hostile clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientLimits {
    /// From accept to the end of the TLS handshake (and of the PROXY header).
    pub handshake_timeout: Duration,
    /// From the end of the handshake to the first byte of the first request.
    pub first_byte_timeout: Duration,
    /// From the first byte of a head to its last, in total.
    pub header_timeout: Duration,
    /// Without a request on an HTTP/1.1 connection.
    pub idle_timeout: Duration,
    /// Requests on one HTTP/1.1 connection; the last is answered with `connection: close`.
    pub keepalive_requests_max: u32,
    /// Bytes of request line and header fields.
    pub header_bytes_max: u32,
    /// Header fields of a request.
    pub header_fields_max: u32,
    /// Bytes of a request target.
    pub target_bytes_max: u32,
    /// Least rate of a request body after the grace time, and of what a slow client takes of a response once it has used up
    /// `write_timeout`, bytes per second; 0 switches both checks off.
    pub body_rate_min: u32,
    /// Time before `body_rate_min` counts.
    pub body_rate_grace: Duration,
    /// A write to a client that makes no progress, or less than `body_rate_min`, for this long in all ends the connection.
    pub write_timeout: Duration,
    /// Bytes of an unread request body that are read and dropped after an early answer to keep the connection.
    pub drain_bytes_max: u32,
    /// Open connections, all clients.
    pub connections_max: u32,
    /// Open connections of one address (IPv6: one /64).
    pub connections_per_address_max: u32,
    /// Open connections of one prefix (IPv4 /24, IPv6 /48).
    pub connections_per_prefix_max: u32,
    /// Bytes of request bodies held for inspection, all tenants; above it a request that needs a buffer gets 503.
    pub inspection_bytes_max: u64,
    /// HTTP/2.
    pub h2: ClientH2,
}

/// HTTP/2 limits towards a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientH2 {
    /// Open streams of one connection.
    pub streams_max: u32,
    /// Bytes of a decoded header list, RFC 9113 section 6.5.2.
    pub header_list_bytes_max: u32,
    /// Streams reset by the client, or by us for its faults, before the connection is closed.
    pub resets_max: u32,
    /// Resets that are forgiven, each second; so is one for each answer.
    pub resets_per_s: u32,
    /// Frames without a request or a body before the connection is closed: SETTINGS, PING, PRIORITY, WINDOW_UPDATE,
    /// CONTINUATION, empty DATA and unknown ones.
    pub control_frames_max: u32,
    /// Such frames that are forgiven, each second; so are four for each piece of an answer.
    pub control_frames_per_s: u32,
    /// Without an open stream.
    pub idle_timeout: Duration,
    /// A stream whose response makes no progress for this long is reset.
    pub stall_timeout: Duration,
}

/// How the process ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drain {
    /// Between readiness going false and the listeners closing.
    pub readiness_delay: Duration,
    /// An idle HTTP/1.1 connection may send one more request for this long; a client that sends it as we close would see
    /// it fail.
    pub idle_grace: Duration,
    /// Longest wait for requests in flight.
    pub timeout: Duration,
}

/// Whom to believe about client addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trust {
    /// Peers whose forwarding headers and PROXY headers count.
    pub proxies: Vec<IpNet>,
    /// Most hops to walk, from the right.
    pub hops_max: u8,
    /// Header that carries the hops.
    pub header: ForwardedHeader,
}

/// Header that carries the forwarding hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `Forwarded`, RFC 7239.
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// A region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Region {
    /// Its name.
    pub id: RegionId,
    /// Origin (scheme and authority) of its ingress, where a migrating tenant's clients are sent.
    pub ingress: Option<String>,
}

/// Country and network databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Geo {
    /// MMDB with countries: flat `country_code` or MaxMind's nested form.
    pub country_database: Option<PathBuf>,
    /// MMDB with autonomous system numbers.
    pub asn_database: Option<PathBuf>,
}

/// Limits over all tenants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GlobalLimits {
    /// All requests of this process.
    pub requests: Option<Rate>,
    /// Keys that the limit table holds, 8 bytes each, rounded up to a power of two; fixed at boot.
    pub table_keys: u32,
    /// Send `RateLimit` and `RateLimit-Policy` with every answer (else only with 429).
    pub headers_always: bool,
}

/// What is taken from the WAF of all tenants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WafSwitches {
    /// The most that a verdict does; `block` takes nothing.
    pub mode_max: WafMode,
    /// Ids of rules that do not run.
    pub rules_off: Vec<u64>,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Requests per window.
    pub requests: NonZeroU32,
    /// The window.
    pub window: Duration,
    /// Requests that may come at once.
    pub burst: NonZeroU32,
}

/// Where requests can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// Its name.
    pub id: PoolId,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// Protocol spoken to the endpoints.
    pub protocol: UpstreamProtocol,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// Encrypt and verify; `None` is cleartext.
    pub tls: Option<UpstreamTls>,
    /// Active checks.
    pub health: Option<HealthCheck>,
    /// One connection attempt.
    pub connect_timeout: Duration,
    /// All connection attempts of a request.
    pub connect_total_timeout: Duration,
    /// Without a byte from the upstream while a response is due.
    pub read_timeout: Duration,
    /// A pooled connection unused for this long is closed.
    pub idle_timeout: Duration,
    /// Idle connections kept per endpoint.
    pub idle_connections_max: u32,
    /// Retries.
    pub retry: Retry,
    /// Passive ejection.
    pub outlier: Ejection,
}

/// One upstream server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// IP address, or a name that is resolved again each 30 s.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Share of requests beside the others', 1 to 1000.
    pub weight: u16,
}

/// Protocol spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    H1,
    /// HTTP/2, by ALPN with TLS, by prior knowledge without.
    H2,
}

/// How an endpoint is chosen among the healthy ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// The one with fewest requests in flight for its weight, of two picked at random.
    LeastRequest,
    /// One after the other; weights count.
    RoundRobin,
    /// At random by weight.
    WeightedRandom,
}

/// TLS towards an upstream. Verification cannot be switched off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpstreamTls {
    /// Name sent as SNI and checked against the certificate; never empty.
    pub server_name: String,
    /// PEM file with the authorities to trust; `None` takes the system's.
    pub ca_file: Option<PathBuf>,
}

/// Active checks of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// Target of the GET.
    pub path: String,
    /// Host header of the GET.
    pub host: String,
    /// Between two checks.
    pub interval: Duration,
    /// For one check.
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy.
    pub unhealthy_after: u32,
    /// Successes in a row that make it healthy.
    pub healthy_after: u32,
    /// Lowest and highest status that is a success.
    pub status: (u16, u16),
}

/// Retries of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Retry {
    /// Tries after the first.
    pub retries_max: u8,
    /// Retries as a share of requests, percent.
    pub budget_percent: u8,
    /// Retries per second that are allowed whatever the share.
    pub budget_min_per_s: u32,
    /// Upper bound of the first backoff; it doubles per retry, and the wait is uniform below it.
    pub backoff_base: Duration,
    /// Upper bound of any backoff.
    pub backoff_max: Duration,
}

/// Passive ejection: when what requests tell of an endpoint takes it out of the choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ejection {
    /// Bad answers in a row; 0: answers never eject.
    pub after: u32,
    /// How long the first ejection lasts, and the time between two connections that are tried to a dead endpoint; it
    /// doubles when an endpoint fails again soon after it came back.
    pub base: Duration,
    /// Longest ejection, and the time in the choice after which the next one lasts `base` again.
    pub max: Duration,
    /// Endpoints that may be out for bad answers, percent of the pool.
    pub percent_max: u8,
}

/// A named set of SecLang files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleSet {
    /// Its name; `baseline` is the shipped one unless the document redefines it.
    pub id: RuleSetId,
    /// What it is made of.
    pub source: RuleSetSource,
}

/// What a rule set is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleSetSource {
    /// The set that Weir ships.
    Baseline,
    /// Files, in order; a name may be a glob.
    Files(Vec<PathBuf>),
}

/// Whom requests belong to; its tier is merged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tenant {
    /// Its name.
    pub id: TenantId,
    /// Its tier.
    pub tier: Option<TierId>,
    /// Where it is in its life.
    pub state: TenantState,
    /// Hosts, lower case, without port; `*.` in front matches one or more labels.
    pub hosts: Vec<String>,
    /// TLS.
    pub tls: TenantTls,
    /// Who may come, by place.
    pub geo: GeoPolicy,
    /// How much may come.
    pub limits: TenantLimits,
    /// Attacks.
    pub waf: WafPolicy,
    /// In order; the first match wins.
    pub routes: Vec<Route>,
}

/// Where a tenant is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// Served.
    Active,
    /// Gone: 410.
    Deleted,
    /// Moving: 307 to the target region's ingress.
    Migrating {
        /// Where to; its `ingress` is set.
        region: RegionId,
    },
    /// Not ready yet: 503 with Retry-After.
    Pending,
    /// Stopped: 403.
    Suspended,
}

/// TLS of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TenantTls {
    /// Certificates for its hosts.
    pub certificates: Vec<CertificateFiles>,
    /// Ask clients for a certificate.
    pub client_auth: Option<ClientAuth>,
}

/// A certificate chain and its key, PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateFiles {
    /// Chain, leaf first.
    pub cert_file: PathBuf,
    /// Private key.
    pub key_file: PathBuf,
}

/// Client certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientAuth {
    /// PEM file with the authorities to trust.
    pub ca_file: PathBuf,
    /// Refuse the handshake without one.
    pub required: bool,
}

/// Who may come, by place. Deny wins; an empty allow list allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GeoPolicy {
    /// ISO 3166-1 alpha-2, upper case.
    pub countries_allow: Vec<[u8; 2]>,
    /// ISO 3166-1 alpha-2, upper case.
    pub countries_deny: Vec<[u8; 2]>,
    /// AF AN AS EU NA OC SA.
    pub continents_allow: Vec<[u8; 2]>,
    /// AF AN AS EU NA OC SA.
    pub continents_deny: Vec<[u8; 2]>,
    /// Autonomous system numbers.
    pub asns_allow: Vec<u32>,
    /// Autonomous system numbers.
    pub asns_deny: Vec<u32>,
    /// Refuse clients whose place is not known while any list is set (default: let them pass, tagged `XX`).
    pub unknown_deny: bool,
}

/// How much may come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TenantLimits {
    /// Of one client address (IPv6: one /64).
    pub address: Option<Rate>,
    /// Of one key each.
    pub keys: Vec<KeyLimit>,
    /// Of the tenant.
    pub tenant: Option<Rate>,
    /// Requests in flight of the tenant; `None` is no limit.
    pub in_flight_max: Option<NonZeroU32>,
}

/// A limit per value of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyLimit {
    /// Name in the policy header.
    pub name: String,
    /// Where the key is.
    pub source: KeySource,
    /// The bucket of one value. Without the key, the client address is the value.
    pub rate: Rate,
}

/// Where a limit's key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// A cookie by name.
    Cookie(String),
    /// A header by name, lower case.
    Header(String),
    /// A claim of the bearer token in `Authorization`, once its signature is verified.
    JwtClaim {
        /// Name of the claim.
        claim: String,
        /// PEM public key (RS256, ES256, EdDSA), or the bytes of an HS256 secret.
        key_file: PathBuf,
        /// `HS256`, `RS256`, `ES256` or `EdDSA`.
        algorithm: String,
    },
    /// A query parameter by name.
    Query(String),
}

/// Attacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WafPolicy {
    /// What a verdict does.
    pub mode: WafMode,
    /// The rule set.
    pub rule_set: RuleSetId,
    /// Own SecLang files, evaluated after the rule set.
    pub rules: Vec<PathBuf>,
    /// Own SecLang files, evaluated before the rule set.
    pub rules_before: Vec<PathBuf>,
    /// TX variables by lower-case name, set when a transaction begins; no rule changes them.
    pub tx: Vec<(String, String)>,
    /// Rules of the set that do not run, or do not look at some values.
    pub exclusions: Vec<Exclusion>,
    /// Bytes of a body that are held and judged before any upstream is contacted.
    pub body_bytes_max: u64,
    /// Bytes of a response body that are held and judged.
    pub response_bytes_max: u64,
    /// What to do with a body above `body_bytes_max`.
    pub body_over_limit: BodyOverLimit,
    /// Whether blocking mode refuses arguments or a body that cannot be read by their type.
    pub refuse_unreadable: bool,
}

/// Rules that do not run, or do not look at some values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exclusion {
    /// Which.
    pub rules: ExcludedRules,
    /// Values that they do not look at; empty is that they do not run.
    pub targets: Vec<String>,
    /// Why.
    pub note: Option<String>,
}

/// Rules of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExcludedRules {
    /// From the first id to the last.
    Ids {
        /// First.
        first: u32,
        /// Last.
        last: u32,
    },
    /// A regex over their messages.
    Message(String),
    /// A regex over their tags.
    Tag(String),
}

/// What a verdict does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WafMode {
    /// Refuse.
    Block,
    /// Record only.
    Detect,
    /// Do not look.
    Off,
}

/// What to do with a body above the inspection limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyOverLimit {
    /// 413.
    Refuse,
    /// Judge what was held, then stream the rest.
    Stream,
}

/// One route of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Its name, unique in the tenant.
    pub id: RouteId,
    /// Hosts of the tenant that it serves; empty is all.
    pub hosts: Vec<String>,
    /// Path.
    pub path: PathMatch,
    /// Methods; empty is all.
    pub methods: Vec<String>,
    /// All must hold.
    pub headers: Vec<HeaderMatch>,
    /// Where to.
    pub pool: PoolId,
    /// Of this route.
    pub limit: Option<Rate>,
    /// From the head of the request to the end of the response; `None` is no deadline.
    pub timeout: Option<Duration>,
    /// Let WebSocket (and other) upgrades through.
    pub upgrade: bool,
    /// Retry also other methods when the client sends `Idempotency-Key`.
    pub retry_idempotency_key: bool,
    /// Bytes of a request body; above it 413. `None` is no limit.
    pub body_bytes_max: Option<u64>,
}

/// Match of a normalised path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PathMatch {
    /// Exactly this.
    Exact(String),
    /// This and what is below it: `/a` matches `/a` and `/a/b`, not `/ab`.
    Prefix(String),
}

/// Match of a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeaderMatch {
    /// Name, lower case.
    pub name: String,
    /// One line with exactly this value; `None` asks only that it is there.
    pub value: Option<String>,
}

/// A tenant whose document failed alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Its name, where it could be read.
    pub id: Option<TenantId>,
    /// Its hosts, where they could be read: they answer 503 `tenant_quarantined` unless an older version of
    /// the tenant served before, which goes on.
    pub hosts: Vec<String>,
    /// What is wrong.
    pub reasons: Vec<String>,
}

/// Logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Observability {
    /// One JSON line per request.
    pub access_log: Option<AccessLog>,
    /// One JSON line per request on which rules matched.
    pub audit_log: Option<AuditLog>,
    /// Tenants with own metric series; the rest share `other`.
    pub metric_tenants_max: u32,
}

/// The access log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccessLog {
    /// Where to.
    pub sink: LogSink,
    /// Query parameters whose values are replaced, lower case.
    pub redact_query: Vec<String>,
    /// Request headers to log, lower case; `authorization`, `cookie` and `proxy-authorization` are always replaced.
    pub headers: Vec<String>,
    /// Log one of this many answers below 400; all others are always logged.
    pub sample: NonZeroU32,
}

/// The audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditLog {
    /// Where to.
    pub sink: LogSink,
    /// Write one of this many events of requests that the rules let through.
    pub sample: NonZeroU32,
    /// Such events per second, rule and tenant; `None` has no bound.
    pub rule_events_per_s_max: Option<NonZeroU32>,
    /// Parts of names whose values are replaced beside the built-in ones, lower case.
    pub redact: Vec<String>,
    /// What is written of a value.
    pub values: AuditValues,
    /// Bytes of an excerpt.
    pub value_bytes_max: u16,
    /// Rules in one event.
    pub matched_max: u16,
}

/// What is written of a value on which a rule matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditValues {
    /// Its beginning, without what looks secret.
    Excerpt,
    /// A keyed hash.
    Hash,
    /// Nothing.
    Omit,
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSink {
    /// Appended to; opened again on SIGHUP.
    File(PathBuf),
    /// Standard output.
    Stdout,
}
