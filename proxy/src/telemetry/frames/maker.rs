//! Makes a frame at every full second.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use weir_schema::telemetry::frame::{ENTRIES_MAX, Entry, Frame, fold};

use super::Counting;
use super::figures::Figures;
use super::share::share;
use crate::clock;
use crate::live::Shared;

/// Length of a frame, and what its end is aligned to on the wall clock.
const FRAME_MS: u64 = 1000;

/// Makes frames until it is told to end, or nobody can tell it any more; then the last one.
pub(super) fn run(counting: &Counting, shared: &Arc<Shared>, end: &Receiver<()>) {
    let mut maker = Maker {
        counting,
        shared,
        from_ms: counting.queue.state().epoch,
        process_told_ns: 0,
    };
    loop {
        let wait = FRAME_MS - clock::unix_ms() % FRAME_MS;
        match end.recv_timeout(Duration::from_millis(wait)) {
            Err(RecvTimeoutError::Timeout) => maker.make(false),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return maker.make(true),
        }
    }
}

struct Maker<'a> {
    counting: &'a Counting,
    shared: &'a Arc<Shared>,
    from_ms: u64,
    process_told_ns: u64,
}

impl Maker<'_> {
    fn make(&mut self, last: bool) {
        let live = self.shared.live.load_full();
        let process_ns = clock::process_cpu_ns();
        let mut frame = Frame {
            node: self.counting.node.clone(),
            region: live.config.node.region.as_str().to_owned(),
            last,
            from_ms: self.from_ms,
            // A wall clock that is set back makes a frame of no time, not one that ends before it begins.
            to_ms: clock::unix_ms().max(self.from_ms),
            generation: live.generation,
            revision: self.counting.revision(),
            process_cpu_ns: process_ns.saturating_sub(self.process_told_ns),
            ..Frame::default()
        };
        self.process_told_ns = process_ns;
        self.from_ms = frame.to_ms;
        let mut entries = Vec::new();
        for shard in self.counting.shards.all() {
            let (figures, cpu_ns) = shard.take();
            add(&mut frame, &mut entries, figures, cpu_ns);
        }
        for (account, ms) in self.counting.connections.take(clock::monotonic_ms()) {
            let mut entry = Entry::new(&account.tenant, &account.route);
            entry.connection_ms = ms;
            entries.push(entry);
        }
        let (entries, folded) = fold(entries, ENTRIES_MAX);
        frame.entries = entries;
        frame.folded += folded;
        self.counting.queue.append(frame);
    }
}

/// Adds what a worker counted, and its CPU time, to a frame.
fn add(frame: &mut Frame, entries: &mut Vec<Entry>, figures: Figures, cpu_ns: u64) {
    let accounts: Vec<_> = figures.accounts.into_iter().collect();
    let spent: Vec<_> = accounts.iter().map(|(_, charged)| charged.spent).collect();
    let (shares, overhead_ns) = share(cpu_ns, &spent);
    frame.cpu_ns += cpu_ns;
    frame.overhead_cpu_ns += overhead_ns;
    frame.unread.merge(&figures.unread);
    frame.folded += figures.folded;
    for ((account, charged), share) in accounts.into_iter().zip(shares) {
        let entry = Entry {
            tenant: account.tenant.to_string(),
            route: account.route.to_string(),
            cpu_ns: share.cpu_ns,
            waf_ns: share.waf_ns,
            ..charged.entry
        };
        if !entry.is_empty() {
            entries.push(entry);
        }
    }
}
