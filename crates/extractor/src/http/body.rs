//! Response bodies, read into one contiguous buffer with each byte copied once.

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::HeaderMap;

use super::attempt_error::Transient;
use super::body_budget::{BodyBudget, BodyReservation};

/// The largest response accepted as a page; more is a mistake or an attack.
const MAX_PAGE: usize = 512 << 20;

/// The least memory reserved for a page before it is read.
const MIN_PAGE_RESERVATION: usize = 64 << 10;

/// The most that is read of an error response.
const MAX_ERROR_BODY: usize = 64 << 10;

/// The largest file a File column holds (MaxSizeInKB 32768).
pub(crate) const MAX_FILE: u64 = 32 << 20;

/// Assumed size of a file if the service declares none.
const ASSUMED_FILE: u64 = 1 << 20;

/// Why a file's body was not read to its end.
pub(crate) enum BodyError {
    Transient(Transient),
    TooLarge(u64),
}

/// Reads a page. `typical` is the size of recent pages, so that the buffer rarely grows. With a budget, memory is
/// reserved before reading.
pub(crate) async fn page(
    mut response: Response,
    typical: usize,
    budget: Option<&BodyBudget>,
) -> Result<(Bytes, Option<BodyReservation>), Transient> {
    let declared = response.content_length().and_then(|length| usize::try_from(length).ok());
    let expected = declared.unwrap_or(typical).min(MAX_PAGE);
    let mut reservation = match budget {
        Some(budget) => Some((budget, budget.reserve(expected.max(MIN_PAGE_RESERVATION)).await)),
        None => None,
    };
    let mut body = Vec::with_capacity(expected);
    while let Some(part) = response.chunk().await.map_err(|error| Transient::from(&error))? {
        let length = body.len() + part.len();
        if length > MAX_PAGE {
            return Err(Transient { cause: "the answer is larger than any page".to_owned(), ..Transient::default() });
        }
        if let Some((budget, reservation)) = &mut reservation
            && length > reservation.bytes()
        {
            // Grows like the buffer: by at least half its size.
            budget.grow(reservation, (length - reservation.bytes()).max(length / 2)).await;
            body.reserve_exact(reservation.bytes() - body.len());
        }
        body.extend_from_slice(&part);
    }
    let reservation = reservation.map(|(_, mut reservation)| {
        body.shrink_to_fit();
        reservation.settle(body.len());
        reservation
    });
    Ok((Bytes::from(body), reservation))
}

/// Reads the beginning of an error response; whatever cannot be read counts as empty.
pub(crate) async fn error_body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(part)) = response.chunk().await {
        body.extend_from_slice(&part);
        if body.len() > MAX_ERROR_BODY {
            break;
        }
    }
    body
}

/// The file size that the service declares.
pub(crate) fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get("x-ms-file-size")?.to_str().ok()?.trim().parse().ok()
}

/// Reads a file of at most `limit` bytes, after reserving memory for it; without a budget it is already reserved.
pub(crate) async fn file(
    mut response: Response,
    budget: Option<&BodyBudget>,
    limit: u64,
) -> Result<(Bytes, Option<BodyReservation>), BodyError> {
    let size = declared(response.headers()).or(response.content_length());
    if let Some(size) = size.filter(|size| *size > limit) {
        return Err(BodyError::TooLarge(size));
    }
    let expected = size.unwrap_or(ASSUMED_FILE) as usize;
    let mut reservation = match budget {
        Some(budget) => Some((budget, budget.reserve(expected).await)),
        None => None,
    };
    let mut body = Vec::with_capacity(expected);
    while let Some(part) = response.chunk().await.map_err(|error| BodyError::Transient(Transient::from(&error)))? {
        let length = body.len() + part.len();
        if length as u64 > limit {
            return Err(BodyError::TooLarge(length as u64));
        }
        if let Some((budget, reservation)) = &mut reservation
            && length > reservation.bytes()
        {
            budget.grow(reservation, (length - reservation.bytes()).max(ASSUMED_FILE as usize)).await;
        }
        body.extend_from_slice(&part);
    }
    let reservation = reservation.map(|(_, mut reservation)| {
        reservation.settle(body.len());
        reservation
    });
    Ok((Bytes::from(body), reservation))
}

/// Reads a part of a file of at most `limit` bytes; its memory is already reserved.
pub(crate) async fn part(mut response: Response, limit: u64) -> Result<Bytes, Transient> {
    let mut body = Vec::with_capacity(limit as usize);
    while let Some(part) = response.chunk().await.map_err(|error| Transient::from(&error))? {
        if (body.len() + part.len()) as u64 > limit {
            return Err(Transient {
                cause: "the part is longer than was asked for".to_owned(),
                ..Transient::default()
            });
        }
        body.extend_from_slice(&part);
    }
    Ok(Bytes::from(body))
}
