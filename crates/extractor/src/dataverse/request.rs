//! Requests to the Dataverse Web API.

use copilot_lake_tables::{Source, Table, Type, Week};
use url::Url;

use super::choice_cast::ChoiceCast;
use super::file_address::FileAddress;
use super::selection::Selection;
use super::table_metadata::ATTRIBUTE_PROPERTIES;
use crate::error::Error;
use crate::http::request::{FilePortion, Request, ResourceKind, encode};
use crate::object_id::object_id;
use crate::slice::Slice;

/// The first page of a stream.
pub(crate) fn first_page(url: Url, table: &Table, page_size: u32, selection: &Selection) -> Request {
    let mut request = Request::first_page(url, table, ResourceKind::Json);
    request.prefer(&format!("odata.maxpagesize={page_size}"));
    let annotations = selection.annotations();
    if !annotations.is_empty() {
        request.prefer(&format!("odata.include-annotations=\"{}\"", annotations.join(",")));
    }
    request
}

/// A file, or a part of it.
pub(crate) fn file_request(api: &Url, file: &FileAddress, portion: FilePortion) -> Result<Request, Error> {
    let request = Request::of_table(file_url(api, file)?, file.table, ResourceKind::File);
    Ok(Request { column: Some(file.column), portion, ..request })
}

/// The first page of a slice, ordered by its time column, with a fallback URL for services that reject the filter for
/// nulls.
pub(crate) fn slice_request(api: &Url, slice: &Slice, selection: &Selection, page_size: u32) -> Result<Request, Error> {
    let (time_column, start, end) = (slice.time_column, slice.start, slice.end);
    let window = format!("{time_column} ge {start} and {time_column} lt {end}");
    let (_, elastic) = entity_set(slice.table)?;
    let slice_url = |filter: &str| {
        let rows = rows_url(api, slice.table, selection, Some(filter))?;
        url(&format!("{rows}&$orderby={}", encode(&order(slice.table, elastic, time_column))))
    };
    let plain = slice_url(&window)?;
    let Some(null_time_filter) = null_time_filter(slice) else {
        return Ok(first_page(plain, slice.table, page_size, selection));
    };
    let request =
        first_page(slice_url(&format!("({window}) or ({null_time_filter})"))?, slice.table, page_size, selection);
    Ok(Request { fallback_url: Some(plain), ..request })
}

/// A filter for rows that belong to a slice although their time column is null; `None`: there are none. Nulls match no
/// range.
///
/// Rows without `createdon` belong to the week of 1970-01-04: the slice with its first instant includes them. Rows
/// without `modifiedon` are taken to have last changed when they were created.
fn null_time_filter(slice: &Slice) -> Option<String> {
    let (time_column, start, end) = (slice.time_column, slice.start, slice.end);
    let has = |name: &str| slice.table.column(name).is_some();
    match time_column {
        CREATED if has(CREATED) => (start..end).contains(&Week::UNKNOWN.start()).then(|| format!("{CREATED} eq null")),
        MODIFIED if has(CREATED) && has(MODIFIED) => {
            Some(format!("{MODIFIED} eq null and ({CREATED} eq null or ({CREATED} ge {start} and {CREATED} lt {end}))"))
        }
        _ => None,
    }
}

/// The time columns of slices.
const CREATED: &str = "createdon";
const MODIFIED: &str = "modifiedon";

/// The first page of rows in the service's order, optionally filtered.
pub(crate) fn rows_url(api: &Url, table: &Table, selection: &Selection, filter: Option<&str>) -> Result<Url, Error> {
    let (set, _) = entity_set(table)?;
    let filter = filter.map_or_else(String::new, |filter| format!("&$filter={}", encode(filter)));
    url(&format!("{api}{set}?$select={}{filter}", encode(&selection.properties().join(","))))
}

/// The rows ordered by a time column, with only that column selected: those with a value if the service supports the
/// filter; otherwise nulls come first.
pub(crate) fn oldest_request(api: &Url, table: &Table, time_column: &str) -> Result<Request, Error> {
    let (set, _) = entity_set(table)?;
    let oldest_url = |filter: &str| {
        let order = encode(&format!("{time_column} asc"));
        url(&format!("{api}{set}?$select={}{filter}&$orderby={order}", encode(time_column)))
    };
    let request = first_page(
        oldest_url(&format!("&$filter={}", encode(&format!("{time_column} ne null"))))?,
        table,
        1,
        &Selection::key_columns(table),
    );
    Ok(Request { fallback_url: Some(oldest_url("")?), ..request })
}

