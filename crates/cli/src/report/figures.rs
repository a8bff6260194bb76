//! The answers of the shipped queries that the page shows.

use anyhow::Result;
use copilot_lake_query::Session;

use super::answer::Answer;

/// Knowledge sources that the page names.
const MOST_SOURCES: usize = 10;
/// Thumbs-down that the page quotes.
pub(super) const MOST_VERBATIMS: usize = 10;

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
    /// Runs the queries, in a session with the page's parameters.
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
