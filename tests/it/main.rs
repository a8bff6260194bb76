//! The tests that look at the product from outside, in one binary.
//!
//! - `tidy`: the rules of the house, checked against manifests and sources.
//! - `structure`: which file needs which, what type names mean, and words that names must not contain.
//! - `scenarios`: every `scenarios/*.toml`, run by the real binary against the emulator; the lake must answer as its
//!   `[[expect]]` says, and its content is compared with `expected/*.txt`, which `make accept` rewrites.
//! - `samples`: Microsoft's published rows and transcript, value by value.
//! - `readers`: the lake read by DuckDB, pyarrow and deltalake for Python.
//! - `demo`: the demo, as a newcomer sees it.
//! - `bad_input`: user mistakes, and what the program says about them.
//! - `keys`: each key once, whatever moves; columns that were not selected stay.
//! - `ledger`: how many files bookkeeping has, and what reading it costs.
//! - `kill`: runs that are killed and run again.
//! - `power_cut`: what a disk may hold after a power cut, opened and completed (`preload`, `disk`).
//! - `places`: lakes in places with odd names, and on a file system without hard links.
//! - `faults`: every fault at every stage, and several together.
//! - `graph`, `graph_rows`, `graph_runs`, `graph_users`: histories of Microsoft 365 Copilot.
//! - `payloads`: Files that arrive late, in parts, under odd names, or with another size than declared.
//! - `timeless`: rows without a time, and codes without an English label.
//! - `unreadable`: a row that breaks every page with it.
//! - `night`: outages, deadlines, and commits that take too long.
//! - `mutation`: random histories of rows that are made, changed and deleted between runs.
//! - `checked`: `check` and `plan`.
//! - `status`: how fresh and complete a lake is, for people and monitors.
//! - `damaged`: lakes with missing files.
//! - `foreign`: other tools that compact, delete and constrain tables of the lake.
//! - `replayed`: an archive that is decoded again.
//! - `identities`: every way to sign in.
//! - `secrets`: what no command, message, summary or lake may show; `file_rights`: who may read what is written;
//!   `printed_text`: what people's text must not do to a terminal.
//! - `stores`: lakes in object stores: S3 (moto) and Azure Blob (Azurite).
//! - `proxy`: networks with a proxy that intercepts TLS, or refuses; `system_failures`: full disks, missing rights, limits.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "`make accept` speaks through the environment")]

mod bad_input;
mod checked;
mod damaged;
mod demo;
mod disk;
mod faults;
#[cfg(unix)]
mod file_rights;
mod foreign;
mod graph;
mod graph_rows;
mod graph_runs;
mod graph_users;
mod harness;
mod identities;
mod keys;
mod kill;
mod ledger;
mod mutation;
mod night;
mod payloads;
mod places;
mod power_cut;
mod preload;
mod printed_text;
mod proxy;
mod readers;
mod replayed;
mod samples;
mod scenarios;
mod secrets;
mod status;
mod stores;
mod structure;
#[cfg(unix)]
mod system_failures;
mod tidy;
mod timeless;
mod unreadable;
