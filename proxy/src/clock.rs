//! The only place of the data plane that reads time.
//!
//! Reading the clock was 3 % of a request's user time (2026-11, 15 reads of 25 ns). A poll of a connection's task takes
//! microseconds, so most callers are served by the last reading of this thread, [`recent`], which [`crate::meter`] takes
//! at the start of every poll; whoever measures a span reads anew with [`now`].

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static START: OnceLock<Instant> = OnceLock::new();

thread_local! {
    static RECENT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Reads the monotonic clock.
pub(crate) fn now() -> Instant {
    let now = Instant::now();
    RECENT.set(Some(now));
    now
}

/// The last reading of this thread within the running poll; reads when there is none.
pub(crate) fn recent() -> Instant {
    RECENT.get().unwrap_or_else(Instant::now)
}

/// The poll ends: its readings grow old.
pub(crate) fn forget() {
    RECENT.set(None);
}

/// [`recent`] as the time that tokio's timers go by.
pub(crate) fn recent_tokio() -> tokio::time::Instant {
    tokio::time::Instant::from_std(recent())
}

/// Monotonic nanoseconds since the first call in this process, by [`recent`].
pub(crate) fn recent_ns() -> u64 {
    let recent = recent();
    let elapsed = recent.saturating_duration_since(*START.get_or_init(|| recent));
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// [`recent_ns`] in milliseconds.
pub(crate) fn monotonic_ms() -> u64 {
    recent_ns() / 1_000_000
}

/// Milliseconds between the Unix epoch and the first reading of this process; 0 before the first [`sync_wall`].
static WALL_OFFSET_MS: AtomicU64 = AtomicU64::new(0);

/// Reads the wall clock anew; [`unix_ms`] goes by the last such reading and the monotonic clock. Called 20 times a second,
/// so a clock that is set is followed within 50 ms.
pub(crate) fn sync_wall() {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
    let since_start_ms = recent_ns() / 1_000_000;
    WALL_OFFSET_MS.store(wall_ms.saturating_sub(since_start_ms), Ordering::Relaxed);
}

/// Milliseconds since the Unix epoch, by [`recent`].
pub(crate) fn unix_ms() -> u64 {
    if WALL_OFFSET_MS.load(Ordering::Relaxed) == 0 {
        sync_wall();
    }
    WALL_OFFSET_MS.load(Ordering::Relaxed) + recent_ns() / 1_000_000
}

thread_local! {
    /// Second since the Unix epoch, and its text.
    static DATE: Cell<(u64, [u8; 29])> = Cell::new((0, weir_h1::http_date(0)));
}

/// Now, as the value of a `Date` field. Made once a second and thread.
pub(crate) fn http_date() -> [u8; 29] {
    let now = unix_ms() / 1000;
    DATE.with(|date| {
        let (second, text) = date.get();
        if second == now {
            return text;
        }
        let text = weir_h1::http_date(now);
        date.set((now, text));
        text
    })
}

/// A time as RFC 3339 writes it: UTC, with milliseconds.
pub(crate) fn rfc3339(unix_ms: u64) -> String {
    let (seconds, ms) = (unix_ms / 1000, unix_ms % 1000);
    let (year, month, day) = weir_h1::calendar_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// CPU time that the calling thread has spent so far, microseconds.
pub(crate) fn thread_cpu_us() -> u64 {
    cpu_ns(rustix::time::ClockId::ThreadCPUTime) / 1000
}

/// CPU time that all threads of the process have spent so far, nanoseconds.
pub(crate) fn process_cpu_ns() -> u64 {
    cpu_ns(rustix::time::ClockId::ProcessCPUTime)
}

fn cpu_ns(clock: rustix::time::ClockId) -> u64 {
    let spent = rustix::time::clock_gettime(clock);
    nanos(i128::from(spent.tv_sec), i128::from(spent.tv_nsec))
}

fn nanos(seconds: i128, nanos: i128) -> u64 {
    u64::try_from(seconds * 1_000_000_000 + nanos).unwrap_or(0)
}

/// A thread's CPU clock, which other threads can read.
pub(crate) struct ThreadCpu(nix::time::ClockId);

impl ThreadCpu {
    /// The calling thread's.
    pub(crate) fn of_this_thread() -> Self {
        // The kernel's name of a thread's clock (include/linux/posix-timers_types.h): the thread's number, inverted, over
        // three bits that say "of a thread" (4) and "time on a processor" (2).
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        Self(nix::time::ClockId::from_raw((!thread << 3) | 0b110))
    }

    /// What the thread has spent so far, nanoseconds; `None` once it has ended.
    pub(crate) fn spent_ns(&self) -> Option<u64> {
        let spent = self.0.now().ok()?;
        Some(nanos(i128::from(spent.tv_sec()), i128::from(spent.tv_nsec())))
    }
}

/// Microseconds from `start` to `end`, saturating.
pub(crate) fn micros(start: Instant, end: Instant) -> u32 {
    u32::try_from(end.saturating_duration_since(start).as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_cpu_clock_can_be_read_by_another_until_it_ends() {
        let (send, receive) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            while thread_cpu_us() < 20_000 {}
            send.send((ThreadCpu::of_this_thread(), thread_cpu_us())).unwrap();
            ended.recv().unwrap();
        });
        let (clock, own_us) = receive.recv().unwrap();
        let spent_us = clock.spent_ns().unwrap() / 1000;
        assert!(
            spent_us >= own_us && spent_us < own_us + 5_000,
            "{spent_us} {own_us}"
        );
        assert!(process_cpu_ns() / 1000 >= spent_us);
        end.send(()).unwrap();
        thread.join().unwrap();
        assert_eq!(clock.spent_ns(), None);
    }

    #[test]
    fn times_are_written_as_rfc_3339_says() {
        for (unix_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_764_071_553_042, "2025-11-25T11:52:33.042Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), expected);
        }
    }
}
