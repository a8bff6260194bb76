//! Requests to Microsoft Graph.

use copilot_lake_tables::{AI_INTERACTION, GRAPH_USER};
use url::Url;

use super::history_query::HistoryQuery;
use crate::error::{Error, FailedCall};
use crate::http::request::{Request, ResourceKind, encode, resource};
use crate::object_id::object_id;

/// Users per page: the directory's maximum.
const USERS: u32 = 999;

/// Interactions per page: the vendor's recommendation.
const INTERACTIONS: u32 = 100;

/// The plans of users, which show who is licensed.
const PLANS: &str = "assignedPlans";

/// All users of the directory.
pub(super) fn users(api: &Url) -> Result<Request, Error> {
    list(api, "users", &properties(), ResourceKind::Users)
}

/// Deleted users that can still be restored.
pub(super) fn deleted_users(api: &Url) -> Result<Request, Error> {
    let properties = format!("{},deletedDateTime", properties());
    list(api, "directory/deletedItems/microsoft.graph.user", &properties, ResourceKind::Users)
}

/// All users in a group, nested groups included.
pub(super) fn members(api: &Url, group_id: &str) -> Result<Request, Error> {
    let group_id = object_id(group_id).ok_or_else(|| Error::Usage {
        what: "`graph.users` and `graph.exclude` name a group by its id, a GUID, as in `group:<id>`".to_owned(),
    })?;
    list(
        api,
        &format!("groups/{group_id}/transitiveMembers/microsoft.graph.user"),
        &properties(),
        ResourceKind::Members,
    )
}

/// One user.
pub(super) fn user(api: &Url, id_or_name: &str) -> Result<Request, Error> {
    let user = segment(id_or_name).ok_or_else(|| invalid(&format!("{api}users/***")))?;
    let url = url(&format!("{api}users/{user}?$select={}", properties()))?;
    let mut request = Request::first_page(url, &GRAPH_USER, ResourceKind::User);
    request.page = None;
    Ok(request)
}

/// Any user's id: the cheapest call there is.
pub(super) fn anyone(api: &Url) -> Result<Request, Error> {
    Ok(Request::first_page(url(&format!("{api}users?$top=1&$select=id"))?, &GRAPH_USER, ResourceKind::Users))
}

/// The first page of a user's history.
pub(super) fn history(api: &Url, user_id: &str, query: &HistoryQuery, model: Option<&str>) -> Result<Request, Error> {
    interactions(api, user_id, INTERACTIONS, query, model)
}

/// A page with any one interaction of a user.
pub(super) fn first_interaction(
    api: &Url,
    user_id: &str,
    query: &HistoryQuery,
    model: Option<&str>,
) -> Result<Request, Error> {
    interactions(api, user_id, 1, query, model)
}

fn interactions(
    api: &Url,
    user_id: &str,
    top: u32,
    query: &HistoryQuery,
    model: Option<&str>,
) -> Result<Request, Error> {
    let path = "interactionHistory/getAllEnterpriseInteractions";
    let user = object_id(user_id).ok_or_else(|| invalid(&format!("{api}copilot/users/***/{path}")))?;
    let filter = filter(query);
    let kind = ResourceKind::History { filtered: filter.is_some() };
    let filter = filter.map_or_else(String::new, |filter| format!("&$filter={}", encode(&filter)));
    let model = model.map_or_else(String::new, |model| format!("&model={}", encode(model)));
    let url = url(&format!("{api}copilot/users/{user}/{path}?$top={top}{filter}{model}"))?;
    let mut request = Request::first_page(url, &AI_INTERACTION, kind);
    request.resource = resource(user_id);
    Ok(request)
}

/// The filter expression; both bounds are exclusive, so the lower one is a second earlier.
fn filter(query: &HistoryQuery) -> Option<String> {
    let window = query.window.as_ref()?;
    let (after, before) = (window.start.floor_second().plus_seconds(-1), window.end.ceil_second());
    let time = format!("createdDateTime gt {after} and createdDateTime lt {before}");
    let classes: Vec<_> =
        query.app_classes.iter().map(|class| format!("appClass eq '{}'", class.replace('\'', "''"))).collect();
    Some(match classes.as_slice() {
        [] => time,
        [class] => format!("{class} and {time}"),
        classes => format!("({}) and {time}", classes.join(" or ")),
    })
}

fn list(api: &Url, path: &str, properties: &str, kind: ResourceKind) -> Result<Request, Error> {
    let url = url(&format!("{api}{path}?$select={properties}&$top={USERS}"))?;
    Ok(Request::first_page(url, &GRAPH_USER, kind))
}

/// The properties of users to select: every column of the table, and the plans.
fn properties() -> String {
    let known = GRAPH_USER.columns.iter().map(|column| column.wire).filter(|wire| !wire.is_empty());
    known.chain([PLANS]).collect::<Vec<_>>().join(",")
}

