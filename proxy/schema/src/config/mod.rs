//! One document, in three trust levels: raw (what a file says), checked (what may run), and `Live` in the data plane.

pub mod checked;
