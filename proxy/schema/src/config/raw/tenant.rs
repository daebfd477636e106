//! Keys of tenants, tiers and rule sets.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{List, RawExclusion, RawRate, RawTx};

/// A named set of SecLang files.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRuleSet {
    /// Its name; `baseline` replaces the shipped set.
    pub id: String,
    /// Files in order; a name may be a glob.
    #[schemars(length(min = 1, max = 1000), inner(length(min = 1, max = 4096)))]
    pub files: List<String>,
}

/// Defaults that tenants refer to; a tenant's own keys override them one by one.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTier {
    /// Its name.
    pub id: String,
    /// Who may come, by place.
    #[serde(default)]
    pub geo: RawGeoPolicy,
    /// How much may come.
    #[serde(default)]
    pub limits: RawLimits,
    /// Attacks.
    #[serde(default)]
    pub waf: RawWaf,
}

/// Whom requests belong to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTenant {
    /// Its name.
    pub id: String,
    /// Tier whose keys are its defaults.
    pub tier: Option<String>,
    /// Where it is in its life.
    #[serde(default = "RawTenant::state")]
    pub state: RawState,
    /// Region that it moves to, with `state: migrating` only; proxies of that region serve it already.
    pub migrate_to: Option<String>,
    /// Hosts; `*.` in front matches one or more labels, `*` alone any host that no tenant has.
    #[schemars(length(min = 1, max = 10_000))]
    pub hosts: List<String>,
    /// Certificates for its hosts.
    #[serde(default)]
    pub tls: RawTenantTls,
    /// Who may come, by place.
    #[serde(default)]
    pub geo: RawGeoPolicy,
    /// How much may come.
    #[serde(default)]
    pub limits: RawLimits,
    /// Attacks.
    #[serde(default)]
    pub waf: RawWaf,
    /// Routes in order; the first match wins.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub routes: List<RawRoute>,
}

impl RawTenant {
    const fn state() -> RawState {
        RawState::Active
    }
}

/// Where a tenant is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawState {
    /// Served.
    Active,
    /// Gone: 410.
    Deleted,
    /// Moving to another region: 307.
    Migrating,
    /// Not ready yet: 503.
    Pending,
    /// Stopped: 403.
    Suspended,
}

/// TLS of a tenant.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawTenantTls {
    /// Certificate chains and keys.
    #[schemars(length(max = 100))]
    pub certificates: List<RawCertificate>,
    /// Ask clients for a certificate.
    pub client_auth: Option<RawClientAuth>,
}

/// A certificate chain and its key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCertificate {
    /// PEM chain, leaf first.
    #[schemars(length(min = 1, max = 4096))]
    pub cert_file: String,
    /// PEM private key.
    #[schemars(length(min = 1, max = 4096))]
    pub key_file: String,
}

/// Client certificates.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawClientAuth {
    /// PEM file with the authorities to trust.
    #[schemars(length(min = 1, max = 4096))]
    pub ca_file: String,
    /// Refuse the handshake without a certificate.
    #[serde(default = "RawClientAuth::required")]
    pub required: bool,
}

impl RawClientAuth {
    const fn required() -> bool {
        true
    }
}

/// Who may come, by place. Deny wins; an empty allow list allows all.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawGeoPolicy {
    /// ISO 3166-1 alpha-2 codes.
    #[schemars(length(max = 300))]
    pub countries_allow: Option<List<String>>,
    /// ISO 3166-1 alpha-2 codes.
    #[schemars(length(max = 300))]
    pub countries_deny: Option<List<String>>,
    /// AF, AN, AS, EU, NA, OC or SA.
    #[schemars(length(max = 7))]
    pub continents_allow: Option<List<RawContinent>>,
    /// AF, AN, AS, EU, NA, OC or SA.
    #[schemars(length(max = 7))]
    pub continents_deny: Option<List<RawContinent>>,
    /// Autonomous system numbers.
    #[schemars(length(max = 10_000), inner(range(min = 1, max = 4_294_967_295_u32)))]
    pub asns_allow: Option<List<u32>>,
    /// Autonomous system numbers.
    #[schemars(length(max = 10_000), inner(range(min = 1, max = 4_294_967_295_u32)))]
    pub asns_deny: Option<List<u32>>,
    /// Clients whose place is not known; without this key `allow`.
    pub unknown: Option<RawUnknown>,
}

/// A continent.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum RawContinent {
    Af,
    An,
    As,
    Eu,
    Na,
    Oc,
    Sa,
}

impl RawContinent {
    /// The code in two letters.
    pub const fn code(self) -> [u8; 2] {
        match self {
            Self::Af => *b"AF",
            Self::An => *b"AN",
            Self::As => *b"AS",
            Self::Eu => *b"EU",
            Self::Na => *b"NA",
            Self::Oc => *b"OC",
            Self::Sa => *b"SA",
        }
    }
}

/// Clients whose place is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawUnknown {
    /// Let them pass.
    Allow,
    /// Refuse them while any list is set.
    Deny,
}

/// How much may come.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLimits {
    /// Of one client address (IPv6: one /64).
    pub address: Option<RawRate>,
    /// Of one value of a key each.
    #[schemars(length(max = 16))]
    pub keys: Option<List<RawKeyLimit>>,
    /// Of the tenant.
    pub tenant: Option<RawRate>,
    /// Requests in flight of the tenant; without this key no limit.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub in_flight_max: Option<u32>,
}

