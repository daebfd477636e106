//! Counts for telemetry frames (`weir_schema::telemetry::frame`): what each tenant and route did in each second.
//!
//! Workers count into shards of their own ([`shard`]); a thread makes a frame of them every second ([`maker`]) and puts it
//! into the spool, from which whoever sends frames takes them ([`Queue`]). A proxy that nobody collects from counts nothing.
//!
//! A crash of the process loses the second that it was in: at most what was counted since the last full second. The next
//! process on the same folder names it in its first frame.

mod account;
mod connections;
mod figures;
mod maker;
mod queue;
mod shard;
mod share;
mod spool;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use weir_schema::codes::RefusalCode;
use weir_schema::telemetry::record::RequestRecord;

use crate::clock;
use crate::live::Shared;
use crate::meter;

use connections::Connections;
use shard::Shards;
use spool::Spool;

pub(crate) use account::{Account, Accounts};
pub(crate) use figures::Spent;
pub(crate) use queue::{Outlet, Queue};
pub(crate) use spool::Spooled;

/// Folder of the spool within the state folder.
pub(crate) const FOLDER: &str = "frames";
/// Bytes of frames that are kept on disk: some 25 hours of a proxy with one busy tenant and route, ten minutes of one with
/// 300.
const DISK_BYTES_MAX: u64 = 64 << 20;
/// Bytes of frames that are kept in memory, without a state folder.
const MEMORY_BYTES_MAX: u64 = 8 << 20;

/// Counts, or does not.
#[derive(Clone)]
pub(crate) struct Frames(Option<Arc<Counting>>);

struct Counting {
    node: String,
    revision: AtomicU64,
    nobody: Arc<Account>,
    shards: Shards,
    connections: Connections,
    queue: Arc<Queue>,
    maker: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

impl Counting {
    fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }
}

impl Frames {
    /// Counts nothing.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// Counts under the name of this proxy. Frames are kept in a folder, or in memory without one.
    pub(crate) fn on(node: &str, folder: Option<&Path>) -> Self {
        let bytes_max = if folder.is_some() {
            DISK_BYTES_MAX
        } else {
            MEMORY_BYTES_MAX
        };
        Self(Some(Arc::new(Counting {
            node: node.to_owned(),
            revision: AtomicU64::new(0),
            nobody: Account::nobody(),
            shards: Shards::new(),
            connections: Connections::default(),
            queue: Queue::new(Spool::open(folder, bytes_max, clock::unix_ms())),
            maker: Mutex::new(None),
        })))
    }

    /// A version of control is served from now on.
    pub(crate) fn serves(&self, revision: u64) {
        if let Some(counting) = &self.0 {
            counting.revision.store(revision, Ordering::Relaxed);
        }
    }

    /// Whether it counts.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Where the frames are; `None` when nothing is counted.
    pub(crate) fn queue(&self) -> Option<&Arc<Queue>> {
        self.0.as_ref().map(|counting| &counting.queue)
    }

    /// Begins to make frames.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(&self, shared: &Arc<Shared>) -> std::io::Result<()> {
        let Some(counting) = &self.0 else { return Ok(()) };
        let (end, ended) = sync_channel(1);
        let (own, shared) = (Arc::clone(counting), Arc::clone(shared));
        let thread = std::thread::Builder::new()
            .name("frames".to_owned())
            .spawn(move || maker::run(&own, &shared, &ended))?;
        let mut maker = counting.maker.lock().unwrap_or_else(PoisonError::into_inner);
        *maker = Some((end, thread));
        Ok(())
    }

    /// Makes the last frame and waits for it, at most `limit`. Blocks. The process calls it before it ends.
    pub(crate) fn finish(&self, limit: Duration) {
        let Some(counting) = &self.0 else { return };
        let maker = counting
            .maker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some((end, thread)) = maker else { return };
        // It fails when the thread has ended already.
        let _ = end.send(());
        let begun = Instant::now();
        while !thread.is_finished() && begun.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Counts a finished request, with the time of the running task up to `now` that is not charged yet; `None` is nobody.
    pub(crate) fn observe(&self, account: Option<&Arc<Account>>, record: &RequestRecord<'_>, now: Instant) {
        let Some(counting) = &self.0 else { return };
        meter::works_for(account);
        let spent = meter::take(now);
        let account = account.unwrap_or(&counting.nobody);
        counting
            .shards
            .with(|figures| figures.observe(account, record, spent));
    }

    /// Counts a request whose head could not be read.
    pub(crate) fn unread(&self, code: RefusalCode) {
        if let Some(counting) = &self.0 {
            counting.shards.with(|figures| figures.unread.add(code, 1));
        }
    }

    /// Counts time of a task; `None` is nobody's.
    pub(crate) fn charge(&self, account: Option<&Arc<Account>>, spent: Spent) {
        if let Some(counting) = &self.0 {
            let account = account.unwrap_or(&counting.nobody);
            counting.shards.with(|figures| figures.charge(account, spent));
        }
    }

    /// A client's connection is open, until the value is dropped.
    pub(crate) fn connection(&self, account: Option<&Arc<Account>>) -> OpenConnection {
        let Some(counting) = &self.0 else {
            return OpenConnection(None);
        };
        let account = Arc::clone(account.unwrap_or(&counting.nobody));
        counting
            .connections
            .pass(None, Some(&account), clock::monotonic_ms());
        OpenConnection(Some((Arc::clone(counting), Mutex::new(account))))
    }
}

/// A client's connection, and the tenant that it served last.
pub(crate) struct OpenConnection(Option<(Arc<Counting>, Mutex<Arc<Account>>)>);

impl OpenConnection {
    /// It serves a tenant from now on.
    pub(crate) fn serves(&self, tenant: &Arc<Account>) {
        let Some((counting, account)) = &self.0 else {
            return;
        };
        let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
        if *account != *tenant {
            counting
                .connections
                .pass(Some(&account), Some(tenant), clock::monotonic_ms());
            *account = Arc::clone(tenant);
        }
    }

    /// The running task works for the tenant that the connection served last.
    pub(crate) fn works(&self) {
        if let Some((_, account)) = &self.0 {
            let account = account.lock().unwrap_or_else(PoisonError::into_inner);
            meter::works_for(Some(&account));
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if let Some((counting, account)) = &self.0 {
            let account = account.lock().unwrap_or_else(PoisonError::into_inner);
            counting
                .connections
                .pass(Some(&account), None, clock::monotonic_ms());
        }
    }
}
