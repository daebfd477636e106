//! CPU time of a task: the time its polls took on a worker.
//!
//! A poll that the kernel preempts is counted with the wait; on a loaded machine the figure is an upper bound. For frames it
//! is scaled to what the worker really spent, see `telemetry::frames`.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::clock;
use crate::telemetry::frames::{Account, Frames, Spent};

/// A busy task hands its time in this often, and at the end of each request; an idle one at the end of each poll.
const CHARGE_EVERY: Duration = Duration::from_millis(50);

thread_local! {
    static CURRENT: Cell<(u64, Option<Instant>)> = const { Cell::new((0, None)) };
    /// Of the running task, where frames are counted.
    static CHARGE: Cell<Option<Box<Charge>>> = const { Cell::new(None) };
}

fn nanos(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds that the running task had spent in polls at `at`, a reading of this poll; 0 outside a metered task.
pub(crate) fn task_ns(at: Instant) -> u64 {
    let (spent, since) = CURRENT.get();
    spent + since.map_or(0, |since| nanos(since, at))
}

/// Whom a task works for, and its time that is not handed in yet.
struct Charge {
    frames: Frames,
    /// `None` is nobody.
    account: Option<Arc<Account>>,
    spent: Spent,
    /// Up to here the running poll's time is in `spent`.
    since: Instant,
    handed_in: Instant,
}

impl Charge {
    fn hand_in(&mut self, at: Instant) {
        self.handed_in = at;
        let spent = std::mem::take(&mut self.spent);
        if spent != Spent::default() {
            self.frames.charge(self.account.as_ref(), spent);
        }
    }

    fn up_to(&mut self, at: Instant) {
        self.spent.poll_ns += nanos(self.since, at);
        self.since = at;
    }

    fn poll_ends(&mut self, at: Instant) {
        self.up_to(at);
        self.spent.polls += 1;
        if at.saturating_duration_since(self.handed_in) >= CHARGE_EVERY {
            self.hand_in(at);
        }
    }
}

fn change<R>(change: impl FnOnce(&mut Charge) -> R) -> Option<R> {
    let mut charge = CHARGE.take()?;
    let result = change(&mut charge);
    CHARGE.set(Some(charge));
    Some(result)
}

/// From the beginning of this poll, or the end of the last request in it, the running task works for this account; `None` is
/// nobody. It does so until the next call.
pub(crate) fn works_for(account: Option<&Arc<Account>>) {
    change(|charge| {
        if charge.account.as_ref() != account {
            charge.hand_in(charge.since);
            charge.account = account.map(Arc::clone);
        }
    });
}

/// The running task spent this in the rule engine.
pub(crate) fn screened(ns: u64) {
    change(|charge| charge.spent.waf_ns += ns);
}

/// Takes the running task's time up to `at`, a reading of this poll, that is not handed in yet.
pub(crate) fn take(at: Instant) -> Spent {
    let taken = change(|charge| {
        charge.up_to(at);
        charge.handed_in = at;
        std::mem::take(&mut charge.spent)
    });
    taken.unwrap_or_default()
}

/// Meters a future.
pub(crate) struct Metered<F> {
    inner: Pin<Box<F>>,
    spent_ns: u64,
    charge: Option<Box<Charge>>,
}

impl<F: Future> Metered<F> {
    /// What it spends is in `frames` too.
    pub(crate) fn new(frames: &Frames, inner: F) -> Self {
        let charge = frames.is_on().then(|| {
            let now = clock::recent();
            Box::new(Charge {
                frames: frames.clone(),
                account: None,
                spent: Spent::default(),
                since: now,
                handed_in: now,
            })
        });
        Self {
            inner: Box::pin(inner),
            spent_ns: 0,
            charge,
        }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let start = clock::now();
        CURRENT.set((self.spent_ns, Some(start)));
        let charged = self.charge.take().map(|mut charge| {
            charge.since = start;
            CHARGE.set(Some(charge));
        });
        let result = self.inner.as_mut().poll(cx);
        let end = clock::now();
        self.spent_ns = task_ns(end);
        CURRENT.set((0, None));
        if charged.is_some() {
            self.charge = CHARGE.take();
            if let Some(charge) = &mut self.charge {
                charge.poll_ends(end);
            }
        }
        clock::forget();
        result
    }
}

impl<F> Drop for Metered<F> {
    fn drop(&mut self) {
        if let Some(charge) = &mut self.charge {
            charge.hand_in(charge.since);
        }
    }
}
