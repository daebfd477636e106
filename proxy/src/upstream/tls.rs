//! TLS towards origins.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A configuration that verifies against `authorities` (PEM), or the system's when `None`.
///
/// # Errors
/// A sentence that says what is missing.
pub(crate) fn client_config(authorities: Option<&[u8]>, h2: bool) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let system;
    let pem = match authorities {
        Some(pem) => pem,
        None => {
            let path = "/etc/ssl/certs/ca-certificates.crt";
            system = std::fs::read(path)
                .map_err(|error| format!("{path}: {error}; install ca-certificates or set tls.ca_file"))?;
            &system
        }
    };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| format!("an authority is no PEM certificate: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("an authority cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err(
            "tls.ca_file has no certificate; give a PEM file with the authorities to trust".to_owned(),
        );
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(Arc::new(roots))
        .with_no_client_auth();
    config.alpn_protocols = vec![if h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok(config)
}
