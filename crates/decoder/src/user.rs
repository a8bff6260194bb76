//! People: a page of Graph users to rows of `graph_user`, and what the pipeline needs of each.

use arrow::array::RecordBatch;
use copilot_lake_tables::{GRAPH_USER, Instant, Week};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::raw_object::{RawProperties, describe_error};
use crate::sha256::sha256;
use crate::stored_id::stored_id;
use crate::table_rows::{Cell, TableRow, TableRows};
use crate::{Error, Reject};

/// The service plan that reading a user's history requires: `M365_COPILOT_BUSINESS_CHAT`.
///
/// <https://learn.microsoft.com/graph/api/aiinteractionhistory-getallenterpriseinteractions>
pub const COPILOT_PLAN_ID: &str = "3f30311c-6b1e-48a4-ab79-725b469da960";

/// What became of a page of people.
#[derive(Debug, Default)]
pub struct DecodedUsers {
    /// Rows of `graph_user` in its layout, in the order in which they came; none when there are no rows.
    pub batch: Option<RecordBatch>,
    /// Values that did not fit. A row without an id is one as a whole, named by its text: it is nobody.
    pub rejects: Vec<Reject>,
    /// Rows received.
    pub rows: u64,
    /// The person of each row of the batch, in its order.
    pub users: Vec<User>,
}

/// A person as the pipeline needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The object id, as it is stored.
    pub id: String,
    /// The name to sign in with.
    pub principal_name: Option<String>,
    /// Whether the plan [`COPILOT_PLAN_ID`] is known to be enabled.
    pub is_licensed: bool,
    /// When the user was deleted; only deleted ones have it.
    pub deleted_at: Option<Instant>,
}

/// Decodes the JSON array of a page of users, group members or deleted users.
///
/// `first_seen` says since when the user of that id, as it is stored, is in scope: the service does not know.
///
/// # Errors
/// [`Error::NotAPage`] when the text is not a JSON array of UTF-8. Bad rows and values are rejects, not errors.
pub fn decode_users(
    rows: &[u8],
    extracted_at: Instant,
    first_seen: impl Fn(&str) -> Instant,
) -> Result<DecodedUsers, Error> {
    let not_a_page = |reason: String| Error::NotAPage { table: GRAPH_USER.name, reason };
    let text = simdutf8::basic::from_utf8(rows).map_err(|_| not_a_page("not UTF-8".to_owned()))?;
    let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| not_a_page(describe_error(&error)))?;
    let mut decoded = DecodedUsers { rows: raw.len() as u64, ..DecodedUsers::default() };
    let mut rows = TableRows::new(&GRAPH_USER);
    for raw in raw.iter().map(|raw| raw.get()) {
        match user(raw) {
            Ok((mut row, user)) => {
                row.set("first_seen_at", Cell::Instant(first_seen(&user.id)));
                rows.append(row, Week::UNKNOWN.start());
                decoded.users.push(user);
            }
            Err(reason) => decoded.rejects.push(Reject {
                record_key: sha256(raw),
                column_name: "",
                reason,
                raw_json: raw.to_owned(),
            }),
        }
    }
    let (batches, rejects) = rows.finish(extracted_at)?;
    decoded.batch = batches.into_iter().next().map(|(_, batch)| batch);
    decoded.rejects.extend(rejects);
    Ok(decoded)
}

/// A row and its person, or why it is none.
fn user(raw: &str) -> Result<(TableRow<'_>, User), String> {
    let RawProperties(properties, broken) =
        serde_json::from_str(raw).map_err(|error| format!("not a row: {}", describe_error(&error)))?;
    let mut row = TableRow::new(&GRAPH_USER);
    let (mut assigned, mut deleted) = ("null", "null");
    for (name, value) in properties {
        match name.as_str() {
            "assignedPlans" => assigned = value.get(),
            "deletedDateTime" => deleted = value.get(),
            name => row.set_property(name, value.get()),
        }
    }
    broken.into_iter().for_each(|(name, value)| row.add_broken(name, value.get()));
    let id = row.text("user_id").filter(|id| !id.is_empty()).ok_or("a user without an id")?;
    let user = User {
        id: stored_id(&id).into_owned(),
        principal_name: row.text("user_principal_name"),
        is_licensed: plans(&mut row, assigned),
        deleted_at: instant(deleted).unwrap_or_else(|()| {
            row.reject("deletedDateTime", "not an instant".to_owned(), deleted);
            None
        }),
    };
    Ok((row, user))
}

/// Reads `assignedPlans`: whether the plan that counts is enabled, and since when.
fn plans<'a>(row: &mut TableRow<'a>, raw: &'a str) -> bool {
    let Ok(plans) = serde_json::from_str::<Option<Vec<&RawValue>>>(raw) else {
        row.reject("has_copilot_license", "not an array".to_owned(), raw);
        return false;
    };
    // Not sent says nothing; an empty array says no.
    let Some(plans) = plans else { return false };
    let (mut is_licensed, mut is_whole) = (false, true);
    let mut since: Option<Instant> = None;
    let mut misfit = None;
    for plan in plans {
        match enabled(plan.get()) {
            Some(None) => {}
            Some(Some(assigned)) => {
                is_licensed = true;
                match instant(&assigned) {
                    Ok(assigned) => since = since.into_iter().chain(assigned).min(),
                    Err(()) => misfit = misfit.or(Some(assigned)),
                }
            }
            None => is_whole = false,
        }
    }
    if !is_whole {
        row.reject("has_copilot_license", "an element is not a plan".to_owned(), raw);
    }
    if is_licensed || is_whole {
        row.set("has_copilot_license", Cell::Boolean(is_licensed));
    }
    if let Some(misfit) = misfit {
        row.reject("license_assigned_at", "not an instant".to_owned(), &misfit);
    }
    if let Some(since) = since {
        row.set("license_assigned_at", Cell::Instant(since));
    }
    is_licensed
}

/// When a plan was assigned, as JSON, if it is the one that counts and enabled; `None` when it is no plan.
fn enabled(plan: &str) -> Option<Option<String>> {
    let Ok(Value::Object(plan)) = serde_json::from_str(plan) else { return None };
    let is = |name: &str, expected: &str| match plan.get(name) {
        None | Some(Value::Null) => Some(false),
        Some(Value::String(text)) => Some(text.eq_ignore_ascii_case(expected)),
        Some(_) => None,
    };
    let is_enabled = is("servicePlanId", COPILOT_PLAN_ID)? && is("capabilityStatus", "Enabled")?;
    Some(is_enabled.then(|| plan.get("assignedDateTime").unwrap_or(&Value::Null).to_string()))
}

/// The instant in a JSON string; null is none.
fn instant(raw: &str) -> Result<Option<Instant>, ()> {
    match serde_json::from_str::<Option<String>>(raw) {
        Ok(text) => text.map(|text| Instant::parse(&text).ok_or(())).transpose(),
        Err(_) => Err(()),
    }
}
