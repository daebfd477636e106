//! Limits compiled per tenant, and claims of bearer tokens once their signature is verified.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::{collections::HashMap, fs};

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use smallvec::SmallVec;
use weir_decide::limit::{Check, ClaimVerifier, GcraParams, address_key, key_hash, key_value};
use weir_schema::codes::RefusalCode;
use weir_schema::config::checked::{KeyLimit, KeySource, Rate, Tenant};

use crate::engine::request::FieldList;

/// Keys that are kept parsed.
const KEYS_MAX: usize = 1024;

/// Keys by file and algorithm; `None` for a file that holds none.
type KnownKeys = HashMap<(PathBuf, String), Option<Arc<DecodingKey>>>;

/// Verifies bearer tokens; keys are read once per file.
#[derive(Default)]
pub(crate) struct Claims {
    keys: RwLock<KnownKeys>,
}

impl Claims {
    /// Forgets keys, so that changed files are read again.
    pub(crate) fn forget(&self) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn key(&self, path: &PathBuf, algorithm: &str) -> Option<Arc<DecodingKey>> {
        let id = (path.clone(), algorithm.to_owned());
        if let Some(known) = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return known.clone();
        }
        let parsed = fs::read(path).ok().and_then(|bytes| {
            let key = match algorithm {
                "HS256" => Ok(DecodingKey::from_secret(bytes.trim_ascii())),
                "RS256" => DecodingKey::from_rsa_pem(&bytes),
                "ES256" => DecodingKey::from_ec_pem(&bytes),
                _ => DecodingKey::from_ed_pem(&bytes),
            };
            key.ok().map(Arc::new)
        });
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() < KEYS_MAX {
            keys.insert(id, parsed.clone());
        }
        parsed
    }
}

impl ClaimVerifier for Claims {
    fn claim(&self, source: &KeySource, bearer: &[u8]) -> Option<String> {
        let KeySource::JwtClaim {
            claim,
            key_file,
            algorithm,
        } = source
        else {
            return None;
        };
        let key = self.key(key_file, algorithm)?;
        let algorithm = match algorithm.as_str() {
            "HS256" => Algorithm::HS256,
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            _ => Algorithm::EdDSA,
        };
        let mut validation = Validation::new(algorithm);
        validation.validate_aud = false;
        let token = std::str::from_utf8(bearer).ok()?;
        let decoded = jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation).ok()?;
        match decoded.claims.get(claim)? {
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// The limit over all tenants.
pub(crate) struct GlobalLimit {
    params: GcraParams,
    key: u64,
}

impl GlobalLimit {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            params: GcraParams::new(&rate),
            key: key_hash(&[b"global"]),
        }
    }

    pub(crate) fn check(&self) -> Check<'static> {
        Check {
            key_hash: self.key,
            rate: self.params,
            code: RefusalCode::LimitGlobal,
            name: "global",
        }
    }
}

/// The limits of a tenant.
pub(crate) struct TenantLimitsLive {
    id: String,
    address: Option<GcraParams>,
    keys: Vec<(KeyLimit, GcraParams)>,
    tenant: Option<(u64, GcraParams)>,
    routes: Vec<Option<(u64, GcraParams)>>,
}

impl TenantLimitsLive {
    pub(crate) fn new(tenant: &Tenant) -> Self {
        let id = tenant.id.as_str();
        let route = |route: &weir_schema::config::checked::Route| {
            let key = key_hash(&[b"route", id.as_bytes(), route.id.as_str().as_bytes()]);
            route.limit.map(|rate| (key, GcraParams::new(&rate)))
        };
        Self {
            address: tenant.limits.address.map(|rate| GcraParams::new(&rate)),
            keys: tenant
                .limits
                .keys
                .iter()
                .map(|key| (key.clone(), GcraParams::new(&key.rate)))
                .collect(),
            tenant: tenant
                .limits
                .tenant
                .map(|rate| (key_hash(&[b"tenant", id.as_bytes()]), GcraParams::new(&rate))),
            routes: tenant.routes.iter().map(route).collect(),
            id: id.to_owned(),
        }
    }

    /// Adds the checks that this request must pass.
    pub(crate) fn collect<'a>(
        &'a self,
        checks: &mut SmallVec<[Check<'a>; 6]>,
        client: IpAddr,
        fields: &FieldList<'_>,
        query: &[u8],
        claims: &Claims,
        route: Option<usize>,
    ) {
        let id = self.id.as_bytes();
        let address = address_key(client);
        if let Some(rate) = self.address {
            let key_hash = key_hash(&[b"address", id, &address]);
            checks.push(Check {
                key_hash,
                rate,
                code: RefusalCode::LimitAddress,
                name: "address",
            });
        }
        for (limit, rate) in &self.keys {
            let value = key_value(&limit.source, fields, query, claims);
            let value = value.as_deref().map_or(address.as_slice(), |value| value);
            let key_hash = key_hash(&[b"key", id, limit.name.as_bytes(), value]);
            checks.push(Check {
                key_hash,
                rate: *rate,
                code: RefusalCode::LimitKey,
                name: &limit.name,
            });
        }
        if let Some((key_hash, rate)) = self.tenant {
            checks.push(Check {
                key_hash,
                rate,
                code: RefusalCode::LimitTenant,
                name: "tenant",
            });
        }
        if let Some(Some((key_hash, rate))) = route.and_then(|route| self.routes.get(route)) {
            checks.push(Check {
                key_hash: *key_hash,
                rate: *rate,
                code: RefusalCode::LimitRoute,
                name: "route",
            });
        }
    }
}
