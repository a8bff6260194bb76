//! A text as it is parsed: what DuckDB adds to SQL, and what its columns are called there.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::logical_expr::sqlparser::ast::{
    Expr, ObjectNamePart, Query, Select, SelectFlavor, SelectItem, SetExpr, Statement, VisitMut, VisitorMut,
    WildcardAdditionalOptions,
};
use datafusion::sql::parser::Statement as ParsedStatement;

/// Writes out what DuckDB lets out: `FROM t` is `SELECT * FROM t`.
pub(crate) fn write_out(statement: &mut Statement) {
    struct Selects;
    impl VisitorMut for Selects {
        type Break = ();

        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            if matches!(select.flavor, SelectFlavor::FromFirstNoSelect) && select.projection.is_empty() {
                select.projection.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
            }
            ControlFlow::Continue(())
        }
    }
    let _ = statement.visit(&mut Selects);
}

/// Whether a text reads, instead of changing what there is.
pub(crate) fn is_read(statement: &ParsedStatement) -> bool {
    match statement {
        ParsedStatement::Statement(statement) => matches!(
            statement.as_ref(),
            Statement::Query(_)
                | Statement::Explain { .. }
                | Statement::ExplainTable { .. }
                | Statement::ShowTables { .. }
                | Statement::ShowColumns { .. }
                | Statement::ShowVariable { .. }
                | Statement::ShowFunctions { .. }
                | Statement::ShowCreate { .. }
        ),
        ParsedStatement::Explain(_) => true,
        _ => false,
    }
}

/// Whether a text is `SHOW TABLES` and nothing more.
pub(crate) fn is_show_tables(statement: &Statement) -> bool {
    matches!(statement, Statement::ShowTables { .. }) && statement.to_string() == "SHOW TABLES"
}

/// The names of columns that a text computes and does not name, by their places: the expression as it is written, with
/// the names of functions in lower case, instead of as it is planned, with types and the names of tables.
#[derive(Debug, Default)]
pub(crate) struct Headings {
    /// Columns of the result; 0 if they cannot be told from the text.
    columns: usize,
    written: BTreeMap<usize, String>,
}

impl Headings {
    /// Those of a text.
    pub(crate) fn written_in(statement: &Statement) -> Self {
        let Statement::Query(query) = statement else { return Self::default() };
        let Some(select) = first_select(query) else { return Self::default() };
        let mut headings = Self { columns: select.projection.len(), written: BTreeMap::new() };
        for (at, item) in select.projection.iter().enumerate() {
            match item {
                SelectItem::ExprWithAlias { .. } => {}
                SelectItem::UnnamedExpr(expression) => {
                    headings.written.extend(written(expression).map(|name| (at, name)));
                }
                // It stands for columns that are not counted here.
                _ => return Self::default(),
            }
        }
        headings
    }

    /// The columns under these names. A name that another column bears is not given again.
    pub(crate) fn applied_to(&self, schema: &SchemaRef) -> SchemaRef {
        if self.columns != schema.fields().len() || self.written.is_empty() {
            return SchemaRef::clone(schema);
        }
        let renamed = |(at, field): (usize, &Arc<Field>)| {
            let is_taken = |name: &str| {
                let of_others = self.written.iter().any(|(other, written)| *other != at && written == name);
                of_others
                    || schema.fields().iter().enumerate().any(|(other, field)| other != at && field.name() == name)
            };
            match self.written.get(&at).filter(|name| !is_taken(name)) {
                Some(name) => field.as_ref().clone().with_name(name.clone()),
                None => field.as_ref().clone(),
            }
        };
        let fields: Vec<_> = schema.fields().iter().enumerate().map(renamed).collect();
        SchemaRef::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    }
}

/// The part of a query that names its columns.
fn first_select(query: &Query) -> Option<&Select> {
    let mut body = query.body.as_ref();
    loop {
        match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::Query(query) => body = query.body.as_ref(),
            SetExpr::SetOperation { left, .. } => body = left,
            _ => return None,
        }
    }
}

/// An expression as it is written; a column bears its own name.
fn written(expression: &Expr) -> Option<String> {
    struct LowerCase;
    impl VisitorMut for LowerCase {
        type Break = ();

        fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
            if let Expr::Function(function) = expression {
                for name in function.name.0.iter_mut().filter_map(|part| match part {
                    ObjectNamePart::Identifier(name) if name.quote_style.is_none() => Some(name),
                    _ => None,
                }) {
                    name.value.make_ascii_lowercase();
                }
            }
            ControlFlow::Continue(())
        }
    }
    let mut expression = expression;
    while let Expr::Nested(inner) = expression {
        expression = inner;
    }
    if matches!(expression, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
        return None;
    }
    let mut expression = expression.clone();
    let _ = expression.visit(&mut LowerCase);
    Some(expression.to_string())
}
