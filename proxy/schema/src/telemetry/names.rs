//! The only list of metric names.
