//! Joins: which columns of a table name rows of another.

use crate::column::Type;
use crate::{PAYLOAD, TABLES, dataverse_tables, table};

/// Columns of a table that hold values of another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// The table.
    pub table: &'static str,
    /// Its columns.
    pub columns: &'static [&'static str],
    /// The table that they lead to.
    pub other: &'static str,
    /// The columns there, in the same order; its key, or a part of it, unless [`DECLARED`] says otherwise.
    pub other_columns: &'static [&'static str],
    /// The column that says to which table a row leads, and what it holds for this one, where there are several.
    pub when: Option<(&'static str, &'static str)>,
}

impl Join {
    const fn new(
        table: &'static str,
        columns: &'static [&'static str],
        other: &'static str,
        other_columns: &'static [&'static str],
    ) -> Self {
        Self { table, columns, other, other_columns, when: None }
    }

    /// The condition as SQL has it.
    pub fn condition(&self) -> String {
        let Self { table, other, .. } = self;
        let pairs = self.columns.iter().zip(self.other_columns);
        let pairs = pairs.map(|(own, theirs)| format!("{table}.{own} = {other}.{theirs}"));
        let when = self.when.iter().map(|(column, value)| format!("{table}.{column} = '{value}'"));
        when.chain(pairs).collect::<Vec<_>>().join(" and ")
    }
}

const INTERACTION: &[&str] = &["user_id", "session_id", "interaction_id"];

/// The joins that no lookup says.
const DECLARED: &[Join] = &[
    Join::new("msdyn_copilotevent", &["transcript_id"], "msdyn_copilottranscript", &["activityid"]),
    Join::new(
        "msdyn_copilotevent",
        &["transcript_data_id"],
        "msdyn_copilottranscriptdata",
        &["msdyn_copilottranscriptdataid"],
    ),
    Join::new("msdyn_copilotinteraction", &["transcript_id"], "msdyn_copilottranscript", &["activityid"]),
    Join::new(
        "msdyn_copilotinteraction",
        &["transcript_data_id"],
        "msdyn_copilottranscriptdata",
        &["msdyn_copilottranscriptdataid"],
    ),
    Join::new(
        "transcript_message",
        &["transcript_data_id"],
        "msdyn_copilottranscriptdata",
        &["msdyn_copilottranscriptdataid"],
    ),
    Join::new("transcript_message", &["request_id"], "msdyn_copilotevent", &["msdyn_scenariorequestid"]),
    Join::new("transcript_message", &["request_id"], "msdyn_copilotinteraction", &["msdyn_scenariorequestid"]),
    Join::new(
        "transcript_source",
        &["transcript_data_id", "message_id"],
        "transcript_message",
        &["transcript_data_id", "message_id"],
    ),
    Join::new("systemuser", &["entra_object_id"], "graph_user", &["user_id"]),
    Join::new("ai_interaction", &["user_id"], "graph_user", &["user_id"]),
    Join::new("ai_interaction_attachment", INTERACTION, "ai_interaction", INTERACTION),
    Join::new("ai_interaction_context", INTERACTION, "ai_interaction", INTERACTION),
    Join::new("ai_interaction_link", INTERACTION, "ai_interaction", INTERACTION),
    Join::new("ai_interaction_mention", INTERACTION, "ai_interaction", INTERACTION),
    Join::new("copilot_request", &["user_id"], "systemuser", &["systemuserid"]),
    Join::new("copilot_request", &["transcript_id"], "msdyn_copilottranscript", &["activityid"]),
    Join::new("copilot_request", &["request_id"], "msdyn_copilotevent", &["msdyn_scenariorequestid"]),
    Join::new("m365_turn", &["user_id"], "graph_user", &["user_id"]),
    Join::new("m365_turn", &["user_id", "session_id"], "ai_interaction", &["user_id", "session_id"]),
    Join::new("extraction_slice", &["run_id"], "extraction_run", &["run_id"]),
    Join::new("rejected_record", &["run_id"], "extraction_run", &["run_id"]),
];

/// Every join: from lookups, from Files to their contents, and those that are declared here.
pub fn joins() -> impl Iterator<Item = Join> {
    let lookups = TABLES.iter().flat_map(|of| {
        of.columns.iter().flat_map(move |column| {
            let targets: &'static [&'static str] = match column.ty {
                Type::Lookup(targets) => targets,
                _ => &[],
            };
            targets.iter().filter_map(move |target| {
                let other = table(target)?;
                Some(Join::new(of.name, std::slice::from_ref(&column.name), other.name, &other.key[..1]))
            })
        })
    });
    let files = dataverse_tables().filter(|of| of.files().next().is_some()).map(|of| {
        let columns: &[&str] = &["source_id", "source_partitionid"];
        let join = Join::new(PAYLOAD.name, &columns[..of.key.len()], of.name, of.key);
        Join { when: Some(("source_table", of.name)), ..join }
    });
    lookups.chain(files).chain(DECLARED.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_name_columns_of_one_type() {
        for join in joins() {
            let (own, other) = (table(join.table).unwrap().layout(), table(join.other).unwrap().layout());
            assert_eq!(join.columns.len(), join.other_columns.len(), "{}", join.condition());
            for (a, b) in join.columns.iter().zip(join.other_columns) {
                let kind = |layout: &crate::Layout, name| {
                    let at = layout.position(name).unwrap_or_else(|| panic!("no {name}: {}", join.condition()));
                    layout.fields()[at].ty.data_type()
                };
                assert_eq!(kind(own, a), kind(other, b), "{}", join.condition());
            }
        }
    }

    #[test]
    fn lookups_and_files_are_joins() {
        let all: Vec<_> = joins().map(|join| join.condition()).collect();
        for wanted in [
            "msdyn_copilotevent.createdby = systemuser.systemuserid",
            "msdyn_copilotinteraction.msdyn_interactiondataid = \
             msdyn_copilotinteractiondata.msdyn_copilotinteractiondataid",
            "payload.source_table = 'msdyn_copilotevent' and payload.source_id = \
             msdyn_copilotevent.msdyn_copiloteventid and payload.source_partitionid = msdyn_copilotevent.partitionid",
        ] {
            assert!(all.iter().any(|condition| condition == wanted), "{wanted} is not in {all:#?}");
        }
    }
}
