//! Passive ejection: what requests themselves tell of an endpoint takes it out of the choice, and brings it back.
//!
//! Two causes, because they ask for different answers. An endpoint that cannot be connected to does nothing for anybody: it
//! is out with its first failure, and comes back when a connection succeeds that no request waits for. One that answers
//! badly (a reset, an answer that is none, 502, 503 or 504) may only be overloaded: it is out after several in a row, while
//! enough others are left, and comes back when one request tries it and is answered.

use std::time::Duration;

use weir_schema::config::checked::Ejection;

/// Connections that are under way for this long, none having come about, put their endpoint in doubt. A lost SYN is sent
/// again after a second (RFC 6298 section 2), and the longest way around the earth takes 300 ms.
const DOUBT: Duration = Duration::from_millis(250);
/// The shortest time that a connection is waited for: a TLS handshake takes its share of a busy endpoint's time.
const PATIENCE_MIN: Duration = Duration::from_millis(500);
/// Good answers in a row after which an endpoint is trusted with retries.
const TRUSTED_AFTER: u8 = 5;

/// Why an endpoint is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It answers badly.
    Answers,
    /// It cannot be connected to.
    Connect,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Answers, Self::Connect];

    /// Label of `weir_upstream_ejections_total`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Connect => "connect",
        }
    }
}

/// How good a choice an endpoint is; the best come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Requests go to it.
    In,
    /// It answers badly.
    Poor,
    /// It cannot be connected to.
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    In,
    /// Out, and left alone until then.
    Out {
        cause: Cause,
        until_ns: u64,
    },
    /// One request has been sent to it; without an answer by then another may try.
    Trial {
        until_ns: u64,
    },
}

/// What is known of one endpoint. Times are monotonic nanoseconds; random numbers are uniform over all of `u64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    state: State,
    bad_in_row: u32,
    good_in_row: u8,
    /// Ejections without a long enough time in the choice between them.
    ejections_in_row: u32,
    returned_ns: u64,
    connecting: u32,
    /// Since when connections are under way and none came about.
    waiting_since_ns: u64,
    /// The slowest of recent connections.
    connect_peak: Option<Duration>,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            state: State::In,
            bad_in_row: 0,
            good_in_row: TRUSTED_AFTER,
            ejections_in_row: 0,
            returned_ns: 0,
            connecting: 0,
            waiting_since_ns: 0,
            connect_peak: None,
        }
    }
}

impl Outlier {
    /// Whether it is in the choice, trusted, and no connection is under way: then nothing else here needs to be asked.
    pub fn is_settled(&self) -> bool {
        self.is_trusted() && self.connecting == 0
    }

    /// Whether what fails elsewhere is likely to succeed here: it is in the choice, and its last answers were good.
    pub fn is_trusted(&self) -> bool {
        self.state == State::In && self.good_in_row >= TRUSTED_AFTER
    }

    /// How good a choice it is.
    pub fn standing(&self, now_ns: u64) -> Standing {
        match self.state {
            State::In
                if self.connecting > 0 && now_ns.saturating_sub(self.waiting_since_ns) > nanos(DOUBT) =>
            {
                Standing::Dead
            }
            State::In => Standing::In,
            State::Out {
                cause: Cause::Connect,
                ..
            } => Standing::Dead,
            State::Out { .. } | State::Trial { .. } => Standing::Poor,
        }
    }

    /// Why it is out, if it is.
    pub fn ejected(&self) -> Option<Cause> {
        match self.state {
            State::In => None,
            State::Out { cause, .. } => Some(cause),
            State::Trial { .. } => Some(Cause::Answers),
        }
    }

    /// True for the one request that tries whether it answers well again.
    pub fn take_trial(&mut self, now_ns: u64, policy: &Ejection) -> bool {
        let due = match self.state {
            State::Out {
                cause: Cause::Answers,
                until_ns,
            }
            | State::Trial { until_ns } => now_ns >= until_ns,
            _ => false,
        };
        if due {
            self.state = State::Trial {
                until_ns: now_ns.saturating_add(nanos(policy.base)),
            };
        }
        due
    }

