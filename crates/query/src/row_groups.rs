//! The groups of rows that a materialized view is made from, as SQL.
//!
//! A row of a view is made from a group of rows, such as those of one request, which may lie in several weeks.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use copilot_lake_tables::{CALENDAR, COPILOT_INTERACTION, COPILOT_REQUEST, M365_TURN, Origin, Table, WEEK_START, Week};

use crate::part_rows::PartRows;

/// The groups of rows of a view.
pub(crate) struct RowGroups {
    pub(crate) view: &'static Table,
    /// SQL of `group_hash` and `week_start`, for the rows that the view reads, but those that are a group of their own.
    /// `older` is [`RowGroups::older_rows_sql`].
    grouped: &'static str,
    /// SQL of the same for the stored rows, with `first_week` and `last_week`: those of the first and the last row that they
    /// were made from.
    stored: &'static str,
    /// SQL of the hash of every row's group, by table; other tables are read as a whole. `older_rows` is the column of
    /// `older`.
    hashes: &'static [(&'static str, &'static str)],
    /// SQL of how many rows make those without a request one group.
    pub(crate) older_rows: Option<&'static str>,
    /// A join whose rows may be of different weeks.
    pub(crate) cross_week_join: Option<CrossWeekJoin>,
    /// Rows without a key that may match a row of any week.
    pub(crate) unkeyed_matches: Option<UnkeyedMatches>,
    /// A column that depends on the rows of all groups.
    pub(crate) label: Option<CodeLabel>,
    /// A column and its SQL: what a stored row has in `row_time`, or in the time column of a table without weeks. In
    /// microseconds: nanoseconds, which a type without precision means, end in the years 1677 and 2262.
    pub(crate) time: (&'static str, &'static str),
}

/// A table that a view joins to another one by key alone: its rows may change what those of any week of the other one mean.
#[derive(Clone, Copy)]
pub(crate) struct CrossWeekJoin {
    /// The table whose rows are looked up.
    pub(crate) from: &'static str,
    /// The table whose rows get them.
    pub(crate) to: &'static Table,
}

/// Rows that may be the same as rows of a table, whatever their weeks, while neither has a key. Once a row of the table has
/// got one, nothing tells which rows it matched before: all of them are made again.
pub(crate) struct UnkeyedMatches {
    /// The table whose rows may match others.
    pub(crate) table: &'static str,
    /// SQL of the weeks of all rows without a key, of both tables.
    pub(crate) weeks: &'static str,
}

/// A column of labels, one for each code in the lake.
pub(crate) struct CodeLabel {
    /// The column of the view that has the code.
    pub(crate) code: &'static str,
    /// The column that has its label.
    column: &'static str,
    /// SQL of the codes and their labels.
    pub(crate) known: &'static str,
}

/// SQL of rows without a request. Available ones are no requests.
macro_rules! no_request {
    () => {
        "(msdyn_scenariorequestid IS NULL OR msdyn_scenariorequestid = '') \
          AND msdyn_interactiontype IS DISTINCT FROM 100230309"
    };
}

/// SQL of the hash of a row's group, by its request. `$own`: the group of one without a request, while the older store has
/// no such row.
macro_rules! request_group {
    ($request:literal, $own:literal) => {
        concat!(
            "group_hash(coalesce(nullif(",
            $request,
            ", ''), CASE WHEN older_rows > 0 THEN '' ELSE ",
            $own,
            " END))"
        )
    };
}

/// SQL of the hash of the group of a turn, with an id of the turn.
macro_rules! turn_group {
    ($id:literal) => {
        concat!("group_hash(user_id, session_id, ", $id, ")")
    };
}

