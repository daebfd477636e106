//! Plans of the control process, without IO, clock or randomness: inputs and time are arguments, a plan and its reasons come out.

pub mod cost;
pub mod rollout;
pub mod slo;