    /// True when a connection that no request waits for should be tried; it may take `wait`, and is not asked for again
    /// before.
    pub fn take_probe(&mut self, now_ns: u64, policy: &Ejection, wait: Duration) -> bool {
        let State::Out {
            cause: Cause::Connect,
            until_ns,
        } = self.state
        else {
            return false;
        };
        let due = now_ns >= until_ns;
        if due {
            self.state = State::Out {
                cause: Cause::Connect,
                until_ns: now_ns
                    .saturating_add(nanos(wait))
                    .saturating_add(nanos(policy.base)),
            };
        }
        due
    }

    /// A connection came about, be it that of [`Self::take_probe`]: a request may try the endpoint.
    pub fn connected(&mut self, now_ns: u64) {
        if self.ejected() == Some(Cause::Connect) {
            self.state = State::Out {
                cause: Cause::Answers,
                until_ns: now_ns,
            };
        }
    }

    /// A connection is under way.
    pub fn connecting(&mut self, now_ns: u64) {
        if self.connecting == 0 {
            self.waiting_since_ns = now_ns;
        }
        self.connecting += 1;
    }

    /// A connection is under way no more; `took` if it came about. Whoever waited tells of a failure.
    pub fn connect_ended(&mut self, now_ns: u64, took: Option<Duration>) {
        self.connecting = self.connecting.saturating_sub(1);
        if let Some(took) = took {
            self.waiting_since_ns = now_ns;
            let faded = self.connect_peak.map_or(Duration::ZERO, |peak| peak - peak / 8);
            self.connect_peak = Some(took.max(faded));
            self.connected(now_ns);
        }
    }

    /// How long to wait for a connection while another endpoint is there to go to: four times the slowest of late, at
    /// most `max`. All of `max` as long as nothing is known.
    pub fn connect_patience(&self, max: Duration) -> Duration {
        self.connect_peak
            .map_or(max, |peak| peak.saturating_mul(4).max(PATIENCE_MIN).min(max))
    }

    /// It could not be connected to. True when that took it out of the choice.
    pub fn connect_failed(&mut self, now_ns: u64, policy: &Ejection, random: u64) -> bool {
        self.good_in_row = 0;
        if self.ejected() != Some(Cause::Connect) {
            self.eject(Cause::Connect, now_ns, policy, random);
            return true;
        }
        // Nobody waits for the next connection, so it is not put off for longer and longer.
        self.state = State::Out {
            cause: Cause::Connect,
            until_ns: now_ns.saturating_add(jittered(policy.base, random)),
        };
        false
    }

    /// It answered badly. True when that took it out of the choice, which happens only while it `may` be.
    pub fn bad_answer(&mut self, now_ns: u64, policy: &Ejection, random: u64, may: bool) -> bool {
        self.good_in_row = 0;
        self.bad_in_row = self.bad_in_row.saturating_add(1);
        let ejects = match self.state {
            State::In => may && policy.after > 0 && self.bad_in_row >= policy.after,
            State::Trial { .. } => true,
            State::Out { .. } => false,
        };
        if ejects {
            self.eject(Cause::Answers, now_ns, policy, random);
        }
        ejects
    }

    /// It answered well. That means nothing for an endpoint that cannot be connected to: old connections may still serve.
    pub fn good_answer(&mut self, now_ns: u64) {
        self.bad_in_row = 0;
        if self.ejected() == Some(Cause::Connect) {
            return;
        }
        self.good_in_row = (self.good_in_row + 1).min(TRUSTED_AFTER);
        if self.state != State::In {
            self.state = State::In;
            self.returned_ns = now_ns;
        }
    }

