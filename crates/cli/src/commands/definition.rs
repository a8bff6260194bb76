//! What a table's definition says, in words.

use copilot_lake_tables::{ChoiceSet, Table, TimeOf, Type, WEEK_START};

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
        let Type::Choice(set) = column.ty else { continue };
        match sets.iter_mut().find(|(_, other)| other.options == set.options) {
            Some((columns, _)) => columns.push(column.name),
            None => sets.push((vec![column.name], set)),
        }
    }
    sets
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
pub(super) fn other_views() -> impl Iterator<Item = &'static copilot_lake_query::Shipped> {
    copilot_lake_query::VIEWS.iter().filter(|view| copilot_lake_tables::table(view.name).is_none())
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
