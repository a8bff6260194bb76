//! Queries over several machines, by `datafusion-distributed`: the client plans, workers read files, filter and group.
//!
//! A worker opens the lake by itself and is sent physical plans, never secrets. Nothing here knows SQL, views or
//! parameters: [`crate::Session::on`] hands its state to `client`, which gives it another planner.
//!
//! - `client`: the workers of a session; `rerun`: what becomes of a query that they do not compute; `worker_set`: which are
//!   left; `single_task`: operators that several tasks would compute wrongly.
//! - `server`: a worker; `checked_service`: which requests it takes; `query_limit`: how many queries at a time;
//!   `read_only_store`: what its plans can reach.
//! - `handshake`: what both sides must agree on; `token`: the secret among it; `channels`: connections; `failure`: errors
//!   that name a worker.

pub(crate) mod channels;
mod checked_service;
pub(crate) mod client;
pub(crate) mod failure;
pub(crate) mod handshake;
mod query_limit;
mod read_only_store;
mod rerun;
pub(crate) mod server;
mod single_task;
pub(crate) mod token;
mod worker_set;
