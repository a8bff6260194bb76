//! Reads that begin again because another tool removed files of the snapshot that they had begun with.

/// Attempts to read something before it is given up, since other tools keep removing files of it.
pub const READ_ATTEMPTS: usize = 8;

/// The result of a read that changes nothing, and that begins again where this helps: `expect_outdated` takes the error
/// of an attempt, and is `Ok` when a file was removed that the newest snapshot does without.
///
/// # Errors
/// That of `expect_outdated`, or that of the last attempt.
pub async fn reread<T, E, F, O>(mut read: impl FnMut() -> F, mut expect_outdated: impl FnMut(E) -> O) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    O: Future<Output = Result<(), E>>,
{
    for _ in 1..READ_ATTEMPTS {
        match read().await {
            Err(error) => expect_outdated(error).await?,
            result => return result,
        }
    }
    read().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;

    use super::*;

    /// What comes of a read whose first attempts fail, and how many attempts there were.
    async fn attempts(failing: usize, is_outdated: bool) -> (Result<(), usize>, usize) {
        let made = Cell::new(0);
        let read = || {
            made.set(made.get() + 1);
            ready(if made.get() > failing { Ok(()) } else { Err(made.get()) })
        };
        let expect_outdated = |error: usize| ready(if is_outdated { Ok(()) } else { Err(error) });
        (reread(read, expect_outdated).await, made.get())
    }

    #[tokio::test]
    async fn a_read_begins_again_a_few_times_where_that_helps() {
        const LAST: usize = READ_ATTEMPTS;
        assert_eq!(attempts(0, true).await, (Ok(()), 1));
        assert_eq!(attempts(1, false).await, (Err(1), 1));
        assert_eq!(attempts(LAST - 1, true).await, (Ok(()), LAST));
        assert_eq!(attempts(LAST, true).await, (Err(LAST), LAST));
    }
}
