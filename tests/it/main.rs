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
//! - `bad_mailboxes`: a tenant of which some are throttled, cannot be served in part, or are not there.
//! - `payloads`: Files that arrive late, in parts, under odd names, or with another size than declared.
//! - `batches`: Files that come several at a time.
//! - `timeless`: rows without a time, and codes without an English label.
//! - `unreadable`: a row that breaks every page with it.
//! - `night`: outages, deadlines, and commits that take too long.
//! - `mutation`: random histories of rows that are made, changed and deleted between runs.
//! - `checked`: `check` and `plan`.
//! - `status`: how fresh and complete a lake is, for people and monitors; `production`: what its page says is run.
//! - `derived`: materialized views, after runs of every kind; `stored_views`: when queries read their stored rows.
//! - `report`: the page that `report` writes, and what a browser makes of it.
//! - `damaged`: lakes with missing files.
//! - `lake_states`: every state of a lake, crossed with every command.
//! - `maintain`: small files become few, whatever happens meanwhile.
//! - `year`: a lake after daily runs; `lake_plan`: the plan of what five years of them leave.
//! - `foreign`: other tools that compact, delete and constrain tables of the lake.
//! - `replayed`: an archive that is decoded again; `shards`: by several processes.
//! - `identities`: every way to sign in; `several_identities`: those that share the requests to a service.
//! - `pace`: how much of what the services permit is used.
//! - `secrets`: what no command, message, summary or lake may show; `file_rights`: who may read what is written;
//!   `printed_text`: what people's text must not do to a terminal.
//! - `stores`: lakes in object stores: S3 (moto), Azure Blob (Azurite) and Google Cloud Storage (a script before moto);
//!   `store_outputs`: results of queries there; `store_uploads`: what a killed run leaves there; `store_faults`: with faults on the way there;
//!   `store_requests`: what a store bills for a run;
//!   `store_writers`: with runs that are killed, paused, or at work at once (`store_servers`, `store_proxy`);
//!   `store_identity`: signing in to a store.
//! - `workers`: queries on several machines, if the binary has the feature.
//! - `proxy`: networks with a proxy that intercepts TLS, or refuses; `system_failures`: full disks, missing rights, limits.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "`make accept` speaks through the environment")]

mod bad_input;
mod bad_mailboxes;
mod batches;
mod checked;
mod damaged;
mod demo;
mod derived;
mod dictionary;
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
mod lake_plan;
mod lake_states;
mod ledger;
mod maintain;
mod mutation;
mod night;
mod pace;
mod payloads;
mod places;
mod power_cut;
mod preload;
mod printed_text;
#[cfg(unix)]
mod production;
mod proxy;
mod queries;
mod readers;
mod replayed;
mod report;
mod samples;
mod scenarios;
mod secrets;
mod several_identities;
#[cfg(unix)]
mod shards;
mod status;
mod store_faults;
mod store_identity;
mod store_outputs;
mod store_proxy;
mod store_requests;
mod store_servers;
#[cfg(unix)]
mod store_uploads;
#[cfg(unix)]
mod store_writers;
mod stored_views;
mod stores;
mod structure;
#[cfg(unix)]
mod system_failures;
mod tidy;
mod timeless;
mod unreadable;
mod workers;
mod workers_lakes;
mod world_checks;
mod year;
