//! Working hours: a map from time to work done. Rows that are spread evenly over work fall into working hours.

/// Relative work in each hour of a working day.
const HOURS: [i64; 24] = [2, 1, 1, 1, 2, 5, 20, 60, 100, 120, 110, 80, 60, 90, 110, 100, 70, 40, 20, 12, 8, 6, 4, 3];

const HOUR: i64 = 3_600_000;
const WEEK: i64 = 168 * HOUR;
/// 1970-01-01 was a Thursday; weeks begin on Sunday.
const SHIFT: i64 = 4 * 24 * HOUR;

/// Work per millisecond of an hour of the week.
const fn weight(hour: usize) -> i64 {
    let of_day = HOURS[hour % 24];
    match hour / 24 {
        0 | 6 => 1 + of_day / 6,
        5 => 1 + of_day * 4 / 5,
        _ => of_day,
    }
}

/// Cumulative work of a week before each of its hours, then the total.
const BEFORE: [i64; 169] = {
    let mut before = [0; 169];
    let mut hour = 0;
    while hour < 168 {
        before[hour + 1] = before[hour] + weight(hour) * HOUR;
        hour += 1;
    }
    before
};

/// The work done before a time, in milliseconds since the Unix epoch.
pub(crate) fn work(ms: i64) -> i64 {
    let (week, rest) = ((ms + SHIFT).div_euclid(WEEK), (ms + SHIFT).rem_euclid(WEEK));
    let hour = (rest / HOUR) as usize;
    week * BEFORE[168] + BEFORE[hour] + weight(hour) * (rest % HOUR)
}

/// The time by which this much work was done; monotonic, the inverse of [`work`].
pub(crate) fn moment(work: i64) -> i64 {
    let (week, rest) = (work.div_euclid(BEFORE[168]), work.rem_euclid(BEFORE[168]));
    let hour = BEFORE.partition_point(|before| *before <= rest) - 1;
    week * WEEK - SHIFT + hour as i64 * HOUR + (rest - BEFORE[hour]) / weight(hour)
}

#[cfg(test)]
mod tests {
    use super::{moment, work};

    #[test]
    fn work_and_moments_belong_together() {
        let mut last = i64::MIN;
        for ms in (1_750_000_000_000_i64..1_751_300_000_000).step_by(12_345_678) {
            assert_eq!(moment(work(ms)), ms);
            assert!(work(ms) > last);
            last = work(ms);
        }
    }
}
