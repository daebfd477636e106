//! What it costs to find the tenant of a host: `weir-bench-resolve [HOSTS]`, 10,000 hosts without an argument.
//!
//! Prints nanoseconds per look-up, the normal form of the host included: median and 99th percentile over batches of 16
//! look-ups of hosts drawn at random.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use smallvec::SmallVec;
use weir_decide::resolve::{HostTable, normalise_host};

const BATCH: usize = 16;
const BATCHES: usize = 50_000;
const HOSTS_MAX: usize = 5_000_000;

fn main() -> std::io::Result<()> {
    let asked = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let hosts: usize = asked.unwrap_or(10_000).clamp(1, HOSTS_MAX);
    let name = |number: usize| format!("t{number:07}.bench.test");
    let started = Instant::now();
    let table = HostTable::build((0..hosts).map(|number| (name(number), number)));
    let built = started.elapsed();
    let mut seed = 7_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).unwrap_or(0) % hosts
    };
    let asked: Vec<String> = (0..BATCH * BATCHES)
        .map(|_| format!("{}:443", name(next())))
        .collect();
    let mut samples: Vec<f64> = asked
        .chunks(BATCH)
        .map(|batch| {
            let started = Instant::now();
            for host in batch {
                let mut normal = SmallVec::new();
                normalise_host(host.as_bytes(), &mut normal);
                black_box(table.lookup(&normal));
            }
            started.elapsed().as_nanos() as f64 / BATCH as f64
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    let at = |share: f64| {
        samples
            .get((samples.len() as f64 * share) as usize)
            .copied()
            .unwrap_or(0.0)
    };
    writeln!(
        std::io::stdout().lock(),
        "{hosts} hosts: built in {} ms; a look-up takes {:.0} ns (median), {:.0} ns (p99)",
        built.as_millis(),
        at(0.5),
        at(0.99)
    )
}
