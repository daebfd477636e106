//! Where a version came from: a document, or control.

use std::sync::Arc;

use weir_schema::config::{CheckedParts, Document};

use super::pushed::Version;

/// What a version was made from.
#[derive(Clone)]
pub(crate) enum Origin {
    /// A document, from a file, a request or the arguments.
    Document(Document),
    /// Control.
    Pushed(Arc<PushedOrigin>),
}

/// A version from control.
pub(crate) struct PushedOrigin {
    pub(crate) version: Version,
    pub(crate) checked: CheckedParts,
}

impl Origin {
    /// As one document; `None` only of parts that never passed the check.
    pub(crate) fn document(&self) -> Option<Document> {
        match self {
            Self::Document(document) => Some(document.clone()),
            Self::Pushed(pushed) => pushed.version.parts.compose().ok(),
        }
    }

    /// The version from control.
    pub(crate) fn pushed(&self) -> Option<&Arc<PushedOrigin>> {
        match self {
            Self::Document(_) => None,
            Self::Pushed(pushed) => Some(pushed),
        }
    }
}
