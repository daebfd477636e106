//! Which version a process begins with: its document, or the last one that served when that one cannot.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weir_schema::config::{Document, check, state_dir_of};

use super::last_good::{BOOTS_FAILED_MAX, LastGood};
use super::origin::Origin;
use crate::StartError;
use crate::live::{self, Live};
use crate::telemetry::registry::Metrics;

/// The version to begin with.
pub(crate) struct First {
    /// It, compiled.
    pub(crate) live: Live,
    /// Where it came from.
    pub(crate) origin: Origin,
    /// Where versions that served are kept.
    pub(crate) last_good: Option<LastGood>,
    /// Why it is not the document that was asked for.
    pub(crate) fallback: Option<Fallback>,
    /// Where tenants who are set aside come from.
    pub(crate) kept: Option<Origin>,
}

/// Tenants that the process which hands over serves on an older version than its own.
pub(crate) struct Kept {
    pub(crate) tenants: Vec<String>,
    pub(crate) document: Option<Document>,
}

impl First {
    /// The version that a process hands over, whole or not at all: an upgrade changes the binary and nothing else, and what
    /// this program cannot serve, the old process goes on serving.
    ///
    /// # Errors
    /// Why this program cannot serve it.
    pub(crate) fn handed_over(
        document: Document,
        state_dir: Option<&Path>,
        fallback: Option<Fallback>,
        kept: Kept,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let named = state_dir_of(&document);
        let live = compile(&document, None, metrics)?;
        let (live, _) = with_older_tenants(live, &document, kept.document.as_slice(), metrics);
        kept.all_served(&live)?;
        Ok(Self {
            live,
            last_good: state_dir.or(named.as_deref()).map(LastGood::new),
            origin: Origin::Document(document),
            fallback,
            kept: kept.document.map(Origin::Document),
        })
    }
}

impl Kept {
    /// # Errors
    /// When a tenant would be lost.
    pub(crate) fn all_served(&self, live: &Live) -> Result<(), StartError> {
        let served = |id: &String| live.tenants.keys().any(|served| served.as_str() == id.as_str());
        let lost = self.tenants.iter().filter(|id| !served(id));
        let lost: Vec<String> = lost
            .map(|id| {
                format!(
                    "tenant {id} is served on an older version that cannot be used any more; mend it first"
                )
            })
            .collect();
        if lost.is_empty() {
            Ok(())
        } else {
            Err(StartError::Compile(lost))
        }
    }
}

/// An older version is served because the document cannot be.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Fallback {
    errors: Vec<String>,
}

impl Fallback {
    pub(crate) const fn new(errors: Vec<String>) -> Self {
        Self { errors }
    }

    /// For the log.
    pub(crate) fn event(&self) -> Value {
        json!({"event": "degraded", "serving": "last_known_good", "errors": self.errors})
    }

    /// For `/readyz`.
    pub(crate) fn sentence(&self) -> String {
        let first = self.errors.first().map_or("", String::as_str);
        let more = self.errors.len().saturating_sub(1);
        format!(
            "degraded: serving the last known good version; the document cannot be used: {first} ({more} more)"
        )
    }
}

/// Chooses among the document and what `state_dir` (or the document's own `node.state_dir`) keeps.
///
/// # Errors
/// Those of the document, when nothing older can be served instead.
pub(crate) fn choose(
    document: Result<Document, String>,
    state_dir: Option<&Path>,
    metrics: &Metrics,
) -> Result<First, StartError> {
    let named = document.as_ref().ok().and_then(state_dir_of);
    let last_good = state_dir.or(named.as_deref()).map(LastGood::new);
    let mut older = last_good.as_ref().map(LastGood::whole).unwrap_or_default();
    let failing = last_good
        .as_ref()
        .is_some_and(|kept| kept.boots_failed_lately() >= BOOTS_FAILED_MAX);
    if let Some(kept) = &last_good {
        kept.boot_begins();
    }
    let tried = match document {
        Err(reason) => Err(StartError::System(reason)),
        Ok(document) => {
            if failing {
                older.retain(|kept| kept.text != document.text);
            }
            if failing && !older.is_empty() {
                let reason = format!("{BOOTS_FAILED_MAX} starts in a row failed within a minute");
                Err(StartError::System(reason))
            } else {
                compile(&document, None, metrics).map(|live| {
                    let (live, kept) = with_older_tenants(live, &document, &older, metrics);
                    (live, kept, document)
                })
            }
        }
    };
    let error = match tried {
        Ok((live, kept, document)) => {
            return Ok(First {
                live,
                origin: Origin::Document(document),
                last_good,
                fallback: None,
                kept: kept.map(Origin::Document),
            });
        }
        Err(error) => error,
    };
    let served = older
        .into_iter()
        .find_map(|document| Some((compile(&document, None, metrics).ok()?, document)));
    let Some((live, document)) = served else {
        return Err(error);
    };
    Ok(First {
        live,
        origin: Origin::Document(document),
        last_good,
        fallback: Some(Fallback::new(error.sentences())),
        kept: None,
    })
}

/// Tenants that are set aside get the version that an older document has of them; that document goes along.
fn with_older_tenants(
    live: Live,
    document: &Document,
    older: &[Document],
    metrics: &Metrics,
) -> (Live, Option<Document>) {
    if live.config.quarantined.is_empty() {
        return (live, None);
    }
    let found = older.iter().find_map(|kept| {
        let previous = compile(kept, None, metrics).ok()?;
        let live = compile(document, Some(&previous), metrics).ok()?;
        Some((live, Some(kept.clone())))
    });
    found.unwrap_or((live, None))
}

/// Checks and compiles a document.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn compile(
    document: &Document,
    previous: Option<&Live>,
    metrics: &Metrics,
) -> Result<Live, StartError> {
    let config = check(document).map_err(StartError::Config)?;
    live::compile(config, previous, metrics)
        .map_err(|errors| StartError::Compile(errors.iter().map(ToString::to_string).collect()))
}
