//! Generated events of tenants, and what the engine says of them at every instant.

use weir_plan::slo::engine::Since;
use weir_plan::slo::objective::Objectives;
use weir_plan::slo::window::{RULE_COUNT, RULES, WINDOWS, WindowId};
use weir_plan::slo::{Counts, Engine, Kind, Labels, Sample, SeriesId, Tier};

/// How many tenants, for how long, and how closely they are looked at.
pub(super) struct Scene {
    /// Each has two SLOs.
    pub(super) tenants: u64,
    /// Tenants whose windows are compared too, not only their alerts.
    pub(super) with_sums: usize,
    /// Length of a step: counters have a value at each.
    pub(super) step_s: u64,
    /// Number of steps.
    pub(super) steps: usize,
    /// Time between instants at which rules are evaluated.
    pub(super) evaluate_s: u64,
    /// Steps of equal traffic in a row, at most.
    pub(super) run_max: u64,
    /// Rules of which ten alerts or more must fire.
    pub(super) rules_that_fire: &'static [usize],
}

impl Scene {
    /// Three and a half days at every two hours, when all windows are exact.
    pub(super) fn days() -> Self {
        Self {
            tenants: 500,
            with_sums: 20,
            step_s: 300,
            steps: 1008,
            evaluate_s: 7200,
            run_max: 90,
            rules_that_fire: &[0, 1, 2, 3],
        }
    }

    /// Two hours at every minute.
    pub(super) fn minutes() -> Self {
        Self {
            tenants: 60,
            with_sums: 20,
            step_s: 60,
            steps: 120,
            evaluate_s: 60,
            run_max: 12,
            rules_that_fire: &[0, 1, 2, 3],
        }
    }

    /// Enough to see a difference.
    pub(super) fn few() -> Self {
        Self {
            tenants: 20,
            ..Self::minutes()
        }
    }

    /// Steps at which rules are evaluated.
    pub(super) fn instants(&self) -> impl Iterator<Item = usize> {
        (0..=self.steps).step_by((self.evaluate_s / self.step_s) as usize)
    }
}

/// A window's events at each step.
#[derive(Clone, Default)]
pub(super) struct Sums {
    pub(super) events: Vec<Option<u64>>,
    pub(super) bad: Vec<Option<u64>>,
}

/// One SLO at each step: none before the tenant began, and between instants.
#[derive(Default)]
pub(super) struct Slo {
    pub(super) bad: Vec<Option<u64>>,
    pub(super) good: Vec<Option<u64>>,
    pub(super) fires: [Vec<Option<u64>>; RULE_COUNT],
    pub(super) sums: Vec<Sums>,
}

/// A tenant with the events of each step and what became of them.
pub(super) struct Tenant {
    pub(super) name: String,
    pub(super) tier: Tier,
    pub(super) objectives: Objectives,
    /// The step at which it begins.
    pub(super) start: usize,
    /// Events between a step and the next.
    steps: Vec<Counts>,
    pub(super) slos: [Slo; 2],
    /// Events of the steps that are over.
    so_far: Counts,
}

/// Tenants with traffic of every kind: steady and random, much and little, with outages, gaps, and errors exactly at the limits.
pub(super) fn tenants(scene: &Scene) -> Vec<Tenant> {
    let mut random = Random(0x5eed);
    let tenant = |number: u64| {
        let tier = Tier::ALL[(number % 3) as usize];
        let rate = [1, 6, 60, 600, 10_000, 200_000][random.below(6) as usize] * scene.step_s / 60;
        // A third is there from the beginning.
        let start = (random.below(3) * random.below(scene.steps as u64 / 2)) as usize / 2;
        let mut steps = vec![Counts::default(); scene.steps];
        let mut at = start;
        while at < scene.steps {
            let run = 1 + random.below(scene.run_max) * random.below(2);
            let counts = random.counts(rate, tier.objectives().availability.bad_ppm());
            let end = scene.steps.min(at + run as usize);
            steps[at..end].fill(counts);
            at = end;
        }
        Tenant {
            name: format!("t{number:04}"),
            tier,
            objectives: tier.objectives(),
            start,
            steps,
            slos: Default::default(),
            so_far: Counts::default(),
        }
    };
    (0..scene.tenants).map(tenant).collect()
}

/// What the engine said.
pub(super) struct Run {
    pub(super) tenants: Vec<Tenant>,
}

