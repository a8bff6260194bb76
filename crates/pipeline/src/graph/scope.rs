//! The scope: whose history is read, going by the configuration, the directory and the users whom the lake knows.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use bytes::Bytes;
use copilot_lake_decoder::{DecodedUsers, User, decode_users, reject_batch};
use copilot_lake_extractor::{Error as ServiceError, Graph, Page};
use copilot_lake_tables::{GRAPH_USER, Instant, REJECTED_RECORD};
use copilot_lake_writer::{Changes, Lake, MergeMode, Scan};
use futures::{Stream, TryStreamExt as _, stream};
use tracing::warn;

use super::scope_state::ScopeMember;
use crate::cpu;
use crate::error::Error;
use crate::ledger::rejects::Rejects;
use crate::replay::graph_archive::UserArchive;
use crate::run::context::RunContext;
use crate::settings::{GraphJob, UserSelector};
use crate::slice_error::SliceError;

/// When each user whom the lake knows was first in scope, by id.
pub(crate) type KnownUsers = HashMap<String, Instant>;

/// The users whose history is read.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// By object id.
    pub(crate) users: HashMap<String, ScopeMember>,
    /// Names in the configuration that the directory does not know.
    pub(crate) unknown: Vec<String>,
    /// Why it could not be found out who is meant by a name in the configuration. They are among the users, by that name.
    pub(crate) unresolved: HashMap<String, ServiceError>,
    /// Pages of users that were read.
    pub(crate) pages: u64,
}

impl Scope {
    /// Adds a name of which it could not be found out who is meant. Fails when nothing else can be found out either.
    fn leave_unresolved(&mut self, name: String, error: ServiceError) -> Result<(), ServiceError> {
        if error.is_service_wide() {
            return Err(error);
        }
        warn!(%error, "a user or group of `graph.users` cannot be looked up and is not read");
        let member = ScopeMember { is_licensed: false, deleted_at: None, first_seen: None, state: None };
        self.users.entry(name.clone()).or_insert(member);
        self.unresolved.insert(name, error);
        Ok(())
    }

    /// Why nobody could be looked up: that is not about one name.
    fn refusal(&mut self) -> Option<ServiceError> {
        let is_anyone_known = self.users.len() > self.unresolved.len() || !self.unknown.is_empty();
        if is_anyone_known { None } else { self.unresolved.drain().next().map(|(_, error)| error) }
    }
}

/// The users whom the lake knows.
pub(crate) async fn known_users(lake: &Lake) -> Result<KnownUsers, Error> {
    let mut known = KnownUsers::new();
    let scan = Scan { columns: vec!["user_id", "first_seen_at"], ..Scan::default() };
    let mut batches = std::pin::pin!(lake.scan(&GRAPH_USER, scan).await?);
    while let Some(batch) = batches.try_next().await? {
        let first_seen = batch.column(1).as_primitive::<TimestampMicrosecondType>().values();
        let ids = batch.column(0).as_string::<i32>().iter();
        known.extend(ids.zip(first_seen).filter_map(|(id, at)| Some((id?.to_owned(), Instant(*at)))));
    }
    Ok(known)
}

/// The rows of `graph_user` that are not committed yet.
pub(crate) struct UserRows<'s> {
    users: Changes,
    rejected: Changes,
    rejects: &'s Rejects,
    run_id: &'s str,
    archive: Option<UserArchive>,
}

impl<'s> UserRows<'s> {
    /// `mode`: how they join those of the lake.
    pub(crate) fn new(run: &'s RunContext, mode: MergeMode, archive: Option<UserArchive>) -> Self {
        let changes = |table| run.lake.changes(table, mode);
        let (users, rejected) = (changes(&GRAPH_USER), changes(&REJECTED_RECORD));
        Self { users, rejected, rejects: &run.rejects, run_id: &run.run_id, archive }
    }

