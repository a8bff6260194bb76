//! What `copilot-lake demo` shows: rows that end when it is run, people whom both services know, and what goes wrong in
//! real environments.

use std::fmt::Write as _;

use copilot_lake_tables::Instant;

use crate::data::generation_plan::GenerationPlan;
use crate::data::representatives::People;
use crate::emulated_tables::{EVENTS, INTERACTIONS};
use crate::error::Error;
use crate::scenario::definition::Scenario;
use crate::scenario::graph::UserSpec;
use crate::scenario::specs::TableData;
use crate::scenario::toml_value::Moment;

/// Values of events that do not fit their columns, and Files that nothing decodes.
const ODD_EVENTS: [&str; 6] = [
    "payload_text = \"no base64 at all\"",
    "payload_base64 = \"SABlAGwAbABvACwAIAAA2HcAbwByAGwAZAAhAA==\"",
    "payload_text = \"SABlAGwAbABvACwAIAB3AG8AcgBsAGQALgAuA\"",
    "payload_text = \"\"",
    "json = { ttlinseconds = '\"soon\"' }",
    "json = { msdyn_clienttimestamp = '\"yesterday\"' }",
];

impl Scenario {
    /// The scenario of the demo, with `last_day` as the last day of every service's rows. Representatives of Dynamics 365
    /// are users of the tenant, by object id; most of them use both, some neither.
    ///
    /// # Errors
    /// None that is expected: its own rows are read like those of a file.
    pub fn demo_until(last_day: Instant) -> Result<Self, Error> {
        let mut scenario = Self::demo();
        // Older interactions end where events begin.
        for data in scenario.table.iter_mut().filter(|data| data.name != INTERACTIONS) {
            data.end = Some(Moment(last_day));
        }
        let events = scenario.data(EVENTS);
        let people = People::new(GenerationPlan::new(&scenario, &events).seed, scenario.people());
        if let Some(graph) = &mut scenario.graph {
            graph.end = Some(Moment(last_day));
            // The last one is the user of agents.
            graph.user = (0..people.len() as u16 - 1)
                .filter_map(|at| Some((at, people.user(at)?)))
                .map(|(at, person)| UserSpec {
                    index: Some(u32::from(at)),
                    id: Some(person.object.clone()),
                    values: [("displayName".to_owned(), person.name.clone().into())].into(),
                    ..UserSpec::default()
                })
                .collect();
        }
        let odd: TableData = toml::from_str(&odd_rows(last_day)).map_err(|error| Error::scenario(error.to_string()))?;
        if let Some(data) = scenario.table.iter_mut().find(|data| data.name == EVENTS) {
            data.row = odd.row;
        }
        Ok(scenario)
    }
}

/// Odd events of the last four weeks.
fn odd_rows(last_day: Instant) -> String {
    let mut rows = String::new();
    for number in 0..18 {
        let odd = ODD_EVENTS[number % ODD_EVENTS.len()];
        let created = last_day.plus_seconds(36_000 - number as i64 * 130_000);
        // Writing to a text cannot fail.
        let _ = writeln!(
            rows,
            "[[row]]\nvalues = {{ createdon = {created}, msdyn_scenariotype = 100230201, msdyn_interactiontype = 100230305 }}\n{odd}"
        );
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_in_both_services_and_rows_end_on_the_last_day() {
        let last_day = Instant::parse("2026-11-28").unwrap();
        let scenario = Scenario::demo_until(last_day).unwrap();
        let graph = scenario.graph.as_ref().unwrap();
        assert_eq!((graph.user.len(), graph.end.map(|end| end.0)), (40, Some(last_day)));
        assert!(graph.user.iter().all(|user| user.id.as_ref().is_some_and(|id| id.len() == 36)));
        let events = scenario.data(EVENTS);
        assert_eq!((events.row.len(), GenerationPlan::new(&scenario, &events).last_day), (18, last_day.days()));
        let older = GenerationPlan::new(&scenario, &scenario.data(INTERACTIONS));
        assert_eq!(older.last_day, last_day.days() - 91);
    }
}
