//! Probes: the cheapest calls that show whether something can be read.

use copilot_lake_tables::{Table, Type};
use serde_json::Value;
use url::Url;

use super::file_address::FileAddress;
use super::key::{self, JsonRow};
use super::request;
use super::selection::Selection;
use crate::error::Error;
use crate::http::client::Client;
use crate::page::Page;
use crate::page_stream;

/// A page with one row; `None` if this identity sees none.
pub(crate) async fn first_row(
    client: &Client,
    api: &Url,
    table: &'static Table,
    selection: &Selection,
) -> Result<Option<Page>, Error> {
    let request = request::first_page(request::rows_url(api, table, selection, None)?, table, 1, selection);
    page_stream::find_in_pages(client, api, request, |page| {
        Ok((!page.parsed::<JsonRow>()?.is_empty()).then(|| page.clone()))
    })
    .await
}

/// Rows sampled for an estimate.
const SAMPLE: u32 = 500;

/// Counts the rows of one page, and the Files that they name in these columns.
pub(crate) async fn count_files(
    client: &Client,
    api: &Url,
    table: &'static Table,
    columns: &[&'static str],
) -> Result<(usize, usize), Error> {
    let wires: Vec<_> = columns.iter().filter_map(|name| table.column(name)).map(|column| column.wire).collect();
    let selection = wires.iter().fold(Selection::key_columns(table), |selection, wire| selection.with(wire));
    let request = request::first_page(request::rows_url(api, table, &selection, None)?, table, SAMPLE, &selection);
    let count = |page: &Page| {
        let rows = page.parsed::<JsonRow>()?;
        let named = |row: &JsonRow| wires.iter().filter(|wire| row.get(**wire).is_some_and(Value::is_string)).count();
        Ok((!rows.is_empty()).then(|| (rows.len(), rows.iter().map(named).sum())))
    };
    Ok(page_stream::find_in_pages(client, api, request, count).await?.unwrap_or_default())
}

/// Result of looking for a File in a column.
#[derive(Debug, Clone)]
pub enum AnyFile {
    /// An existing File.
    At(FileAddress),
    /// No row names one.
    None,
    /// The service cannot filter for it, and no row of one page names one.
    NotSeen,
}

/// Looks for some row's File in this column.
pub(crate) async fn any_file(
    client: &Client,
    api: &Url,
    page_size: u32,
    table: &'static Table,
    column: &'static str,
) -> Result<AnyFile, Error> {
    let Some(column) = table.column(column).filter(|column| matches!(column.ty, Type::File)) else {
        return Err(Error::Usage { what: format!("`{column}` of `{}` is not a File column", table.name) });
    };
    let selection = Selection::key_columns(table).with(column.wire);
    let address = |page: &Page| {
        let rows = page.parsed::<JsonRow>()?;
        let named = rows.iter().find(|row| row.get(column.wire).is_some_and(Value::is_string));
        Ok(named.map(|row| FileAddress { table, key: key::from_row(table, row), column: column.name, name: None }))
    };
    let request = |filter: Option<&str>, rows| {
        let url = request::rows_url(api, table, &selection, filter)?;
        let mut request = request::first_page(url, table, rows, &selection);
        request.column = Some(column.name);
        Ok(request)
    };
    let filter = format!("{} ne null", column.wire);
    match page_stream::find_in_pages(client, api, request(Some(&filter), 1)?, address).await {
        // The service may not support filtering by such a column: fall back to the rows of one page.
        Err(Error::Refused { .. }) => {
            let request = request(None, page_size)?;
            let page = page_stream::fetch_page(client, &request).await?.page;
            let found = address(&page).map_err(|reason: &str| Error::BadPage {
                reason: reason.to_owned(),
                call: request.call_after(page.requests),
            });
            Ok(found?.map_or(AnyFile::NotSeen, AnyFile::At))
        }
        found => Ok(found?.map_or(AnyFile::None, AnyFile::At)),
    }
}
