//! `check`: what a run needs, tried with the cheapest calls there are.

use copilot_lake_decoder::{User, decode_users};
use copilot_lake_extractor::{
    AnyFile, Dataverse, Environment, Error as ServiceError, Graph, HistoryQuery, PrivilegeDepth, role,
};
use copilot_lake_tables::{Instant, SYSTEM_USER, Table};
use copilot_lake_writer::{Lake, Remedy};

use crate::error::Error;
use crate::graph::scope;
use crate::run::condition;
use crate::settings::{DataverseJob, Deletes, GraphJob, Settings, UserSelector};

/// Something that was found, good or bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The sign-in works, and the environment knows the identity.
    SignedIn {
        /// The user or application user.
        user_id: String,
        /// The environment's organization.
        organization_id: String,
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
    /// The table cannot be read.
    NotReadable {
        /// The table.
        table: &'static str,
        /// What the service said.
        reason: String,
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
        /// What the service said.
        reason: String,
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
        /// On the first page.
        users: u64,
    },
    /// Users cannot be read.
    UsersNotReadable {
        /// What the service said.
        reason: String,
    },
    /// A user's history can be read.
    HistoryReadable {
        /// Whether there was a user to try it with.
        tried: bool,
    },
    /// No user's history that was tried can be read.
    HistoryNotReadable {
        /// What the service said.
        reason: String,
        /// The permission that it needs, where that may be missing.
        role: Option<&'static str>,
    },
    /// The tenant refuses the filter by time: whole histories are read, and what is in the window is kept.
    FilterRefused,
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
    /// The lake was not tried, as asked.
    LakeNotTried,
    /// The lake cannot be written.
    LakeNotWritable {
        /// What the store said.
        reason: String,
    },
}

impl Finding {
    /// Whether a run would miss something because of it.
    pub const fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::NotReadable { .. }
                | Self::SomeRows { .. }
                | Self::FilesNotReadable { .. }
                | Self::RoleMissing { .. }
                | Self::UsersNotReadable { .. }
                | Self::HistoryNotReadable { .. }
                | Self::LakeNotWritable { .. }
                | Self::TableUnusable { .. }
        )
    }
}

/// Tries what a run needs, and reports every finding as soon as it is known.
///
/// # Errors
/// Only those that keep everything else from being tried: the sign-in, the service's address, an unusable lake URL.
pub async fn check(
    settings: Settings,
    read_only: bool,
    report: &mut dyn FnMut(&Finding),
) -> Result<Vec<Finding>, Error> {
    let lake = Lake::open(&settings.lake, settings.lake_options).await?;
    let mut findings = Vec::new();
    let mut found = |finding: Finding| {
        report(&finding);
        findings.push(finding);
    };
    if let Some(job) = &settings.dataverse {
        check_dataverse(job, &mut found).await?;
    }
    if let Some(job) = &settings.graph {
        check_graph(job, &mut found).await?;
    }
    if read_only {
        found(Finding::LakeNotTried);
    } else {
        found(match lake.probe().await {
            Ok(()) => Finding::LakeWritable,
            Err(error) => Finding::LakeNotWritable { reason: error.to_string() },
        });
    }
    for error in condition::inspect(&lake).await? {
        if let Some(table) = condition::table_of(&error) {
            found(Finding::TableUnusable { table: table.name, reason: error.to_string(), remedy: error.remedy() });
        }
    }
    Ok(findings)
}

async fn check_dataverse(job: &DataverseJob, found: &mut impl FnMut(Finding)) -> Result<(), Error> {
    let service = Dataverse::new(job.connection.clone())?;
    let who = service.who_am_i().await?;
    found(Finding::SignedIn { user_id: who.user_id.clone(), organization_id: who.organization_id });
    let mut tables = job.tables.clone();
    tables.push(&SYSTEM_USER);
    let environment = service.environment(&tables).await?;
    if environment.is_assumed() {
        found(Finding::MetadataAssumed);
    }
    // Not every identity may read its own privileges: then the rows have to show it.
    let depths = service.read_depths(&who.user_id).await.ok().filter(|depths| !depths.is_empty());
    for table in tables {
        let depth = depths.as_ref().map(|depths| depths.get(&table.read_privilege().to_lowercase()).copied());
        check_table(&service, &environment, job, (table, depth), found).await;
    }
    Ok(())
}

