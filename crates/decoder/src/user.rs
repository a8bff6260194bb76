//! Graph users: a page to rows of `graph_user`, and what the pipeline needs to know of each user.

use arrow::array::RecordBatch;
use copilot_lake_tables::{GRAPH_USER, Instant, Week};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::content_hash::content_hash;
use crate::raw_object::{RawProperties, describe_error};
use crate::stored_id::stored_id;
use crate::table_rows::{Cell, TableRow, TableRows};
use crate::{Error, Reject};

/// The service plan required to read a user's history: `M365_COPILOT_BUSINESS_CHAT`.
///
/// <https://learn.microsoft.com/graph/api/aiinteractionhistory-getallenterpriseinteractions>
pub const COPILOT_PLAN_ID: &str = "3f30311c-6b1e-48a4-ab79-725b469da960";

/// The decoded rows of a page of users.
#[derive(Debug, Default)]
pub struct DecodedUsers {
    /// Rows of `graph_user` in its layout, in the order received; `None` if there are none.
    pub batch: Option<RecordBatch>,
    /// Values that did not fit. A row without an id is rejected as a whole and identified by a hash of its text.
    pub rejects: Vec<Reject>,
    /// Rows received.
    pub rows: u64,
    /// The users of the batch, in its order.
    pub users: Vec<User>,
}

/// What the pipeline needs to know of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The object id, in its stored form.
    pub id: String,
    /// The user principal name.
    pub principal_name: Option<String>,
    /// Whether the plan [`COPILOT_PLAN_ID`] is known to be enabled.
    pub is_licensed: bool,
    /// When the user was deleted; only for deleted users.
    pub deleted_at: Option<Instant>,
}

/// Decodes the JSON array of a page of users, group members or deleted users.
///
/// `first_seen` returns since when the user with this (stored) id is in scope: the service does not know.
///
/// # Errors
/// [`Error::NotAPage`] if the text is not a JSON array in UTF-8. Bad rows and values are rejects, not errors.
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
                record_key: content_hash(raw),
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

/// A row and its user, or why it is invalid.
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

/// Reads `assignedPlans`: whether the required plan is enabled, and since when.
fn plans<'a>(row: &mut TableRow<'a>, raw: &'a str) -> bool {
    let Ok(plans) = serde_json::from_str::<Option<Vec<&RawValue>>>(raw) else {
        row.reject("has_copilot_license", "not an array".to_owned(), raw);
        return false;
    };
    // A missing property means unknown; an empty array means no.
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

/// When a plan was assigned, as JSON, if it is the required one and enabled; `None` if it is not a plan.
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

/// The instant in a JSON string; null means none.
fn instant(raw: &str) -> Result<Option<Instant>, ()> {
    match serde_json::from_str::<Option<String>>(raw) {
        Ok(text) => text.map(|text| Instant::parse(&text).ok_or(())).transpose(),
        Err(_) => Err(()),
    }
}
