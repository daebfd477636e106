//! What nearly every fact needs: an origin and a proxy in front of it.

use weir_tests::config::Config;
use weir_tests::origin::{Answer, Origin, Seen};
use weir_tests::weir::Weir;

/// An origin and a proxy in front of it.
pub(crate) struct Site {
    pub(crate) origin: Origin,
    pub(crate) weir: Weir,
}

impl Site {
    /// Default configuration in front of an origin that says `ok`.
    pub(crate) fn start() -> Self {
        Self::with(|config| config)
    }

    /// A changed configuration in front of an origin that says `ok`.
    pub(crate) fn with(change: impl FnOnce(Config) -> Config) -> Self {
        Self::over(Origin::start(), change)
    }

    /// Default configuration in front of an origin that answers so.
    pub(crate) fn answering(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::over(Origin::answering(handler), |config| config)
    }

    /// A changed configuration in front of this origin.
    pub(crate) fn over(origin: Origin, change: impl FnOnce(Config) -> Config) -> Self {
        let weir = Weir::start(&change(Config::with_origin(origin.address())));
        Self { origin, weir }
    }
}