/// A limit per value of a key; exactly one of `header`, `cookie`, `query` and `jwt` says where the key is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawKeyLimit {
    /// Name in the policy header.
    pub name: String,
    /// A header by name.
    pub header: Option<String>,
    /// A cookie by name.
    pub cookie: Option<String>,
    /// A query parameter by name.
    #[schemars(length(min = 1, max = 256))]
    pub query: Option<String>,
    /// A claim of the bearer token.
    pub jwt: Option<RawJwt>,
    /// The bucket of one value.
    pub rate: RawRate,
}

/// A claim of the bearer token in `Authorization`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawJwt {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 256))]
    pub claim: String,
    /// PEM public key, or the bytes of an HS256 secret.
    #[schemars(length(min = 1, max = 4096))]
    pub key_file: String,
    /// Signature algorithm.
    pub algorithm: RawAlgorithm,
}

/// Signature algorithm of a token.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum RawAlgorithm {
    /// HMAC with SHA-256.
    #[serde(rename = "HS256")]
    Hs256,
    /// RSA with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl RawAlgorithm {
    /// Its name in a token's header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Attacks.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWaf {
    /// What a verdict does; without this key `block`.
    pub mode: Option<RawWafMode>,
    /// Rule set; without this key `baseline`.
    pub rule_set: Option<String>,
    /// Own SecLang files, evaluated after the rule set.
    #[schemars(length(max = 100), inner(length(min = 1, max = 4096)))]
    pub rules: Option<List<String>>,
    /// Own SecLang files, evaluated before the rule set in each phase.
    #[schemars(length(max = 100), inner(length(min = 1, max = 4096)))]
    pub rules_before: Option<List<String>>,
    /// Paranoia level: sets `tx.blocking_paranoia_level` and `tx.detection_paranoia_level`. Without this key the rule set
    /// says, 1 in the CRS.
    #[schemars(range(min = 1, max = 4))]
    pub paranoia: Option<u8>,
    /// Anomaly score from which a request is refused: `tx.inbound_anomaly_score_threshold`. Without this key the rule set
    /// says, 5 in the CRS and in `baseline`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub inbound_threshold: Option<u32>,
    /// Anomaly score from which a response is refused: `tx.outbound_anomaly_score_threshold`. Without this key the rule set
    /// says, 4 in the CRS.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub outbound_threshold: Option<u32>,
    /// Rules of the set that do not run, or do not look at some values.
    #[schemars(length(max = 1000))]
    pub exclusions: Option<List<RawExclusion>>,
    /// Other TX variables of the rule set; those of the tier that the tenant does not name stay.
    #[schemars(length(max = 100))]
    pub tx: Option<List<RawTx>>,
    /// Bytes of a body that are held and judged; without this key 1048576.
    #[schemars(range(min = 0, max = 1_073_741_824))]
    pub body_bytes_max: Option<u64>,
    /// What to do with a larger body; without this key `refuse` (413).
    pub body_over_limit: Option<RawOverLimit>,
    /// What to do, in `block` mode, with arguments or a body that cannot be read by their type (malformed, too many, too deep), so
    /// that rules have not seen all of it; without this key `refuse` (400).
    pub unreadable: Option<RawUnreadable>,
    /// Bytes of a response body that are held and judged where rules ask for it; what comes behind passes. Without this key
    /// 524288.
    #[schemars(range(min = 0, max = 1_073_741_824))]
    pub response_bytes_max: Option<u64>,
}

/// What a verdict does.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawWafMode {
    /// Refuse the request.
    Block,
    /// Record only.
    Detect,
    /// Do not look.
    Off,
}

/// What to do with a body above the inspection limit.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawOverLimit {
    /// 413.
    Refuse,
    /// Judge what was held, then stream the rest.
    Stream,
}

/// What to do with a request that rules cannot read.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawUnreadable {
    /// 400.
    Refuse,
    /// Let it pass when no rule refuses what could be read.
    Pass,
}

/// One route of a tenant.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRoute {
    /// Its name, unique in the tenant.
    pub id: String,
    /// Hosts of the tenant that it serves; without this key all.
    #[schemars(length(min = 1, max = 1000))]
    pub hosts: Option<List<String>>,
    /// Exactly this path.
    pub path: Option<String>,
    /// This path and what is below it; without this key and `path`, `/`.
    pub path_prefix: Option<String>,
    /// Methods; without this key all.
    #[schemars(length(min = 1, max = 32))]
    pub methods: Option<List<String>>,
    /// Headers that must all hold.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub headers: List<RawHeaderMatch>,
    /// Pool that it goes to.
    pub pool: String,
    /// Limit of this route.
    pub limit: Option<RawRate>,
    /// From the request's head to the response's end, milliseconds; without this key no deadline.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub timeout_ms: Option<u32>,
    /// Let WebSocket and other upgrades through.
    #[serde(default)]
    pub upgrade: bool,
    /// Retry also other methods when the client sends `Idempotency-Key`.
    #[serde(default)]
    pub retry_idempotency_key: bool,
    /// Bytes of a request body; without this key no limit.
    #[schemars(range(min = 0, max = 1_099_511_627_776_u64))]
    pub body_bytes_max: Option<u64>,
}

/// A header that must be there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawHeaderMatch {
    /// Its name.
    pub name: String,
    /// Its value; without this key any.
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
}
