//! Privileges: how far the rights of the identity reach.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::request;
use crate::error::Error;
use crate::http::client::Client;
use crate::http::request::{IdentityChoice, Request};

/// How far a privilege reaches, widest last.
///
/// <https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/privilegedepth>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PrivilegeDepth {
    /// Own rows, and those shared with the user.
    Basic,
    /// The business unit.
    Local,
    /// The business unit and those below it.
    Deep,
    /// The whole environment.
    Global,
}

impl PrivilegeDepth {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "Basic" => Some(Self::Basic),
            "Local" => Some(Self::Local),
            "Deep" => Some(Self::Deep),
            "Global" => Some(Self::Global),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PrivilegesResponse {
    role_privileges: Vec<Privilege>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Privilege {
    privilege_name: Option<String>,
    /// A word; anything else is ignored.
    depth: Option<Value>,
}

/// Requests the privileges of a user, including those through roles and teams, by name in lower case.
pub(crate) async fn fetch(
    client: &Client,
    api: &Url,
    user_id: &str,
    identity: IdentityChoice,
) -> Result<BTreeMap<String, PrivilegeDepth>, Error> {
    let request = Request { identity, ..Request::json(request::privileges_url(api, user_id)?) };
    let privileges: PrivilegesResponse =
        client.fetch_json(&request, "the response is not a list of privileges").await?;
    let mut depths = BTreeMap::new();
    for Privilege { privilege_name, depth } in privileges.role_privileges {
        let (Some(name), Some(depth)) = (privilege_name, depth.as_ref().and_then(Value::as_str)) else { continue };
        if let Some(depth) = PrivilegeDepth::parse(depth) {
            let widest = depths.entry(name.to_ascii_lowercase()).or_insert(depth);
            *widest = depth.max(*widest);
        }
    }
    Ok(depths)
}
