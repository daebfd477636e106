//! Waiting for a fact instead of sleeping.

use std::time::{Duration, Instant};

/// How long a fact may take on a loaded machine before its test fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Asks `probe` every 5 ms until it gives a value, and panics after [`PATIENCE`] naming `what`.
pub fn wait_for<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, probe)
}

/// As [`wait_for`], with its own patience.
pub fn wait_within<T>(patience: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "waited {patience:?} in vain for: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