/// The views. Rows without a request may be the same interaction as one of the other store, whatever its week: while the
/// older store has such rows, all of them are one group. A join holds the side that is written first in memory.
static VIEWS: &[RowGroups] = &[
    RowGroups {
        view: &COPILOT_REQUEST,
        grouped: concat!(
            "SELECT ",
            request_group!("msdyn_scenariorequestid", "''"),
            " AS group_hash, week_start \
             FROM older \
             CROSS JOIN (SELECT msdyn_scenariorequestid, msdyn_interactiontype, week_start FROM msdyn_copilotevent \
                         UNION ALL \
                         SELECT msdyn_scenariorequestid, msdyn_interactiontype, week_start \
                         FROM msdyn_copilotinteraction) AS row_of \
             WHERE (msdyn_interactiontype IS DISTINCT FROM 100230309) \
               AND (msdyn_scenariorequestid <> '' OR older_rows > 0) \
             UNION ALL \
             SELECT group_hash(request_id), week_start FROM transcript_message WHERE request_id <> ''"
        ),
        stored: concat!(
            "SELECT ",
            request_group!("request_id", "''"),
            " AS group_hash, week_start, first_week, last_week FROM older CROSS JOIN stored_copilot_request \
             WHERE request_id <> '' OR older_rows > 0"
        ),
        hashes: &[
            (
                "msdyn_copilotevent",
                request_group!("msdyn_scenariorequestid", "'copilotevent:' || msdyn_copiloteventid"),
            ),
            ("msdyn_copilotinteraction", request_group!("msdyn_scenariorequestid", "''")),
            ("transcript_message", "group_hash(request_id)"),
            ("stored_copilot_request", request_group!("request_id", "request_key")),
        ],
        older_rows: Some(concat!("SELECT count(*) FROM msdyn_copilotinteraction WHERE ", no_request!())),
        cross_week_join: Some(CrossWeekJoin { from: "msdyn_copilotinteractiondata", to: &COPILOT_INTERACTION }),
        unkeyed_matches: Some(UnkeyedMatches {
            table: "msdyn_copilotinteraction",
            weeks: concat!(
                "SELECT week_start FROM msdyn_copilotevent WHERE ",
                no_request!(),
                " UNION SELECT week_start FROM msdyn_copilotinteraction WHERE ",
                no_request!()
            ),
        }),
        label: Some(CodeLabel {
            code: "scenario",
            column: "scenario_label",
            known: "SELECT scenario, max(scenario_label) AS scenario_label \
                    FROM (SELECT msdyn_scenariotype AS scenario, msdyn_scenariotype_label AS scenario_label \
                          FROM msdyn_copilotevent \
                          UNION ALL \
                          SELECT msdyn_scenariotype, msdyn_scenariotype_label FROM msdyn_copilotinteraction) AS row_of \
                    GROUP BY scenario",
        }),
        time: (
            "row_time",
            "coalesce(first_response_at, first_row_at, CAST(week_start AS TIMESTAMP(6) WITH TIME ZONE))",
        ),
    },
    RowGroups {
        view: &M365_TURN,
        grouped: concat!(
            "SELECT ",
            turn_group!("request_id"),
            " AS group_hash, week_start FROM ai_interaction WHERE request_id <> ''"
        ),
        stored: concat!(
            "SELECT ",
            turn_group!("request_id"),
            " AS group_hash, week_start, week_start AS first_week, last_week FROM stored_m365_turn"
        ),
        hashes: &[
            ("ai_interaction", turn_group!("coalesce(nullif(request_id, ''), 'interaction:' || interaction_id)")),
            ("stored_m365_turn", turn_group!("request_id")),
        ],
        older_rows: None,
        cross_week_join: None,
        unkeyed_matches: None,
        label: None,
        time: ("row_time", "coalesce(started_at, CAST(week_start AS TIMESTAMP(6) WITH TIME ZONE))"),
    },
    RowGroups {
        view: &CALENDAR,
        grouped: "",
        stored: "",
        hashes: &[],
        older_rows: None,
        cross_week_join: None,
        unkeyed_matches: None,
        label: None,
        time: ("starts_at", "CAST(date AS TIMESTAMP(6) WITH TIME ZONE)"),
    },
];

