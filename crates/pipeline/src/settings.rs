//! The settings of a run.

use std::time::Duration;

use copilot_lake_extractor::{DataverseSettings, GraphSettings};
use copilot_lake_tables::{Instant, Table};
use copilot_lake_writer::LakeOptions;
use tokio::sync::watch;

use crate::error::Error;
use crate::ledger::runs::FULL;
use crate::views::view_maker::ViewMaker;

/// Turns true when the run is to stop: nothing new is requested, and what is complete is committed.
pub type Stop = watch::Receiver<bool>;

/// The settings of a run.
#[derive(Debug)]
pub struct Settings {
    /// Where the lake is: a path or URL.
    pub lake: String,
    /// How the lake is written.
    pub lake_options: LakeOptions,
    /// Whether pages and payloads are archived for replay.
    pub archive_raw: bool,
    /// The command, for `extraction_run`.
    pub command: &'static str,
    /// What to read, service by service.
    pub jobs: Vec<ServiceJob>,
    /// Which rows this run reads.
    pub options: RunOptions,
    /// What makes the materialized views when the rows are in; without it they stay as they are.
    pub view_maker: Option<ViewMaker>,
}

/// What to read from a service.
#[derive(Debug)]
pub enum ServiceJob {
    /// From Dataverse.
    Dataverse(DataverseJob),
    /// From Microsoft Graph.
    Graph(GraphJob),
}

/// What to read from Dataverse.
#[derive(Debug)]
pub struct DataverseJob {
    /// The environment and how to sign in.
    pub connection: DataverseSettings,
    /// The tables.
    pub tables: Vec<&'static Table>,
    /// The start of the first pass; `None` is the oldest row.
    pub since: Option<Instant>,
    /// Whether the bytes of File columns are fetched.
    pub payloads: bool,
    /// How far a window reaches back before the end of the last one.
    pub overlap: Duration,
    /// What happens to rows that were deleted at the service.
    pub deletes: Deletes,
}

/// What to read from Microsoft Graph.
#[derive(Debug)]
pub struct GraphJob {
    /// The tenant, how to sign in, and the request rate.
    pub connection: GraphSettings,
    /// The users whose history is read: those who match one of these.
    pub users: Vec<UserSelector>,
    /// The users whose history is never requested, whatever `users` says.
    pub exclude: Vec<UserSelector>,
    /// The start of the first window.
    pub since: Instant,
    /// How far a window reaches back before the end of the last one.
    pub overlap: Duration,
    /// The app classes that are read; all of them when empty.
    pub app_classes: Vec<String>,
}

/// Some users of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserSelector {
    /// Everyone.
    All,
    /// Users whose service plan for Copilot is enabled.
    Licensed,
    /// The members of a group, and of groups in it, by its object id.
    Group(String),
    /// One user, by object id or principal name.
    User(String),
}

impl UserSelector {
    /// Reads the word in the configuration.
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((word, id)) if word.trim().eq_ignore_ascii_case("group") => Self::Group(id.trim().to_owned()),
            _ if text.eq_ignore_ascii_case("all") => Self::All,
            _ if text.eq_ignore_ascii_case("licensed") => Self::Licensed,
            _ => Self::User(text.to_owned()),
        }
    }
}

/// What happens to rows that were deleted at the service, where it tracks changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Deletes {
    /// They stay.
    #[default]
    Ignore,
    /// They get a `deleted_at`.
    Mark,
    /// They are removed, together with the rows derived from them.
    Remove,
}

impl Deletes {
    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Mark => "mark",
            Self::Remove => "remove",
        }
    }

    /// Reads the word in the configuration.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Ignore, Self::Mark, Self::Remove].into_iter().find(|deletes| deletes.name() == name)
    }
}

/// What a run reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions {
    /// The start of a window to be read again; no watermark moves.
    pub since: Option<Instant>,
    /// The exclusive end of that window; `None` is the start of the run.
    pub until: Option<Instant>,
    /// Read everything again.
    pub full: bool,
    /// Read again what the lake has lost.
    pub repair: bool,
    /// Nothing is started after this instant of the machine's clock.
    pub deadline: Option<std::time::Instant>,
}

impl RunOptions {
    /// The command as `extraction_run` has it: with the flags that make it another kind of run.
    pub(crate) fn command(&self, command: &str) -> String {
        let (repair, full) = (if self.repair { " --repair" } else { "" }, if self.full { FULL } else { "" });
        format!("{command}{repair}{full}")
    }

    /// The window to be read again, if there is one; without a start it begins with the oldest row.
    pub(crate) fn window(&self, now: Instant) -> Result<Option<(Option<Instant>, Instant)>, Error> {
        match (self.since, self.until.unwrap_or(now)) {
            (None, _) if self.until.is_none() => Ok(None),
            (Some(since), _) if since >= now && self.until.is_none() => Err(Error::WindowAhead { since, now }),
            (Some(since), until) if since >= until => Err(Error::EmptyWindow { since, until }),
            (since, until) => Ok(Some((since, until))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_after_its_start() {
        let at = |text: &str| Instant::parse(text).unwrap();
        let window = |since: &str, until: &str| {
            let (since, until) = (Instant::parse(since), Instant::parse(until));
            let options = RunOptions { since, until, ..RunOptions::default() };
            options.window(at("2025-07-01")).map_err(|error| error.to_string())
        };
        let (june, july) = (at("2025-06-01"), at("2025-07-01"));
        assert_eq!(window("", ""), Ok(None));
        assert_eq!(window("2025-06-01", ""), Ok(Some((Some(june), july))));
        assert_eq!(window("", "2025-06-01"), Ok(Some((None, june))));
        let empty = "the window from 2025-07-01T00:00:00Z to 2025-06-01T00:00:00Z is empty";
        assert_eq!(window("2025-07-01", "2025-06-01"), Err(empty.to_owned()));
        let ahead =
            "the window begins at 2025-07-02T00:00:00Z, which lies ahead: it is 2025-07-01T00:00:00Z at the service";
        assert_eq!(window("2025-07-02", ""), Err(ahead.to_owned()));
    }
}
