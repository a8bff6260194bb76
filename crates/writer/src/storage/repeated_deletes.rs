//! Deletes that are sent again when they were not answered: the clients of stores send several in one request, and give
//! that up as if it could not be repeated.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, Result};

use crate::store_request::{RequestFailure, failure};

/// Objects that are deleted together.
const TOGETHER: usize = 256;
/// Attempts to delete them.
const ATTEMPTS: usize = 8;
/// Pause after the first attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Deletes objects.
pub(super) fn delete_stream(
    store: Arc<dyn ObjectStore>,
    paths: BoxStream<'static, Result<Path>>,
) -> BoxStream<'static, Result<Path>> {
    let delete = move |paths: Vec<Result<Path>>| delete(Arc::clone(&store), paths);
    paths.chunks(TOGETHER).then(delete).flat_map(stream::iter).boxed()
}

async fn delete(store: Arc<dyn ObjectStore>, paths: Vec<Result<Path>>) -> Vec<Result<Path>> {
    let (mut listed, mut unlisted) = (Vec::new(), Vec::new());
    for path in paths {
        match path {
            Ok(path) => listed.push(path),
            Err(error) => unlisted.push(Err(error)),
        }
    }
    let (mut pause, mut attempt) = (FIRST_PAUSE, 1);
    loop {
        let these = stream::iter(listed.clone().into_iter().map(Ok)).boxed();
        let mut deleted: Vec<_> = store.delete_stream(these).collect().await;
        let is_again =
            deleted.iter().filter_map(|deleted| deleted.as_ref().err()).any(is_transient) && attempt < ATTEMPTS;
        if !is_again {
            if attempt > 1 && deleted.len() == listed.len() {
                // An earlier attempt has deleted what is not there.
                for (deleted, path) in deleted.iter_mut().zip(listed) {
                    if matches!(deleted, Err(StoreError::NotFound { .. })) {
                        *deleted = Ok(path);
                    }
                }
            }
            return deleted.into_iter().chain(unlisted).collect();
        }
        tokio::time::sleep(pause).await;
        (pause, attempt) = (pause * 2, attempt + 1);
    }
}

/// Whether a delete may succeed when it is sent again.
fn is_transient(error: &StoreError) -> bool {
    matches!(error, StoreError::Generic { .. })
        && failure(error) != Some(RequestFailure::Refused)
        // Of one object among several.
        && !error.to_string().contains("AccessDenied")
}
