//! Sends versions through the regions as [`weir_plan::rollout`] decides, and takes them back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};
use weir_plan::rollout::{Over, Policy, PolicyError, Rollout, Seen, State, Step};

use crate::clock;
use crate::push::{Hub, Targets};
use crate::store::{Batch, IfMatch, Kind, NewEvent, Record, Store, StoreError};
use crate::versions::{Actor, Published, Refused, Versions};

/// Between two looks at the regions.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What was served before is compared over this time, seconds.
const BEFORE_S: u64 = 60;
/// The record of the policy.
const POLICY: &str = "rollout_policy";

/// Rollouts, of which at most one is under way.
pub struct Rollouts {
    store: Arc<dyn Store>,
    versions: Arc<Versions>,
    hub: Arc<Hub>,
    state: Mutex<Now>,
}

struct Now {
    policy: Policy,
    current: Option<Rollout>,
    /// The version that is everywhere, or was last.
    base: Option<Arc<Published>>,
}

fn id_of(revision: u64) -> String {
    format!("{revision:020}")
}

impl Rollouts {
    /// Where rollouts stood when control ended.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(store: Arc<dyn Store>, versions: Arc<Versions>, hub: Arc<Hub>) -> Result<Self, StoreError> {
        let policy = store
            .get(Kind::Meta, POLICY)?
            .map(|record| record.json())
            .transpose()?;
        let newest = versions.newest();
        let last = store.list_back(Kind::Rollout, None, 1)?.pop();
        let last: Option<Rollout> = last.map(|record| record.json()).transpose()?;
        let current = last.filter(|last| {
            newest
                .as_ref()
                .is_some_and(|newest| newest.head().revision == last.revision)
        });
        let base = match &current {
            Some(rollout) if !matches!(rollout.state, State::Done) => {
                versions.version(rollout.base)?.map(Arc::new)
            }
            _ => newest,
        };
        let rollouts = Self {
            store,
            versions,
            hub,
            state: Mutex::new(Now {
                policy: policy.unwrap_or_default(),
                current,
                base,
            }),
        };
        rollouts.aim();
        Ok(rollouts)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest rollout.
    #[must_use]
    pub fn current(&self) -> Option<Rollout> {
        self.now().current.clone()
    }