    /// Collects the rows of the users to keep. `body`: the page that they are on.
    pub(crate) async fn push(
        &mut self,
        mut decoded: DecodedUsers,
        (keep, body): (Vec<bool>, Bytes),
        at: Instant,
    ) -> Result<(), SliceError> {
        let Some(batch) = decoded.batch.take() else { return Ok(()) };
        let kept = decoded.users.iter().zip(&keep).filter(|(_, keep)| **keep);
        let ids: HashSet<&str> = kept.map(|(user, _)| user.id.as_str()).collect();
        // Nothing is stored of other users.
        decoded.rejects.retain(|reject| ids.contains(reject.record_key.as_str()));
        if let Some(archive) = self.archive.as_mut().filter(|_| !ids.is_empty()) {
            archive.push_page(body, ids, at).await?;
        }
        let batch = filter_record_batch(&batch, &BooleanArray::from(keep))
            .map_err(|source| copilot_lake_decoder::Error::Schema { table: GRAPH_USER.name, source })?;
        if !decoded.rejects.is_empty() {
            let batch = reject_batch(&GRAPH_USER, &decoded.rejects, self.run_id, at)?;
            self.rejected.push(None, batch).await?;
            self.rejects.learn(&GRAPH_USER, &decoded.rejects);
        }
        if let Some(keys) = self.rejects.of_rows(&GRAPH_USER, &batch).await? {
            self.rejected.remove(&keys)?;
        }
        Ok(self.users.push(None, batch).await?)
    }

    /// Commits the rows. Returns how many were new or changed.
    pub(crate) async fn commit(self) -> Result<u64, Error> {
        // Before the commit: whatever is in the lake can be replayed.
        if let Some(archive) = self.archive {
            archive.finish().await?;
        }
        self.rejected.commit(self.run_id).await?;
        Ok(self.users.commit(self.run_id).await?.rows_written)
    }
}

/// Finds out from the directory who is in scope.
pub(crate) struct Resolver<'a, 'r> {
    pub(crate) service: &'a Graph,
    pub(crate) job: &'a GraphJob,
    pub(crate) known: Arc<KnownUsers>,
    /// The start of the run: users whom the lake does not know are in scope from then on.
    pub(crate) now: Instant,
    /// Collects the rows of the users in scope; `None` when they are not stored.
    pub(crate) rows: Option<&'a mut UserRows<'r>>,
}

/// Object ids and principal names, in lower case.
pub(crate) type UserNames = BTreeSet<String>;

/// The users who are excluded by the configuration, with the members of excluded groups.
pub(crate) async fn excluded_names(service: &Graph, job: &GraphJob) -> Result<UserNames, SliceError> {
    let mut excluded = names(&job.exclude);
    for id in groups(&job.exclude) {
        let mut members = std::pin::pin!(service.members(id));
        while let Some(page) = members.try_next().await? {
            let decoded = cpu::run_on_rayon(move || decode_users(page.rows(), Instant(0), |_| Instant(0))).await?;
            excluded.extend(decoded.users.into_iter().map(|user| user.id));
        }
    }
    Ok(excluded)
}

impl Resolver<'_, '_> {
    /// The users in scope, without excluded ones. Committing the rows is up to the caller.
    pub(crate) async fn resolve(mut self) -> Result<Scope, SliceError> {
        let (job, service) = (self.job, self.service);
        let excluded = excluded_names(service, job).await?;
        let mut scope = Scope::default();
        let (all, licensed) = (job.users.contains(&UserSelector::All), job.users.contains(&UserSelector::Licensed));
        let mut missing = names(&job.users);
        if all || licensed {
            let named = missing.clone();
            let wants = |user: &User| all || user.is_licensed || names_of(user).any(|name| named.contains(&name));
            self.add_users(service.users(), &mut scope, &excluded, wants).await?;
        }
        for id in groups(&job.users) {
            match self.add_users(service.members(id), &mut scope, &excluded, |_| true).await {
                Err(SliceError::Service(error)) => scope.leave_unresolved(format!("group:{id}"), error)?,
                added => added?,
            }
        }
        for name in names(&job.users).difference(&excluded) {
            if scope.users.contains_key(name) {
                missing.remove(name);
                continue;
            }
            match service.user(name).await {
                Ok(page) => {
                    missing.remove(name);
                    self.add_users(stream::iter([Ok(page)]), &mut scope, &excluded, |_| true).await?;
                }
                // No name in the directory has a slash.
                Err(ServiceError::UserRefused { status: 404, .. } | ServiceError::InvalidUserId { .. }) => {}
                Err(error) => {
                    missing.remove(name);
                    scope.leave_unresolved(name.clone(), error)?;
                }
            }
        }
        missing.retain(|name| !excluded.contains(name));
        self.add_deleted_users(&mut scope, &excluded, &mut missing).await?;
        scope.unknown = missing.into_iter().collect();
        match scope.refusal() {
            Some(error) => Err(error.into()),
            None => Ok(scope),
        }
    }

