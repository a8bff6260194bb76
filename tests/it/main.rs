//! The tests that look at the product from outside, in one binary.
//!
//! - `tidy`: the rules of the house, held against manifests and sources.
//! - `scenarios`: every `scenarios/*.toml`, run by the real binary against the emulator; what is in the lake afterwards
//!   is compared with `expected/*.txt`, which `make accept` rewrites.
//! - `samples`: Microsoft's published rows and transcript, value by value.
//! - `readers`: the lake read by DuckDB, pyarrow and deltalake for Python.
//! - `demo`: the demo, as a newcomer sees it.
//! - `bad_input`: what a user gets wrong, and what the program says.
//! - `kill`: runs that are killed and run again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "`make accept` speaks through the environment")]

mod bad_input;
mod demo;
mod harness;
mod kill;
mod readers;
mod samples;
mod scenarios;
mod tidy;
