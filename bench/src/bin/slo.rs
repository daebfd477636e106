//! What judging SLOs costs: `weir-bench-slo [TENANTS [SECONDS]]`, 10,000 tenants and 300 s without arguments.
//!
//! Every tenant has 30 days of history and sends events in every second; one in a hundred burns its budget and has alerts.
//! Prints the CPU time of a second (counting and judging both objectives of all tenants) as a share of one core, mean and
//! worst, and resident memory.

use std::io::Write;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use weir_plan::slo::engine::{Full, Since};
use weir_plan::slo::window::WindowId;
use weir_plan::slo::{Counts, Engine, Labels, Sample, SeriesId, Tier};

const TENANTS_MAX: u32 = 1_000_000;
const START: u64 = 1_764_000_000;
const HOURS: u64 = 720;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let mut argument = |default| arguments.next().and_then(Result::ok).unwrap_or(default);
    let tenants = argument(10_000).clamp(1, TENANTS_MAX);
    let seconds = u64::from(argument(300));
    let mut engine = Engine::new(tenants);
    let ids = series(&mut engine, tenants).map_err(std::io::Error::other)?;
    let mut random = Random(7);
    fill(&mut engine, &ids, &mut random);
    let (mut spent, mut worst, mut changes) = (Duration::ZERO, Duration::ZERO, 0);
    for now in START + 1..=START + seconds {
        let samples: Vec<Sample> = ids
            .iter()
            .enumerate()
            .map(|(at, id)| sample(*id, now - 1, at % 100 == 0, &mut random))
            .collect();
        let began = cpu();
        for sample in &samples {
            engine.record(now, sample).map_err(std::io::Error::other)?;
        }
        changes += engine.evaluate(now, 1).len();
        let took = cpu().saturating_sub(began);
        spent += took;
        worst = worst.max(took);
    }
    let percent = |time: Duration| time.as_secs_f64() * 100.0;
    let budget = ids
        .first()
        .and_then(|id| engine.sum(*id, WindowId::D30))
        .unwrap_or_default();
    writeln!(
        std::io::stdout().lock(),
        "{tenants} tenants x 2 objectives, {seconds} s: {:.2} % of a core, {:.2} % in the worst second; {} alerts fire, {changes} \
         changes; {} events in the first budget; {} MB resident",
        percent(spent) / seconds.max(1) as f64,
        percent(worst),
        engine.alerts().count(),
        budget.events,
        resident_kb() / 1000,
    )
}

fn series(engine: &mut Engine, tenants: u32) -> Result<Vec<SeriesId>, Full> {
    let add = |tenant| {
        let tier = Tier::ALL
            .get(tenant as usize % 3)
            .copied()
            .unwrap_or(Tier::Starter);
        let labels = Labels {
            tenant: Some(format!("tenant-{tenant:05}").into()),
            tier: Some(tier),
            region: Some("eu".into()),
            upstream: None,
        };
        engine.add(labels, tier.objectives(), Since::default())
    };
    (0..tenants).map(add).collect()
}

/// A sample in every hour of the past 30 days.
fn fill(engine: &mut Engine, ids: &[SeriesId], random: &mut Random) {
    for hour in (0..HOURS).rev() {
        let second = START - hour * 3600 - 1;
        for id in ids {
            // What cannot be held is what this run does not measure.
            let _ = engine.restore(second + 1, &sample(*id, second, false, random));
        }
    }
}

fn sample(series: SeriesId, second: u64, burns: bool, random: &mut Random) -> Sample {
    let events = 1 + random.below(100);
    let mut bad = || {
        if burns {
            events
        } else {
            u64::from(random.below(1000) == 0)
        }
    };
    Sample {
        series,
        second,
        counts: Counts {
            events,
            bad: [bad(), bad()],
        },
    }
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