async fn check_table(
    service: &Dataverse,
    environment: &Environment,
    job: &DataverseJob,
    (table, depth): (&'static Table, Option<Option<PrivilegeDepth>>),
    found: &mut impl FnMut(Finding),
) {
    let name = table.name;
    let Some(presence) = environment.table(name) else {
        found(Finding::NoTable { table: name });
        return;
    };
    if !presence.lacks.is_empty() {
        found(Finding::NoColumns { table: name, columns: presence.lacks.clone() });
    }
    let has_rows = match service.first_row(table, &presence.selection).await {
        Ok(page) => page.is_some(),
        Err(error) => {
            found(Finding::NotReadable { table: name, reason: error.to_string() });
            return;
        }
    };
    found(match depth {
        Some(Some(depth)) if depth < PrivilegeDepth::Global => Finding::SomeRows { table: name, depth },
        depth => Finding::Readable { table: name, depth: depth.flatten() },
    });
    let wants_deletes = job.deletes != Deletes::Ignore && table.is_mirror();
    if wants_deletes && !presence.tracks_changes {
        found(Finding::NotTracked { table: name });
    }
    if !job.payloads {
        return;
    }
    let lacks = |column: &str| presence.lacks.contains(&column);
    for column in table.files().map(|column| column.name).filter(|column| !lacks(column)) {
        found(match check_file(service, table, column).await {
            // Secured values are missing from rows, without an error.
            Ok(false) if has_rows && presence.secured.contains(&column) => {
                let reason = "the column is secured and no row shows a File in it".to_owned();
                Finding::FilesNotReadable { table: name, column, reason }
            }
            Ok(tried) => Finding::FilesReadable { table: name, column, tried },
            Err(error) => Finding::FilesNotReadable { table: name, column, reason: error.to_string() },
        });
    }
}

/// Fetches one payload of a column; `false` when there is none.
async fn check_file(service: &Dataverse, table: &'static Table, column: &'static str) -> Result<bool, ServiceError> {
    let AnyFile::At(address) = service.any_file(table, column).await? else { return Ok(false) };
    match service.file(&address).await {
        Ok(_) => Ok(true),
        // The row or its File was deleted in between: it was not refused.
        Err(ServiceError::FileMissing { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Users who are tried until a history can be read: some may have no mailbox.
const USERS_TRIED: usize = 5;

async fn check_graph(job: &GraphJob, found: &mut impl FnMut(Finding)) -> Result<(), Error> {
    let service = Graph::new(job.connection.clone())?;
    let claims = service.token().await?;
    let lists_users = job.users.iter().any(|who| !matches!(who, UserSelector::Group(_)));
    let has_groups = job.users.iter().chain(&job.exclude).any(|who| matches!(who, UserSelector::Group(_)));
    let needed = [
        (role::HISTORIES, "histories", true),
        (role::USERS, "users", lists_users),
        (role::MEMBERS, "members of groups", has_groups),
    ];
    found(Finding::SignedInToGraph { roles: claims.roles.clone() });
    for (role, what, is_needed) in needed {
        if is_needed && claims.lacks(role) {
            found(Finding::RoleMissing { role, what });
        }
    }
    let page = match job.users.first() {
        Some(UserSelector::Group(id)) => service.first_users_page(Some(id)).await,
        Some(UserSelector::User(name)) => service.user(name).await,
        _ => service.first_users_page(None).await,
    };
    let page = match page {
        Ok(page) => page,
        Err(error) => {
            found(Finding::UsersNotReadable { reason: error.to_string() });
            return Ok(());
        }
    };
    let now = service.service_time().await?;
    let users = decode_users(page.rows(), now, |_| now)?;
    found(Finding::UsersReadable { users: users.rows });
    let excluded = match scope::excluded_names(&service, job).await {
        Ok(excluded) => excluded,
        Err(error) => {
            found(Finding::UsersNotReadable { reason: error.to_string() });
            return Ok(());
        }
    };
    let everyone = !job.users.contains(&UserSelector::Licensed);
    let is_in_scope =
        |user: &&User| (everyone || user.is_licensed) && !scope::names_of(user).any(|name| excluded.contains(&name));
    let mut refusal = None;
    for user in users.users.iter().filter(is_in_scope).take(USERS_TRIED) {
        let mut query = HistoryQuery {
            app_classes: job.app_classes.clone(),
            window: Some(now.plus_seconds(-Instant::DAY_SECONDS)..now),
        };
        let mut page = service.first_history_page(&user.id, &query).await;
        if let Err(ServiceError::FilterRefused { .. }) = page {
            query.window = None;
            page = service.first_history_page(&user.id, &query).await;
        }
        match page {
            Ok(_) => {
                found(Finding::HistoryReadable { tried: true });
                if query.window.is_none() {
                    found(Finding::FilterRefused);
                }
                return Ok(());
            }
            Err(error) => refusal = Some(error),
        }
    }
    found(match refusal {
        Some(error) => {
            let reason = error.to_string();
            let is_missing = error.may_concern_everybody();
            Finding::HistoryNotReadable { reason, role: is_missing.then_some(role::HISTORIES) }
        }
        None => Finding::HistoryReadable { tried: false },
    });
    Ok(())
}
