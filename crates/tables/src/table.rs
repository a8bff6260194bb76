//! Tables: a source, a key, a week, a version and columns.

use std::sync::OnceLock;

use crate::column::{Column, Type};
use crate::layout::{Layout, LayoutKind};
use crate::service::Service;
use crate::time::TimeOf;

/// The name that `source` columns of the bookkeeping tables give to what the program makes itself.
pub const OWN_SOURCE: &str = "lake";

/// Where a table's rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A Dataverse table: mirrored column by column.
    Dataverse {
        /// The name in URLs.
        entity_set: &'static str,
        /// Kept in Cosmos DB: partitioned, no order by several columns.
        elastic: bool,
    },
    /// Rows of Dataverse that other rows refer to: fetched by id, a few columns under names of our own.
    Dimension {
        /// The name in URLs.
        entity_set: &'static str,
    },
    /// Read through Microsoft Graph.
    Graph {
        /// Read user by user and window by window, rather than as one list.
        sliced: bool,
    },
    /// Made from the rows of a service's tables.
    DerivedFromRows {
        /// The service.
        of: Service,
    },
    /// Made from the Files that rows of a service's tables name.
    DerivedFromFiles {
        /// The service.
        of: Service,
    },
    /// The shipped view of its name, materialized: a pure function of other tables, rebuilt for the weeks in which their
    /// rows have changed.
    View {
        /// The tables that it reads.
        of: &'static [&'static str],
    },
    /// Written by the program about its own work.
    Bookkeeping,
}

/// A table of the lake: one `static` value from which everything else follows.
#[derive(Debug)]
pub struct Table {
    /// The name in the lake; for a mirror the service's logical name.
    pub name: &'static str,
    /// One sentence for the reader of the lake.
    pub doc: &'static str,
    /// Where its rows come from.
    pub source: Source,
    /// The columns that identify a row.
    pub key: &'static [&'static str],
    /// What decides a row's week.
    pub time: TimeOf,
    /// The columns that tell the newer of two versions of a row, most significant first. Empty: the row written last
    /// wins, if any value differs.
    pub version: &'static [&'static str],
    /// The source's columns in the order of storage: keys, times, codes and ids first, long text last.
    pub columns: &'static [Column],
    layout: OnceLock<Layout>,
}

impl Table {
    pub(crate) const fn new(name: &'static str, source: Source, columns: &'static [Column]) -> Self {
        Self { name, doc: "", source, key: &[], time: TimeOf::Parent, version: &[], columns, layout: OnceLock::new() }
    }

    pub(crate) const fn doc(mut self, text: &'static str) -> Self {
        self.doc = text;
        self
    }

    pub(crate) const fn key(mut self, columns: &'static [&'static str]) -> Self {
        self.key = columns;
        self
    }

    pub(crate) const fn time(mut self, time: TimeOf) -> Self {
        self.time = time;
        self
    }

    pub(crate) const fn version(mut self, columns: &'static [&'static str]) -> Self {
        self.version = columns;
        self
    }

    /// Every stored column in order, with its Arrow schema and Parquet settings.
    pub fn layout(&'static self) -> &'static Layout {
        self.layout.get_or_init(|| {
            let kind = match self.source {
                Source::Dataverse { .. } => LayoutKind::Mirror,
                Source::View { .. } => LayoutKind::View,
                _ => LayoutKind::Other,
            };
            Layout::new(self.columns, self.key, self.version, self.time, kind)
        })
    }

    /// Whether its files lie in `week_start=...` folders.
    pub fn is_partitioned(&self) -> bool {
        self.time.is_partitioned()
    }

    /// Whether its rows are a service's rows: they have `deleted_at`, and unknown properties in `extra_json`.
    pub fn is_mirror(&self) -> bool {
        matches!(self.source, Source::Dataverse { .. })
    }

    /// The name in the URLs of Dataverse, for tables that it has.
    pub fn entity_set(&self) -> Option<&'static str> {
        match self.source {
            Source::Dataverse { entity_set, .. } | Source::Dimension { entity_set } => Some(entity_set),
            _ => None,
        }
    }

    /// The privilege that reading its rows from Dataverse needs.
    pub fn read_privilege(&self) -> String {
        match self.source {
            // The schema name is capitalised and differs from the logical name for the oldest tables alone.
            Source::Dimension { entity_set: "systemusers" } => "prvReadUser".to_owned(),
            _ => format!("prvRead{}", self.name),
        }
    }

    /// The columns that refer to a person and nothing else: ids in `systemuser`.
    pub fn people(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().filter(|column| matches!(column.ty, Type::Lookup(["systemuser"])))
    }

    /// Whether the program writes it about its own work.
    pub const fn is_bookkeeping(&self) -> bool {
        matches!(self.source, Source::Bookkeeping)
    }

    /// The tables that it is made from, for a materialized view.
    pub const fn view_of(&self) -> Option<&'static [&'static str]> {
        match self.source {
            Source::View { of } => Some(of),
            _ => None,
        }
    }

    /// Whether it only describes what rows of other tables refer to.
    pub const fn is_dimension(&self) -> bool {
        matches!(self.source, Source::Dimension { .. })
    }

    /// The service that its rows are read from; `None` when they are made here.
    pub const fn service(&self) -> Option<Service> {
        match self.source {
            Source::Dataverse { .. } | Source::Dimension { .. } => Some(Service::Dataverse),
            Source::Graph { .. } => Some(Service::Graph),
            Source::DerivedFromRows { .. }
            | Source::DerivedFromFiles { .. }
            | Source::View { .. }
            | Source::Bookkeeping => None,
        }
    }

    /// The name that `source` columns of the bookkeeping tables give its service.
    pub const fn source_name(&self) -> &'static str {
        match self.service() {
            Some(service) => service.name(),
            None => OWN_SOURCE,
        }
    }

    /// Whether each of its slices is one user's.
    pub fn has_slices_of_users(&self) -> bool {
        self.is_sliced() && self.service().is_some_and(Service::has_slices_of_users)
    }

    /// Whether runs read it slice by slice; the rows of other tables arrive with those of one that is.
    pub const fn is_sliced(&self) -> bool {
        matches!(self.source, Source::Dataverse { .. } | Source::Graph { sliced: true })
    }

    /// Whether the ledger has rows about it: one per slice, or one each time that it is read.
    pub const fn is_in_ledger(&self) -> bool {
        self.is_sliced() || self.is_dimension()
    }

    /// Whether rows of `other` arrive with those of this table, without rows of their own in the ledger.
    pub(crate) fn brings(&self, other: &Self) -> bool {
        let Some(service) = self.service().filter(|_| self.is_sliced()) else { return false };
        match other.source {
            Source::DerivedFromRows { of } => of == service,
            Source::DerivedFromFiles { of } => of == service && self.files().next().is_some(),
            _ => other.service() == Some(service) && !other.is_in_ledger(),
        }
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The File columns, whose bytes are fetched separately.
    pub fn files(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().filter(|column| matches!(column.ty, Type::File))
    }
}
