//! What `check` finds.

use copilot_lake_extractor::{Error as ServiceError, IdentityUsage, PrivilegeDepth};
use copilot_lake_tables::Service;
use copilot_lake_writer::Remedy;

use crate::error::Error;

/// Something that was found, good or bad.
#[derive(Debug)]
pub enum Finding {
    /// Nothing of a service can be tried; the others were.
    ServiceFailed {
        /// The service.
        service: Service,
        /// Why.
        error: Error,
    },
    /// The sign-in works, and the environment knows the identity.
    SignedIn {
        /// The user or application user.
        user_id: String,
        /// The environment's organization.
        organization_id: String,
    },
    /// Several identities share the requests to a service, and this is one of them.
    Identity {
        /// The service.
        service: Service,
        /// The section of the configuration that describes it.
        name: String,
        /// Why it is not used.
        refused: Option<String>,
    },
    /// The metadata could not be read: the definitions are taken for granted.
    MetadataAssumed,
    /// The environment does not have the table: its slices are skipped.
    NoTable {
        /// The table.
        table: &'static str,
    },
    /// The environment does not have these columns: they stay null.
    NoColumns {
        /// The table.
        table: &'static str,
        /// The columns, by their names in the lake.
        columns: Vec<&'static str>,
    },
    /// All rows of the table can be read.
    Readable {
        /// The table.
        table: &'static str,
        /// The depth of the privilege, where it is known.
        depth: Option<PrivilegeDepth>,
    },
    /// Only some rows of the table can be read, and the service does not say so when it leaves others out.
    SomeRows {
        /// The table.
        table: &'static str,
        /// The depth of the privilege.
        depth: PrivilegeDepth,
    },
    /// The table cannot be read, for whatever reason.
    NotReadable {
        /// The table.
        table: &'static str,
        /// Why.
        error: ServiceError,
    },
    /// Payloads of the column can be read.
    FilesReadable {
        /// The table.
        table: &'static str,
        /// The File column.
        column: &'static str,
        /// Whether one was fetched; otherwise there is none to try.
        tried: bool,
    },
    /// Payloads of the column cannot be read.
    FilesNotReadable {
        /// The table.
        table: &'static str,
        /// The File column.
        column: &'static str,
        /// Why; `None`: the column is secured and no row shows a File in it.
        error: Option<ServiceError>,
    },
    /// Deletions are wanted, and the service does not track changes of the table.
    NotTracked {
        /// The table.
        table: &'static str,
    },
    /// The sign-in to Graph works; the roles in its token, where they can be read.
    SignedInToGraph {
        /// Application permissions that were granted.
        roles: Option<Vec<String>>,
    },
    /// A permission of Graph is not granted.
    RoleMissing {
        /// The permission.
        role: &'static str,
        /// What it is needed for.
        what: &'static str,
    },
    /// Users can be read.
    UsersReadable {
        /// The table.
        table: &'static str,
        /// On the first page.
        users: u64,
    },
    /// Users cannot be read.
    UsersNotReadable {
        /// The table.
        table: &'static str,
        /// Why.
        error: ServiceError,
    },
    /// A user's history can be read.
    HistoryReadable {
        /// The table.
        table: &'static str,
        /// Whether there was a user to try it with.
        tried: bool,
    },
    /// No user's history that was tried can be read.
    HistoryNotReadable {
        /// The table.
        table: &'static str,
        /// Why the last one cannot.
        error: ServiceError,
        /// The permission that it needs, where that may be missing.
        role: Option<&'static str>,
    },
    /// The tenant refuses the filter by time: whole histories are read, and what is in the window is kept.
    FilterRefused {
        /// The table.
        table: &'static str,
    },
    /// The lake can be written.
    LakeWritable,
    /// A table of the lake is damaged, or another tool changed it.
    TableUnusable {
        /// The table.
        table: &'static str,
        /// What is wrong.
        reason: String,
        /// What would help.
        remedy: Option<Remedy>,
    },
    /// The lake was not tried, as requested.
    LakeNotTried,
    /// The lake cannot be written.
    LakeNotWritable {
        /// What the store said.
        reason: String,
        /// What would help.
        remedy: Option<Remedy>,
    },
}

impl Finding {
    /// What signing in showed of several identities.
    pub(crate) fn of_identities(service: Service, usages: Vec<IdentityUsage>) -> Vec<Self> {
        let usages = usages.into_iter();
        usages.map(|usage| Self::Identity { service, name: usage.name, refused: usage.ended }).collect()
    }

    /// Whether a run would miss something because of it.
    pub const fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::ServiceFailed { .. }
                | Self::NotReadable { .. }
                | Self::SomeRows { .. }
                | Self::FilesNotReadable { .. }
                | Self::RoleMissing { .. }
                | Self::UsersNotReadable { .. }
                | Self::HistoryNotReadable { .. }
                | Self::LakeNotWritable { .. }
                | Self::TableUnusable { .. }
                | Self::Identity { refused: Some(_), .. }
        )
    }
}