    fn eject(&mut self, cause: Cause, now_ns: u64, policy: &Ejection, random: u64) {
        let stable = self.state == State::In && now_ns.saturating_sub(self.returned_ns) >= nanos(policy.max);
        let in_row = if stable { 0 } else { self.ejections_in_row };
        let doubled = policy
            .base
            .saturating_mul(1_u32.checked_shl(in_row).unwrap_or(u32::MAX));
        self.ejections_in_row = in_row.saturating_add(1);
        self.bad_in_row = 0;
        self.state = State::Out {
            cause,
            until_ns: now_ns.saturating_add(jittered(doubled.min(policy.max), random)),
        };
    }
}

/// Whether one more of `total` endpoints may go out for bad answers when `out` are out already.
pub fn may_eject(out: usize, total: usize, policy: &Ejection) -> bool {
    (out + 1).saturating_mul(100) <= total.saturating_mul(usize::from(policy.percent_max))
}

/// Between three quarters and all of a time, nanoseconds: endpoints that failed together do not return together.
fn jittered(time: Duration, random: u64) -> u64 {
    let quarter = nanos(time) / 4;
    let part = (u128::from(random) * (u128::from(quarter) + 1)) >> 64;
    nanos(time) - quarter + u64::try_from(part).unwrap_or(quarter)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Ejection = Ejection {
        after: 3,
        base: Duration::from_secs(1),
        max: Duration::from_secs(10),
        percent_max: 50,
    };

    fn ms(count: u64) -> u64 {
        count * 1_000_000
    }

    /// Fails to connect at `now`, is tried at the first chance, and answers; gives when it is back.
    fn back_after(endpoint: &mut Outlier, now: u64) -> u64 {
        assert!(endpoint.connect_failed(now, &POLICY, u64::MAX));
        let chance = (now..)
            .step_by(1_000_000)
            .find(|at| endpoint.take_probe(*at, &POLICY, POLICY.base));
        let chance = chance.unwrap();
        endpoint.connected(chance);
        assert!(endpoint.take_trial(chance, &POLICY));
        endpoint.good_answer(chance);
        assert_eq!(endpoint.standing(chance), Standing::In);
        chance
    }

    #[test]
    fn one_failed_connection_ejects_for_a_time_that_doubles_up_to_its_bound() {
        let mut endpoint = Outlier::default();
        let mut now = ms(50_000);
        let times = [1000, 2000, 4000, 8000, 10_000, 10_000].map(|expected| {
            let back = back_after(&mut endpoint, now);
            let took = back - now;
            now = back + ms(100);
            (took.div_ceil(1_000_000), expected)
        });
        assert!(times.iter().all(|(took, expected)| took == expected), "{times:?}");
        now += ms(10_000);
        assert_eq!(
            back_after(&mut endpoint, now) - now,
            ms(1000),
            "well for long enough"
        );
    }

    #[test]
    fn jitter_takes_up_to_a_quarter() {
        assert_eq!(jittered(Duration::from_secs(1), 0), ms(750));
        assert_eq!(jittered(Duration::from_secs(1), u64::MAX), ms(1000));
        assert_eq!(jittered(Duration::ZERO, u64::MAX), 0);
    }

    #[test]
    fn a_dead_endpoint_is_probed_once_per_base_time_and_no_request_tries_it() {
        let mut endpoint = Outlier::default();
        endpoint.connect_failed(0, &POLICY, u64::MAX);
        let mut probes = Vec::new();
        for at in (0..5_000).map(ms) {
            assert_eq!(endpoint.standing(at), Standing::Dead);
            assert!(!endpoint.take_trial(at, &POLICY));
            if endpoint.take_probe(at, &POLICY, POLICY.base) {
                probes.push(at / 1_000_000);
                endpoint.connect_failed(at, &POLICY, u64::MAX);
            }
        }
        assert_eq!(probes, [1000, 2000, 3000, 4000]);
    }

    #[test]
    fn only_bad_answers_in_a_row_eject_and_one_request_tries() {
        let mut endpoint = Outlier::default();
        let bad = |endpoint: &mut Outlier| endpoint.bad_answer(0, &POLICY, u64::MAX, true);
        assert!(!bad(&mut endpoint) && !bad(&mut endpoint));
        endpoint.good_answer(0);
        assert!(!bad(&mut endpoint) && !bad(&mut endpoint) && bad(&mut endpoint));
        assert_eq!(
            (endpoint.standing(0), endpoint.ejected()),
            (Standing::Poor, Some(Cause::Answers))
        );
        assert!(!endpoint.take_trial(ms(999), &POLICY));
        assert!(endpoint.take_trial(ms(1000), &POLICY) && !endpoint.take_trial(ms(1001), &POLICY));
        assert!(
            endpoint.take_trial(ms(2000), &POLICY),
            "the first one never came back"
        );
        assert!(
            endpoint.bad_answer(ms(2001), &POLICY, u64::MAX, true),
            "a failed trial ejects"
        );
        assert!(!endpoint.take_trial(ms(4000), &POLICY) && endpoint.take_trial(ms(4001), &POLICY));
        endpoint.good_answer(ms(4002));
        assert_eq!(
            (endpoint.standing(ms(4002)), endpoint.ejected()),
            (Standing::In, None)
        );
    }

    #[test]
    fn bad_answers_eject_no_more_than_their_share() {
        let table = [
            (0, 1, false),
            (0, 2, true),
            (1, 2, false),
            (0, 3, true),
            (1, 3, false),
            (4, 10, true),
            (5, 10, false),
        ];
        for (out, total, expected) in table {
            assert_eq!(may_eject(out, total, &POLICY), expected, "{out} of {total}");
        }
        let mut endpoint = Outlier::default();
        assert!((0..100).all(|_| !endpoint.bad_answer(0, &POLICY, 0, false)));
        let never = Ejection { after: 0, ..POLICY };
        assert!((0..100).all(|_| !endpoint.bad_answer(0, &never, 0, true)));
    }

    #[test]
    fn trust_is_lost_with_one_failure_and_earned_with_five_good_answers() {
        let mut endpoint = Outlier::default();
        assert!(endpoint.is_settled());
        endpoint.bad_answer(0, &POLICY, 0, true);
        for _ in 0..4 {
            endpoint.good_answer(0);
            assert!(!endpoint.is_trusted());
        }
        endpoint.good_answer(0);
        assert!(endpoint.is_trusted());
    }

    #[test]
    fn a_connection_that_hangs_puts_its_endpoint_in_doubt_until_one_comes_about() {
        let mut endpoint = Outlier::default();
        endpoint.connecting(0);
        endpoint.connecting(ms(200));
        assert_eq!(endpoint.standing(ms(250)), Standing::In);
        assert_eq!(endpoint.standing(ms(251)), Standing::Dead);
        endpoint.connect_ended(ms(260), Some(Duration::from_millis(60)));
        assert_eq!(endpoint.standing(ms(261)), Standing::In);
        assert_eq!(
            endpoint.standing(ms(600)),
            Standing::Dead,
            "the other one still hangs"
        );
        endpoint.connect_ended(ms(600), None);
        assert_eq!(endpoint.standing(ms(600)), Standing::In);
    }

    #[test]
    fn patience_follows_what_connections_took() {
        let max = Duration::from_secs(1);
        let mut endpoint = Outlier::default();
        assert_eq!(endpoint.connect_patience(max), max);
        for (took, patience) in [(1, 500), (200, 800), (1, 700), (500, 1000)] {
            endpoint.connect_ended(0, Some(Duration::from_millis(took)));
            assert_eq!(endpoint.connect_patience(max), Duration::from_millis(patience));
        }
    }

    #[test]
    fn an_old_connection_that_still_answers_does_not_bring_a_dead_endpoint_back() {
        let mut endpoint = Outlier::default();
        endpoint.connect_failed(0, &POLICY, 0);
        endpoint.good_answer(ms(1));
        assert_eq!(endpoint.standing(ms(1)), Standing::Dead);
        endpoint.connecting(ms(2));
        endpoint.connect_ended(ms(2), Some(Duration::ZERO));
        endpoint.good_answer(ms(3));
        assert_eq!(endpoint.standing(ms(3)), Standing::In);
    }
}
