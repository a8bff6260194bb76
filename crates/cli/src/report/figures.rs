//! The answers of the shipped queries that the page shows.

use std::collections::BTreeMap;

use anyhow::Result;
use copilot_lake_query::Session;
use copilot_lake_tables::{AI_INTERACTION, COPILOT_EVENT, COPILOT_INTERACTION, Instant, Week};
use copilot_lake_writer::Lake;

use super::answer::Answer;
use super::weeks::{CalendarDay, MOST_WEEKS};

/// Knowledge sources that the page names.
const MOST_SOURCES: usize = 10;
/// Thumbs-down that the page quotes.
pub(super) const MOST_VERBATIMS: usize = 10;

/// The days that the page is about, both included: whole weeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(super) from: CalendarDay,
    pub(super) to: CalendarDay,
}

impl Period {
    /// The newest weeks of the lake, up to that of `now`; `None` if it holds none.
    pub(crate) async fn of_lake(lake: &Lake, now: Instant) -> Result<Option<Self>> {
        let mut newest = None;
        for table in [&COPILOT_EVENT, &COPILOT_INTERACTION, &AI_INTERACTION] {
            // A table that cannot be read fails the queries that use it, with a better message.
            let files = lake.files(table).await.unwrap_or_default();
            // A clock that was wrong at a service does not move the page into the future.
            let weeks = files.iter().filter_map(|file| file.week).filter(|week| *week <= Week::of(now));
            newest = newest.max(weeks.filter(|week| *week != Week::UNKNOWN).max());
        }
        Ok(newest.map(|week| {
            let last = week.start_days();
            // The last day of the week: in queries whose weeks begin on Monday, a week begins after Sunday.
            Self { from: CalendarDay(last - 7 * (MOST_WEEKS - 1)), to: CalendarDay(last + 6) }
        }))
    }

    /// The parameters of queries about it.
    pub(crate) fn parameters(self) -> BTreeMap<String, String> {
        [("from", self.from), ("to", self.to)].map(|(name, day)| (name.to_owned(), day.to_string())).into()
    }
}

/// Everything that the page shows.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(super) measures: Answer,
    pub(super) scenarios: Answer,
    pub(super) apps: Answer,
    pub(super) segments: Answer,
    pub(super) sources: Answer,
    /// People's text: only if it was asked for.
    pub(super) verbatims: Option<Answer>,
    pub(super) health: Answer,
    pub(super) payloads: Answer,
}

impl Figures {
    /// Runs the queries, in a session with the period's parameters.
    pub(crate) async fn of_lake(session: &Session, with_text: bool) -> Result<Self> {
        let all = |name| Answer::of(session, name, usize::MAX);
        Ok(Self {
            measures: all("week_over_week").await?,
            scenarios: all("scenario_funnel").await?,
            apps: all("m365_active_users").await?,
            segments: all("m365_segments").await?,
            sources: Answer::of(session, "knowledge_sources", MOST_SOURCES).await?,
            verbatims: match with_text {
                true => Some(Answer::of(session, "verbatim_feedback", MOST_VERBATIMS).await?),
                false => None,
            },
            health: all("extraction_health").await?,
            payloads: all("payload_health").await?,
        })
    }
}
