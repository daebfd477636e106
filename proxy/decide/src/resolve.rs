//! From a host to whom it belongs.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use smallvec::SmallVec;
use weir_schema::codes::RefusalCode;
use weir_schema::config::checked::TenantState;

/// Longest host in bytes (RFC 1035 section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// Host patterns and what they lead to: exact, then the longest `*.suffix`, then `*`.
///
/// One keyed hash look-up per label of the host, and none per pattern.
#[derive(Clone, Debug)]
pub struct HostTable<T: Clone> {
    entries: HashMap<Box<[u8]>, Entry<T>>,
    any: Option<T>,
    /// Longest suffix of a wildcard: hosts of many labels are not looked up label by label from the left.
    suffix_bytes_max: usize,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    exact: Option<T>,
    wildcard: Option<T>,
}

impl<T: Clone> HostTable<T> {
    /// Builds the table from patterns in lower case. Of two equal patterns the first stays.
    pub fn build(patterns: impl IntoIterator<Item = (String, T)>) -> Self {
        let mut table = Self {
            entries: HashMap::new(),
            any: None,
            suffix_bytes_max: 0,
        };
        for (pattern, value) in patterns {
            if pattern == "*" {
                table.any.get_or_insert(value);
                continue;
            }
            let suffix = pattern.strip_prefix("*.");
            let key = suffix.unwrap_or(&pattern).as_bytes();
            let entry = table.entries.entry(key.into()).or_insert(Entry {
                exact: None,
                wildcard: None,
            });
            if suffix.is_some() {
                entry.wildcard.get_or_insert(value);
                table.suffix_bytes_max = table.suffix_bytes_max.max(key.len());
            } else {
                entry.exact.get_or_insert(value);
            }
        }
        table
    }

    /// What a host in normal form ([`normalise_host`]) leads to.
    pub fn lookup(&self, host: &[u8]) -> Option<&T> {
        if let Some(value) = self.entries.get(host).and_then(|entry| entry.exact.as_ref()) {
            return Some(value);
        }
        let mut rest = host;
        while let Some(dot) = rest.iter().position(|byte| *byte == b'.') {
            rest = rest.get(dot + 1..).unwrap_or_default();
            if rest.len() > self.suffix_bytes_max {
                continue;
            }
            if let Some(value) = self.entries.get(rest).and_then(|entry| entry.wildcard.as_ref()) {
                return Some(value);
            }
        }
        self.any.as_ref()
    }

    /// Patterns held, `*` included.
    pub fn len(&self) -> usize {
        let count =
            |entry: &Entry<T>| usize::from(entry.exact.is_some()) + usize::from(entry.wildcard.is_some());
        self.entries.values().map(count).sum::<usize>() + usize::from(self.any.is_some())
    }

