//! Requests: calls before they are tried, and what is asked of the Dataverse Web API, word for word.

use std::ops::Range;

use copilot_lake_tables::{Source, Table, Type, Week, is_guid};
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, RANGE};
use url::Url;

use crate::body::LARGEST_FILE;
use crate::definition::ATTRIBUTE;
use crate::error::{Call, Error};
use crate::files::FileAddress;
use crate::labels::Cast;
use crate::origin::shown;
use crate::retry::Tries;
use crate::selection::Selection;
use crate::slice::Slice;

/// What a call wants back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An object, or a page of rows of Dataverse.
    Json,
    /// A page of change tracking.
    Changes,
    File,
    /// A page of users of the directory.
    Users,
    /// A page of users in a group.
    Members,
    /// One user of the directory.
    User,
    /// A page of one user's history. `filtered`: the walk began with a filter.
    History {
        filtered: bool,
    },
}

impl Kind {
    /// Whether its bytes count against the budget, for many of them wait at once.
    pub(crate) fn is_bounded(self) -> bool {
        matches!(self, Self::File | Self::History { .. })
    }

    /// Whether it leaves at the tenant's pace.
    pub(crate) fn is_paced(self) -> bool {
        matches!(self, Self::History { .. })
    }
}

/// How much of a file a call asks for.
#[derive(Debug, Clone)]
pub(crate) enum Portion {
    /// All of it, unless it is larger than that.
    Whole { most: u64 },
    /// These bytes, as far as there are so many.
    Part(Range<u64>),
}

/// A call before it is tried.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) url: Url,
    pub(crate) kind: Kind,
    /// The table whose rows it is about.
    pub(crate) table: Option<&'static str>,
    /// The one column that it is about.
    pub(crate) column: Option<&'static str>,
    /// The page of a walk, from 1.
    pub(crate) page: Option<u32>,
    /// Of a file.
    pub(crate) portion: Portion,
    /// What is asked for where the service refuses this as no valid question.
    pub(crate) otherwise: Option<Url>,
    /// The `Prefer` header; the same for every page of a walk.
    prefer: String,
}

impl Ask {
    /// A call for one JSON object that is no page of rows.
    pub(crate) fn json(url: Url) -> Self {
        let portion = Portion::Whole { most: LARGEST_FILE };
        let prefer = String::new();
        Self { url, kind: Kind::Json, table: None, column: None, page: None, portion, otherwise: None, prefer }
    }

    /// A call for a file.
    pub(crate) fn file(api: &Url, file: &FileAddress, portion: Portion) -> Result<Self, Error> {
        let (table, column) = (Some(file.table.name), Some(file.column));
        Ok(Self { kind: Kind::File, table, column, portion, ..Self::json(file_url(api, file)?) })
    }

    /// The first page of a walk.
    pub(crate) fn first_page(url: Url, table: &Table, page_size: u32, selection: &Selection) -> Self {
        let mut ask = Self { table: Some(table.name), page: Some(1), ..Self::json(url) };
        ask.prefer(&format!("odata.maxpagesize={page_size}"));
        let annotations = selection.annotations();
        if !annotations.is_empty() {
            ask.prefer(&format!("odata.include-annotations=\"{}\"", annotations.join(",")));
        }
        ask
    }

    /// The first page of a walk that needs no preference.
    pub(crate) fn page_of(url: Url, table: &Table, kind: Kind) -> Self {
        Self { kind, table: Some(table.name), page: Some(1), ..Self::json(url) }
    }

    /// The call without what the service may refuse as no valid question.
    pub(crate) fn plain(&self) -> Option<Self> {
        let url = self.otherwise.clone()?;
        Some(Self { url, otherwise: None, ..self.clone() })
    }

    /// Adds a preference.
    pub(crate) fn prefer(&mut self, preference: &str) {
        if !self.prefer.is_empty() {
            self.prefer.push(',');
        }
        self.prefer.push_str(preference);
    }

