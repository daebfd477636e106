//! A request and its connection as the stages see them: borrowed, whatever protocol they came by.

use std::net::SocketAddr;

use weir_schema::ids::TenantId;
use weir_schema::telemetry::record::Protocol;

use crate::Field;

/// What is known of a client's connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionView<'a> {
    /// The other end, or what the PROXY header says it is.
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// The connection is encrypted: the tenant whose certificate it got.
    pub sni_tenant: Option<&'a TenantId>,
}

/// A request's head.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// Protocol that it came by.
    pub protocol: Protocol,
    /// As sent.
    pub method: &'a [u8],
    /// As sent.
    pub target: &'a [u8],
    /// Path and query; starts with `/`, or is `*`.
    pub path_and_query: &'a [u8],
    /// The effective authority, empty when there is none.
    pub host: &'a [u8],
    /// In the order sent.
    pub fields: &'a [Field<'a>],
    /// Asks to switch protocols.
    pub upgrade: bool,
}

impl<'a> RequestView<'a> {
    /// Path without the query, as sent.
    pub fn path(&self) -> &'a [u8] {
        self.split().0
    }

    /// Query without its `?`, empty when there is none.
    pub fn query(&self) -> &'a [u8] {
        self.split().1
    }

    fn split(&self) -> (&'a [u8], &'a [u8]) {
        let mut parts = self.path_and_query.splitn(2, |byte| *byte == b'?');
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    }

    /// Value of the first field of this name, given in lower case.
    pub fn field(&self, name: &[u8]) -> Option<&'a [u8]> {
        let found = self
            .fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(found.1)
    }
}
