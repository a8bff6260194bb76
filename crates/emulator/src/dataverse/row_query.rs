//! Query options of a request for rows: the ones that the extractor sends, and no others.

use copilot_lake_tables::Column;
use url::form_urlencoded;

use crate::data::columns::TableView;
use crate::dataverse::row_filter::{self, RowFilter};
use crate::http::odata::DELTA_TOKEN;
use crate::http::response::ServiceError;

/// The query of a request for rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowQuery {
    /// Wire names as they were sent; empty: everything.
    pub(crate) select: Vec<String>,
    pub(crate) filter: Option<RowFilter>,
    /// Columns to order by, ascending. An elastic table takes one.
    pub(crate) order: Vec<&'static Column>,
    /// The token of a read of changes.
    pub(crate) delta: Option<String>,
}

/// The column of that wire name.
pub(crate) fn column(view: &TableView, wire: &str) -> Result<&'static Column, ServiceError> {
    view.columns.find(wire).ok_or_else(|| ServiceError::no_property(wire, view.table.name))
}

impl RowQuery {
    /// Parses the query string of a collection, without its `$skiptoken`.
    pub(crate) fn parse(text: &str, view: &TableView) -> Result<Self, ServiceError> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match name.as_ref() {
                "$select" => {
                    for name in value.split(',') {
                        column(view, name)?;
                        query.select.push(name.to_owned());
                    }
                }
                "$filter" => query.and(row_filter::parse(&value, |name| column(view, name))?),
                "$orderby" => query.order = order(&value, view)?,
                DELTA_TOKEN => query.delta = Some(value.into_owned()),
                other => return Err(ServiceError::unsupported(&format!("the query option '{other}'"))),
            }
        }
        Ok(query)
    }

    /// Adds a condition.
    pub(crate) fn and(&mut self, filter: RowFilter) {
        self.filter = self.filter.take().into_iter().chain([filter]).reduce(RowFilter::and);
    }

    /// The selected names in parentheses, as a context has them.
    pub(crate) fn selected(&self) -> String {
        if self.select.is_empty() { String::new() } else { format!("({})", self.select.join(",")) }
    }
}

/// Parses `createdon asc,key asc`: a time column first, ascending.
fn order(text: &str, view: &TableView) -> Result<Vec<&'static Column>, ServiceError> {
    let mut columns = Vec::new();
    for key in text.split(',') {
        let Some(name) = key.strip_suffix(" asc") else {
            return Err(ServiceError::unsupported(&format!("the order '{key}'")));
        };
        columns.push(column(view, name)?);
    }
    if view.elastic && columns.len() > 1 {
        // Cosmos DB needs a composite index, which Dataverse does not make.
        return Err(ServiceError::bad_request(
            "The order by query does not have a corresponding composite index that it can be served from.",
        ));
    }
    if !columns.first().is_some_and(|column| crate::data::row_snapshot::TIME_COLUMNS.contains(&column.wire)) {
        return Err(ServiceError::unsupported(&format!("the order '{text}'")));
    }
    Ok(columns)
}
