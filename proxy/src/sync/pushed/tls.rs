//! TLS towards control: its authorities from a file, or the one certificate that the join token names.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use weir_schema::push::ObjectHash;

/// Believes one certificate, whatever it says of itself: the token that named it came over a safe way.
#[derive(Debug)]
struct Pinned {
    certificate: ObjectHash,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if ObjectHash::of(end_entity) == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(
            rustls::CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The configuration.
///
/// # Errors
/// A sentence on what cannot be used.
pub(super) fn client_config(
    ca_file: Option<&Path>,
    pinned: Option<ObjectHash>,
    certificate: Option<(&Path, &Path)>,
) -> Result<ClientConfig, String> {
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let verifier: Arc<dyn ServerCertVerifier> = match (ca_file, pinned) {
        (Some(path), _) => {
            let told = |reason: String| format!("{}: {reason}; give PEM certificates", path.display());
            let mut roots = RootCertStore::empty();
            for one in CertificateDer::pem_file_iter(path).map_err(|error| told(error.to_string()))? {
                let one = one.map_err(|error| told(error.to_string()))?;
                roots.add(one).map_err(|error| told(error.to_string()))?;
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| told(error.to_string()))?
        }
        (None, Some(certificate)) => Arc::new(Pinned {
            certificate,
            provider: Arc::clone(&provider),
        }),
        (None, None) => {
            return Err(
                "the join token names no certificate of control: give its authorities with --control-ca"
                    .to_owned(),
            );
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let told = |path: &Path, reason: String| format!("{}: {reason}", path.display());
            let certificates =
                CertificateDer::pem_file_iter(chain).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let certificates = certificates.map_err(|error| told(chain, error.to_string()))?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| told(key, error.to_string()))?;
            builder
                .with_client_auth_cert(certificates, secret)
                .map_err(|error| told(chain, error.to_string()))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
