//! [`Store`] on SQLite: one file in WAL mode, one writer with group commit, a few readers.

mod apply;
mod fault;
mod migrate;
mod read;
mod reseal;
#[cfg(test)]
mod tests;
mod values;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;
use weir_schema::push::ObjectHash;

use self::apply::Sealed;
use self::fault::fault;
use self::writer::Writer;
use super::{
    Batch, Committing, Event, EventQuery, Kind, MasterKeys, ObjectInfo, Record, Rollup, RollupQuery,
    SealError, Store, StoreError,
};

/// Connections that read.
const READERS: usize = 4;
/// How long a lock of another program (a backup) is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages of the log after which it is moved into the file: 16 MiB.
const CHECKPOINT_PAGES: u32 = 4096;
/// Statements that a connection keeps compiled.
const STATEMENTS_MAX: usize = 64;
/// Bytes of a page.
const PAGE_BYTES: u64 = 4096;

/// Where a store is.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The folder of the file `control.db`; it is made, for its owner only.
    pub data_dir: PathBuf,
    /// The file of master keys; `master.key` in the folder when not given.
    pub master_key_file: Option<PathBuf>,
    /// Bytes that the file may grow to; as far as the disk goes when not given.
    pub bytes_max: Option<u64>,
}

impl SqliteOptions {
    /// The store of a folder.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            master_key_file: None,
            bytes_max: None,
        }
    }
}

/// A store on SQLite.
pub struct SqliteStore {
    keys: MasterKeys,
    // Before the lock: the thread ends first.
    writer: Writer,
    readers: Vec<Mutex<Connection>>,
    turn: AtomicUsize,
    _lock: File,
}

impl SqliteStore {
    /// Opens the store, makes it when there is none, and brings it to this program's schema.
    ///
    /// # Errors
    /// When another process has it, when it is damaged, of a newer program or sealed with a key that the key file lacks.
    pub fn open(options: &SqliteOptions) -> Result<Self, StoreError> {
        let lock = lock(&options.data_dir)?;
        let path = options.data_dir.join("control.db");
        let mut connection = connect(&path)?;
        if let Some(bytes) = options.bytes_max {
            let pages = i64::try_from(bytes / PAGE_BYTES).unwrap_or(i64::MAX);
            connection
                .pragma_update(None, "max_page_count", pages)
                .map_err(fault)?;
        }
        migrate::migrate(&mut connection)?;
        let keys = master_keys(options, &connection)?;
        let newest_event = read::newest_event(&connection)?;
        let reader = || {
            let reader = connect(&path)?;
            reader.pragma_update(None, "query_only", true).map_err(fault)?;
            Ok(Mutex::new(reader))
        };
        let readers: Result<Vec<_>, StoreError> = (0..READERS).map(|_| reader()).collect();
        Ok(Self {
            keys,
            writer: Writer::start(connection, newest_event)?,
            readers: readers?,
            turn: AtomicUsize::new(0),
            _lock: lock,
        })
    }

    /// A reader that is free, or the one whose turn it is.
    fn reader(&self) -> Result<MutexGuard<'_, Connection>, StoreError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let free = self.readers.iter().find_map(|reader| reader.try_lock().ok());
        // A reader whose holder panicked has nothing half done: it only reads.
        free.or_else(|| {
            let reader = self.readers.get(turn % self.readers.len().max(1))?;
            Some(reader.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .ok_or(StoreError::Closed)
    }
}

/// Makes the folder and takes it for this process.
fn lock(data_dir: &Path) -> Result<File, StoreError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let shown = data_dir.display();
    let failed = |error: std::io::Error| StoreError::Failed(format!("{shown}: {error}"));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(failed)?;
    let file = File::create(data_dir.join("control.lock")).map_err(failed)?;
    file.try_lock()
        .map_err(|_| StoreError::Locked(shown.to_string()))?;
    Ok(file)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path).map_err(fault)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(fault)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(fault)?;
    if mode != "wal" {
        return Err(StoreError::Failed(format!(
            "{} cannot have a write-ahead log",
            path.display()
        )));
    }
    // FULL: the log is synced at each commit, so that what is acknowledged survives a loss of power.
    for (name, value) in [
        ("synchronous", "FULL"),
        ("temp_store", "MEMORY"),
        ("trusted_schema", "OFF"),
    ] {
        connection.pragma_update(None, name, value).map_err(fault)?;
    }
    connection
        .pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)
        .map_err(fault)?;
    Ok(connection)
}

/// The keys; a new one is made only when nothing was sealed with another.
fn master_keys(options: &SqliteOptions, connection: &Connection) -> Result<MasterKeys, StoreError> {
    let used = reseal::keys_used(connection)?;
    let path = options
        .master_key_file
        .clone()
        .unwrap_or_else(|| options.data_dir.join("master.key"));
    let keys = MasterKeys::load(&path, used.is_empty())?;
    match used.into_iter().find(|id| !keys.has(id)) {
        Some(id) => Err(SealError::NoKey(id).into()),
        None => Ok(keys),
    }
}

impl Store for SqliteStore {
    fn commit(&self, batch: Batch) -> Committing {
        let sent = Sealed::new(batch, &self.keys).and_then(|batch| self.writer.send(batch));
        Box::pin(async move { sent?.await.unwrap_or(Err(StoreError::Closed)) })
    }

    fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        read::get(&*self.reader()?, &self.keys, kind, id)
    }

    fn list(&self, kind: Kind, after: Option<&str>, limit: usize) -> Result<Vec<Record>, StoreError> {
        read::list(&*self.reader()?, &self.keys, kind, after, false, limit)
    }

    fn list_back(&self, kind: Kind, before: Option<&str>, limit: usize) -> Result<Vec<Record>, StoreError> {
        read::list(&*self.reader()?, &self.keys, kind, before, true, limit)
    }

    fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        read::count(&*self.reader()?, kind)
    }

    fn object(&self, hash: &ObjectHash) -> Result<Option<Vec<u8>>, StoreError> {
        read::object(&*self.reader()?, &self.keys, hash)
    }

    fn objects(&self, after: Option<&ObjectHash>, limit: usize) -> Result<Vec<ObjectInfo>, StoreError> {
        read::objects(&*self.reader()?, after, limit)
    }

    fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        read::events(&*self.reader()?, query)
    }

    fn newest_event(&self) -> watch::Receiver<u64> {
        self.writer.newest_event()
    }

    fn rollups(&self, query: &RollupQuery) -> Result<Vec<Rollup>, StoreError> {
        read::rollups(&*self.reader()?, query)
    }
}
