//! Whether a pair of a rule and a field is a false positive: many requests of many clients, and no sign of an attack.

use super::evidence::{Pair, Seen};

/// What a proposal needs.
#[derive(clap::Args, Clone, Copy)]
pub(super) struct Thresholds {
    /// Requests on which the rule matched the field.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    requests_min: u64,
    /// Clients that sent them (IPv6: networks of /64).
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(2..))]
    clients_min: u64,
    /// Percent of them that may be of one client.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=99))]
    client_share_max: u64,
    /// Percent of them in which a severe rule of another attack class may match the same value.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=50))]
    mixed_max: u64,
    /// A client whose requests match rules of so many attack classes is an attacker: its requests are no evidence.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(2..))]
    attack_classes_min: u64,
}

impl Thresholds {
    pub(super) fn classes_min(&self) -> usize {
        usize::try_from(self.attack_classes_min).unwrap_or(usize::MAX)
    }
}

/// Collections whose fields a client's form, header or cookie names.
const COLLECTIONS: &[&str] = &[
    "ARGS",
    "ARGS_GET",
    "ARGS_GET_NAMES",
    "ARGS_NAMES",
    "ARGS_POST",
    "ARGS_POST_NAMES",
    "FILES",
    "FILES_NAMES",
    "MULTIPART_PART_HEADERS",
    "REQUEST_COOKIES",
    "REQUEST_COOKIES_NAMES",
    "REQUEST_HEADERS",
    "REQUEST_HEADERS_NAMES",
    "RESPONSE_HEADERS",
    "RESPONSE_HEADERS_NAMES",
];
/// Longest field name in a proposal.
const NAME_BYTES_MAX: usize = 200;

/// Why a pair is not proposed; none if it is.
pub(super) fn doubts(pair: &Pair, seen: &Seen, thresholds: &Thresholds) -> Vec<String> {
    let mut doubts = Vec::new();
    match pair.target.split_once(':') {
        Some((collection, key)) if COLLECTIONS.contains(&collection) => {
            if !is_writable(key) {
                doubts.push(
                    "the field's name cannot be written in a rule file: exclude it by a pattern of your own"
                        .to_owned(),
                );
            }
        }
        _ => doubts.push(format!(
            "{} has no fields: without it the rule would not see attacks there either",
            pair.target
        )),
    }
    let clients = u64::try_from(seen.clients.len()).unwrap_or(u64::MAX);
    let most = seen.clients.values().max().copied().unwrap_or(0);
    if seen.requests < thresholds.requests_min {
        let (have, need) = (seen.requests, thresholds.requests_min);
        doubts.push(format!("{have} requests; {need} are needed"));
    }
    if clients < thresholds.clients_min {
        doubts.push(format!(
            "{clients} clients; {} are needed",
            thresholds.clients_min
        ));
    } else if most * 100 > seen.requests * thresholds.client_share_max {
        doubts.push(format!("{most} of {} requests are of one client", seen.requests));
    }
    if seen.mixed * 100 > seen.requests * thresholds.mixed_max {
        let rules: Vec<String> = seen.mixed_rules.iter().take(5).map(u64::to_string).collect();
        doubts.push(format!(
            "in {} requests severe rules of another attack class match the same value ({})",
            seen.mixed,
            rules.join(", ")
        ));
    }
    if seen.of_attackers > 0 && seen.of_attackers >= seen.requests {
        doubts.push(format!(
            "{} requests are of clients that try attacks of several classes",
            seen.of_attackers
        ));
    }
    doubts
}

/// Whether a field's name stands for itself in a rule file: no quotes, lists, patterns or blanks.
fn is_writable(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-[]$@:+".contains(&byte);
    !key.is_empty() && key.len() <= NAME_BYTES_MAX && key.bytes().all(plain)
}