    /// Whether no host leads anywhere.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Writes the host of an authority (RFC 3986 section 3.2) in normal form: lower case, without port and final dot, IPv6 in
/// brackets and in the form of RFC 5952. False, and an empty `out`, when it is no host; user information is none.
pub fn normalise_host(authority: &[u8], out: &mut SmallVec<[u8; 64]>) -> bool {
    out.clear();
    let fits = write_host(authority, out).is_some();
    if !fits {
        out.clear();
    }
    fits
}

fn write_host(authority: &[u8], out: &mut SmallVec<[u8; 64]>) -> Option<()> {
    if let Some(bracketed) = authority.strip_prefix(b"[") {
        let end = bracketed.iter().position(|byte| *byte == b']')?;
        let address: Ipv6Addr = std::str::from_utf8(bracketed.get(..end)?).ok()?.parse().ok()?;
        let port = bracketed.get(end + 1..)?;
        if !(port.is_empty() || is_port(port.strip_prefix(b":")?)) {
            return None;
        }
        out.extend_from_slice(format!("[{address}]").as_bytes());
        return Some(());
    }
    let host = match authority.iter().position(|byte| *byte == b':') {
        Some(at) if is_port(authority.get(at + 1..)?) => authority.get(..at)?,
        Some(_) => return None,
        None => authority,
    };
    let host = host.strip_suffix(b".").unwrap_or(host);
    let is_label = |label: &[u8]| {
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.len() <= 63 && label.iter().all(fits)
    };
    if host.len() > HOST_BYTES_MAX || !host.split(|byte| *byte == b'.').all(is_label) {
        return None;
    }
    out.extend(host.iter().map(u8::to_ascii_lowercase));
    Some(())
}

/// An empty port is one (RFC 3986 section 3.2.3).
fn is_port(text: &[u8]) -> bool {
    let value = || std::str::from_utf8(text).ok()?.parse::<u16>().ok();
    text.is_empty() || (text.iter().all(u8::is_ascii_digit) && value().is_some())
}

/// The refusal that a tenant's state asks for.
pub fn state_refusal(state: &TenantState) -> Option<RefusalCode> {
    match state {
        TenantState::Active => None,
        TenantState::Deleted => Some(RefusalCode::TenantDeleted),
        TenantState::Migrating { .. } => Some(RefusalCode::TenantMigrating),
        TenantState::Pending => Some(RefusalCode::TenantPending),
        TenantState::Suspended => Some(RefusalCode::TenantSuspended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> HostTable<u32> {
        let patterns = [
            ("acme.test", 1),
            ("*.acme.test", 2),
            ("*.eu.acme.test", 3),
            ("x.eu.acme.test", 4),
            ("[::1]", 5),
        ];
        HostTable::build(patterns.map(|(pattern, value)| (pattern.to_owned(), value)))
    }

    #[test]
    fn the_most_special_pattern_wins() {
        let mut table = table();
        for (host, expected) in [
            ("acme.test", Some(1)),
            ("a.acme.test", Some(2)),
            ("a.b.acme.test", Some(2)),
            ("eu.acme.test", Some(2)),
            ("y.eu.acme.test", Some(3)),
            ("x.eu.acme.test", Some(4)),
            ("z.x.eu.acme.test", Some(3)),
            ("notacme.test", None),
            ("test", None),
            ("", None),
            ("[::1]", Some(5)),
        ] {
            assert_eq!(table.lookup(host.as_bytes()).copied(), expected, "{host}");
        }
        table.any = Some(9);
        assert_eq!(table.lookup(b"other.test"), Some(&9));
        assert_eq!(table.lookup(b""), Some(&9));
        assert_eq!(table.len(), 6);
    }

    #[test]
    fn hosts_in_normal_form() {
        let long = format!("{}.test", "a".repeat(64));
        let table = [
            ("Acme.TEST:8080", Some("acme.test")),
            ("acme.test.", Some("acme.test")),
            ("acme.test.:80", Some("acme.test")),
            ("acme.test:", Some("acme.test")),
            ("127.0.0.1:80", Some("127.0.0.1")),
            ("[0:0::1]:443", Some("[::1]")),
            ("[2001:DB8::1]", Some("[2001:db8::1]")),
            ("a_b.test", Some("a_b.test")),
            ("", None),
            (".", None),
            ("a..b", None),
            (".a", None),
            ("a.test..", None),
            ("user@acme.test", None),
            ("acme.test:99999", None),
            ("acme.test:8x", None),
            ("acme.test:80:80", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[::1]:x", None),
            ("::1", None),
            ("acme.test/x", None),
            ("*.acme.test", None),
            ("acme%2etest", None),
            (long.as_str(), None),
        ];
        for (authority, expected) in table {
            let mut out = SmallVec::new();
            let fits = normalise_host(authority.as_bytes(), &mut out);
            assert_eq!(
                fits.then_some(out.as_slice()),
                expected.map(str::as_bytes),
                "{authority}"
            );
            assert!(fits || out.is_empty());
        }
    }

    #[test]
    fn only_active_tenants_are_served() {
        assert_eq!(state_refusal(&TenantState::Active), None);
        assert_eq!(
            state_refusal(&TenantState::Deleted).map(RefusalCode::status),
            Some(410)
        );
        assert_eq!(
            state_refusal(&TenantState::Pending).map(RefusalCode::status),
            Some(503)
        );
        assert_eq!(
            state_refusal(&TenantState::Suspended).map(RefusalCode::status),
            Some(403)
        );
    }
}
