//! Certificates of tenants, found by the name in the ClientHello. Each version has its own table: the next handshake
//! after a swap sees the new one.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use weir_decide::resolve::HostTable;
use weir_schema::config::checked::{CheckedConfig, ListenerTls, Tenant, TenantTls, TlsVersion};
use weir_schema::ids::TenantId;

use crate::live::{CompileError, Faults};

/// Certificates of one version.
pub(crate) struct Certificates {
    hosts: HostTable<Arc<TenantCertificates>>,
    by_tenant: ByTenant,
}

/// A handshake's configurations, by what the listener asks for.
type Configs = HashMap<(TlsVersion, u8, Duration, bool, bool), Arc<ServerConfig>>;

/// TLS of one tenant, read and parsed.
pub(crate) struct TenantCertificates {
    pub(crate) tenant: TenantId,
    source: (TenantTls, Vec<Vec<u8>>),
    keys: Vec<Arc<CertifiedKey>>,
    verifier: Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>,
    configs: Mutex<Configs>,
}

impl std::fmt::Debug for TenantCertificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantCertificates")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

/// Certificates by tenant.
pub(crate) type ByTenant = HashMap<TenantId, Arc<TenantCertificates>>;

impl Certificates {
    /// Reads and parses all certificates; unchanged ones (and with them their ticket keys) are taken from `previous`.
    pub(crate) fn read(config: &CheckedConfig, previous: Option<&Self>, faults: &mut Faults) -> ByTenant {
        let mut by_tenant = HashMap::new();
        for tenant in config
            .tenants
            .iter()
            .filter(|tenant| !tenant.tls.certificates.is_empty())
        {
            let old = previous.and_then(|previous| previous.of(&tenant.id));
            match TenantCertificates::read(tenant, old) {
                Ok(certificates) => {
                    by_tenant.insert(tenant.id.clone(), certificates);
                }
                Err(reason) => faults.add(&tenant.id, [CompileError::Certificate { reason }]),
            }
        }
        by_tenant
    }

    /// The table of a version, whose hosts belong to these tenants.
    pub(crate) fn new(by_tenant: ByTenant, hosts: impl Iterator<Item = (String, TenantId)>) -> Self {
        let hosts: Vec<_> = hosts
            .filter_map(|(host, tenant)| Some((host, Arc::clone(by_tenant.get(&tenant)?))))
            .collect();
        Self {
            hosts: HostTable::build(hosts),
            by_tenant,
        }
    }

    /// Those of a tenant.
    pub(crate) fn of(&self, tenant: &TenantId) -> Option<&Arc<TenantCertificates>> {
        self.by_tenant.get(tenant)
    }

    /// The tenant whose certificate goes with a server name.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<TenantCertificates>> {
        self.hosts.lookup(name.to_ascii_lowercase().as_bytes())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

impl TenantCertificates {
    fn read(tenant: &Tenant, old: Option<&Arc<Self>>) -> Result<Arc<Self>, String> {
        let mut files = Vec::new();
        for pair in &tenant.tls.certificates {
            files.push(read(&pair.cert_file)?);
            files.push(read(&pair.key_file)?);
        }
        if let Some(auth) = &tenant.tls.client_auth {
            files.push(read(&auth.ca_file)?);
        }
        let source = (tenant.tls.clone(), files);
        if let Some(old) = old
            && old.source == source
        {
            return Ok(Arc::clone(old));
        }
        let mut keys = Vec::new();
        for (pair, pem) in tenant.tls.certificates.iter().zip(source.1.chunks(2)) {
            let [cert, key] = pem else {
                return Err("a certificate without its key".to_owned());
            };
            keys.push(Arc::new(
                certified(cert, key).map_err(|reason| format!("{}: {reason}", pair.cert_file.display()))?,
            ));
        }
        let verifier = match (&tenant.tls.client_auth, source.1.last()) {
            (Some(auth), Some(pem)) => Some(client_verifier(pem, auth.required)?),
            _ => None,
        };
        Ok(Arc::new(Self {
            tenant: tenant.id.clone(),
            source,
            keys,
            verifier,
            configs: Mutex::default(),
        }))
    }

    /// The configuration for a handshake on a listener.
    ///
    /// # Errors
    /// What rustls says.
    pub(crate) fn config(
        self: &Arc<Self>,
        tls: &ListenerTls,
        h1: bool,
        h2: bool,
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        let wanted = (tls.version_min, tls.tickets, tls.ticket_rotation, h1, h2);
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(&wanted) {
            return Ok(Arc::clone(config));
        }
        let versions: &[&rustls::SupportedProtocolVersion] = match tls.version_min {
            TlsVersion::V12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V13 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_protocol_versions(versions);
        let builder = match &self.verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Resolver(self.keys.clone())));
        config.send_tls13_tickets = usize::from(tls.tickets);
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        if tls.tickets > 0 {
            config.ticketer = rotating(tls.ticket_rotation)?;
        }
        if h2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        if h1 {
            config.alpn_protocols.push(b"http/1.1".to_vec());
        }
        let config = Arc::new(config);
        configs.insert(wanted, Arc::clone(&config));
        Ok(config)
    }
}

fn rotating(life: Duration) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    let seconds = u32::try_from(life.as_secs()).unwrap_or(u32::MAX);
    let rotator = rustls::ticketer::TicketRotator::new(seconds, || Ok(Box::new(TicketKey(fresh_key()?))));
    Ok(Arc::new(rotator?))
}

/// A ticket key as rustls's provider makes it, which hands it out shared.
fn fresh_key() -> Result<Arc<dyn ProducesTickets>, rustls::crypto::GetRandomFailed> {
    rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|_| rustls::crypto::GetRandomFailed)
}

#[derive(Debug)]
struct TicketKey(Arc<dyn ProducesTickets>);

impl ProducesTickets for TicketKey {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}

fn certified(cert: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
    let chain = chain.map_err(|error| format!("no PEM certificate chain: {error}"))?;
    if chain.is_empty() {
        return Err("no certificate in the file".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("no PEM private key: {error}"))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider)
        .map_err(|error| format!("certificate and key do not fit: {error}"))
}

fn client_verifier(
    pem: &[u8],
    required: bool,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("client_auth.ca_file: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("client_auth.ca_file: {error}"))?;
    }
    let builder = WebPkiClientVerifier::builder(Arc::new(roots));
    let builder = if required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    builder
        .build()
        .map_err(|error| format!("client_auth.ca_file: {error}"))
}

/// Chooses among a tenant's certificates: the first whose key the client can use and whose names fit.
#[derive(Debug)]
struct Resolver(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let fits = |key: &&Arc<CertifiedKey>| {
            let (Some(name), Ok(leaf)) = (hello.server_name(), key.end_entity_cert()) else {
                return false;
            };
            let Ok(name) = rustls::pki_types::ServerName::try_from(name) else {
                return false;
            };
            rustls::server::ParsedCertificate::try_from(leaf)
                .is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, &name).is_ok())
        };
        let found = self
            .0
            .iter()
            .filter(usable)
            .find(fits)
            .or_else(|| self.0.iter().find(usable));
        found.map(Arc::clone)
    }
}
