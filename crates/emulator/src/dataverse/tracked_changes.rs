//! Change tracking: a full read that ends with a token, and reads of what changed since a token.
//!
//! <https://learn.microsoft.com/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems>

use bytes::Bytes;
use copilot_lake_tables::Instant;
use url::form_urlencoded;

use crate::data::change_log::RowChange;
use crate::dataverse::page_request::PageRequest;
use crate::dataverse::paging_cookie::{FollowedLink, LinkPosition, extend};
use crate::dataverse::privilege::missing_privilege;
use crate::dataverse::row_query::RowQuery;
use crate::http::odata::DELTA_TOKEN;
use crate::http::response::{HttpResponse, ServiceError};
use crate::scenario::fault_spec::FaultKind;
use crate::scenario::specs::ReadDepth;

/// The number in the first delta token.
const FIRST: u64 = 919_042;

/// Refuses what change tracking does not support.
pub(crate) fn check_tracking(request: &PageRequest<'_>, base: &str) -> Result<(), ServiceError> {
    let name = request.store.table.name;
    if !request.store.tracked {
        return Err(ServiceError::new(400, "0x80072491", &format!("Entity {name} isn't enabled for change tracking.")));
    }
    if request.store.depth != ReadDepth::Global {
        return Err(missing_privilege(name, request.store.type_code()));
    }
    let refused = form_urlencoded::parse(base.as_bytes())
        .find(|(name, _)| matches!(name.as_ref(), "$filter" | "$orderby" | "$expand" | "$top"));
    match refused {
        Some((name, _)) => {
            let message = format!("The \"{name}\" query parameter isn't supported when Change Tracking is enabled.");
            Err(ServiceError::bad_request(&message))
        }
        None => Ok(()),
    }
}

/// The link to the changes after a stamp.
pub(crate) fn delta_link(request: &PageRequest<'_>, base: &str, stamp: u64) -> String {
    let plain: Vec<_> = base.split('&').filter(|part| !part.is_empty() && !is_delta(part)).collect();
    let token = format!("{}!{}", FIRST + stamp, date(request.now));
    let token: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let token = token.replace('+', "%20");
    let separator = if plain.is_empty() { "" } else { "&" };
    format!("{}?{}{separator}{DELTA_TOKEN}={token}", request.address(), plain.join("&"))
}

/// The stamp of a token, unless it has expired.
fn stamp_of(request: &PageRequest<'_>, token: &str) -> Result<u64, ServiceError> {
    let number = token.split_once('!').and_then(|(number, _)| number.parse::<u64>().ok());
    let stamp = number.and_then(|number| number.checked_sub(FIRST));
    let stamp = stamp.ok_or_else(|| ServiceError::bad_request("The delta token is not valid."))?;
    match request.faults.has(FaultKind::ExpiredDelta) || request.store.changes().is_void(stamp) {
        true => {
            let message = "Version stamp associated with the client has expired. Please perform a full sync.";
            Err(ServiceError::new(400, "0x80044352", message))
        }
        false => Ok(stamp),
    }
}

/// A change as it is sent.
enum ServedChange {
    /// A row, by its position.
    Row(usize),
    /// A deleted row, by its id.
    DeletedId(String),
}

/// Answers with the changes since a token; also returns the number of rows.
pub(crate) fn changed(
    request: &PageRequest<'_>,
    base: &str,
    token: &str,
    query: &RowQuery,
    followed: Option<FollowedLink>,
) -> Result<(HttpResponse, usize), ServiceError> {
    check_tracking(request, base)?;
    let after = stamp_of(request, token)?;
    let until = followed.and_then(|followed| followed.tracking).unwrap_or_else(|| request.store.changes().stamp());
    let from = followed.map_or((0, 0), |followed| (followed.position.time, followed.position.ties));
    let changes = request.store.changes().between(after, until);
    let rows = request.store.rows();
    let projection = request.projection(query);
    let most = request.most();
    let (mut body, mut sent, mut count, mut next) = (Vec::new(), 0, 0, None);
    for (position, change) in changes.into_iter().filter(|(position, _)| *position >= from) {
        let change = match change {
            RowChange::Upsert(key) => match rows.with_key(key).max_by_key(|at| rows.modified(*at)) {
                Some(at) => ServedChange::Row(at),
                // The row has been deleted since, which is a change of its own.
                None => continue,
            },
            RowChange::Delete(id) => ServedChange::DeletedId(id),
        };
        if sent == most {
            next = Some(position);
            break;
        }
        if !body.is_empty() {
            body.push(b',');
        }
        sent += 1;
        match change {
            ServedChange::Row(at) => {
                rows.mark(at);
                count += 1;
                match &projection {
                    Some(projection) => projection.write(&mut body, &rows.json(at)),
                    None => body.extend_from_slice(&rows.json(at)),
                }
            }
            ServedChange::DeletedId(id) => {
                let context = format!("{}$metadata#{}/$deletedEntity", request.root, request.store.entity_set);
                let entry = serde_json::json!({ "@odata.context": context, "id": id, "reason": "deleted" });
                body.extend_from_slice(entry.to_string().as_bytes());
            }
        }
    }
    let link = match next {
        Some((time, ties)) => {
            let page = followed.map_or(1, |followed| followed.page) + 1;
            let next = FollowedLink { page, position: LinkPosition { time, ties }, tracking: Some(until) };
            let query = extend(base, next, request.preferences.max_page);
            ("nextLink", format!("{}?{query}", request.address()))
        }
        None => ("deltaLink", delta_link(request, base, until)),
    };
    Ok((request.page(query, "/$delta", vec![Bytes::from(body)], Some(link)), count))
}

fn is_delta(part: &str) -> bool {
    part.starts_with(DELTA_TOKEN) || part.starts_with("%24deltatoken")
}

/// `11/05/2025 12:00:00`.
fn date(at: Instant) -> String {
    let text = at.floor_second().to_string();
    format!("{}/{}/{} {}", &text[5..7], &text[8..10], &text[..4], &text[11..19])
}
