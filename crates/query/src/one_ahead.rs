//! Parts of a view of which two are computed at a time.

use datafusion::common::runtime::SpawnedTask;
use futures::channel::mpsc;
use futures::stream::BoxStream;
use futures::{SinkExt as _, StreamExt as _, stream};

use crate::error::Error;
use crate::fresh_part::{FreshBatch, FreshPart};

/// What a part's rows come through: the end of them is said, because the task that computes them may end before.
type BatchSender = mpsc::Sender<Option<Result<FreshBatch, Error>>>;

/// These parts, each computed in a task of its own: together with the one before, up to its first rows, which wait.
pub(crate) fn one_ahead(
    parts: impl Iterator<Item = FreshPart> + Send + 'static,
) -> BoxStream<'static, Result<FreshPart, Error>> {
    let mut parts = parts.map(spawned);
    let mut ahead = None;
    let parts = std::iter::from_fn(move || {
        let part = ahead.take().or_else(|| parts.next())?;
        ahead = parts.next();
        Some(Ok(part))
    });
    stream::iter(parts).boxed()
}

fn spawned(FreshPart { weeks, is_last, batches }: FreshPart) -> FreshPart {
    let (of_part, taken) = mpsc::channel(0);
    // The task ends with the rows that are dropped.
    let task = SpawnedTask::spawn(compute(batches, of_part));
    FreshPart { weeks, is_last, batches: until_end(taken, task) }
}

async fn compute(mut batches: BoxStream<'static, Result<FreshBatch, Error>>, mut sender: BatchSender) {
    while let Some(batch) = batches.next().await {
        // The rows were dropped: nobody takes more of them.
        if sender.send(Some(batch)).await.is_err() {
            return;
        }
    }
    let _ = sender.send(None).await;
}

fn until_end(
    taken: mpsc::Receiver<Option<Result<FreshBatch, Error>>>,
    task: SpawnedTask<()>,
) -> BoxStream<'static, Result<FreshBatch, Error>> {
    let batches = stream::unfold(Some((taken, task)), async |waiting| {
        let (mut taken, task) = waiting?;
        match taken.next().await {
            Some(Some(batch)) => Some((batch, Some((taken, task)))),
            Some(None) => None,
            None => {
                // Goes on with its panic.
                let _ = task.join_unwind().await;
                Some((Err(Error::Run("computing the rows of a view was stopped".to_owned())), None))
            }
        }
    });
    batches.boxed()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arrow::array::RecordBatch;
    use arrow::datatypes::Schema;
    use futures::TryStreamExt as _;

    use super::*;

    fn part(batches: BoxStream<'static, Result<FreshBatch, Error>>) -> FreshPart {
        FreshPart { weeks: BTreeSet::new(), is_last: false, batches }
    }

    fn batch() -> FreshBatch {
        let rows = RecordBatch::new_empty(Arc::new(Schema::empty()));
        FreshBatch { week: None, removed: rows.clone(), rows }
    }

    #[tokio::test]
    async fn two_parts_are_computed_at_a_time_in_their_order() {
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&begun);
        let parts = (1..=4).map(move |rows| {
            counted.fetch_add(1, Ordering::SeqCst);
            part(stream::iter((0..rows).map(|_| Ok(batch()))).boxed())
        });
        let mut parts = one_ahead(parts);
        let mut found = Vec::new();
        while let Some(part) = parts.try_next().await.unwrap() {
            let begun = begun.load(Ordering::SeqCst);
            found.push((part.batches.try_collect::<Vec<_>>().await.unwrap().len(), begun));
        }
        assert_eq!(found, [(1, 2), (2, 3), (3, 4), (4, 4)]);
    }

    #[tokio::test]
    #[should_panic(expected = "as DataFusion may")]
    async fn a_part_whose_task_panics_is_not_taken_for_whole() {
        let batches = stream::iter(0..2).map(|at| if at == 0 { Ok(batch()) } else { panic!("as DataFusion may") });
        let mut parts = one_ahead([part(batches.boxed())].into_iter());
        let first = parts.try_next().await.unwrap().unwrap();
        let mut batches = first.batches;
        assert!(batches.try_next().await.unwrap().is_some());
        let _ = batches.try_next().await;
    }
}
