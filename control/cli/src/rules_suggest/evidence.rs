//! What audit events say about each pair of a rule and a field.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, BufRead};
use std::net::IpAddr;

use weir_schema::telemetry::audit::{AuditEvent, AuditMatch, AuditVerdict};

/// Longest line; the proxy writes 64 KiB at most.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Paths that a pair remembers.
const PATHS_MAX: usize = 20;
/// Rules of other classes that a pair remembers.
const MIXED_MAX: usize = 20;

/// A rule and the name of a value that it matched on, of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pair {
    pub(super) tenant: String,
    pub(super) target: String,
    pub(super) rule: u64,
}

/// What is known about a pair.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) msg: String,
    /// Of clients that are no attackers, as all below but `of_attackers`.
    pub(super) hits: u64,
    pub(super) requests: u64,
    pub(super) would_block: u64,
    /// Requests of each such client.
    pub(super) clients: HashMap<IpAddr, u64>,
    /// Requests in which a severe rule of another attack class matched the same value, and those rules.
    pub(super) mixed: u64,
    pub(super) mixed_rules: BTreeSet<u64>,
    /// Requests of attackers.
    pub(super) of_attackers: u64,
    pub(super) paths: BTreeSet<String>,
}

/// One event, as far as it is needed again.
struct Event {
    client: IpAddr,
    path: String,
    verdict: AuditVerdict,
    /// Places of its pairs.
    found: Vec<usize>,
    /// Whether it tells all that matched.
    is_whole: bool,
}

/// A pair, and what its rule says of itself.
struct Known {
    pair: Pair,
    msg: String,
    is_severe: bool,
    /// The attack class that its tags name.
    class: Option<String>,
}

/// All events that were read.
#[derive(Default)]
pub(super) struct Evidence {
    known: Vec<Known>,
    places: HashMap<Pair, usize>,
    events: Vec<Event>,
    /// Lines that are no audit event.
    pub(super) strange: u64,
    /// Events beyond the bound, and of other tenants.
    pub(super) left_out: u64,
}