impl Run {
    /// Lets the engine count and judge.
    pub(super) fn of(mut tenants: Vec<Tenant>, scene: &Scene) -> Self {
        let mut engine = Engine::new(tenants.len() as u32);
        let mut ids: Vec<Option<SeriesId>> = vec![None; tenants.len()];
        let mut random = Random(3);
        for step in 0..=scene.steps {
            let now = step as u64 * scene.step_s;
            let is_instant = now.is_multiple_of(scene.evaluate_s);
            if is_instant {
                engine.evaluate(now, 1);
            }
            let fires = firing(&engine, tenants.len());
            for (at, tenant) in tenants.iter_mut().enumerate() {
                if step == tenant.start {
                    ids[at] = Some(begin(&mut engine, tenant, now));
                }
                for kind in Kind::ALL {
                    let seen = ids[at].filter(|_| is_instant);
                    let sums = (at < scene.with_sums).then_some(&engine);
                    tenant.slos[kind.index()].note(
                        kind,
                        ids[at].map(|_| tenant.so_far),
                        seen,
                        &fires[at],
                        sums,
                    );
                }
            }
            // After all were noted: the first record of what is to come moves the engine on.
            for (tenant, id) in tenants.iter_mut().zip(&ids) {
                if let (Some(series), Some(counts)) = (*id, tenant.steps.get(step)) {
                    // Anywhere in the step; the frame comes when it is over.
                    let second = now + random.below(scene.step_s);
                    let sample = Sample {
                        series,
                        second,
                        counts: *counts,
                    };
                    engine
                        .record(now + scene.step_s, &sample)
                        .expect("it can be held");
                    tenant.so_far = tenant.so_far.plus(*counts);
                }
            }
        }
        Self { tenants }
    }

    /// How often each rule began to fire.
    pub(super) fn fired(&self) -> [usize; RULE_COUNT] {
        let slos = || self.tenants.iter().flat_map(|tenant| &tenant.slos);
        std::array::from_fn(|rule| {
            let begun = |values: &[Option<u64>]| {
                let seen: Vec<u64> = values.iter().flatten().copied().collect();
                seen.windows(2).filter(|pair| pair == &[0, 1]).count()
            };
            slos().map(|slo| begun(&slo.fires[rule])).sum()
        })
    }

    /// Turns one answer around.
    pub(super) fn spoil(&mut self) {
        let mut values = self
            .tenants
            .iter_mut()
            .flat_map(|tenant| &mut tenant.slos[0].fires[0]);
        let value = values.by_ref().flatten().nth(50).expect("values");
        *value = 1 - *value;
    }
}

/// Which alerts of which tenant fire.
fn firing(engine: &Engine, tenants: usize) -> Vec<[[bool; RULE_COUNT]; 2]> {
    let mut fires = vec![[[false; RULE_COUNT]; 2]; tenants];
    for alert in engine.alerts() {
        let name = alert.labels.tenant.as_deref().expect("a tenant");
        let at: usize = name.trim_start_matches('t').parse().expect("a number");
        let rule = RULES.iter().position(|rule| rule == alert.rule).expect("a rule");
        fires[at][alert.objective.index()][rule] = true;
    }
    fires
}

fn begin(engine: &mut Engine, tenant: &Tenant, now: u64) -> SeriesId {
    let labels = Labels {
        tenant: Some(tenant.name.as_str().into()),
        tier: Some(tenant.tier),
        ..Labels::default()
    };
    let since = Since {
        second: now,
        counts: Counts::default(),
    };
    engine
        .add(labels, tenant.objectives, since)
        .expect("there is room")
}

impl Slo {
    /// Notes a step: what was counted so far, and at an instant what the engine says of the series.
    fn note(
        &mut self,
        kind: Kind,
        so_far: Option<Counts>,
        seen: Option<SeriesId>,
        fires: &[[bool; RULE_COUNT]; 2],
        engine: Option<&Engine>,
    ) {
        let bad = |counts: Counts| counts.bad[kind.index()];
        self.bad.push(so_far.map(bad));
        self.good.push(so_far.map(|counts| counts.events - bad(counts)));
        for (values, fires) in self.fires.iter_mut().zip(fires[kind.index()]) {
            values.push(seen.map(|_| u64::from(fires)));
        }
        let Some(engine) = engine else {
            return;
        };
        self.sums.resize_with(WINDOWS.len(), Sums::default);
        for (sums, window) in self.sums.iter_mut().zip(WindowId::ALL) {
            let sum = seen.and_then(|id| engine.sum(id, *window));
            sums.events.push(sum.map(|sum| sum.events));
            sums.bad.push(sum.map(bad));
        }
    }
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end.max(1)
    }

    /// Events of a step: how many, and how many of them are bad for each objective.
    fn counts(&mut self, rate: u64, budget_ppm: u64) -> Counts {
        let events = match self.below(8) {
            0 => 0,
            1 => self.below(rate * 2),
            _ => rate,
        };
        let bad = [(); 2].map(|()| {
            let tenths = [0, 5, 5, 10, 30, 60, 144, 300][self.below(8) as usize];
            // Rounded up or down: at small counts the error rate is not met.
            let exact = events * budget_ppm * tenths;
            match self.below(20) {
                0 => events,
                1 => events / 2,
                2 => exact.div_ceil(10_000_000),
                _ => exact / 10_000_000,
            }
        });
        Counts {
            events,
            bad: bad.map(|bad| bad.min(events)),
        }
    }
}
