//! Pages of rows, the last of which ends with a token when the read tracks changes.

use bytes::Bytes;

use crate::data::row_snapshot::RowSnapshot;
use crate::dataverse::page_request::PageRequest;
use crate::dataverse::paging_cookie::{FollowedLink, extend, split};
use crate::dataverse::row_cursor::RowCursor;
use crate::dataverse::row_projection::RowProjection;
use crate::dataverse::tracked_changes::{changed, check_tracking, delta_link};
use crate::http::response::{HttpResponse, ServiceError};
use crate::scenario::fault_spec::FaultKind;

/// Answers with a page of rows or of changes; also returns the number of rows, which are marked as sent.
pub(crate) fn page(request: &PageRequest<'_>) -> Result<(HttpResponse, usize), ServiceError> {
    let (base, followed) = split(request.query, request.preferences.max_page)?;
    if request.faults.has(FaultKind::ExpiredLink) {
        return Err(ServiceError::bad_request("The paging cookie has expired."));
    }
    let begins = followed.is_none() && request.preferences.track;
    if begins {
        check_tracking(request, base)?;
    }
    let query = request.parse(base)?;
    if let Some(token) = &query.delta {
        return changed(request, base, token, &query, followed);
    }
    // The stamp is taken before the rows, so that changes in between are sent again.
    let tracking = match followed {
        Some(followed) => followed.tracking,
        None => begins.then(|| request.store.changes().stamp()),
    };
    let rows = &*request.store.rows();
    let cursor = RowCursor::new(rows, &query);
    let from = followed.map_or(0, |followed| cursor.step(followed.position));
    let most = request.most();
    let before =
        from.checked_sub(1).filter(|_| request.faults.has(FaultKind::DuplicateRow)).map(|step| cursor.row(step));
    let projection = request.projection(&query);

    let (body, count, next) = match cursor.contiguous(from, most) {
        Some((run, next)) if projection.is_none() && before.is_none() => {
            run.clone().for_each(|at| rows.mark(at));
            (rows.frames(run.clone()), run.len(), next)
        }
        _ => {
            let (mut taken, next) = cursor.page(from, most);
            if let Some(before) = before {
                taken.insert(0, before);
            }
            (vec![render(rows, &taken, projection.as_ref())], taken.len(), next)
        }
    };
    let exactly_full = next.is_none() && count == most && count > 0 && request.settings.full_page_link;
    let link = match next.or_else(|| exactly_full.then(|| cursor.len())) {
        Some(step) => {
            let page = followed.map_or(1, |followed| followed.page) + 1;
            let next = FollowedLink { page, position: cursor.position(step), tracking };
            let query = extend(base, next, request.preferences.max_page);
            Some(("nextLink", format!("{}?{query}", request.address())))
        }
        None => match tracking {
            Some(stamp) => Some(("deltaLink", delta_link(request, base, stamp))),
            None => request.faults.has(FaultKind::ForeignLink).then(|| ("nextLink", request.address())),
        },
    };
    Ok((request.page(&query, "", body, link), count))
}

fn render(rows: &RowSnapshot, taken: &[usize], projection: Option<&RowProjection<'_>>) -> Bytes {
    let mut out = Vec::with_capacity(taken.len() * if projection.is_some() { 400 } else { 1_360 });
    for (number, at) in taken.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        rows.mark(*at);
        match projection {
            Some(projection) => projection.write(&mut out, &rows.json(*at)),
            None => out.extend_from_slice(&rows.json(*at)),
        }
    }
    Bytes::from(out)
}
