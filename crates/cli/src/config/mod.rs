//! The configuration: a file, the environment and flags, as settings of the crates that do the work.
//!
//! `effective` reads the layers, `settings` turns the result into jobs. Nothing here opens a lake or calls a service.

mod duration;
mod effective;
pub(crate) mod exposed_secrets;
mod file;
pub(crate) mod key;
mod layers;
pub(crate) mod moment;
mod network;
mod required;
pub(crate) mod secrecy;
mod secret;
mod setting;
pub(crate) mod settings;
mod sign_in;
mod store;
#[cfg(test)]
mod tests;
pub(crate) mod text_file;
mod value;
#[cfg(feature = "workers")]
pub(crate) mod workers;

pub(crate) use effective::Config;
#[cfg(any(feature = "demo", test))]
pub(crate) use effective::Sources;
