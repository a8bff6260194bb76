//! The environment's columns: those of the definition, less what a scenario removes, plus what it adds.

use std::collections::BTreeMap;
use std::sync::Arc;

use copilot_lake_tables::{COPILOT_EVENT, ChoiceSet, Column, Table, Type};

use crate::scenario::specs::{ColumnSpec, ColumnType, OptionSpec, TableData};

/// Columns that every table of the service has, whether or not its definition names them.
pub(crate) const SHARED: &[&str] = &["createdon", "modifiedon", "versionnumber"];

/// A table with the environment's current columns.
#[derive(Debug, Clone)]
pub(crate) struct TableView {
    pub(crate) table: &'static Table,
    pub(crate) elastic: bool,
    pub(crate) columns: Arc<EnvironmentColumns>,
}

/// The columns of a table as the environment has them.
#[derive(Debug, Clone)]
pub(crate) struct EnvironmentColumns {
    all: Vec<&'static Column>,
    /// Those of `all` that the definition does not know.
    added: Vec<&'static str>,
    /// Choice options beyond those of the definition, by lake or wire name.
    options: Vec<(String, OptionSpec)>,
}

impl EnvironmentColumns {
    pub(crate) fn new(table: &'static Table, data: &TableData) -> Self {
        let known = |column: &&Column| !data.without.iter().any(|name| name == column.name || name == column.wire);
        let mut all: Vec<_> = table.columns.iter().filter(known).collect();
        let has = |wire: &str| table.columns.iter().any(|column| column.wire == wire);
        // Every table of the service has these, whether or not the lake keeps them.
        all.extend(SHARED.iter().filter(|wire| !has(wire)).filter_map(|wire| COPILOT_EVENT.column(wire)));
        let mut columns = Self { all, added: Vec::new(), options: Vec::new() };
        for spec in &data.column {
            columns.add(spec);
        }
        columns
    }

    /// Adds a column of a scenario, or options to an existing one.
    pub(crate) fn add(&mut self, spec: &ColumnSpec) {
        self.options.extend(spec.options.iter().map(|option| (spec.name.clone(), option.clone())));
        if let Some(ty) = spec.ty {
            let column = column(spec, ty);
            self.added.push(column.wire);
            self.all.push(column);
        }
    }

    /// Every column, including annotations.
    pub(crate) fn all(&self) -> &[&'static Column] {
        &self.all
    }

    /// The column with that wire name, never an annotation.
    pub(crate) fn find(&self, wire: &str) -> Option<&'static Column> {
        self.all.iter().copied().find(|column| column.wire == wire && !wire.contains('@'))
    }

    /// Whether a scenario added the column.
    pub(crate) fn is_added(&self, column: &Column) -> bool {
        self.added.contains(&column.wire)
    }

    /// Code and label of every option, ascending.
    pub(crate) fn options(&self, column: &Column) -> Vec<(i32, &str)> {
        let Type::Choice(set) = column.ty else { return Vec::new() };
        let added = self.options.iter().filter(|(of, _)| of == column.name || of == column.wire);
        let mut options: Vec<(i32, &str)> = set.options.iter().map(|(code, label)| (*code, *label)).collect();
        let added = added.map(|(_, option)| match option.labels.values().next() {
            Some(label) if option.label.is_empty() => (option.value, label.as_str()),
            _ => (option.value, option.label.as_str()),
        });
        options.extend(added);
        options.sort_unstable();
        options
    }

    /// The labels of an option by language, where a scenario sets them.
    pub(crate) fn labels(&self, column: &Column, code: i32) -> Option<&BTreeMap<String, String>> {
        let mut of_column = self.options.iter().filter(|(of, _)| of == column.name || of == column.wire);
        let (_, option) = of_column.find(|(_, option)| option.value == code)?;
        (!option.labels.is_empty()).then_some(&option.labels)
    }
}

/// The attribute's name: a lookup's property is `_name_value`.
pub(crate) fn logical_name(column: &Column) -> &'static str {
    let inside = column.wire.strip_prefix('_').and_then(|rest| rest.strip_suffix("_value"));
    inside.unwrap_or(column.wire)
}

/// A column that a scenario adds. It is leaked: columns are `'static` everywhere, and a scenario adds few.
fn column(spec: &ColumnSpec, ty: ColumnType) -> &'static Column {
    let text = |text: &str| -> &'static str { String::leak(text.to_owned()) };
    let name = text(&spec.name);
    let ty = match ty {
        ColumnType::Guid => Type::Guid,
        ColumnType::Text => Type::Text,
        ColumnType::Choice => Type::Choice(Box::leak(Box::new(ChoiceSet { name, options: &[] }))),
        ColumnType::Lookup => Type::Lookup(Vec::leak(spec.targets.iter().map(|target| text(target)).collect())),
        ColumnType::Instant => Type::Instant,
        ColumnType::Int32 => Type::Int32,
        ColumnType::Int64 => Type::Int64,
        ColumnType::Decimal => Type::Decimal,
        ColumnType::Boolean => Type::Boolean,
        ColumnType::File => Type::File,
    };
    let wire = if matches!(ty, Type::Lookup(_)) { text(&format!("_{name}_value")) } else { name };
    Box::leak(Box::new(Column { wire, doc: "Added by the scenario.", ..Column::new(name, ty) }))
}
