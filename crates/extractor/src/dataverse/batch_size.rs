//! The size of batches: how many Files are requested at once.

use std::time::Duration;

/// Files of the first batch, as the vendor recommends.
///
/// <https://learn.microsoft.com/power-apps/developer/data-platform/api-limits>
const FIRST: usize = 10;

/// More Files than this make a request no cheaper.
const MAX: usize = 100;

/// What a batch may take. The service's limits let a request take 200 ms on average, so that longer batches gain nothing;
/// shorter ones share the time between servers.
const TARGET_TIME: Duration = Duration::from_secs(1);

/// The largest body of a batch that is read.
pub(crate) const MAX_BATCH_BYTES: usize = 8 << 20;

/// What the bodies of all batches in flight may take, which is half of the memory that there is for Files.
const TARGET_BYTES: usize = 32 << 20;

/// The share of the newest batch in an average.
const WEIGHT: f64 = 0.3;

/// How a batch went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchCost {
    pub(crate) files: usize,
    /// Of its body.
    pub(crate) bytes: usize,
    /// Of the attempt that succeeded.
    pub(crate) elapsed: Duration,
    pub(crate) attempts: u32,
    /// The identity that sent it, by its index.
    pub(crate) identity: usize,
}

/// The size of a table's batches, by what the last ones took.
#[derive(Debug)]
pub(crate) struct BatchSize {
    files: usize,
    /// Averages per File; `None` before the first batch.
    average: Option<Average>,
}

#[derive(Debug, Clone, Copy)]
struct Average {
    bytes: f64,
    seconds: f64,
}

impl BatchSize {
    pub(crate) fn new() -> Self {
        Self { files: FIRST, average: None }
    }

    /// How many Files the next batch requests; 1: batches do not pay.
    pub(crate) fn files(&self) -> usize {
        self.files
    }

    /// The bytes that the body of a batch is likely to have.
    pub(crate) fn expected_bytes(&self, files: usize) -> usize {
        self.average.map_or(0, |average| (average.bytes * files as f64) as usize)
    }

    /// Takes in how a batch went while `in_flight` of them are permitted at once.
    pub(crate) fn observe(&mut self, cost: BatchCost, in_flight: usize) {
        let files = cost.files.max(1) as f64;
        let newest = Average { bytes: cost.bytes as f64 / files, seconds: cost.elapsed.as_secs_f64() / files };
        let mix = |old: f64, new: f64| old + (new - old) * WEIGHT;
        let average = self.average.map_or(newest, |old| Average {
            bytes: mix(old.bytes, newest.bytes),
            seconds: mix(old.seconds, newest.seconds),
        });
        self.average = Some(average);
        // Some batches are larger than the average, and none may pass the maximum.
        let target_bytes = (TARGET_BYTES / in_flight.max(1)).min(MAX_BATCH_BYTES / 2);
        let by_bytes = target_bytes as f64 / average.bytes.max(1.0);
        let by_time = TARGET_TIME.as_secs_f64() / average.seconds.max(1e-6);
        if by_bytes < 2.0 {
            self.files = 1;
        } else if cost.attempts > 1 {
            self.shrink();
        } else {
            // A batch that is not full says little about larger ones.
            let most = if cost.files >= self.files { self.files * 2 } else { self.files };
            self.files = (by_bytes.min(by_time) as usize).min(most).clamp(2, MAX);
        }
    }

    /// Halves the size: a batch was too large, or did not come through at once.
    pub(crate) fn shrink(&mut self) {
        self.files = (self.files / 2).max(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(files: usize, bytes_each: usize, ms_each: u64) -> BatchCost {
        let elapsed = Duration::from_millis(ms_each * files as u64);
        BatchCost { files, bytes: files * bytes_each, elapsed, attempts: 1, identity: 0 }
    }

    /// The size after many full batches.
    fn settled(bytes_each: usize, ms_each: u64, in_flight: usize) -> usize {
        let mut size = BatchSize::new();
        for _ in 0..50 {
            size.observe(cost(size.files(), bytes_each, ms_each), in_flight);
        }
        size.files()
    }

    #[test]
    fn a_table_of_cases() {
        for (bytes_each, ms_each, in_flight, files, what) in [
            (8 << 10, 40, 48, 25, "the documented execution time: a second"),
            (8 << 10, 0, 48, 85, "fast: as much memory as there is"),
            (8 << 10, 0, 4, 100, "few requests at once: no larger than pays"),
            (100, 0, 48, 100, "small ones"),
            (200 << 10, 5, 48, 3, "large ones"),
            (600 << 10, 5, 48, 1, "too large for batches"),
            (600 << 10, 5, 4, 6, "few at once have more memory each"),
            (8 << 10, 5_000, 48, 2, "slow ones"),
        ] {
            assert_eq!(settled(bytes_each, ms_each, in_flight), files, "{what}");
        }
    }

    #[test]
    fn it_begins_with_ten_doubles_at_most_and_halves_when_a_batch_is_repeated() {
        let mut size = BatchSize::new();
        let mut sizes = vec![size.files()];
        for attempts in [1, 1, 2, 1] {
            size.observe(BatchCost { attempts, ..cost(size.files(), 1_000, 1) }, 48);
            sizes.push(size.files());
        }
        assert_eq!(sizes, [10, 20, 40, 20, 40]);
        // The rest of a table.
        size.observe(cost(3, 1_000, 1), 48);
        assert_eq!(size.files(), 40);
        assert_eq!(size.expected_bytes(40), 40_000);
        for _ in 0..9 {
            size.shrink();
        }
        assert_eq!(size.files(), 2);
    }
}
