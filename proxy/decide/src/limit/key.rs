//! Whose bucket it is.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

use weir_geoip::canonical;
use weir_schema::config::checked::KeySource;

use crate::Field;

/// The one thing that this crate does not get as an argument: hashes must be the same for the life of the process, and
/// nobody outside may be able to compute them.
static PROCESS_KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Reads claims of bearer tokens; the proxy implements it, since it needs keys from files.
pub trait ClaimVerifier {
    /// The claim that `source` names, if the token is valid.
    fn claim(&self, source: &KeySource, bearer: &[u8]) -> Option<String>;
}

/// The hash of a bucket's name, keyed per process (SipHash). Parts are told apart: `["a", "bc"]` is not `["ab", "c"]`.
pub fn key_hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = PROCESS_KEY.build_hasher();
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}

/// What an address counts as: IPv4 whole, IPv6 its /64, told apart by the first byte.
pub fn address_key(ip: IpAddr) -> [u8; 9] {
    let mut key = [0; 9];
    let mut write = |family: u8, bytes: &[u8]| {
        let source = std::iter::once(&family).chain(bytes);
        key.iter_mut().zip(source).for_each(|(to, from)| *to = *from);
    };
    match canonical(ip) {
        IpAddr::V4(v4) => write(4, &v4.octets()),
        IpAddr::V6(v6) => write(6, &v6.octets()),
    }
    key
}

/// The value of a key in a request; `None` when it is not there (or empty, or its token is not valid).
///
/// A header or parameter that comes several times counts with its first value, a cookie too.
pub fn key_value<'a>(
    source: &KeySource,
    fields: &[Field<'a>],
    query: &'a [u8],
    claims: &dyn ClaimVerifier,
) -> Option<Cow<'a, [u8]>> {
    let value = match source {
        KeySource::Cookie(name) => Cow::Borrowed(cookie(fields, name.as_bytes())?),
        KeySource::Header(name) => Cow::Borrowed(header(fields, name.as_bytes())?),
        KeySource::JwtClaim { .. } => Cow::Owned(claims.claim(source, bearer(fields)?)?.into_bytes()),
        KeySource::Query(name) => parameter(query, name.as_bytes())?,
    };
    (!value.is_empty()).then_some(value)
}

fn header<'a>(fields: &[Field<'a>], name: &[u8]) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| *value)
}

/// The token of RFC 6750 section 2.1.
fn bearer<'a>(fields: &[Field<'a>]) -> Option<&'a [u8]> {
    let value = header(fields, b"authorization")?;
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

fn cookie<'a>(fields: &[Field<'a>], name: &[u8]) -> Option<&'a [u8]> {
    fields
        .iter()
        .filter(|(field, _)| field.eq_ignore_ascii_case(b"cookie"))
        .flat_map(|(_, line)| line.split(|byte| *byte == b';'))
        .find_map(|pair| pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"="))
}

/// Names and values are compared decoded, so that another spelling is not another bucket.
fn parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<Cow<'a, [u8]>> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (pair.get(..at)?, pair.get(at + 1..)?);
        (*decode(key) == *name).then(|| decode(value))
    })
}

/// `application/x-www-form-urlencoded`; a `%` that begins no escape stays.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let hex = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let escape = match (byte, tail) {
            (b'%', [high, low, after @ ..]) => hex(*high)
                .zip(hex(*low))
                .map(|(high, low)| (high << 4 | low, after)),
            _ => None,
        };
        match escape {
            Some((value, after)) => {
                out.push(value);
                rest = after;
            }
            None => out.push(if byte == b'+' { b' ' } else { byte }),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl ClaimVerifier for Echo {
        fn claim(&self, _: &KeySource, bearer: &[u8]) -> Option<String> {
            (bearer != b"bad").then(|| String::from_utf8_lossy(bearer).into_owned())
        }
    }

    fn value(source: &KeySource, fields: &[Field<'_>], query: &str) -> Option<String> {
        let value = key_value(source, fields, query.as_bytes(), &Echo)?;
        Some(String::from_utf8(value.into_owned()).unwrap())
    }

    #[test]
    fn keys_from_everywhere() {
        let fields: &[Field<'_>] = &[
            (b"X-Api-Key", b"k1"),
            (b"x-api-key", b"k2"),
            (b"x-empty", b""),
            (b"Cookie", b"sid2=no; sid=abc=d"),
            (b"Cookie", b"other=1"),
            (b"Authorization", b"Bearer  tok"),
        ];
        assert_eq!(
            value(&KeySource::Header("x-api-key".into()), fields, ""),
            Some("k1".into())
        );
        assert_eq!(value(&KeySource::Header("x-empty".into()), fields, ""), None);
        assert_eq!(value(&KeySource::Header("x-none".into()), fields, ""), None);
        assert_eq!(
            value(&KeySource::Cookie("sid".into()), fields, ""),
            Some("abc=d".into())
        );
        assert_eq!(
            value(&KeySource::Cookie("other".into()), fields, ""),
            Some("1".into())
        );
        assert_eq!(value(&KeySource::Cookie("si".into()), fields, ""), None);
        let key = KeySource::Query("key".into());
        assert_eq!(value(&key, &[], "a=1&key=v&key=w"), Some("v".into()));
        assert_eq!(value(&key, &[], "%6Bey=a%20b+c%zz"), Some("a b c%zz".into()));
        assert_eq!(value(&key, &[], "keys=v&key"), None);
        let claim = KeySource::JwtClaim {
            claim: "sub".into(),
            key_file: "k".into(),
            algorithm: "HS256".into(),
        };
        assert_eq!(value(&claim, fields, ""), Some("tok".into()));
        assert_eq!(value(&claim, &[(b"authorization", b"bearer bad")], ""), None);
        assert_eq!(value(&claim, &[(b"authorization", b"Basic tok")], ""), None);
    }

    #[test]
    fn one_key_per_ipv6_network_and_parts_do_not_run_together() {
        let key = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key_hash(&[b"a", b"bc"]), key_hash(&[b"a", b"bc"]));
        assert_ne!(key_hash(&[b"a", b"bc"]), key_hash(&[b"ab", b"c"]));
    }
}
