//! What `copilot-lake demo` shows: rows that end when it is run, people whom both services know, and what goes wrong in
//! real environments.

use copilot_lake_tables::Instant;

use crate::data::generation_plan::GenerationPlan;
use crate::data::representatives::People;
use crate::data::template::parse;
use crate::emulated_tables::{EVENTS, INTERACTIONS};
use crate::scenario::definition::Scenario;
use crate::scenario::graph::UserSpec;
use crate::scenario::specs::{RowSpec, TableData};
use crate::scenario::toml_value::Moment;

impl Scenario {
    /// The scenario of the demo, with `last_day` as the last day of every service's rows. Representatives of Dynamics 365
    /// are users of the tenant, by object id; most of them use both, some neither.
    pub fn demo_until(last_day: Instant) -> Self {
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
        if let Some(data) = scenario.table.iter_mut().find(|data| data.name == EVENTS) {
            data.row = odd_rows(last_day);
        }
        scenario
    }
}

/// Events of the last four weeks that are odd in the ways of `templates/demo.toml`.
fn odd_rows(last_day: Instant) -> Vec<RowSpec> {
    let odd: TableData = parse("demo.toml", include_str!("../templates/demo.toml"));
    let row = |(number, mut row): (i64, RowSpec)| {
        let created = last_day.plus_seconds(36_000 - number * 130_000).to_string();
        row.values.insert("createdon".to_owned(), created.into());
        row
    };
    (0..18).zip(odd.row.into_iter().cycle()).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_in_both_services_and_rows_end_on_the_last_day() {
        let last_day = Instant::parse("2026-11-28").unwrap();
        let scenario = Scenario::demo_until(last_day);
        let graph = scenario.graph.as_ref().unwrap();
        assert_eq!((graph.user.len(), graph.end.map(|end| end.0)), (40, Some(last_day)));
        assert!(graph.user.iter().all(|user| user.id.as_ref().is_some_and(|id| id.len() == 36)));
        let events = scenario.data(EVENTS);
        assert_eq!((events.row.len(), GenerationPlan::new(&scenario, &events).last_day), (18, last_day.days()));
        let older = GenerationPlan::new(&scenario, &scenario.data(INTERACTIONS));
        assert_eq!(older.last_day, last_day.days() - 91);
    }
}
