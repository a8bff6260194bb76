//! The shipped SQL: queries and views, each a file whose header documents it. Nothing else reads headers.

use copilot_lake_tables::Table;
use copilot_lake_writer::fnv1a;

use crate::parameter::{Parameter, ParameterType};

/// A file below `queries/`: one statement, the same text for DataFusion and DuckDB.
#[derive(Debug)]
pub struct Shipped {
    /// Its name: that of the file, without extension.
    pub name: &'static str,
    /// The whole file, header included.
    pub sql: &'static str,
}

/// Files of a folder of `queries/`.
macro_rules! queries {
    ($folder:literal: $($name:literal)*) => {
        &[$(Shipped { name: $name, sql: include_str!(concat!("../../../queries/", $folder, $name, ".sql")) }),*]
    };
}

/// The queries, in the order in which they are listed, each after those that it uses: Dynamics 365, Microsoft 365,
/// operations, and those of both services.
pub static QUERIES: &[Shipped] = queries! { "":
    "feedback_rates"
    "scenario_usage"
    "scenario_funnel"
    "active_users"
    "retention"
    "interaction_content"
    "verbatim_feedback"
    "conversation_summaries"
    "transcript"
    "answer_quality"
    "knowledge_sources"
    "auto_prompts"
    "agents"
    "m365_active_users"
    "m365_prompts"
    "m365_transcript"
    "m365_conversations"
    "m365_response_time"
    "m365_grounding"
    "m365_person_weeks"
    "m365_segments"
    "m365_retention"
    "m365_unused_licences"
    "m365_by_department"
    "extraction_health"
    "payload_health"
    "completeness"
    "week_over_week"
    "longest_conversations"
};

/// The views, each after those that it uses.
pub static VIEWS: &[Shipped] = queries! { "views/":
    "copilot_activity"
    "copilot_request"
    "copilot_content"
    "m365_turn"
    "calendar"
};

/// The shipped query of that name.
pub fn query(name: &str) -> Option<&'static Shipped> {
    QUERIES.iter().find(|query| query.name == name)
}

/// The shipped view of that name.
pub fn view(name: &str) -> Option<&'static Shipped> {
    VIEWS.iter().find(|view| view.name == name)
}

/// The materialized views that a text may read: it has their names, or those of what reads them.
pub fn materialized_views_in(text: &str) -> Vec<&'static Table> {
    let text = text.to_lowercase();
    let is_read = |table: &&'static Table| {
        VIEWS.iter().chain(QUERIES).any(|shipped| text.contains(shipped.name) && shipped.needs(table.name))
    };
    copilot_lake_tables::views().filter(is_read).collect()
}

/// A fingerprint of the SQL that makes a materialized view, whatever its comments say: the same in every build.
pub fn view_definition(table: &'static Table) -> u64 {
    view(table.name).map_or(0, |view| fnv1a(&view.code()))
}

impl Shipped {
    /// Whether it is this view, or reads it, itself or by what it reads.
    fn needs(&self, name: &str) -> bool {
        let shipped = |other: &str| view(other).or_else(|| query(other));
        self.name == name || self.tables().into_iter().filter_map(shipped).any(|other| other.needs(name))
    }

    /// Its SQL without comments, and that of the views that it reads.
    pub(crate) fn code(&self) -> String {
        let lines = self.sql.lines().filter(|line| !line.trim_start().starts_with("--")).map(str::to_owned);
        let of_views = self.tables().into_iter().filter_map(view).map(Self::code);
        lines.chain(of_views).collect::<Vec<_>>().join("\n")
    }

    /// One line: what it shows.
    pub fn title(&self) -> &'static str {
        self.section("title").next().unwrap_or(self.name)
    }

    /// The question that it answers, and how, in a few sentences on one line.
    pub fn question(&self) -> String {
        self.section("question").collect::<Vec<_>>().join(" ")
    }

    /// Whose definition of the figures it follows.
    pub fn definition(&self) -> String {
        self.section("definition").collect::<Vec<_>>().join(" ")
    }

    /// The tables and views that it reads.
    pub fn tables(&self) -> Vec<&'static str> {
        self.section("tables").flat_map(|line| line.split(',')).map(str::trim).collect()
    }

    /// Its parameters, and those of the queries that it reads.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = self.own_parameters();
        for other in self.tables().into_iter().filter_map(query) {
            for parameter in other.parameters() {
                if !parameters.iter().any(|own| own.name == parameter.name) {
                    parameters.push(parameter);
                }
            }
        }
        parameters
    }

    /// The parameters that its own text reads.
    pub(crate) fn own_parameters(&self) -> Vec<Parameter> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for line in self.section("parameters").filter(|line| *line != "none") {
            match (named_parameter(line), parameters.last_mut()) {
                (Some(parameter), _) => parameters.push(parameter),
                (None, Some(last)) => {
                    last.doc.push(' ');
                    last.doc.push_str(line);
                }
                (None, None) => {}
            }
        }
        parameters
    }

    /// Its columns in order, each with what it means. Columns that are explained together come together.
    pub fn columns(&self) -> Vec<(&'static str, String)> {
        self.entries("columns")
    }

    /// The tables and views that its columns lead to, each with the condition as SQL has it.
    pub fn joins(&self) -> Vec<(&'static str, String)> {
        self.entries("joins")
    }

    /// The entries of a section, `names: text`, whose text may go on in the next lines.
    fn entries(&self, section: &str) -> Vec<(&'static str, String)> {
        let mut entries: Vec<(&str, String)> = Vec::new();
        for line in self.section(section) {
            match line.split_once(": ").filter(|(names, _)| names.split(", ").all(|name| !name.contains(' '))) {
                Some((names, text)) => entries.push((names, text.to_owned())),
                None => {
                    if let Some((_, text)) = entries.last_mut() {
                        text.push(' ');
                        text.push_str(line);
                    }
                }
            }
        }
        entries
    }

    /// The lines of one section of the header: what follows `-- <name>:`, and the indented lines below it.
    pub(crate) fn section(&self, name: &str) -> impl Iterator<Item = &'static str> + use<> {
        let start = format!("-- {name}:");
        let mut header = self.sql.lines().take_while(|line| line.starts_with("--"));
        let first = header.by_ref().find_map(|line| line.strip_prefix(&start));
        let rest = header.take_while(|line| line.starts_with("--  "));
        first.into_iter().chain(rest.map(|line| &line[2..])).map(str::trim).filter(|line| !line.is_empty())
    }
}

/// The parameter that a line begins: `name (type, default): what it means`.
fn named_parameter(line: &'static str) -> Option<Parameter> {
    let (name, rest) = line.split_once(" (").filter(|(name, _)| !name.contains(' '))?;
    let (value, doc) = rest.split_once("): ")?;
    let (ty, default) = value.split_once(", ")?;
    let default = Some(default).filter(|default| *default != "none");
    Some(Parameter { name, ty: ParameterType::named(ty)?, default, doc: doc.to_owned() })
}