    /// How the call went so far.
    pub(crate) fn call(&self, tries: &Tries, status: Option<u16>, request_id: Option<String>) -> Box<Call> {
        Box::new(Call {
            method: "GET",
            url: shown(&self.url),
            page: self.page,
            tries: tries.count,
            elapsed: tries.elapsed(),
            status,
            request_id,
        })
    }

    /// The call, of which only the tries matter.
    pub(crate) fn call_after(&self, tries: u32) -> Box<Call> {
        let (method, url, page) = ("GET", shown(&self.url), self.page);
        Box::new(Call { method, url, page, tries, ..Call::default() })
    }

    /// The headers of a request to Graph.
    pub(crate) fn graph_headers(&self) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))])
    }

    /// The headers that the vendor asks for on every request to Dataverse.
    ///
    /// <https://learn.microsoft.com/power-apps/developer/data-platform/webapi/compose-http-requests-handle-errors>
    pub(crate) fn dataverse_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        let accept = if self.kind == Kind::File { "*/*" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(HeaderName::from_static("odata-maxversion"), HeaderValue::from_static("4.0"));
        headers.insert(HeaderName::from_static("odata-version"), HeaderValue::from_static("4.0"));
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("null"));
        if let Portion::Part(range) = &self.portion
            && let Ok(range) = HeaderValue::try_from(format!("bytes={}-{}", range.start, range.end - 1))
        {
            headers.insert(RANGE, range);
        }
        if let Some(prefer) = HeaderValue::try_from(&self.prefer).ok().filter(|prefer| !prefer.is_empty()) {
            headers.insert(HeaderName::from_static("prefer"), prefer);
        }
        headers
    }
}

/// The first page of a slice, in the order of its clock, and what is asked for where rows without a value of it cannot be.
pub(crate) fn slice_ask(api: &Url, slice: &Slice, selection: &Selection, page_size: u32) -> Result<Ask, Error> {
    let (clock, start, end) = (slice.clock, slice.start, slice.end);
    let window = format!("{clock} ge {start} and {clock} lt {end}");
    let (_, elastic) = entity_set(slice.table)?;
    let slice_url = |filter: &str| {
        let rows = rows_url(api, slice.table, selection, Some(filter))?;
        url(&format!("{rows}&$orderby={}", encode(&order(slice.table, elastic, clock))))
    };
    let plain = slice_url(&window)?;
    let Some(timeless) = timeless(slice) else {
        return Ok(Ask::first_page(plain, slice.table, page_size, selection));
    };
    let ask = Ask::first_page(slice_url(&format!("({window}) or ({timeless})"))?, slice.table, page_size, selection);
    Ok(Ask { otherwise: Some(plain), ..ask })
}

/// Which rows belong to a slice although they have no value of its clock; `None`: no row does. A null matches no range.
///
/// Rows without a time of creation belong to the week of 1970-01-04: whoever asks for its first instant asks for them.
/// Rows that do not say when they were modified changed when they were created, as far as is known.
fn timeless(slice: &Slice) -> Option<String> {
    let (clock, start, end) = (slice.clock, slice.start, slice.end);
    let has = |name: &str| slice.table.column(name).is_some();
    match clock {
        CREATED if has(CREATED) => (start..end).contains(&Week::UNKNOWN.start()).then(|| format!("{CREATED} eq null")),
        MODIFIED if has(CREATED) && has(MODIFIED) => {
            Some(format!("{MODIFIED} eq null and ({CREATED} eq null or ({CREATED} ge {start} and {CREATED} lt {end}))"))
        }
        _ => None,
    }
}

/// The clocks of slices.
const CREATED: &str = "createdon";
const MODIFIED: &str = "modifiedon";

/// The first page of rows as the service orders them, all or those that a filter lets through.
pub(crate) fn rows_url(api: &Url, table: &Table, selection: &Selection, filter: Option<&str>) -> Result<Url, Error> {
    let (set, _) = entity_set(table)?;
    let filter = filter.map_or_else(String::new, |filter| format!("&$filter={}", encode(filter)));
    url(&format!("{api}{set}?$select={}{filter}", encode(&selection.properties().join(","))))
}

