//! Clients that ask without a pause on every protocol while a test changes something, and tell of every failed request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use crate::h1::H1;
use crate::h2c::H2;
use crate::pki::Authority;
use crate::tls::Client;
use crate::wait::wait_for;

/// An answer, whatever the protocol.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The `ratelimit-policy` field, empty without one.
    pub policy: String,
    /// The body.
    pub body: String,
}

/// Says what is wrong with the answer to a target.
pub type Judge = fn(&str, &Answer) -> Result<(), String>;

/// What the clients send.
#[derive(Clone)]
pub struct Plan {
    /// Cleartext listener.
    pub web: SocketAddr,
    /// TLS listener that serves `acme.test`.
    pub websecure: SocketAddr,
    /// Targets, one after the other.
    pub targets: &'static [&'static str],
    /// Looks at every answer.
    pub judge: Judge,
}

/// A kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP/1.1 on one connection as long as the server keeps it.
    KeepAlive,
    /// HTTP/1.1 with a connection per request.
    Fresh,
    /// HTTP/1.1 over TLS on one connection as long as the server keeps it.
    Tls,
    /// HTTP/2 by prior knowledge.
    H2,
    /// HTTP/2 over TLS.
    H2Tls,
}

/// All kinds.
pub const KINDS: [Kind; 5] = [Kind::KeepAlive, Kind::Fresh, Kind::Tls, Kind::H2, Kind::H2Tls];

/// Running clients; they stop with this value.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
    clients: Vec<(Kind, JoinHandle<Result<u32, String>>)>,
}

impl Load {
    /// Starts one client of each kind.
    pub fn start(plan: &Plan, authority: &Authority) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU32::new(0));
        let client = |kind: Kind| {
            let (plan, stop, answered) = (plan.clone(), Arc::clone(&stop), Arc::clone(&answered));
            let alpn = if kind == Kind::H2Tls { "h2" } else { "http/1.1" };
            let tls = Client::trusting(authority, &[alpn]);
            let asks = move || match kind {
                Kind::H2 | Kind::H2Tls => ask_h2(kind, &plan, &tls, &stop, &answered),
                _ => ask_h1(kind, &plan, &tls, &stop, &answered),
            };
            (kind, std::thread::spawn(asks))
        };
        let clients = KINDS.map(client).into();
        Self {
            stop,
            answered,
            clients,
        }
    }

    /// Waits until the clients got this many answers more, or one of them has ended, which [`Self::finish`] will tell.
    pub fn wait_answers(&self, count: u32) {
        let start = self.answered.load(Ordering::Acquire);
        wait_for("answers under load", || {
            let enough = self.answered.load(Ordering::Acquire) - start >= count;
            let ended = self.clients.iter().any(|(_, client)| client.is_finished());
            (enough || ended).then_some(())
        });
    }

    /// Stops and expects that every client was answered and saw nothing wrong. Gives the number of answers by kind.
    pub fn finish(mut self) -> Vec<(Kind, u32)> {
        self.stop.store(true, Ordering::Release);
        let mut counts = Vec::new();
        for (kind, client) in std::mem::take(&mut self.clients) {
            let count = client.join().unwrap_or_else(|_| Err("see above".to_owned()));
            let count = count.unwrap_or_else(|fault| panic!("{kind:?}: {fault}"));
            assert!(count > 0, "{kind:?} was never answered");
            counts.push((kind, count));
        }
        counts
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for (_, client) in self.clients.drain(..) {
            // The test has failed already for a reason of its own.
            drop(client.join());
        }
    }
}

fn connect(kind: Kind, plan: &Plan, tls: &Client) -> Result<H1, String> {
    if kind == Kind::Tls {
        let stream = tls.connect(plan.websecure, "acme.test");
        return stream
            .map(H1::over_tls)
            .map_err(|error| format!("handshake: {error}"));
    }
    Ok(H1::connect(plan.web))
}

fn ask_h1(
    kind: Kind,
    plan: &Plan,
    tls: &Client,
    stop: &AtomicBool,
    answered: &AtomicU32,
) -> Result<u32, String> {
    let mut client = connect(kind, plan, tls)?;
    let mut count = 0;
    for target in plan.targets.iter().cycle() {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let sent = client.send(format!("GET {target} HTTP/1.1\r\nHost: acme.test\r\n\r\n"));
        let Some(response) = client.response() else {
            return Err(format!("request {count} was not answered (sent: {sent:?})"));
        };
        let answer = Answer {
            status: response.status,
            policy: response.header("ratelimit-policy").unwrap_or_default().to_owned(),
            body: response.text(),
        };
        (plan.judge)(target, &answer)?;
        count += 1;
        answered.fetch_add(1, Ordering::AcqRel);
        let ends = response
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if ends || kind == Kind::Fresh {
            client = connect(kind, plan, tls)?;
        }
    }
    Ok(count)
}

fn connect_h2(kind: Kind, plan: &Plan, tls: &Client) -> Result<H2, String> {
    let client = match kind {
        Kind::H2Tls => H2::over_tls(plan.websecure, tls, "acme.test"),
        _ => H2::prior_knowledge(plan.web),
    };
    client.map_err(|error| format!("connect: {error}"))
}

/// A server that leaves says so with GOAWAY: a request above its last stream was not looked at and goes to a new
/// connection (RFC 9113 section 6.8). Anything else that is not an answer is a failed request.
fn ask_h2(
    kind: Kind,
    plan: &Plan,
    tls: &Client,
    stop: &AtomicBool,
    answered: &AtomicU32,
) -> Result<u32, String> {
    let scheme = if kind == Kind::H2Tls { "https" } else { "http" };
    let mut client = connect_h2(kind, plan, tls)?;
    let mut count = 0;
    for target in plan.targets.iter().cycle() {
        let mut left = 3;
        let response = loop {
            if stop.load(Ordering::Acquire) {
                return Ok(count);
            }
            match client.get(&format!("{scheme}://acme.test{target}")) {
                Ok(response) => break response,
                Err(error)
                    if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) && left > 0 =>
                {
                    left -= 1;
                    client = connect_h2(kind, plan, tls)?;
                }
                Err(error) => return Err(format!("request {count}: {error} ({error:?})")),
            }
        };
        let answer = Answer {
            status: response.status,
            policy: response.header("ratelimit-policy").unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(&response.body).into_owned(),
        };
        (plan.judge)(target, &answer)?;
        count += 1;
        answered.fetch_add(1, Ordering::AcqRel);
    }
    Ok(count)
}
