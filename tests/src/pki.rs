//! Certificates made on the spot.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate authority of one test.
pub struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Identity {
    /// PEM of the certificate.
    pub cert_pem: String,
    /// PEM of the private key, PKCS#8.
    pub key_pem: String,
    /// DER of the certificate.
    pub cert: CertificateDer<'static>,
    /// DER of the private key.
    pub key: PrivateKeyDer<'static>,
}

impl Authority {
    /// A new authority with this common name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("key generation");
        let certificate = params.self_signed(&key).expect("self-signed authority");
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    /// PEM of the authority's certificate.
    pub fn cert_pem(&self) -> String {
        self.certificate.pem()
    }

    /// DER of the authority's certificate.
    pub fn cert(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// A certificate for these host names (or addresses), good for servers and clients.
    pub fn issue(&self, hosts: &[&str]) -> Identity {
        let names: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("valid names");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("key generation");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed certificate");
        Identity {
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            cert: certificate.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS#8 key"),
        }
    }
}
