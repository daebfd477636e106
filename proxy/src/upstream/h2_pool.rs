//! HTTP/2 connections of one endpoint, shared by many requests: as many as the origin's limit of streams asks for.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::UpstreamFault;
use super::h2::H2Handle;

/// The connections of an endpoint. The oldest is filled first, so that the rest can go idle.
#[derive(Default)]
pub(crate) struct H2Pool {
    connections: Mutex<Vec<Arc<H2Connection>>>,
    /// Held while a connection is made: requests that come meanwhile wait for it instead of making their own.
    connecting: tokio::sync::Mutex<()>,
}

/// A connection. It ends with the last handle, when its last stream has ended.
pub(crate) struct H2Connection {
    handle: H2Handle,
    /// False when it carries no new streams: it has ended, the origin said GOAWAY, or it is in doubt.
    usable: Arc<AtomicBool>,
    open: AtomicU32,
    idle_since: Mutex<Instant>,
}

impl H2Connection {
    /// A connection that is ready; whoever drives it clears `usable` when it ends.
    pub(crate) fn new(handle: H2Handle, usable: Arc<AtomicBool>) -> Self {
        Self {
            handle,
            usable,
            open: AtomicU32::new(0),
            idle_since: Mutex::new(Instant::now()),
        }
    }

    pub(crate) fn handle(&self) -> H2Handle {
        self.handle.clone()
    }

    fn is_usable(&self) -> bool {
        self.usable.load(Ordering::Acquire)
    }

    fn has_room(&self) -> bool {
        (self.open.load(Ordering::Acquire) as usize) < self.handle.current_max_send_streams()
    }

    fn is_idle_for(&self, timeout: Duration) -> bool {
        let since = *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner);
        self.open.load(Ordering::Acquire) == 0 && since.elapsed() >= timeout
    }
}

/// A place for one stream on a connection.
pub(crate) struct Place {
    connection: Arc<H2Connection>,
    /// The connection was made for this.
    pub(crate) fresh: bool,
}

impl Place {
    fn on(connection: &Arc<H2Connection>) -> Self {
        connection.open.fetch_add(1, Ordering::AcqRel);
        Self {
            connection: Arc::clone(connection),
            fresh: false,
        }
    }

    pub(crate) fn handle(&self) -> H2Handle {
        self.connection.handle()
    }

    /// Lets the connection carry no new streams.
    pub(crate) fn retire(&self) {
        self.connection.usable.store(false, Ordering::Release);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.connection.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self
                .connection
                .idle_since
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }
}

impl H2Pool {
    /// A place on a connection that has room, or on one that `connect` makes. With `connections_max` connections that are
    /// all full, the stream waits on the one with the fewest.
    ///
    /// # Errors
    /// That of `connect`.
    pub(crate) async fn take(
        &self,
        connections_max: u32,
        connect: impl AsyncFnOnce() -> Result<H2Connection, UpstreamFault>,
    ) -> Result<Place, UpstreamFault> {
        if let Some(place) = self.with_room() {
            return Ok(place);
        }
        let _turn = self.connecting.lock().await;
        if let Some(place) = self.with_room() {
            return Ok(place);
        }
        if self.count() >= connections_max.max(1) as usize
            && let Some(place) = self.least_loaded()
        {
            return Ok(place);
        }
        let connection = Arc::new(connect().await?);
        let mut place = Place::on(&connection);
        place.fresh = true;
        self.lock().push(connection);
        Ok(place)
    }

    fn with_room(&self) -> Option<Place> {
        let mut connections = self.lock();
        if !connections.iter().all(|connection| connection.is_usable()) {
            connections.retain(|connection| connection.is_usable());
        }
        connections
            .iter()
            .find(|connection| connection.has_room())
            .map(Place::on)
    }

    fn least_loaded(&self) -> Option<Place> {
        let connections = self.lock();
        let open = |connection: &&Arc<H2Connection>| connection.open.load(Ordering::Acquire);
        connections.iter().min_by_key(open).map(Place::on)
    }

    /// Drops connections that are idle for long, and those that carry no new streams.
    pub(crate) fn sweep(&self, idle_timeout: Duration) {
        self.lock()
            .retain(|connection| connection.is_usable() && !connection.is_idle_for(idle_timeout));
    }

    /// Connections now.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<H2Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
