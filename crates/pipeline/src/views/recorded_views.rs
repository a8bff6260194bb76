//! From which rows the weeks of materialized views were made, and by which definition. The ledger has both as windows of the
//! time column [`VIEWS`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use copilot_lake_tables::{CALENDAR_WEEKS, COPILOT_INTERACTION, Instant, Table, Week};
use copilot_lake_writer::{Error, Lake};

use crate::ledger::slice_row::SliceRow;
use crate::ledger::week_records::{newest_records, record_row};
use crate::ledger::windows::VIEWS;
use crate::views::view_maker::{ChangedWeeks, ViewDefinition};

/// What the rows of a week are, by table: the fingerprint of those that a view reads, together with that of its definition,
/// and of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WeekState(BTreeMap<String, u64>);

/// The states of weeks; that of a view without weeks is in the week of rows without a time.
pub(crate) type WeekStates = BTreeMap<Week, WeekState>;

impl fmt::Display for WeekState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (table, print)) in self.0.iter().enumerate() {
            write!(f, "{}{table}:{print:016x}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl WeekState {
    /// Reads what `to_string` wrote.
    fn parse(text: &str) -> Self {
        let print = |part: &str| {
            let (table, print) = part.split_once(':')?;
            Some((table.to_owned(), u64::from_str_radix(print, 16).ok()?))
        };
        Self(text.split(' ').filter_map(print).collect())
    }
}

/// What earlier runs have recorded, by view.
#[derive(Debug)]
pub(crate) struct RecordedViews {
    states: BTreeMap<String, WeekStates>,
    /// When the newest of them was recorded.
    newest: Option<Instant>,
    /// What makes the views now.
    definition: ViewDefinition,
}

/// Where a view is stale.
#[derive(Debug)]
pub(crate) struct StaleView {
    /// The weeks that are not as they were recorded, by the tables that are not; empty: it is not stale.
    pub(crate) changed: ChangedWeeks,
    /// What every week is now.
    pub(crate) state: WeekStates,
    /// The version of the view's table that has its own rows of them.
    pub(crate) version: Option<i64>,
}

/// The name under which a state has how many rows of the older store there are. One without a request may
/// stand for one of the newer store in any week, or lend it its text, and no stored row tells: where any are lost, all
/// weeks may be stale.
const OLDER_ROWS: &str = "msdyn_copilotinteraction.rows";

impl RecordedViews {
    /// Nothing is recorded.
    fn none(definition: ViewDefinition) -> Self {
        Self { states: BTreeMap::new(), newest: None, definition }
    }

    /// Reads what earlier runs have recorded. `definition`: what makes the views now.
    pub(crate) async fn read(lake: &Lake, definition: ViewDefinition) -> Result<Self, Error> {
        let mut found = Self::none(definition);
        for ((view, week), record) in newest_records(lake, VIEWS).await? {
            found.newest = found.newest.max(Some(record.recorded_at));
            found.states.entry(view).or_default().insert(week, WeekState::parse(&record.selection));
        }
        Ok(found)
    }

    /// Whether anything is recorded of a view.
    pub(crate) fn has_any(&self, view: &Table) -> bool {
        self.states.contains_key(view.name)
    }

    /// Whether this is what is recorded of a week.
    pub(crate) fn has(&self, view: &Table, week: Week, state: &WeekState) -> bool {
        self.states.get(view.name).and_then(|states| states.get(&week)) == Some(state)
    }

    /// When something is recorded that is newer than all of this, whatever the clocks of the runs said.
    pub(crate) fn next(&self, started_at: Instant) -> Instant {
        self.newest.map_or(started_at, |newest| started_at.max(Instant(newest.0 + 1)))
    }

    /// Finds out where a view is stale. Only logs are read.
    pub(crate) async fn stale(&self, lake: &Lake, view: &'static Table) -> Result<StaleView, Error> {
        let mut state = WeekStates::new();
        // Every week that has rows of the view has rows that it reads: another definition makes all of them stale.
        let definition = (self.definition)(view);
        for name in view.view_of().into_iter().flatten() {
            let Some(table) = copilot_lake_tables::table(name) else { continue };
            match view.is_partitioned() {
                true => {
                    for (week, print) in lake.week_fingerprints(table).await? {
                        note(&mut state, week, name, print ^ definition);
                    }
                    if table.name == COPILOT_INTERACTION.name {
                        for file in lake.files(table).await? {
                            let rows = state.entry(file.week.unwrap_or(Week::UNKNOWN)).or_default();
                            *rows.0.entry(OLDER_ROWS.to_owned()).or_default() += file.rows;
                        }
                    }
                }
                false => {
                    let weeks: Vec<_> = lake.weeks(table).await?;
                    let (from, to) = CALENDAR_WEEKS;
                    let mut known = weeks.into_iter().filter(|week| (from..=to).contains(week));
                    if let Some(first) = known.next() {
                        let last = known.next_back().unwrap_or(first);
                        let reach = [first, last].map(|week| u64::from(week.start_days().cast_unsigned()));
                        note(&mut state, Week::UNKNOWN, name, ((reach[0] << 32) | reach[1]) ^ definition);
                    }
                }
            }
        }
        let version = note_own(lake, view, &mut state).await?;
        let none = WeekStates::new();
        let recorded = self.states.get(view.name).unwrap_or(&none);
        let (mut changed, mut has_lost) = (ChangedWeeks::new(), false);
        for week in state.keys().chain(recorded.keys()).copied().collect::<BTreeSet<_>>() {
            let print =
                |states: &WeekStates, name: &str| states.get(&week).and_then(|state| state.0.get(name)).copied();
            for name in view.view_of().into_iter().flatten().copied().chain([view.name]) {
                if print(&state, name) != print(recorded, name) {
                    changed.entry(name).or_default().insert(week);
                }
            }
            has_lost |= print(&state, OLDER_ROWS) < print(recorded, OLDER_ROWS);
        }
        if has_lost {
            changed.entry(view.name).or_default().extend(lake.weeks(view).await?);
        }
        Ok(StaleView { changed, state, version })
    }

