//! Who the identities are, and whether all of them read the same rows.

use std::collections::BTreeMap;

use copilot_lake_tables::{Instant, Table};
use futures::future::join_all;
use serde::Deserialize;
use tracing::warn;
use url::Url;

use super::privileges::{self, PrivilegeDepth};
use crate::error::Error;
use crate::http::client::Client;
use crate::http::request::{IdentityChoice, Request};
use crate::http::service_clock::local_time;
use crate::object_id;

/// The identity and its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhoAmI {
    /// The environment's organization, to which a lake is bound.
    pub organization_id: String,
    /// The application user.
    pub user_id: String,
    /// The service's time.
    pub service_time: Instant,
}

/// How far an identity may read each table; `None`: it is not told.
type ReadDepths = Option<BTreeMap<String, PrivilegeDepth>>;

/// Who an identity is, and how far it may read.
type UserRights = (WhoAmI, ReadDepths);

/// Requests who an identity is: the cheapest call that needs identity and environment.
pub(crate) async fn fetch(client: &Client, api: &Url, identity: IdentityChoice) -> Result<WhoAmI, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Ids {
        #[serde(deserialize_with = "object_id::deserialize")]
        organization_id: String,
        #[serde(deserialize_with = "object_id::deserialize")]
        user_id: String,
    }
    let mut url = api.clone();
    url.set_path("/api/data/v9.2/WhoAmI");
    let request = Request { identity, ..Request::json(url) };
    let ids: Ids = client.fetch_json(&request, "the response to WhoAmI is not that of Dataverse").await?;
    Ok(WhoAmI {
        organization_id: ids.organization_id,
        user_id: ids.user_id,
        service_time: client.clock.now().unwrap_or_else(local_time),
    })
}