/// The metadata of tables and their columns.
pub(crate) fn definitions_url(api: &Url, tables: &[&'static Table]) -> Result<Url, Error> {
    let names: Vec<_> = tables.iter().map(|table| format!("LogicalName eq '{}'", table.name)).collect();
    let filter = encode(&names.join(" or "));
    url(&format!(
        "{api}EntityDefinitions?$select=LogicalName,ChangeTrackingEnabled&$filter={filter}\
         &$expand=Attributes($select={ATTRIBUTE_PROPERTIES})"
    ))
}

/// The options of a table's choice columns of one kind.
pub(crate) fn choices_url(api: &Url, table: &Table, cast: ChoiceCast) -> Result<Url, Error> {
    let (table, ChoiceCast { ty, expand }) = (table.name, cast);
    url(&format!(
        "{api}EntityDefinitions(LogicalName='{table}')/Attributes/Microsoft.Dynamics.CRM.{ty}\
         ?$select=LogicalName&$expand={expand}"
    ))
}

/// The organization's base language.
pub(crate) fn language_url(api: &Url) -> Result<Url, Error> {
    url(&format!("{api}organizations?$select=languagecode"))
}

/// The row counts of tables.
pub(crate) fn totals_url(api: &Url, tables: &[&'static Table]) -> Result<Url, Error> {
    let names: Vec<_> = tables.iter().map(|table| format!("\"{}\"", table.name)).collect();
    let names = encode(&format!("[{}]", names.join(",")));
    url(&format!("{api}RetrieveTotalRecordCount(EntityNames=@p1)?@p1={names}"))
}

/// The privileges of a user.
pub(crate) fn privileges_url(api: &Url, user_id: &str) -> Result<Url, Error> {
    let user_id =
        object_id(user_id).ok_or_else(|| Error::Usage { what: "the id of a user must be a GUID".to_owned() })?;
    url(&format!("{api}systemusers({user_id})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()"))
}

/// The contents of a File column of a row.
pub(crate) fn file_url(api: &Url, file: &FileAddress) -> Result<Url, Error> {
    let (set, elastic) = entity_set(file.table)?;
    let column = file.table.column(file.column).filter(|column| matches!(column.ty, Type::File));
    let (Some(column), true) = (column, file.key.len() == file.table.key.len()) else {
        let what = format!(
            "`{}` of `{}` is not a File column, or the key of the row is incomplete",
            file.column, file.table.name
        );
        return Err(Error::Usage { what });
    };
    let mut parts = Vec::with_capacity(file.key.len());
    for (name, value) in file.table.key.iter().zip(&file.key) {
        let guid = file.table.column(name).is_some_and(|column| matches!(column.ty, Type::Guid));
        // A GUID stands alone; text is quoted, with its quotes doubled.
        let value = if guid { encode(value) } else { format!("'{}'", encode(&value.replace('\'', "''"))) };
        parts.push(if elastic || file.key.len() > 1 { format!("{name}={value}") } else { value });
    }
    url(&format!("{api}{set}({})/{}/$value", parts.join(","), column.wire))
}

fn entity_set(table: &Table) -> Result<(&'static str, bool), Error> {
    let elastic = matches!(table.source, Source::Dataverse { elastic: true, .. });
    match table.entity_set() {
        Some(set) => Ok((set, elastic)),
        None => Err(Error::Usage { what: format!("`{}` is not a table of Dataverse", table.name) }),
    }
}

/// Elastic tables cannot be ordered by several columns; elsewhere the key makes the order total.
fn order(table: &Table, elastic: bool, time_column: &str) -> String {
    let key = table.key.iter().filter(|_| !elastic).map(|column| format!(",{column} asc"));
    std::iter::once(format!("{time_column} asc")).chain(key).collect()
}

fn url(text: &str) -> Result<Url, Error> {
    Url::parse(text).map_err(|error| Error::Usage { what: format!("`dataverse.url` cannot be used: {error}") })
}

#[cfg(test)]
mod tests;
