//! The scope: whose history is read, from the configuration, the directory and whom the lake knows.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use copilot_lake_decoder::{DecodedUsers, User, decode_users, reject_batch};
use copilot_lake_extractor::{Error as ServiceError, Graph, Page};
use copilot_lake_tables::{GRAPH_USER, Instant, REJECTED_RECORD};
use copilot_lake_writer::{Changes, Lake, MergeMode, Scan};
use futures::{Stream, TryStreamExt as _, stream};
use tracing::warn;

use super::marks::LastSlice;
use crate::cpu;
use crate::error::Error;
use crate::ingest::NotDone;
use crate::rejects::Rejects;
use crate::settings::{GraphJob, Who};

/// When each user of the lake was first in scope, by id.
pub(crate) type Known = HashMap<String, Instant>;

/// Whose history is to be read.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// By object id.
    pub(crate) users: HashMap<String, Member>,
    /// Names in the configuration that the directory does not know.
    pub(crate) unknown: Vec<String>,
    /// Pages of users that were read.
    pub(crate) pages: u64,
}

/// Somebody in scope.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) is_licensed: bool,
    pub(crate) deleted_at: Option<Instant>,
    /// When the lake had the user first in scope; none: it does not know the user.
    pub(crate) first_seen: Option<Instant>,
    /// What the ledger says, once it is read.
    pub(crate) mark: Option<LastSlice>,
}

/// Reads whom the lake knows.
pub(crate) async fn known(lake: &Lake) -> Result<Known, Error> {
    let mut known = Known::new();
    let scan = Scan { columns: vec!["user_id", "first_seen_at"], ..Scan::default() };
    let mut batches = std::pin::pin!(lake.scan(&GRAPH_USER, scan).await?);
    while let Some(batch) = batches.try_next().await? {
        let first_seen = batch.column(1).as_primitive::<TimestampMicrosecondType>().values();
        let ids = batch.column(0).as_string::<i32>().iter();
        known.extend(ids.zip(first_seen).filter_map(|(id, at)| Some((id?.to_owned(), Instant(*at)))));
    }
    Ok(known)
}

/// Where rows of `graph_user` go; nowhere when it is only asked who is in scope.
pub(crate) struct UserRows<'s> {
    users: Changes,
    rejected: Changes,
    rejects: &'s Rejects,
    run_id: &'s str,
}

impl<'s> UserRows<'s> {
    pub(crate) fn new(lake: &Lake, rejects: &'s Rejects, run_id: &'s str) -> Self {
        let changes = |table| lake.changes(table, MergeMode::Upsert);
        Self { users: changes(&GRAPH_USER), rejected: changes(&REJECTED_RECORD), rejects, run_id }
    }

    async fn push(&mut self, batch: RecordBatch, decoded: &DecodedUsers, at: Instant) -> Result<(), NotDone> {
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

    /// Commits them; returns how many were new or changed.
    pub(crate) async fn commit(self) -> Result<u64, Error> {
        self.rejected.commit(self.run_id).await?;
        Ok(self.users.commit(self.run_id).await?.rows_written)
    }
}

/// Asks the directory who is in scope.
pub(crate) struct Resolver<'a> {
    pub(crate) service: &'a Graph,
    pub(crate) job: &'a GraphJob,
    pub(crate) known: Arc<Known>,
    /// When the run started: users whom the lake does not know are in scope since then.
    pub(crate) now: Instant,
    /// Takes the rows of those in scope.
    pub(crate) rows: Option<UserRows<'a>>,
}

/// Object ids and principal names, in lower case.
pub(crate) type Names = BTreeSet<String>;

/// Who is never asked for: by the configuration, and by what the directory says of its groups.
pub(crate) async fn excluded(service: &Graph, job: &GraphJob) -> Result<Names, NotDone> {
    let mut excluded = names(&job.exclude);
    for id in groups(&job.exclude) {
        let mut members = std::pin::pin!(service.members(id));
        while let Some(page) = members.try_next().await? {
            let decoded = cpu::run(move || decode_users(page.rows(), Instant(0), |_| Instant(0))).await?;
            excluded.extend(decoded.users.into_iter().map(|user| user.id));
        }
    }
    Ok(excluded)
}