/// Signs in as every identity. Those of which it is not known that they read what the others read of these tables are no
/// longer used.
pub(crate) async fn compare(client: &Client, api: &Url, tables: &[&'static Table]) -> Result<WhoAmI, Error> {
    if client.identities.count() == 1 {
        return fetch(client, api, IdentityChoice::Any).await;
    }
    let indices = client.identities.used();
    let sign_ins = indices.iter().map(|&index| async move {
        let who = fetch(client, api, IdentityChoice::Only(index)).await?;
        let depths = privileges::fetch(client, api, &who.user_id, IdentityChoice::Only(index)).await;
        Ok::<_, Error>((who, known_depths(depths)?))
    });
    let sign_ins = indices.iter().copied().zip(join_all(sign_ins).await);
    let (who, _) = client.identities.accept(sign_ins, |accepted| unequal(accepted, tables))?;
    Ok(who)
}

/// What an identity is told of its privileges. Not every identity may read them, and one alone does not need to: no other
/// answer of the service keeps it from signing in.
fn known_depths(depths: Result<BTreeMap<String, PrivilegeDepth>, Error>) -> Result<ReadDepths, Error> {
    match depths {
        Ok(depths) => Ok(Some(depths).filter(|depths| !depths.is_empty())),
        Err(error) if is_untold(&error) => {
            warn!(%error, "an identity is not told its privileges");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether this is the final answer to the request for privileges, and says nothing of the sign-in.
fn is_untold(error: &Error) -> bool {
    let is_of_sign_in = error.is_service_wide() || error.call().is_some_and(|call| call.status == Some(401));
    error.is_response() && !is_of_sign_in
}

/// The identities that are not to be used beside the others, and why.
fn unequal(accepted: &[(usize, UserRights)], tables: &[&'static Table]) -> Vec<(usize, String)> {
    let mut unequal = Vec::new();
    let mut equal: Vec<&WhoAmI> = Vec::new();
    let (_, (first, _)) = &accepted[0];
    let organization = &first.organization_id;
    let of_organization = accepted.iter().filter(|(_, (who, _))| who.organization_id == *organization);
    let all_depths: Vec<&ReadDepths> = of_organization.map(|(_, (_, depths))| depths).collect();
    let is_any_told = all_depths.iter().any(|depths| depths.is_some());
    let deepest = |table: &Table| all_depths.iter().filter_map(|depths| depth(depths, table)).max();
    for (number, (index, (who, depths))) in accepted.iter().enumerate() {
        // What is not the same for everybody is each user's own.
        let is_shallow = |table: &&&'static Table| {
            let own = depth(depths, table);
            own < deepest(table) || (!equal.is_empty() && own.is_some_and(|own| own < PrivilegeDepth::Global))
        };
        let reason = if who.organization_id != *organization {
            Some("it belongs to another organization".to_owned())
        } else if equal.iter().any(|other| other.user_id == who.user_id) {
            Some("it is the same user as another, whose limits it shares".to_owned())
        } else if depths.is_none() {
            // Where nothing is known of any, the first is as good as it would be alone.
            let reason = "it may not read its own privileges, so that it is not known whether it sees every row: grant \
                          prvReadUser and prvReadOrganization";
            Some(reason.to_owned()).filter(|_| number > 0 || is_any_told)
        } else {
            let shallow = tables.iter().find(is_shallow);
            shallow.map(|table| {
                let privilege = table.read_privilege();
                format!("it may not see every row of {}: grant {privilege} at depth Global (Organization)", table.name)
            })
        };
        match reason {
            Some(reason) => unequal.push((*index, reason)),
            None => equal.push(who),
        }
    }
    unequal
}

/// How far an identity may read a table.
fn depth(depths: &ReadDepths, table: &Table) -> Option<PrivilegeDepth> {
    depths.as_ref()?.get(&table.read_privilege().to_lowercase()).copied()
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::{COPILOT_EVENT, COPILOT_INTERACTION};

    use super::*;

    #[test]
    fn identities_share_the_work_if_they_see_the_same_rows() {
        use PrivilegeDepth::{Basic, Global, Local};
        let tables: [&'static Table; 2] = [&COPILOT_EVENT, &COPILOT_INTERACTION];
        let depths = |depths: [Option<PrivilegeDepth>; 2]| {
            let named = tables.iter().zip(depths);
            let named = named.filter_map(|(table, depth)| Some((table.read_privilege().to_lowercase(), depth?)));
            Some(named.collect::<BTreeMap<_, _>>())
        };
        let who = |user: &str, organization: &str| WhoAmI {
            organization_id: organization.to_owned(),
            user_id: user.to_owned(),
            service_time: Instant(0),
        };
        let all = || depths([Some(Global), Some(Global)]);
        let none = || (who("b", "o"), None);
        type Case = (&'static str, Vec<UserRights>, &'static [usize]);
        let cases: [Case; 14] = [
            ("all read everything", vec![(who("a", "o"), all()), (who("b", "o"), all())], &[]),
            ("another organization", vec![(who("a", "o"), all()), (who("b", "p"), all())], &[1]),
            ("one user twice", vec![(who("a", "o"), all()), (who("a", "o"), all())], &[1]),
            (
                "another organization in between",
                vec![(who("a", "o"), all()), (who("b", "p"), all()), (who("c", "o"), all())],
                &[1],
            ),
            ("nothing is told", vec![(who("a", "o"), None), none()], &[1]),
            ("of the second nothing is told", vec![(who("a", "o"), all()), none(), (who("c", "o"), all())], &[1]),
            ("of the first nothing is told", vec![(who("a", "o"), None), (who("b", "o"), all())], &[0]),
            (
                "of the first nothing is told, and the second sees its own rows",
                vec![(who("a", "o"), None), (who("b", "o"), depths([Some(Global), Some(Basic)]))],
                &[0],
            ),
            (
                "of the first nothing is told, and the second is of another organization",
                vec![(who("a", "o"), None), (who("b", "p"), all())],
                &[1],
            ),
            (
                "the first sees less than one of another organization",
                vec![(who("a", "o"), depths([Some(Global), Some(Basic)])), (who("b", "p"), all())],
                &[1],
            ),
            (
                "the second sees less",
                vec![(who("a", "o"), all()), (who("b", "o"), depths([Some(Global), Some(Local)]))],
                &[1],
            ),
            (
                "the first lacks a table",
                vec![(who("a", "o"), depths([Some(Global), None])), (who("b", "o"), all())],
                &[0],
            ),
            (
                "nobody may read a table",
                vec![(who("a", "o"), depths([Some(Global), None])), (who("b", "o"), depths([Some(Global), None]))],
                &[],
            ),
            (
                "each sees its own rows",
                vec![
                    (who("a", "o"), depths([Some(Basic), Some(Global)])),
                    (who("b", "o"), depths([Some(Basic), Some(Global)])),
                ],
                &[1],
            ),
        ];
        for (what, accepted, expected) in cases {
            let accepted: Vec<_> = accepted.into_iter().enumerate().collect();
            let ended: Vec<_> = unequal(&accepted, &tables).into_iter().map(|(index, _)| index).collect();
            assert_eq!(ended, expected, "{what}");
        }
    }
}
