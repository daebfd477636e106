//! What usage costs: from meters and a price book to bills whose parts sum exactly.
//!
//! Meters are integers of base units (requests, nanoseconds, bytes, milliseconds), prices are whole nano-units of a
//! currency per a fixed number of base units, so that price times quantity is a whole number of [`Grains`]. Only the
//! charges of one tenant on one day are rounded, by largest remainder ([`charge`]): every view is a sum of those
//! whole nano-units and can lose nothing. A closed day never changes. Units and rules for operators: docs/cost.md.

mod apportion;
pub mod book;
pub mod budget;
pub mod calendar;
pub mod charge;
pub mod focus;
pub mod forecast;
pub mod invoice;
pub mod ledger;
pub mod meter;
mod money;
pub mod share;

pub use apportion::{round_parts, split};
pub use money::{Grains, Money, NANOS};
