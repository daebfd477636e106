//! Tries versions before they are published: the code that serves them, without serving.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use weir_schema::config::{CheckedParts, Own, check_parts, diff};
use weir_schema::push::{Listing, ObjectHash};

use super::pushed::{PushedStore, StoreError};
use crate::live::{self, Live};
use crate::telemetry::registry::Metrics;

/// What a version would do.
#[derive(Clone, Debug)]
pub struct Tried {
    /// What works but may not mean what an operator thinks.
    pub warnings: Vec<String>,
    /// Tenants that would be set aside, with reasons.
    pub quarantined: Value,
    /// What differs from the version that was tried before.
    pub diff: Value,
    /// For checking and compiling, milliseconds.
    pub compile_ms: u64,
}

/// The last version that passed, in one region.
struct Passed {
    checked: CheckedParts,
    /// Compiled in the first region, and in those with an edge of their own.
    live: Option<Live>,
}

/// Compiles versions as a proxy would.
pub struct Trial {
    store: PushedStore,
    metrics: Arc<Metrics>,
    listing: Option<Listing>,
    passed: BTreeMap<String, Passed>,
}

impl Trial {
    /// A trial that works in `folder`, which should be in memory: files of versions stand in it, private keys too.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: &Path) -> Result<Self, String> {
        // Fails only when a provider was installed before, which then serves as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Ok(Self {
            store: PushedStore::open(folder, Own::default()).map_err(|error| error.to_string())?,
            metrics: Metrics::new().map_err(|error| error.to_string())?,
            listing: None,
            passed: BTreeMap::new(),
        })
    }

    /// Tries what an index lists; `object` gives the objects. Blocks for as long as compiling takes.
    ///
    /// # Errors
    /// All reasons why a proxy would refuse it.
    pub fn check(
        &mut self,
        index: &ObjectHash,
        object: &dyn Fn(&ObjectHash) -> Option<Vec<u8>>,
    ) -> Result<Tried, Vec<Value>> {
        let started = Instant::now();
        let told = |error: StoreError| vec![json!({"message": error.to_string()})];
        let listing = self.gather(index, object)?;
        self.store.show(&listing, self.listing.as_ref()).map_err(told)?;
        let tried = self.compile(index, &listing);
        match tried {
            Ok((tried, passed)) => {
                self.passed = passed;
                self.listing = Some(listing);
                Ok(Tried {
                    compile_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                    ..tried
                })
            }
            Err(errors) => {
                let back = match &self.listing {
                    Some(old) => self.store.show(old, Some(&listing)),
                    None => Ok(()),
                };
                if back.is_err() {
                    // Begins anew: the folder is made from nothing then.
                    self.listing = None;
                    self.passed.clear();
                }
                Err(errors)
            }
        }
    }

    fn gather(
        &self,
        index: &ObjectHash,
        object: &dyn Fn(&ObjectHash) -> Option<Vec<u8>>,
    ) -> Result<Listing, Vec<Value>> {
        let told = |error: StoreError| vec![json!({"message": error.to_string()})];
        let put = |hash: &ObjectHash| {
            if self.store.has(hash) {
                return Ok(());
            }
            let bytes = object(hash).ok_or_else(|| told(StoreError::Missing(*hash)))?;
            self.store.put(&bytes).map(drop).map_err(told)
        };
        put(index)?;
        for page in self.store.pages_lacking(index).map_err(told)? {
            put(&page)?;
        }
        let listing = self.store.listing(index).map_err(told)?;
        for (path, entry) in listing.iter() {
            let known = self.listing.as_ref().and_then(|old| old.get(path));
            if known != Some(entry) {
                put(&entry.hash)?;
            }
        }
        Ok(listing)
    }

    fn compile(
        &self,
        index: &ObjectHash,
        listing: &Listing,
    ) -> Result<(Tried, BTreeMap<String, Passed>), Vec<Value>> {
        let told = |error: StoreError| vec![json!({"message": error.to_string()})];
        let mut tried = Tried {
            warnings: Vec::new(),
            quarantined: json!([]),
            diff: Value::Null,
            compile_ms: 0,
        };
        let mut passed = BTreeMap::new();
        for (place, region) in self.regions(listing)?.into_iter().enumerate() {
            let in_region = |error: Value| match error {
                Value::Object(mut error) if !region.is_empty() => {
                    error.insert("region".to_owned(), json!(region));
                    Value::Object(error)
                }
                error => error,
            };
            let own = Own {
                region: Some(region.clone()).filter(|region| !region.is_empty()),
                ..Own::default()
            };
            let old = self.passed.get(&region);
            let previous = old
                .zip(self.listing.as_ref())
                .map(|(old, listing)| (listing, &old.checked.parts));
            let (_, parts) = self.store.parts(index, &own, previous).map_err(told)?;
            let checked = check_parts(parts, old.map(|old| &old.checked)).map_err(|errors| {
                errors
                    .iter()
                    .map(|error| in_region(json!(error)))
                    .collect::<Vec<_>>()
            })?;
            let compiles = place == 0 || listing.get(&format!("edge/{region}")).is_some();
            let live = if compiles {
                let before = old.and_then(|old| old.live.as_ref());
                let live =
                    live::compile(checked.config.clone(), before, &self.metrics).map_err(|errors| {
                        let errors = errors.iter().map(|error| json!({"message": error.to_string()}));
                        errors.map(in_region).collect::<Vec<_>>()
                    })?;
                if place == 0 {
                    tried.diff = before.map_or(Value::Null, |old| json!(diff(&old.config, &live.config)));
                    tried.quarantined = json!(live.config.quarantined);
                }
                tried.warnings.extend(live.warnings.iter().cloned());
                Some(live)
            } else {
                None
            };
            passed.insert(region, Passed { checked, live });
        }
        Ok((tried, passed))
    }

    /// The regions that the edge names; one without a name if it names none.
    fn regions(&self, listing: &Listing) -> Result<Vec<String>, Vec<Value>> {
        let told = |message: String| vec![json!({"message": message, "pointer": "/regions"})];
        let edge = listing
            .get("edge")
            .ok_or_else(|| told(StoreError::NoEdge.to_string()))?;
        let text = self
            .store
            .object(&edge.hash)
            .map_err(|error| told(error.to_string()))?;
        let edge: Value =
            serde_json::from_slice(&text).map_err(|error| told(format!("the edge: {error}")))?;
        let regions = edge["regions"].as_array().map_or(&[][..], Vec::as_slice);
        let regions: Vec<String> = regions
            .iter()
            .filter_map(|region| region["id"].as_str().map(str::to_owned))
            .collect();
        Ok(if regions.is_empty() {
            vec![String::new()]
        } else {
            regions
        })
    }
}