impl Evidence {
    /// Reads events, one per line, up to `events_max` in all; only those of `tenant` if one is named.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn read(
        &mut self,
        mut input: impl BufRead,
        tenant: Option<&str>,
        events_max: usize,
    ) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = io::Read::take(&mut input, LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(());
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<AuditEvent<'_>>(&line) {
                Err(_) => self.strange += 1,
                Ok(event)
                    if self.events.len() >= events_max || tenant.is_some_and(|id| id != event.tenant) =>
                {
                    self.left_out += 1;
                }
                Ok(event) => self.add(&event),
            }
        }
    }

    /// Events that count.
    pub(super) fn events(&self) -> usize {
        self.events.len()
    }

    /// Tenants of the pairs.
    pub(super) fn tenants(&self) -> BTreeSet<&str> {
        self.known
            .iter()
            .map(|known| known.pair.tenant.as_str())
            .collect()
    }

    fn add(&mut self, event: &AuditEvent<'_>) {
        let mut found = Vec::new();
        for one in &event.matched {
            let names = one.targets.iter().map(|target| target.name.as_ref());
            for name in names.filter(|name| is_of_request(name)) {
                found.push(self.place(&event.tenant, name, one));
            }
        }
        self.events.push(Event {
            client: client_group(event.client),
            path: event.path.clone().into_owned(),
            verdict: event.verdict,
            found,
            is_whole: event.matched_dropped == 0 && event.matched.iter().all(|one| one.targets_dropped == 0),
        });
    }

    fn place(&mut self, tenant: &str, target: &str, found: &AuditMatch<'_>) -> usize {
        let pair = Pair {
            tenant: tenant.to_owned(),
            target: target.to_owned(),
            rule: found.id,
        };
        if let Some(place) = self.places.get(&pair) {
            return *place;
        }
        self.places.insert(pair.clone(), self.known.len());
        self.known.push(Known {
            pair,
            msg: found.msg.clone().into_owned(),
            is_severe: is_severe(found),
            class: class(found).map(str::to_owned),
        });
        self.known.len() - 1
    }

    fn found<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a Known> {
        event.found.iter().filter_map(|place| self.known.get(*place))
    }

    /// Clients whose requests matched rules of so many attack classes: they try what there is.
    pub(super) fn attackers(&self, classes_min: usize) -> HashSet<IpAddr> {
        let mut classes: HashMap<IpAddr, HashSet<&str>> = HashMap::new();
        for event in &self.events {
            let own = self.found(event).filter_map(|known| known.class.as_deref());
            classes.entry(event.client).or_default().extend(own);
        }
        let many = classes
            .into_iter()
            .filter(|(_, classes)| classes.len() >= classes_min);
        many.map(|(client, _)| client).collect()
    }

    /// What is known about every pair; requests of attackers are counted apart.
    pub(super) fn sum(&self, attackers: &HashSet<IpAddr>) -> BTreeMap<Pair, Seen> {
        let mut sums: Vec<Seen> = Vec::new();
        sums.resize_with(self.known.len(), Seen::default);
        for event in &self.events {
            let is_attacker = attackers.contains(&event.client);
            let mut done = HashSet::new();
            for place in &event.found {
                let (Some(seen), Some(known)) = (sums.get_mut(*place), self.known.get(*place)) else {
                    continue;
                };
                seen.hits += u64::from(!is_attacker);
                if !done.insert(*place) {
                    continue;
                }
                if is_attacker {
                    seen.of_attackers += 1;
                    continue;
                }
                seen.requests += 1;
                seen.would_block += u64::from(event.verdict != AuditVerdict::Passed);
                *seen.clients.entry(event.client).or_default() += 1;
                if seen.paths.len() < PATHS_MAX && !seen.paths.contains(&event.path) {
                    seen.paths.insert(event.path.clone());
                }
                let before = seen.mixed_rules.len();
                let mut others = self.others(event, known).peekable();
                seen.mixed += u64::from(others.peek().is_some());
                seen.mixed_rules
                    .extend(others.take(MIXED_MAX.saturating_sub(before)));
            }
        }
        let all = self.known.iter().zip(sums);
        all.map(|(known, seen)| {
            let msg = known.msg.clone();
            (known.pair.clone(), Seen { msg, ..seen })
        })
        .collect()
    }

    /// Severe rules of another class than this one's that matched the same value.
    fn others<'a>(&'a self, event: &'a Event, this: &'a Known) -> impl Iterator<Item = u64> + 'a {
        let field = field(&this.pair.target);
        self.found(event)
            .filter(move |other| {
                other.is_severe && other.class != this.class && self::field(&other.pair.target) == field
            })
            .map(|other| other.pair.rule)
    }

    /// How many events would have been refused, and how many of them have no match left without these pairs.
    pub(super) fn cleared(&self, excluded: &HashSet<&Pair>) -> (u64, u64) {
        let (mut refused, mut cleared) = (0, 0);
        for event in self
            .events
            .iter()
            .filter(|event| event.verdict != AuditVerdict::Passed)
        {
            refused += 1;
            let all_gone = self.found(event).all(|known| excluded.contains(&known.pair));
            cleared += u64::from(event.is_whole && !event.found.is_empty() && all_gone);
        }
        (refused, cleared)
    }
}

/// Whether a name is of the request and not of what rules made of it: scores and captures cannot be excluded from.
fn is_of_request(name: &str) -> bool {
    !name.starts_with("TX:") && !name.starts_with("MATCHED_VAR") && !name.is_empty()
}

/// Collection and key of a target; one rule looks at `ARGS:q` where another looks at `ARGS_GET:q`.
fn field(target: &str) -> (&str, &str) {
    match target.split_once(':') {
        Some(("ARGS_GET" | "ARGS_POST", key)) => ("ARGS", key),
        Some(field) => field,
        None => (target, ""),
    }
}

fn is_severe(found: &AuditMatch<'_>) -> bool {
    matches!(
        found.severity.as_deref(),
        Some("emergency" | "alert" | "critical")
    )
}

/// The first tag that names an attack.
fn class<'a>(found: &'a AuditMatch<'_>) -> Option<&'a str> {
    found
        .tags
        .iter()
        .map(AsRef::as_ref)
        .find(|tag: &&str| tag.starts_with("attack-"))
}

/// A client: an IPv4 address, or an IPv6 network of /64.
fn client_group(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
    }
}
