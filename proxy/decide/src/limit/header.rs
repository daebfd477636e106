//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).

use super::GcraParams;
use super::table::{Admission, Check};

/// The value of `RateLimit-Policy`: one item per limit, in order. `q` requests per `w` seconds is the rate.
pub(super) fn policy_field<'a>(limits: impl Iterator<Item = (&'a str, GcraParams)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    for (limit, rate) in limits {
        name(&mut out, limit);
        number(&mut out, b";q=", rate.quota);
        number(&mut out, b";w=", rate.window_s);
    }
    out
}

/// Writes the value of `RateLimit`: one item per check, in order.
///
/// `r` requests are admitted at once (up to the burst, which may be above `q`), and after `t` seconds the bucket is full
/// again. A refusal's `Retry-After` is the time until one request is admitted.
pub fn limit_field(checks: &[Check<'_>], admission: &Admission, out: &mut Vec<u8>) {
    for (check, state) in checks.iter().zip(admission.states()) {
        name(out, check.name);
        number(out, b";r=", state.remaining);
        number(out, b";t=", state.reset_s);
    }
}

fn number(out: &mut Vec<u8>, parameter: &[u8], value: u64) {
    out.extend_from_slice(parameter);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A String of RFC 9651 section 3.3.3 as next member of the list; bytes that it cannot hold become `_`.
fn name(out: &mut Vec<u8>, name: &str) {
    if !out.is_empty() {
        out.extend_from_slice(b", ");
    }
    out.push(b'"');
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x20..=0x7e => out.push(byte),
            _ => out.push(b'_'),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use weir_schema::codes::RefusalCode;
    use weir_schema::config::checked::Rate;

    use super::super::{GcraParams, Table};
    use super::*;

    #[test]
    fn lists_in_the_order_of_checks() {
        let rate = |requests, window_ms, burst| {
            let count = |count| NonZeroU32::new(count).unwrap();
            let window = Duration::from_millis(window_ms);
            GcraParams::new(&Rate {
                requests: count(requests),
                window,
                burst: count(burst),
            })
        };
        let check = |key_hash, name, rate| Check {
            key_hash,
            rate,
            code: RefusalCode::LimitKey,
            name,
        };
        let checks = [
            check(1 << 50, "address", rate(100, 60_000, 100)),
            check(2 << 50, "a\"\\b\n", rate(5, 500, 5)),
            check(3 << 50, "tenant", rate(1, 60_000, 1)),
        ];
        let table = Table::new(8);
        let policy = policy_field(checks.iter().map(|check| (check.name, check.rate)));
        let mut limit = Vec::new();
        limit_field(&checks, &table.admit(&checks, 1 << 40), &mut limit);
        assert_eq!(
            String::from_utf8(policy).unwrap(),
            r#""address";q=100;w=60, "a\"\\b_";q=10;w=1, "tenant";q=1;w=60"#
        );
        assert_eq!(
            String::from_utf8(limit).unwrap(),
            r#""address";r=99;t=1, "a\"\\b_";r=4;t=1, "tenant";r=0;t=60"#
        );
    }
}
