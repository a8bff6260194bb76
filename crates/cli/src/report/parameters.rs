//! What the page is about: days, and the time zone and the weeks in which they are counted.

use std::collections::BTreeMap;

use anyhow::Result;
use copilot_lake_query::{Shipped, local_time, query};
use copilot_lake_tables::{AI_INTERACTION, COPILOT_EVENT, COPILOT_INTERACTION, Instant, Week};
use copilot_lake_writer::Lake;

use super::weeks::{CalendarDay, MOST_WEEKS};

/// The parameters of its queries that can be chosen for a page.
pub(crate) const CHOSEN: [&str; 2] = ["tz", "week_start"];

/// The days that the page is about, both included: whole weeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) from: CalendarDay,
    pub(super) to: CalendarDay,
}

/// The parameters of the page's queries.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReportParameters {
    /// `None` if the lake holds no week.
    pub(super) period: Option<Period>,
    /// Those of [`CHOSEN`] that are given.
    pub(super) chosen: BTreeMap<String, String>,
}

impl ReportParameters {
    /// The newest weeks of the lake, up to that of `now`, counted as was chosen.
    pub(crate) async fn of_lake(lake: &Lake, now: Instant, chosen: &BTreeMap<String, String>) -> Result<Self> {
        let mut newest = None;
        for table in [&COPILOT_EVENT, &COPILOT_INTERACTION, &AI_INTERACTION] {
            // A table that cannot be read fails the queries that use it, with a better message.
            let files = lake.files(table).await.unwrap_or_default();
            // A clock that was wrong at a service does not move the page into the future.
            let weeks = files.iter().filter_map(|file| file.week).filter(|week| *week <= Week::of(now));
            newest = newest.max(weeks.filter(|week| *week != Week::UNKNOWN).max());
        }
        let mut parameters = Self { period: None, chosen: chosen.clone() };
        parameters.period = newest.map(|week| {
            let end = Instant::from_days(week.start_days() + 7);
            // The last day of the week: in queries whose weeks begin on Monday, a week begins after Sunday.
            let last = parameters.local(Instant(end.0 - 1)).days();
            Period { from: CalendarDay(last + 1 - 7 * MOST_WEEKS), to: CalendarDay(last) }
        });
        Ok(parameters)
    }

    /// All of them, for a session.
    pub(crate) fn for_queries(&self) -> BTreeMap<String, String> {
        let days = self.period.map(|period| [("from", period.from), ("to", period.to)]);
        let days = days.into_iter().flatten().map(|(name, day)| (name.to_owned(), day.to_string()));
        days.chain(self.chosen.clone()).collect()
    }

    /// Those that a query takes.
    pub(super) fn taken_by(&self, name: &str) -> BTreeMap<String, String> {
        let taken = query(name).map(Shipped::parameters).unwrap_or_default();
        let mut parameters = self.for_queries();
        parameters.retain(|name, _| taken.iter().any(|parameter| parameter.name == name));
        parameters
    }

    /// The time that clocks of the chosen zone show, as if they showed UTC.
    pub(super) fn local(&self, instant: Instant) -> Instant {
        self.chosen.get("tz").and_then(|zone| local_time(zone, instant)).unwrap_or(instant)
    }

    /// What the page is about, in words.
    pub(super) fn heading(&self) -> String {
        let mut heading = match self.period {
            Some(period) => format!("Weeks from {} to {}.", period.from.long(), period.to.long()),
            None => "The lake holds no rows of Copilot yet.".to_owned(),
        };
        if let Some(zone) = self.chosen.get("tz") {
            heading.push_str(&format!(" Days are those of {zone}."));
        }
        match self.chosen.get("week_start").map(String::as_str) {
            Some("monday") => heading.push_str(" Weeks begin on Monday."),
            Some(_) => heading.push_str(" Weeks begin on Sunday."),
            None => {}
        }
        heading
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_is_handed_to_queries_and_said() {
        let period = Some(Period { from: CalendarDay(20_261), to: CalendarDay(20_267) });
        let chosen = [("tz", "America/Chicago"), ("week_start", "monday")];
        let chosen = chosen.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let parameters = ReportParameters { period, chosen };
        let words = "Weeks from 22 Jun 2025 to 28 Jun 2025. Days are those of America/Chicago. Weeks begin on Monday.";
        assert_eq!(parameters.heading(), words);
        let names = |parameters: &BTreeMap<String, String>| parameters.keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(names(&parameters.for_queries()), "from to tz week_start");
        assert_eq!(names(&parameters.taken_by("knowledge_sources")), "from to tz");
        assert_eq!(names(&parameters.taken_by("extraction_health")), "");
        let noon = Instant::from_seconds(20_261 * 86_400 + 43_200);
        assert_eq!(parameters.local(noon), noon.plus_seconds(-5 * 3_600));
        assert_eq!(ReportParameters::default().local(noon), noon);
    }
}
