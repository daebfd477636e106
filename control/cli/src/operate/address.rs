//! Where control's API is, and the way there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::trouble::Trouble;

/// A connection.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Where the API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// A host and port, with TLS or without.
    Tcp { host: String, port: u16, tls: bool },
    /// A socket file.
    Unix(PathBuf),
}

/// How the way there is secured.
pub(super) struct Security {
    /// Authorities, PEM; those of the system without it.
    pub(super) ca_file: Option<PathBuf>,
    /// The token may go over the network in clear.
    pub(super) plain: bool,
}

impl Address {
    /// Reads a URL without a path, or a path.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text}: write http://HOST:PORT, https://HOST:PORT, or the path of a socket with a slash")
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.contains('/') {
                Ok(Self::Unix(PathBuf::from(text)))
            } else {
                Err(wrong())
            };
        };
        let (tls, usual) = match scheme {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return Err(wrong()),
        };
        let authority: http::uri::Authority = rest.trim_end_matches('/').parse().map_err(|_| wrong())?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(wrong());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        Ok(Self::Tcp {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(usual),
            tls,
        })
    }

    fn is_loopback(host: &str) -> bool {
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }

    /// What goes into `Host`.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }

    /// As people know it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Tcp { tls: false, .. } => format!("http://{}", self.host()),
            Self::Tcp { tls: true, .. } => format!("https://{}", self.host()),
            Self::Unix(path) => path.display().to_string(),
        }
    }
}

/// The way to an address.
pub(super) struct Way {
    address: Address,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Way {
    /// Reads what it needs.
    pub(super) fn new(address: Address, security: &Security) -> Result<Self, Trouble> {
        let tls = match &address {
            Address::Tcp { host, tls: true, .. } => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| Trouble::Usage(format!("{host}: no name that a certificate could have")))?;
                let config = client_config(security.ca_file.as_deref()).map_err(Trouble::System)?;
                Some((TlsConnector::from(Arc::new(config)), name))
            }
            Address::Tcp { host, tls: false, .. } if !security.plain && !Address::is_loopback(host) => {
                return Err(Trouble::Usage(format!(
                    "{}: the token would go over the network in clear: use https://, or --api-plain if something else \
                     protects it",
                    address.shown()
                )));
            }
            _ => None,
        };
        Ok(Self { address, tls })
    }

    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> std::io::Result<Box<dyn Io>> {
        match &self.address {
            Address::Tcp { host, port, .. } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                match &self.tls {
                    Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), stream).await?)),
                    None => Ok(Box::new(stream)),
                }
            }
            Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        }
    }
}

fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let told = |error: String| format!("{}: {error}", path.display());
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| told(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| told(error.to_string()))?;
                roots.add(certificate).map_err(|error| told(error.to_string()))?;
            }
        }
        None => {
            let certificates = rustls_native_certs::load_native_certs()
                .map_err(|error| format!("the authorities of the system: {error}; give --ca-file"))?;
            // The system may have some that rustls does not understand.
            roots.add_parsable_certificates(certificates);
        }
    }
    if roots.is_empty() {
        return Err("there is no authority that may vouch for control: give --ca-file FILE".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_or_a_path() {
        let tcp = |host: &str, port, tls| Address::Tcp {
            host: host.to_owned(),
            port,
            tls,
        };
        for (text, expected) in [
            ("http://127.0.0.1:9902", tcp("127.0.0.1", 9902, false)),
            ("https://control.example/", tcp("control.example", 443, true)),
            ("http://[::1]:9", tcp("::1", 9, false)),
            ("./api.sock", Address::Unix(PathBuf::from("./api.sock"))),
        ] {
            assert_eq!(Address::parse(text).unwrap(), expected);
        }
        assert_eq!(tcp("::1", 9, false).host(), "[::1]:9");
        for wrong in [
            "",
            "control",
            "127.0.0.1:9902",
            "ftp://a",
            "http://",
            "http://a@b",
            "http://a/v1",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_goes_in_clear_over_loopback_only() {
        let way = |text: &str, plain| {
            let security = Security { ca_file: None, plain };
            Way::new(Address::parse(text).unwrap(), &security).is_ok()
        };
        assert!(way("http://localhost:1", false) && way("http://[::1]:1", false));
        assert!(!way("http://10.0.0.1:1", false) && way("http://10.0.0.1:1", true));
    }
}
