//! Every decision of the request path, without IO, clock or randomness: time and random numbers are arguments.

pub mod balance;
pub mod client_address;
mod content_coding;
pub mod fields;
pub mod geo;
pub mod guard;
pub mod h2_frames;
pub mod health;
pub mod limit;
pub mod outlier;
pub mod path;
pub mod pipeline;
pub mod policy;
pub mod refuse;
pub mod resolve;
pub mod retry;
pub mod route;
pub mod screen;
pub mod switch;
pub mod view;

/// A header field: its name as sent, and its value without surrounding white space.
pub type Field<'a> = (&'a [u8], &'a [u8]);
