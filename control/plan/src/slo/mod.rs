//! How well tenants are served: objectives, error budgets, burn rates, and alerts as values.
//!
//! Two telemetry paths lead to the same answer: [`engine`] counts the frames of the proxies and judges every second, and
//! [`prometheus`] writes the rules with which a Prometheus that scrapes the control process comes to the same alerts. Both
//! read the one table of [`window`].

pub mod alert;
pub mod alertmanager;
pub mod budget;
pub mod correlate;
pub mod engine;
pub mod objective;
pub mod openslo;
pub mod prometheus;
pub mod webhook;
pub mod window;

mod counts;
mod rings;
mod series;
mod when;

pub use alert::{Alert, Change, Labels};
pub use counts::Counts;
pub use engine::{Engine, Sample, SeriesId};
pub use objective::{Kind, Objectives, Target, Tier};
