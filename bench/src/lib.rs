//! Benchmarks of Weir beside its peers.
//!
//! The programs live in `src/bin`: `weir-bench-origin` is the upstream that every proxy under load forwards to.
//! `peers.py` starts them together with the peers; `README.md` beside it tells how to repeat a figure.