/// The rows in the order of this clock, only the clock itself selected: those that have a value of it, where the service
/// can be asked that; else those without one come first.
pub(crate) fn oldest_ask(api: &Url, table: &Table, clock: &str) -> Result<Ask, Error> {
    let (set, _) = entity_set(table)?;
    let oldest_url = |filter: &str| {
        let order = encode(&format!("{clock} asc"));
        url(&format!("{api}{set}?$select={}{filter}&$orderby={order}", encode(clock)))
    };
    let ask = Ask::first_page(
        oldest_url(&format!("&$filter={}", encode(&format!("{clock} ne null"))))?,
        table,
        1,
        &Selection::key(table),
    );
    Ok(Ask { otherwise: Some(oldest_url("")?), ..ask })
}

/// The metadata of tables and their columns.
pub(crate) fn definitions_url(api: &Url, tables: &[&'static Table]) -> Result<Url, Error> {
    let names: Vec<_> = tables.iter().map(|table| format!("LogicalName eq '{}'", table.name)).collect();
    let filter = encode(&names.join(" or "));
    url(&format!(
        "{api}EntityDefinitions?$select=LogicalName,ChangeTrackingEnabled&$filter={filter}\
         &$expand=Attributes($select={ATTRIBUTE})"
    ))
}

/// The options of a table's choice columns of one kind.
pub(crate) fn choices_url(api: &Url, table: &Table, cast: Cast) -> Result<Url, Error> {
    let (table, Cast { ty, expand }) = (table.name, cast);
    url(&format!(
        "{api}EntityDefinitions(LogicalName='{table}')/Attributes/Microsoft.Dynamics.CRM.{ty}\
         ?$select=LogicalName&$expand={expand}"
    ))
}

/// The language that the organization was made with.
pub(crate) fn language_url(api: &Url) -> Result<Url, Error> {
    url(&format!("{api}organizations?$select=languagecode"))
}

/// How many rows tables have.
pub(crate) fn totals_url(api: &Url, tables: &[&'static Table]) -> Result<Url, Error> {
    let names: Vec<_> = tables.iter().map(|table| format!("\"{}\"", table.name)).collect();
    let names = encode(&format!("[{}]", names.join(",")));
    url(&format!("{api}RetrieveTotalRecordCount(EntityNames=@p1)?@p1={names}"))
}

/// The privileges of a user.
pub(crate) fn privileges_url(api: &Url, user_id: &str) -> Result<Url, Error> {
    if !is_guid(user_id) {
        return Err(Error::Usage { what: "the id of a user is a GUID".to_owned() });
    }
    url(&format!("{api}systemusers({user_id})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()"))
}

/// The bytes of a File column of a row.
pub(crate) fn file_url(api: &Url, file: &FileAddress) -> Result<Url, Error> {
    let (set, elastic) = entity_set(file.table)?;
    let column = file.table.column(file.column).filter(|column| matches!(column.ty, Type::File));
    let (Some(column), true) = (column, file.key.len() == file.table.key.len()) else {
        let what = format!("`{}` of `{}` is no file, or its key is incomplete", file.column, file.table.name);
        return Err(Error::Usage { what });
    };
    let mut parts = Vec::with_capacity(file.key.len());
    for (name, value) in file.table.key.iter().zip(&file.key) {
        let guid = file.table.column(name).is_some_and(|column| matches!(column.ty, Type::Guid));
        // A guid stands alone; a text is quoted, with its quotes doubled.
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

/// Elastic tables have no order by several columns; elsewhere the key makes the order complete.
fn order(table: &Table, elastic: bool, clock: &str) -> String {
    let key = table.key.iter().filter(|_| !elastic).map(|column| format!(",{column} asc"));
    std::iter::once(format!("{clock} asc")).chain(key).collect()
}

fn url(text: &str) -> Result<Url, Error> {
    Url::parse(text).map_err(|error| Error::Usage { what: format!("`dataverse.url` cannot be used: {error}") })
}

/// Percent-encodes everything but unreserved characters and the comma.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' => encoded.push(byte as char),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                encoded.push('%');
                encoded.push(DIGITS[usize::from(byte >> 4)] as char);
                encoded.push(DIGITS[usize::from(byte & 15)] as char);
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
