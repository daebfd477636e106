//! Configuration by push: a proxy dials control, takes versions from it, and serves the last one whether control is there
//! or not.

mod client;
mod session;
mod status;
mod store;
mod tls;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use weir_schema::config::{Document, Own, check_parts};
use weir_schema::push::{JoinToken, Signed};

use super::first::{self, Fallback, First};
use super::last_good::{BOOTS_FAILED_MAX, LastGood};
use super::origin::{Origin, PushedOrigin};
use crate::StartError;
use crate::live;
use crate::telemetry::registry::Metrics;

pub(crate) use client::ControlService;
pub(crate) use status::Status;
pub(crate) use store::{PushedStore, StoreError, Trust, Version};

/// How a proxy finds control, and what it says of itself.
#[derive(Clone, Debug)]
pub struct ControlOptions {
    /// `https://HOST:PORT`, or `http://` of a loopback address.
    pub url: String,
    /// What it joined with.
    pub token: JoinToken,
    /// Certificate authorities of control, PEM; without it the token's, or those that it names by hash.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key of the proxy, PEM.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Addresses of this process, instead of the version's.
    pub own: Own,
    /// Folder of versions.
    pub state_dir: PathBuf,
}

/// What a proxy that is controlled keeps.
pub(crate) struct Control {
    pub(crate) options: ControlOptions,
    pub(crate) store: PushedStore,
    pub(crate) trust: Mutex<Trust>,
    pub(crate) status: Status,
}

impl Control {
    /// Opens the store.
    ///
    /// # Errors
    /// When the state folder cannot be used.
    pub(crate) fn open(options: ControlOptions) -> Result<Self, StartError> {
        let system = |error: StoreError| StartError::System(error.to_string());
        let store = PushedStore::open(&options.state_dir, options.own.clone()).map_err(system)?;
        let trust = store.trust(&options.token).map_err(system)?;
        Ok(Self {
            options,
            store,
            trust: Mutex::new(trust),
            status: Status::default(),
        })
    }

    fn trusted(&self) -> Trust {
        self.trust
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// The version to begin with: the last that served, the one before it if that cannot be, or what the process was
    /// started with until the first version comes.
    ///
    /// # Errors
    /// When nothing can be served.
    pub(crate) fn choose(
        &self,
        document: Option<Result<Document, String>>,
        metrics: &Metrics,
    ) -> Result<First, StartError> {
        let last_good = LastGood::new(&self.options.state_dir);
        let mut kept = self.store.kept();
        let mut errors = Vec::new();
        if last_good.boots_failed_lately() >= BOOTS_FAILED_MAX && kept.len() > 1 {
            kept.remove(0);
            errors.push(format!(
                "{BOOTS_FAILED_MAX} starts in a row failed within a minute"
            ));
        }
        last_good.boot_begins();
        for signed in kept {
            match self.begin(signed, metrics) {
                Ok((origin, live)) => {
                    return Ok(First {
                        live,
                        origin,
                        last_good: Some(last_good),
                        fallback: (!errors.is_empty()).then(|| Fallback::new(errors)),
                        kept: None,
                    });
                }
                Err(error) => errors.extend(error.sentences()),
            }
        }
        let document = document.map_or_else(
            || Ok(self.waiting()),
            |document| document.map_err(StartError::System),
        )?;
        let live = first::compile(&document, None, metrics)?;
        Ok(First {
            live,
            origin: Origin::Document(document),
            last_good: Some(last_good),
            fallback: (!errors.is_empty()).then(|| Fallback::new(errors)),
            kept: None,
        })
    }

    /// The version that a process hands over, whole or not at all.
    ///
    /// # Errors
    /// Why this program cannot serve it.
    pub(crate) fn handed_over(
        &self,
        signed: Signed,
        fallback: Option<Fallback>,
        kept: first::Kept,
        metrics: &Metrics,
    ) -> Result<First, StartError> {
        let (origin, mut live) = self.begin(signed, metrics)?;
        if let (false, Some(older)) = (live.config.quarantined.is_empty(), &kept.document) {
            let previous = first::compile(older, None, metrics)?;
            if let Some(pushed) = origin.pushed() {
                let config = pushed.checked.config.clone();
                live = live::compile(config, Some(&previous), metrics).map_err(|errors| {
                    StartError::Compile(errors.iter().map(ToString::to_string).collect())
                })?;
            }
        }
        kept.all_served(&live)?;
        Ok(First {
            live,
            origin,
            last_good: Some(LastGood::new(&self.options.state_dir)),
            fallback,
            kept: kept.document.map(Origin::Document),
        })
    }

    fn begin(&self, signed: Signed, metrics: &Metrics) -> Result<(Origin, live::Live), StartError> {
        let system = |error: StoreError| StartError::System(error.to_string());
        let version = self.store.reopen(signed, &self.trusted()).map_err(system)?;
        self.store.show(&version.listing, None).map_err(system)?;
        let checked = check_parts(version.parts.clone(), None).map_err(StartError::Config)?;
        let live = live::compile(checked.config.clone(), None, metrics)
            .map_err(|errors| StartError::Compile(errors.iter().map(ToString::to_string).collect()))?;
        self.status.serves(version.manifest.head());
        Ok((Origin::Pushed(Arc::new(PushedOrigin { version, checked })), live))
    }

    /// Serves nothing: before the first version.
    fn waiting(&self) -> Document {
        let own = &self.options.own;
        let mut text = json!({"version": 1, "node": {"state_dir": self.options.state_dir}});
        if let Some(region) = &own.region {
            text["node"]["region"] = json!(region);
            text["regions"] = json!([{"id": region}]);
        }
        if let Some(address) = &own.admin {
            text["admin"] = json!({"address": address});
        }
        Document {
            name: "before the first version".to_owned(),
            base: self.options.state_dir.clone(),
            text: text.to_string(),
        }
    }

    /// For the admin endpoint.
    pub(crate) fn report(&self) -> Value {
        let trust = self.trusted();
        let mut report = self.status.report();
        report["url"] = json!(self.options.url);
        report["node"] = json!(self.options.token.node);
        report["region"] = json!(self.options.token.region);
        report["deployment"] = json!(trust.deployment);
        report["keys"] = json!(trust.keys);
        report
    }
}
