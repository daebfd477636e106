//! TLS of the push listener: a certificate of the operator's, or one that control makes for itself and names in join tokens.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use weir_schema::push::ObjectHash;

/// The listener's configuration, and the hash of its certificate if that is control's own.
pub(super) struct ServerTls {
    pub(super) config: Arc<ServerConfig>,
    pub(super) pinned: Option<ObjectHash>,
}

fn told<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn own(data_dir: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), String> {
    let (chain, key) = (data_dir.join("push.pem"), data_dir.join("push.key"));
    if chain.is_file() && key.is_file() {
        return Ok((chain, key));
    }
    let made = rcgen::generate_simple_self_signed(names.to_vec()).map_err(|error| error.to_string())?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&key)
        .map_err(told(&key))?;
    file.write_all(made.signing_key.serialize_pem().as_bytes())
        .map_err(told(&key))?;
    fs::write(&chain, made.cert.pem()).map_err(told(&chain))?;
    Ok((chain, key))
}

/// Makes it.
///
/// # Errors
/// A sentence on which file cannot be used.
pub(super) fn server_config(
    data_dir: &Path,
    certificate: Option<&(PathBuf, PathBuf)>,
    client_ca: Option<&Path>,
    names: &[String],
) -> Result<ServerTls, String> {
    let (chain, key) = match certificate {
        Some((chain, key)) => (chain.clone(), key.clone()),
        None => own(data_dir, names)?,
    };
    let certificates = CertificateDer::pem_file_iter(&chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(told(&chain))?;
    let pinned = certificates.first().map(|first| ObjectHash::of(first));
    let secret = PrivateKeyDer::from_pem_file(&key).map_err(told(&key))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for one in CertificateDer::pem_file_iter(path).map_err(told(path))? {
                roots.add(one.map_err(told(path))?).map_err(told(path))?;
            }
            // A proxy without a certificate may still show its token.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(told(path))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(certificates, secret)
        .map_err(told(&chain))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(ServerTls {
        config: Arc::new(config),
        pinned: pinned.filter(|_| certificate.is_none()),
    })
}

/// The DNS names of a certificate that was verified.
pub(super) fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    certificate.valid_dns_names().map(str::to_owned).collect()
}