impl<'a> Resolver<'a> {
    /// Whoever is in scope, excluded ones left out. The rows are the caller's to commit.
    pub(crate) async fn resolve(mut self) -> Result<(Scope, Option<UserRows<'a>>), NotDone> {
        let (job, service) = (self.job, self.service);
        let excluded = excluded(service, job).await?;
        let mut scope = Scope::default();
        let (all, licensed) = (job.users.contains(&Who::All), job.users.contains(&Who::Licensed));
        let mut missing = names(&job.users);
        if all || licensed {
            let named = missing.clone();
            let wants = |user: &User| all || user.is_licensed || names_of(user).any(|name| named.contains(&name));
            self.take(service.users(), &mut scope, &excluded, wants).await?;
        }
        for id in groups(&job.users) {
            self.take(service.members(id), &mut scope, &excluded, |_| true).await?;
        }
        for name in names(&job.users).difference(&excluded) {
            if scope.users.contains_key(name) {
                missing.remove(name);
                continue;
            }
            match service.user(name).await {
                Ok(page) => {
                    missing.remove(name);
                    self.take(stream::iter([Ok(page)]), &mut scope, &excluded, |_| true).await?;
                }
                Err(ServiceError::UserRefused { status: 404, .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        missing.retain(|name| !excluded.contains(name));
        self.take_deleted(&mut scope, &excluded, &mut missing).await?;
        scope.unknown = missing.into_iter().collect();
        Ok((scope, self.rows))
    }

    /// Takes those of these users who are wanted.
    async fn take(
        &mut self,
        pages: impl Stream<Item = Result<Page, ServiceError>>,
        scope: &mut Scope,
        excluded: &Names,
        wants: impl Fn(&User) -> bool,
    ) -> Result<(), NotDone> {
        let mut pages = std::pin::pin!(pages);
        while let Some(page) = pages.try_next().await? {
            let at = self.service.service_time().await?;
            let mut decoded = self.decode(page, at).await?;
            let is_kept = |user: &User| wants(user) && !names_of(user).any(|name| excluded.contains(&name));
            let keep: Vec<bool> = decoded.users.iter().map(is_kept).collect();
            scope.pages += 1;
            let kept = decoded.users.iter().zip(&keep).filter(|(_, keep)| **keep);
            scope.users.extend(kept.map(|(user, _)| (user.id.clone(), self.member(user, user.is_licensed, None))));
            self.keep(&mut decoded, keep, at).await?;
        }
        Ok(())
    }

    fn member(&self, user: &User, is_licensed: bool, deleted_at: Option<Instant>) -> Member {
        Member { is_licensed, deleted_at, first_seen: self.known.get(&user.id).copied(), mark: None }
    }

    /// Takes the rows of these users.
    async fn keep(&mut self, decoded: &mut DecodedUsers, keep: Vec<bool>, at: Instant) -> Result<(), NotDone> {
        let (Some(rows), Some(batch)) = (&mut self.rows, decoded.batch.take()) else { return Ok(()) };
        let kept = decoded.users.iter().zip(&keep).filter(|(_, keep)| **keep);
        let ids: HashSet<&str> = kept.map(|(user, _)| user.id.as_str()).collect();
        // Of others nothing is stored.
        decoded.rejects.retain(|reject| ids.contains(reject.record_key.as_str()));
        let batch = filter_record_batch(&batch, &BooleanArray::from(keep))
            .map_err(|source| copilot_lake_decoder::Error::Schema { table: GRAPH_USER.name, source })?;
        rows.push(batch, decoded, at).await
    }

    /// Takes users whom the lake knows, or the configuration names, and who were deleted since.
    async fn take_deleted(&mut self, scope: &mut Scope, excluded: &Names, missing: &mut Names) -> Result<(), NotDone> {
        if self.known.is_empty() && missing.is_empty() {
            return Ok(());
        }
        let mut pages = std::pin::pin!(self.service.deleted_users());
        loop {
            let page = match pages.try_next().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(()),
                // Whoever is still there is read all the same.
                Err(error @ (ServiceError::PermissionMissing { .. } | ServiceError::Refused { .. })) => {
                    warn!(%error, "deleted users are left out");
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            scope.pages += 1;
            let mut decoded = self.decode(page, self.now).await?;
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
                // Of whom the lake knows it keeps what they were.
                keep.push(is_taken && !is_known);
            }
            self.keep(&mut decoded, keep, self.now).await?;
        }
    }

    async fn decode(&self, page: Page, at: Instant) -> Result<DecodedUsers, NotDone> {
        let (known, now) = (Arc::clone(&self.known), self.now);
        let first_seen = move |id: &str| known.get(id).copied().unwrap_or(now);
        Ok(cpu::run(move || decode_users(page.rows(), at, first_seen)).await?)
    }
}

/// The users whom these mean one by one.
fn names(who: &[Who]) -> Names {
    who.iter().filter_map(|who| if let Who::User(name) = who { Some(name.to_lowercase()) } else { None }).collect()
}

/// The groups among these.
fn groups(who: &[Who]) -> impl Iterator<Item = &str> {
    who.iter().filter_map(|who| if let Who::Group(id) = who { Some(&**id) } else { None })
}

/// What a user may be named by: the object id, and the principal name, before which a deleted user has the id.
pub(crate) fn names_of(user: &User) -> impl Iterator<Item = String> {
    let name = user.principal_name.as_deref().map(str::to_lowercase);
    let id = user.id.replace('-', "");
    let before = name.as_deref().and_then(|name| Some(name.strip_prefix(&id)?.to_owned()));
    [Some(user.id.clone()), name, before].into_iter().flatten()
}