/// An id or name as one path segment; `None` for text that would leave the segment: servers decode before they route.
fn segment(text: &str) -> Option<String> {
    let leaves = |c: char| matches!(c, '/' | '\\') || c.is_control();
    (!matches!(text, "" | "." | "..") && !text.contains(leaves)).then(|| encode(text))
}

/// The error for a user who cannot be requested; `url` names nobody.
fn invalid(url: &str) -> Error {
    let url = url.to_owned();
    Error::InvalidUserId { call: Box::new(FailedCall { method: "GET", url, ..FailedCall::default() }) }
}

fn url(text: &str) -> Result<Url, Error> {
    Url::parse(text).map_err(|error| Error::Usage { what: format!("`graph.url` cannot be used: {error}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use copilot_lake_tables::Instant;

    const PERSON: &str = "f9d841e5-0000-4000-8000-00000000beef";

    fn api() -> Url {
        Url::parse("https://graph.microsoft.com/v1.0/").unwrap()
    }

    fn query(app_classes: &[&str]) -> HistoryQuery {
        let at = |text| Instant::parse(text).unwrap();
        let window = Some(at("2025-06-22T00:00:00Z")..at("2025-06-29T00:00:00Z"));
        HistoryQuery { app_classes: app_classes.iter().map(|class| (*class).to_owned()).collect(), window }
    }

    #[test]
    fn the_window_is_strict_and_in_whole_seconds() {
        let time = "createdDateTime gt 2025-06-21T23:59:59Z and createdDateTime lt 2025-06-29T00:00:00Z";
        assert_eq!(filter(&query(&[])).unwrap(), time);
        assert_eq!(filter(&query(&["A'b"])).unwrap(), format!("appClass eq 'A''b' and {time}"));
        let two = format!("(appClass eq 'A' or appClass eq 'B') and {time}");
        assert_eq!(filter(&query(&["A", "B"])).unwrap(), two);
        assert_eq!(filter(&HistoryQuery { window: None, ..query(&["A"]) }), None);
        let mut finer = query(&[]);
        let window = finer.window.as_mut().unwrap();
        (window.start.0, window.end.0) = (window.start.0 + 1, window.end.0 - 1);
        assert_eq!(filter(&finer).unwrap(), time, "never less than was asked for");
    }

    #[test]
    fn a_name_is_one_segment_and_cannot_leave_it() {
        let path = |name: &str| user(&api(), name).map(|request| request.url.path().to_owned());
        assert_eq!(path("a'b#EXT#@x.y").unwrap(), "/v1.0/users/a%27b%23EXT%23%40x.y");
        assert_eq!(path("%2e%2e").unwrap(), "/v1.0/users/%252e%252e");
        assert_eq!(path("a?b é").unwrap(), "/v1.0/users/a%3Fb%20%C3%A9");
        for bad in ["", ".", "..", "a/b", "../x", "a\\b", "a\nb"] {
            for error in [path(bad).unwrap_err(), history(&api(), bad, &query(&[]), None).unwrap_err()] {
                assert!(matches!(&error, Error::InvalidUserId { call } if call.attempts == 0), "{bad:?}: {error}");
                assert!(error.to_string().contains("/users/***"), "{bad:?}: {error}");
                assert!(!error.is_service_wide() && !error.may_concern_everybody(), "{bad:?}: the user's own failure");
            }
        }
        for no_id in ["x", "ada@example.org", "f9d841e5-0000-4000-8000-00000000bee?"] {
            let error = history(&api(), no_id, &query(&[]), None).unwrap_err();
            assert!(matches!(&error, Error::InvalidUserId { call } if call.attempts == 0), "{no_id}: {error}");
        }
        for bad in ["", "x", "f9d841e5-0000-4000-8000-000000000001/x"] {
            assert!(matches!(members(&api(), bad), Err(Error::Usage { .. })), "{bad:?}");
        }
    }

    #[test]
    fn users_are_asked_for_with_all_that_the_table_knows_and_their_plans() {
        let properties = properties();
        assert!(properties.starts_with("id,accountEnabled,userPrincipalName,"), "{properties}");
        assert!(properties.ends_with(",employeeType,assignedPlans") && !properties.contains(",,"), "{properties}");
        let url = users(&api()).unwrap().url;
        assert_eq!(url.as_str(), format!("https://graph.microsoft.com/v1.0/users?$select={properties}&$top=999"));
        let url = history(&api(), PERSON, &query(&["A"]), Some("B&x")).unwrap().url;
        let pairs: Vec<_> = url.query_pairs().collect();
        assert_eq!((&*pairs[0].0, &*pairs[0].1), ("$top", "100"));
        assert_eq!((&*pairs[1].0, &*pairs[1].1), ("$filter", filter(&query(&["A"])).unwrap().as_str()));
        assert_eq!((&*pairs[2].0, &*pairs[2].1), ("model", "B&x"));
    }
}