impl RowGroups {
    /// Those of a view.
    pub(crate) fn of_view(view: &Table) -> Option<&'static Self> {
        VIEWS.iter().find(|groups| groups.view.name == view.name)
    }

    /// The name under which a session has the rows of the view as they are stored.
    pub(crate) fn stored_name(&self) -> String {
        format!("stored_{}", self.view.name)
    }

    /// SQL of the relation `older` that the other texts read: what [`RowGroups::older_rows`] counts in the whole lake.
    pub(crate) fn older_rows_sql(older_rows: i64) -> String {
        format!("SELECT CAST({older_rows} AS BIGINT) AS older_rows")
    }

    /// SQL of the rows of a part, by table, out of the table of the second name.
    pub(crate) fn part_rows_sql(&self) -> impl Iterator<Item = (&'static str, String, String)> {
        self.hashes.iter().map(|(table, hash)| {
            let (all, is_of_part) = (format!("all_{table}"), PartRows::FUNCTION);
            let sql = format!(
                "SELECT row_of.* FROM older CROSS JOIN {all} AS row_of WHERE {is_of_part}({hash}, {WEEK_START})"
            );
            (*table, all, sql)
        })
    }

    /// The hash of the group of every row, and the first, the middle and the last week in which one says that the group has
    /// rows: a stored row also names the weeks of rows that no longer exist.
    pub(crate) fn group_weeks_sql(&self) -> String {
        let Self { grouped, stored, .. } = self;
        format!(
            "SELECT group_hash, week_start AS first_week, week_start, week_start AS last_week \
             FROM ({grouped}) AS grouped \
             UNION ALL \
             SELECT group_hash, first_week, week_start, last_week FROM ({stored}) AS stored"
        )
    }

    /// The hashes of the groups that may have had rows in these weeks: those that have rows there, some more than once, or,
    /// unless they are few, of these only those that have rows in several weeks. A stored row may have been made from rows of
    /// any week from its first to its last one.
    pub(crate) fn groups_sql(&self, weeks: &BTreeSet<Week>, are_few: bool) -> String {
        let all = self.group_weeks_sql();
        let overlaps = |first: &str, last: &str| {
            let overlaps = ranges(weeks)
                .into_iter()
                .map(|(from, to)| format!("({first} <= DATE '{to}' AND {last} >= DATE '{from}')"));
            overlaps.collect::<Vec<_>>().join(" OR ")
        };
        match are_few {
            true => format!("SELECT group_hash FROM ({all}) AS row_of WHERE {}", overlaps("first_week", "last_week")),
            false => format!(
                "SELECT group_hash FROM ({all}) AS row_of GROUP BY group_hash \
                 HAVING min(first_week) <> max(last_week) AND ({})",
                overlaps("min(first_week)", "max(last_week)")
            ),
        }
    }

    /// The weeks of stored rows whose label is another one. `label`: its SQL.
    pub(crate) fn relabelled_sql(&self, label: &str) -> Option<String> {
        let CodeLabel { column, .. } = self.label.as_ref()?;
        let stored = self.stored_name();
        Some(format!("SELECT week_start FROM {stored} WHERE {column} IS DISTINCT FROM ({label}) GROUP BY week_start"))
    }

    /// The rows of these weeks beside the keys of those that are stored there: either may be missing. `label`: the SQL of the
    /// column of labels, if there is one.
    pub(crate) fn fresh_sql(&self, weeks: &BTreeSet<Week>, label: Option<&str>) -> String {
        let Self { view, time: (time_column, time), .. } = self;
        let label = self.label.as_ref().map(|known| known.column).zip(label);
        let (mut columns, mut keys, mut equal) = (String::new(), String::new(), String::new());
        for field in view.layout().fields() {
            let name = field.name.as_str();
            let _ = match (field.origin, label) {
                (Origin::ExtractedAt, _) => Ok(()),
                (_, Some((column, label))) if name == column => write!(columns, "{label} AS {name}, "),
                _ if name == *time_column => write!(columns, "{time} AS {name}, "),
                _ => write!(columns, "{name}, "),
            };
        }
        for key in view.key {
            let _ = write!(keys, "{key} AS stored_{key}, ");
            let _ = write!(equal, "{}made.{key} = stored.stored_{key}", if equal.is_empty() { "" } else { " AND " });
        }
        let (week, chosen) = match view.is_partitioned() {
            true => (WEEK_START, format!("WHERE {WEEK_START} IN ({})", listed(weeks))),
            false => ("CAST(NULL AS DATE) AS week_start", String::new()),
        };
        // The keys are held in memory.
        format!(
            "SELECT * FROM (SELECT {keys}1 AS is_stored FROM {} {chosen}) AS stored \
             FULL JOIN (SELECT {columns}{week} FROM {} {chosen}) AS made ON {equal}",
            self.stored_name(),
            view.name
        )
    }
}

/// The weeks as a list of literals.
fn listed(weeks: &BTreeSet<Week>) -> String {
    weeks.iter().map(|week| format!("DATE '{week}'")).collect::<Vec<_>>().join(", ")
}

/// Weeks that follow each other, as the first and the last of each series.
fn ranges(weeks: &BTreeSet<Week>) -> Vec<(Week, Week)> {
    let mut found: Vec<(Week, Week)> = Vec::new();
    for &week in weeks {
        match found.last_mut() {
            Some((_, last)) if last.next() == week => *last = week,
            _ => found.push((week, week)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_materialized_view_is_known() {
        for table in copilot_lake_tables::views() {
            let groups = RowGroups::of_view(table).unwrap();
            assert!(crate::VIEWS.iter().any(|view| view.name == table.name), "{}", table.name);
            assert!(table.layout().position(groups.time.0).is_some(), "{}", table.name);
            assert_eq!(groups.grouped.is_empty(), !table.is_partitioned(), "{}", table.name);
            assert_eq!(groups.stored.is_empty(), !table.is_partitioned(), "{}", table.name);
            let sources = table.view_of().unwrap();
            let is_read = |name: &str| sources.contains(&name) || name == groups.stored_name();
            assert!(groups.hashes.iter().all(|(name, _)| is_read(name)), "{}", table.name);
        }
    }

    #[test]
    fn weeks_in_a_row_are_one_range() {
        let weeks = |texts: &[&str]| texts.iter().map(|text| Week::parse(text).unwrap()).collect::<BTreeSet<_>>();
        let found = ranges(&weeks(&["2025-06-01", "2025-06-08", "2025-06-15", "2025-06-29"]));
        let found: Vec<_> = found.iter().map(|(from, to)| format!("{from} {to}")).collect();
        assert_eq!(found, ["2025-06-01 2025-06-15", "2025-06-29 2025-06-29"]);
        assert!(ranges(&BTreeSet::new()).is_empty());
    }
}
