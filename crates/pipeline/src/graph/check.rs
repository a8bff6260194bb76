//! What a run needs of Graph, tried with the cheapest calls there are.

use copilot_lake_decoder::{User, decode_users};
use copilot_lake_extractor::{Error as ServiceError, Graph, HistoryQuery, role};
use copilot_lake_tables::{AI_INTERACTION, GRAPH_USER, Instant, Service};

use super::scope;
use crate::error::Error;
use crate::finding::Finding;
use crate::settings::{GraphJob, UserSelector};
use crate::slice_error::SliceError;

/// Users who are tried until a history can be read: some may have no mailbox.
const USERS_TRIED: usize = 5;

/// The permissions that a run needs, and what for.
pub(super) fn needed_roles(job: &GraphJob) -> Vec<(&'static str, &'static str)> {
    let lists_users = job.users.iter().any(|who| !matches!(who, UserSelector::Group(_)));
    let has_groups = job.users.iter().chain(&job.exclude).any(|who| matches!(who, UserSelector::Group(_)));
    let mut needed = vec![(role::HISTORIES, "histories")];
    needed.extend(lists_users.then_some((role::USERS, "users")));
    needed.extend(has_groups.then_some((role::MEMBERS, "members of groups")));
    needed
}

/// Tries what a run needs: the sign-in, users, and the history of one of them.
pub(super) async fn check_graph(service: &Graph, job: &GraphJob, found: &mut dyn FnMut(Finding)) -> Result<(), Error> {
    let (table, users_table) = (AI_INTERACTION.name, GRAPH_USER.name);
    let needed = needed_roles(job);
    let roles: Vec<_> = needed.iter().map(|(role, _)| *role).collect();
    let claims = service.token(&roles).await?;
    found(Finding::SignedInToGraph { roles: claims.roles.clone() });
    Finding::of_identities(Service::Graph, service.identities()).into_iter().for_each(&mut *found);
    for (role, what) in needed {
        if claims.lacks(role) {
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
            found(Finding::UsersNotReadable { table: users_table, error });
            return Ok(());
        }
    };
    let now = service.service_time().await?;
    let users = decode_users(page.rows(), now, |_| now)?;
    found(Finding::UsersReadable { table: users_table, users: users.rows });
    let excluded = match scope::excluded_names(service, job).await {
        Ok(excluded) => excluded,
        Err(SliceError::Service(error)) => {
            found(Finding::UsersNotReadable { table: users_table, error });
            return Ok(());
        }
        Err(error) => return Err(error.into()),
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
                found(Finding::HistoryReadable { table, tried: true });
                if query.window.is_none() {
                    found(Finding::FilterRefused { table });
                }
                return Ok(());
            }
            Err(error) => refusal = Some(error),
        }
    }
    found(match refusal {
        Some(error) => {
            let role = error.may_concern_everybody().then_some(role::HISTORIES);
            Finding::HistoryNotReadable { table, error, role }
        }
        None => Finding::HistoryReadable { table, tried: false },
    });
    Ok(())
}
