//! CPU time of a task: the time its polls took on a worker.
//!
//! A poll that the kernel preempts is counted with the wait; on a loaded machine the figure is an upper bound.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::clock;

thread_local! {
    static CURRENT: Cell<(u64, Option<Instant>)> = const { Cell::new((0, None)) };
}

fn nanos(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds that the running task had spent in polls at `at`, a reading of this poll; 0 outside a metered task.
pub(crate) fn task_ns(at: Instant) -> u64 {
    let (spent, since) = CURRENT.get();
    spent + since.map_or(0, |since| nanos(since, at))
}

/// Meters a future.
pub(crate) struct Metered<F> {
    inner: Pin<Box<F>>,
    spent_ns: u64,
}

impl<F: Future> Metered<F> {
    pub(crate) fn new(inner: F) -> Self {
        Self {
            inner: Box::pin(inner),
            spent_ns: 0,
        }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        CURRENT.set((self.spent_ns, Some(clock::now())));
        let result = self.inner.as_mut().poll(cx);
        self.spent_ns = task_ns(clock::now());
        CURRENT.set((0, None));
        clock::forget();
        result
    }
}
