//! What a run is to do.

use std::time::Duration;

use copilot_lake_extractor::{DataverseSettings, GraphSettings};
use copilot_lake_tables::{Instant, Table};
use copilot_lake_writer::LakeOptions;
use tokio::sync::watch;

use crate::error::Error;
use crate::ledger::runs::FULL;

/// Turns true when the run is to stop: nothing new is asked for, what is complete is committed.
pub type Stop = watch::Receiver<bool>;

/// What a run is to do.
#[derive(Debug)]
pub struct Settings {
    /// Where the lake is: a path or URL.
    pub lake: String,
    /// How it is written.
    pub lake_options: LakeOptions,
    /// Pages and payloads are kept for replay.
    pub archive_raw: bool,
    /// The command, for `extraction_run`.
    pub command: &'static str,
    /// What to read from Dataverse.
    pub dataverse: Option<DataverseJob>,
    /// What to read from Graph.
    pub graph: Option<GraphJob>,
    /// Which part of it.
    pub options: RunOptions,
}

/// What to read from Dataverse.
#[derive(Debug)]
pub struct DataverseJob {
    /// The environment and how to sign in.
    pub connection: DataverseSettings,
    /// The tables.
    pub tables: Vec<&'static Table>,
    /// Start of the first pass; the oldest row when none.
    pub since: Option<Instant>,
    /// Whether the bytes of File columns are fetched.
    pub payloads: bool,
    /// Re-read before the last window's end.
    pub overlap: Duration,
    /// What happens to rows that the service does not have any more.
    pub deletes: Deletes,
}

/// What to read from Microsoft Graph.
#[derive(Debug)]
pub struct GraphJob {
    /// The tenant, how to sign in, and at which pace.
    pub connection: GraphSettings,
    /// Whose history is read: everyone whom one of these means.
    pub users: Vec<UserSelector>,
    /// Whose history is never asked for, whatever `users` says.
    pub exclude: Vec<UserSelector>,
    /// Start of the first window.
    pub since: Instant,
    /// Re-read before the last window's end.
    pub overlap: Duration,
    /// Only these app classes; all when none.
    pub app_classes: Vec<String>,
}

/// Some users of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserSelector {
    /// Everyone.
    All,
    /// Those whose service plan for Copilot is enabled.
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

/// What happens to rows that the service does not have any more, where it tracks changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Deletes {
    /// They stay.
    #[default]
    Ignore,
    /// They get a `deleted_at`.
    Mark,
    /// They go, with what was made from them.
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

/// Which part is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions {
    /// Read the window from here again; no watermark moves.
    pub since: Option<Instant>,
    /// End of that window, excluded; the run's start when none.
    pub until: Option<Instant>,
    /// Read everything again.
    pub full: bool,
    /// Read again what the lake has lost.
    pub repair: bool,
    /// Start nothing after this instant, by the machine's clock.
    pub deadline: Option<std::time::Instant>,
}

impl RunOptions {
    /// The command with what makes it another one, for `extraction_run`.
    pub(crate) fn command(&self, command: &str) -> String {
        let (repair, full) = (if self.repair { " --repair" } else { "" }, if self.full { FULL } else { "" });
        format!("{command}{repair}{full}")
    }

    /// The window that is asked for, if one is; without a start it begins with the oldest row.
    pub(crate) fn window(&self, now: Instant) -> Result<Option<(Option<Instant>, Instant)>, Error> {
        match (self.since, self.until.unwrap_or(now)) {
            (None, _) if self.until.is_none() => Ok(None),
            (Some(since), until) if since >= until => Err(Error::EmptyWindow { since, until }),
            (since, until) => Ok(Some((since, until))),
        }
    }
}