    /// Adds the wanted users of these pages.
    async fn add_users(
        &mut self,
        pages: impl Stream<Item = Result<Page, ServiceError>>,
        scope: &mut Scope,
        excluded: &UserNames,
        wants: impl Fn(&User) -> bool,
    ) -> Result<(), SliceError> {
        let mut pages = std::pin::pin!(pages);
        while let Some(page) = pages.try_next().await? {
            let at = self.service.service_time().await?;
            let body = page.body.clone();
            let decoded = self.decode(page, at).await?;
            let is_kept = |user: &User| wants(user) && !names_of(user).any(|name| excluded.contains(&name));
            let keep: Vec<bool> = decoded.users.iter().map(is_kept).collect();
            scope.pages += 1;
            let kept = decoded.users.iter().zip(&keep).filter(|(_, keep)| **keep);
            scope.users.extend(kept.map(|(user, _)| (user.id.clone(), self.member(user, user.is_licensed, None))));
            self.push_rows(decoded, (keep, body), at).await?;
        }
        Ok(())
    }

    fn member(&self, user: &User, is_licensed: bool, deleted_at: Option<Instant>) -> ScopeMember {
        ScopeMember { is_licensed, deleted_at, first_seen: self.known.get(&user.id).copied(), state: None }
    }

    async fn push_rows(
        &mut self,
        decoded: DecodedUsers,
        kept: (Vec<bool>, Bytes),
        at: Instant,
    ) -> Result<(), SliceError> {
        match &mut self.rows {
            Some(rows) => rows.push(decoded, kept, at).await,
            None => Ok(()),
        }
    }

    /// Adds deleted users whom the lake knows or the configuration names.
    async fn add_deleted_users(
        &mut self,
        scope: &mut Scope,
        excluded: &UserNames,
        missing: &mut UserNames,
    ) -> Result<(), SliceError> {
        if self.known.is_empty() && missing.is_empty() {
            return Ok(());
        }
        let mut pages = std::pin::pin!(self.service.deleted_users());
        loop {
            let page = match pages.try_next().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(()),
                Err(error) if error.is_service_wide() => return Err(error.into()),
                // Users who are still there are read nevertheless.
                Err(error) => {
                    warn!(%error, "deleted users cannot be listed and are left out");
                    return Ok(());
                }
            };
            scope.pages += 1;
            let body = page.body.clone();
            let decoded = self.decode(page, self.now).await?;
            let mut keep = Vec::with_capacity(decoded.users.len());
            for user in &decoded.users {
                let is_named = names_of(user).filter(|name| missing.remove(name)).count() > 0;
                let is_excluded = names_of(user).any(|name| excluded.contains(&name));
                let is_known = self.known.contains_key(&user.id);
                let deleted_at = user.deleted_at.unwrap_or(self.now);
                let is_taken = (is_named || is_known) && !is_excluded;
                if is_taken {
                    let member = self.member(user, true, Some(deleted_at));
                    scope.users.entry(user.id.clone()).or_insert(member);
                }
                // Users whom the lake knows keep their last row.
                keep.push(is_taken && !is_known);
            }
            self.push_rows(decoded, (keep, body), self.now).await?;
        }
    }

    async fn decode(&self, page: Page, at: Instant) -> Result<DecodedUsers, SliceError> {
        decode_page(page, at, &self.known, self.now).await
    }
}

/// Decodes a page of users. Those whom the lake does not know are in scope from `now` on.
pub(crate) async fn decode_page(
    page: Page,
    at: Instant,
    known: &Arc<KnownUsers>,
    now: Instant,
) -> Result<DecodedUsers, SliceError> {
    let known = Arc::clone(known);
    let first_seen = move |id: &str| known.get(id).copied().unwrap_or(now);
    Ok(cpu::run_on_rayon(move || decode_users(page.rows(), at, first_seen)).await?)
}

/// The single users among these.
fn names(who: &[UserSelector]) -> UserNames {
    who.iter()
        .filter_map(|who| if let UserSelector::User(name) = who { Some(name.to_lowercase()) } else { None })
        .collect()
}

/// The groups among these.
fn groups(who: &[UserSelector]) -> impl Iterator<Item = &str> {
    who.iter().filter_map(|who| if let UserSelector::Group(id) = who { Some(&**id) } else { None })
}

/// The names of a user: the object id and the principal name, which is prefixed with the id when the user is deleted.
pub(crate) fn names_of(user: &User) -> impl Iterator<Item = String> {
    let name = user.principal_name.as_deref().map(str::to_lowercase);
    let id = user.id.replace('-', "");
    let before = name.as_deref().and_then(|name| Some(name.strip_prefix(&id)?.to_owned()));
    [Some(user.id.clone()), name, before].into_iter().flatten()
}