    /// The number of weeks in which a view is stale.
    pub(crate) async fn stale_weeks(&self, lake: &Lake, view: &'static Table) -> Result<u64, Error> {
        let changed = self.stale(lake, view).await?.changed;
        Ok(changed.values().flatten().collect::<BTreeSet<_>>().len() as u64)
    }
}

/// Notes what the view's own rows are now. Returns the version of its table that has them.
pub(crate) async fn note_own(lake: &Lake, view: &'static Table, state: &mut WeekStates) -> Result<Option<i64>, Error> {
    forget_own(view, state);
    for (week, print) in lake.week_fingerprints(view).await? {
        note(state, week, view.name, print);
    }
    lake.version(view).await
}

/// Notes that nobody knows what the view's own rows are now: they are made again.
pub(crate) fn forget_own(view: &'static Table, state: &mut WeekStates) {
    for state in state.values_mut() {
        state.0.remove(view.name);
    }
}

fn note(state: &mut WeekStates, week: Week, table: &str, print: u64) {
    state.entry(week).or_default().0.insert(table.to_owned(), print);
}

/// The ledger's row of a week that was made. `rows`: how many the view has there.
pub(crate) fn row(view: &'static Table, week: Week, state: &WeekState, rows: u64, at: Instant) -> SliceRow {
    record_row(view, VIEWS, week, state.to_string(), rows, at)
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::{COPILOT_EVENT, COPILOT_REQUEST};

    use super::*;
    use crate::test_lake::{empty, put, rows};

    #[test]
    fn a_state_is_read_as_it_is_written() {
        for text in ["", "a:00000000000000ff", "a:0000000000000001 b_c:ffffffffffffffff"] {
            assert_eq!(WeekState::parse(text).to_string(), text);
        }
        assert_eq!(WeekState::parse("nonsense a:x"), WeekState::default());
    }

    #[test]
    fn what_is_recorded_next_is_the_newest_whatever_the_clocks_say() {
        let (now, ahead) = (Instant::from_seconds(1_000), Instant::from_seconds(9_000));
        assert_eq!(RecordedViews::none(|_| 0).next(now), now);
        let recorded = |newest| RecordedViews { newest: Some(newest), ..RecordedViews::none(|_| 0) };
        assert_eq!(recorded(now).next(ahead), ahead);
        assert!(recorded(ahead).next(now) > ahead, "a replay by a clock that is ahead does not win for ever");
        assert!(recorded(now).next(now) > now);
    }

    #[tokio::test]
    async fn weeks_are_stale_whose_rows_or_whose_definition_are_others_than_recorded() {
        let time = Instant::parse("2025-06-03T10:00:00Z").unwrap();
        let put_event = async |lake: &Lake, id: &str, time: Instant| {
            let columns = ["msdyn_copiloteventid", "partitionid"];
            let batch = rows(&COPILOT_EVENT, &columns, &[&[Some(id), Some("p")]], time);
            put(lake, &COPILOT_EVENT, batch, time).await;
        };
        let lake = empty().await;
        put_event(&lake, "a", time).await;
        put_event(&lake, "b", time.plus_seconds(7 * Instant::DAY_SECONDS)).await;
        let nothing = RecordedViews::none(|_| 1);
        assert!(!nothing.has_any(&COPILOT_REQUEST));
        assert_eq!(nothing.stale_weeks(&lake, &COPILOT_REQUEST).await.unwrap(), 2);

        let state = nothing.stale(&lake, &COPILOT_REQUEST).await.unwrap().state;
        let recorded = |definition: ViewDefinition, weeks: usize| {
            let weeks = state.iter().take(weeks).map(|(week, state)| (*week, state.clone())).collect();
            let states = BTreeMap::from([(COPILOT_REQUEST.name.to_owned(), weeks)]);
            RecordedViews { states, ..RecordedViews::none(definition) }
        };
        let stale = async |recorded: RecordedViews| {
            assert!(recorded.has_any(&COPILOT_REQUEST));
            recorded.stale_weeks(&lake, &COPILOT_REQUEST).await.unwrap()
        };
        assert_eq!(stale(recorded(|_| 1, 2)).await, 0);
        assert_eq!(stale(recorded(|_| 1, 1)).await, 1, "a run ended before it made the other week");
        assert_eq!(stale(recorded(|_| 2, 2)).await, 2, "its SQL is another");
        put_event(&lake, "c", time).await;
        assert_eq!(stale(recorded(|_| 1, 2)).await, 1, "a week has got a row");
    }
}
