//! What the definitions of tables, views and shipped queries say, in words.

#[cfg(feature = "query")]
use anyhow::Result;
#[cfg(feature = "query")]
use arrow::datatypes::DataType;
#[cfg(feature = "query")]
use copilot_lake_query::{Session, Shipped, VIEWS};
use copilot_lake_tables::{AI_AGENT, ChoiceSet, INTERACTION_TYPE, SCENARIO_TYPE, Table, TimeOf, Type, WEEK_START};

/// The sets of codes in views and shipped queries, by the names of the columns that hold them: the same in all.
static CODES_BY_NAME: [(&str, &ChoiceSet); 3] =
    [("scenario", &SCENARIO_TYPE), ("kind", &INTERACTION_TYPE), ("agent", &AI_AGENT)];

/// Name, type and meaning of every column that a reader sees.
pub(super) fn columns(table: &'static Table) -> impl Iterator<Item = [&'static str; 3]> {
    let week = [WEEK_START, "date", "The week's first day, a Sunday: the folder of the file."];
    let fields = table.layout().fields().iter();
    let fields = fields.map(|field| [field.name.as_str(), type_name(field.ty), field.doc.as_str()]);
    table.is_partitioned().then_some(week).into_iter().chain(fields)
}

/// The sets of codes, each with the columns that hold them.
pub(super) fn code_sets(table: &'static Table) -> Vec<(Vec<&'static str>, &'static ChoiceSet)> {
    let mut sets: Vec<(Vec<&str>, &ChoiceSet)> = Vec::new();
    for column in table.columns {
        let set = match column.ty {
            Type::Choice(set) => Some(set),
            _ if table.view_of().is_some() => codes_by_name(column.name),
            _ => None,
        };
        let Some(set) = set else { continue };
        match sets.iter_mut().find(|(_, other)| other.options == set.options) {
            Some((columns, _)) => columns.push(column.name),
            None => sets.push((vec![column.name], set)),
        }
    }
    sets
}

/// The set of codes that a column of that name holds in a view or a shipped query.
pub(super) fn codes_by_name(column: &str) -> Option<&'static ChoiceSet> {
    CODES_BY_NAME.iter().find(|(name, _)| *name == column).map(|(_, set)| *set)
}

/// What decides a row's week.
pub(super) fn weeks(table: &Table) -> String {
    match table.time {
        TimeOf::Column(column) => format!("by {column}"),
        TimeOf::PartitionIdOr(column) => format!("by the first date of partitionid, else {column}"),
        TimeOf::Parent if table.view_of().is_some() => "by the first of the rows that it was made from".to_owned(),
        TimeOf::Parent => "by the row that it was derived from".to_owned(),
        TimeOf::Unpartitioned(column) => format!("none; sorted by {column}"),
    }
}

/// The views that are no tables of the lake.
#[cfg(feature = "query")]
pub(super) fn other_views() -> impl Iterator<Item = &'static Shipped> {
    VIEWS.iter().filter(|view| copilot_lake_tables::table(view.name).is_none())
}

/// Name, type and meaning of every column of a view or a shipped query.
#[cfg(feature = "query")]
pub(super) async fn shipped_columns(session: &Session, shipped: &Shipped) -> Result<Vec<[String; 3]>> {
    let schema = session.rows(shipped.sql).await?.schema;
    let docs = shipped.columns();
    let doc = |name: &str| {
        let own = docs.iter().find(|(names, _)| names.split(", ").any(|other| other == name));
        own.map(|(_, doc)| doc.clone()).unwrap_or_default()
    };
    let columns = schema.fields().iter();
    Ok(columns.map(|of| [of.name().clone(), sql_type(of.data_type()), doc(of.name())]).collect())
}

/// The type as [`type_name`] has it, where there is such a column.
#[cfg(feature = "query")]
fn sql_type(ty: &DataType) -> String {
    match ty {
        DataType::Utf8 => "string".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        other => other.to_string(),
    }
}

/// The type as SQL names it.
fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Guid | Type::Text | Type::Lookup(_) | Type::File => "string",
        Type::Instant => "timestamp",
        Type::Date => "date",
        Type::Choice(_) | Type::Int32 => "int",
        Type::Int64 => "bigint",
        Type::Decimal => "decimal(38, 12)",
        Type::Boolean => "boolean",
    }
}