    /// Rollouts before `before`, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub fn history(&self, before: Option<u64>, limit: usize) -> Result<Vec<Rollout>, StoreError> {
        let before = before.map(id_of);
        let records = self.store.list_back(Kind::Rollout, before.as_deref(), limit)?;
        records.iter().map(Record::json).collect()
    }

    /// What was seen in each region of the newest rollout.
    #[must_use]
    pub fn seen(&self) -> BTreeMap<String, Seen> {
        let newest = self.versions.newest();
        newest.map(|newest| self.look(&newest)).unwrap_or_default()
    }

    /// How versions are rolled out.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.now().policy.clone()
    }

    /// Changes how the next versions are rolled out.
    ///
    /// # Errors
    /// What is wrong with the policy, or that the store fails.
    pub async fn set_policy(
        &self,
        policy: Policy,
        actor: &Actor,
    ) -> Result<Result<(), Vec<PolicyError>>, StoreError> {
        if let Err(errors) = policy.check() {
            return Ok(Err(errors));
        }
        let event = event(actor, "rollout_policy.change", "rollout_policy", json!(policy));
        let batch = Batch::at(clock::unix_ms()).put(Kind::Meta, POLICY, &policy, IfMatch::Any)?;
        self.store.commit(batch.event(event)).await?;
        self.now().policy = policy;
        Ok(Ok(()))
    }

    /// Stops the rollout that is under way; regions stay where they are.
    ///
    /// # Errors
    /// That none is under way, or that the store fails.
    pub async fn halt(&self, actor: &Actor) -> Result<Result<Rollout, Over>, StoreError> {
        let halted = {
            let mut now = self.now();
            let Some(current) = &mut now.current else {
                return Ok(Err(Over));
            };
            if let Err(over) = current.halt() {
                return Ok(Err(over));
            }
            current.clone()
        };
        self.keep(&halted, actor, "rollout.halt").await?;
        Ok(Ok(halted))
    }

    async fn keep(&self, rollout: &Rollout, actor: &Actor, action: &str) -> Result<(), StoreError> {
        let subject = format!("rollout/{}", rollout.revision);
        let event = event(actor, action, &subject, json!(rollout));
        let batch = Batch::at(clock::unix_ms()).put(
            Kind::Rollout,
            &id_of(rollout.revision),
            rollout,
            IfMatch::Any,
        )?;
        self.store.commit(batch.event(event)).await.map(drop)
    }

    /// Runs for ever.
    pub async fn run(self: Arc<Self>) {
        let mut published = self.versions.watch();
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = published.changed() => if changed.is_err() { return },
                _ = ticks.tick() => {}
            }
            // What the store refuses now is tried again at the next look; targets are only changed behind a commit.
            let _ = self.look_and_do().await;
        }
    }

    async fn look_and_do(&self) -> Result<(), StoreError> {
        let Some(newest) = self.versions.newest() else {
            return Ok(());
        };
        let known = self.now().current.as_ref().map(|current| current.revision);
        let base = self.now().base.as_ref().map(|base| base.head().revision);
        if known != Some(newest.head().revision) && base != Some(newest.head().revision) {
            return self.begin(newest).await;
        }
        let seen = self.look(&newest);
        let (step, rollout) = {
            let mut now = self.now();
            let Some(current) = now.current.clone() else {
                return Ok(());
            };
            let mut next = current.clone();
            let step = next.step(clock::unix_ms(), &seen);
            if step.is_none() {
                // That all serve it is no step, but is remembered.
                now.current = Some(next.clone());
            }
            let unfinished = matches!(next.state, State::RolledBack { .. }) && step.is_none();
            (
                if unfinished {
                    Some(Step::RollBack {
                        reason: reason(&next),
                    })
                } else {
                    step
                },
                next,
            )
        };
        let Some(step) = step else {
            return Ok(());
        };
        let action = match &step {
            Step::Advance { .. } => "rollout.advance",
            Step::Finish => "rollout.finish",
            Step::RollBack { .. } => "rollout.roll_back",
        };
        self.keep(&rollout, &Actor::system(), action).await?;
        let base = rollout.base;
        {
            let mut now = self.now();
            if matches!(step, Step::Finish) {
                now.base = Some(Arc::clone(&newest));
            }
            now.current = Some(rollout);
        }
        if let Step::RollBack { reason } = step {
            return self.take_back(base, &json!(reason)).await;
        }
        self.aim();
        Ok(())
    }

    async fn take_back(&self, base: u64, reason: &Value) -> Result<(), StoreError> {
        let note = format!("taken back by itself: {reason}");
        let taken = self
            .versions
            .rollback(base, &note, true, &Actor::system(), false, clock::unix_ms())
            .await;
        match taken {
            Ok(_) | Err(Refused::Same(_)) => {}
            Err(Refused::Store(error)) => return Err(error),
            Err(refused) => {
                // The base served before, so this means that a person has to look.
                let event = event(
                    &Actor::system(),
                    "rollout.roll_back",
                    "rollout",
                    json!({"failed": refused.to_string()}),
                );
                self.store
                    .commit(Batch::at(clock::unix_ms()).event(event))
                    .await?;
                self.now().current = None;
            }
        }
        if let Some(newest) = self.versions.newest() {
            self.begin(newest).await?;
        }
        Ok(())
    }

    /// A version was published.
    async fn begin(&self, newest: Arc<Published>) -> Result<(), StoreError> {
        let revision = newest.head().revision;
        let (superseded, policy, base) = {
            let now = self.now();
            let superseded = now.current.clone().filter(|current| !current.state.is_over());
            (superseded, now.policy.clone(), now.base.clone())
        };
        let halted = matches!(
            self.now().current.as_ref().map(|current| &current.state),
            Some(State::Halted { .. })
        );
        let alone = superseded.is_none() && !halted;
        if let Some(mut old) = superseded {
            old.state = State::Superseded { by: revision };
            self.keep(&old, &Actor::system(), "rollout.supersede").await?;
        }
        let record = &newest.record;
        let back = base
            .as_ref()
            .is_some_and(|base| base.content.index == newest.content.index);
        let at_once = base.is_none() || back || (record.tenants_only && policy.tenants_at_once && alone);
        let from = base.as_ref().map_or(0, |base| base.head().revision);
        let mut rollout = Rollout::begin(
            revision,
            from,
            &self.regions(&newest),
            policy,
            record.emergency,
            clock::unix_ms(),
        );
        if at_once {
            rollout.stages = vec![rollout.stages.concat()];
            rollout.state = State::Done;
        }
        self.keep(&rollout, &Actor::system(), "rollout.begin").await?;
        {
            let mut now = self.now();
            if at_once {
                now.base = Some(newest);
            }
            now.current = Some(rollout);
        }
        self.aim();
        Ok(())
    }

    /// Regions that the edge names, and those that have proxies.
    fn regions(&self, newest: &Published) -> Vec<String> {
        let mut regions: std::collections::BTreeSet<String> =
            self.hub.fleet().regions().into_iter().collect();
        let edge = newest.content.listing.get("edge");
        let edge = edge.and_then(|entry| self.versions.objects().get(&entry.hash).ok().flatten());
        let edge: Value = edge
            .and_then(|edge| serde_json::from_slice(&edge).ok())
            .unwrap_or_default();
        let named = edge["regions"].as_array().into_iter().flatten();
        regions.extend(named.filter_map(|region| region["id"].as_str().map(str::to_owned)));
        regions.into_iter().collect()
    }

    fn look(&self, newest: &Published) -> BTreeMap<String, Seen> {
        let head = newest.head();
        let since_s = clock::unix_ms() / 1000 - BEFORE_S;
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        for (_, proxy) in self.hub.fleet().all() {
            let region = seen.entry(proxy.region.clone()).or_insert_with(|| {
                let sums = self.hub.fleet().sums(&proxy.region, head.revision, since_s);
                Seen {
                    before: sums.before,
                    after: sums.after,
                    ..Seen::default()
                }
            });
            region.connected += u32::from(proxy.connected);
            let serves = proxy.serving.is_some_and(|serving| serving.index == head.index);
            region.serving += u32::from(proxy.connected && serves);
            region.refused += u32::from(proxy.refused == Some(head));
        }
        seen
    }

    /// Tells sessions what their regions are to serve.
    fn aim(&self) {
        let now = self.now();
        let Some(newest) = self.versions.newest() else {
            return;
        };
        let targets = match &now.current {
            Some(rollout)
                if rollout.revision == newest.head().revision && !matches!(rollout.state, State::Done) =>
            {
                let mut targets = Targets {
                    rest: now.base.clone(),
                    regions: BTreeMap::new(),
                };
                let known = rollout.stages.iter().flatten().cloned();
                let known = known.chain(self.hub.fleet().regions());
                for region in known.filter(|region| rollout.has_reached(region)) {
                    targets.regions.insert(region, Arc::clone(&newest));
                }
                targets
            }
            _ => Targets {
                rest: now.base.clone(),
                regions: BTreeMap::new(),
            },
        };
        drop(now);
        self.hub.aim(targets);
    }
}

fn reason(rollout: &Rollout) -> weir_plan::rollout::Trip {
    match &rollout.state {
        State::RolledBack { reason } => reason.clone(),
        _ => weir_plan::rollout::Trip::Refused {
            region: String::new(),
            proxies: 0,
        },
    }
}

fn event(actor: &Actor, action: &str, subject: &str, detail: Value) -> NewEvent {
    NewEvent {
        actor: actor.name.clone(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        from: actor.from.clone(),
        result: "done".to_owned(),
        detail,
    }
}
