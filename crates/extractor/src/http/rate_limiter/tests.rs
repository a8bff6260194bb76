use std::collections::VecDeque;
use std::sync::Arc;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// The times at which requests left, sent by this many workers one after the other with this latency.
async fn departures(
    rate_limiter: Arc<RateLimiter>,
    workers: usize,
    latency: Duration,
    time: Duration,
) -> Vec<Duration> {
    let begun = Instant::now();
    let workers = (0..workers).map(|_| {
        let rate_limiter = Arc::clone(&rate_limiter);
        tokio::spawn(async move {
            let mut left = Vec::new();
            while begun.elapsed() < time {
                let slot = rate_limiter.next_slot().await;
                slot.wait().await;
                slot.consume();
                left.push(begun.elapsed());
                tokio::time::sleep(latency).await;
            }
            left
        })
    });
    let mut left: Vec<_> = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        left.extend(worker.await.unwrap());
    }
    left.retain(|at| *at < time);
    left.sort_unstable();
    left
}

/// The most requests within any second.
fn most_in_a_second(left: &[Duration]) -> usize {
    let mut second = VecDeque::new();
    left.iter()
        .map(|at| {
            second.push_back(*at);
            while *at - second[0] >= SECOND {
                second.pop_front();
            }
            second.len()
        })
        .max()
        .unwrap()
}

fn check(left: &[Duration], rate: f64, time: Duration) {
    let (most, achieved) = (most_in_a_second(left) as f64, left.len() as f64 / time.as_secs_f64());
    assert!(most <= rate * 1.07 + 1.0, "{most} in a second at {rate}");
    assert!(achieved >= rate * 0.97, "{achieved} at {rate}");
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_achieved_and_not_exceeded_in_any_second() {
    // 24 a second with slow answers, 400 with an interval that is no multiple of the timer's millisecond.
    for (rate, workers, latency) in
        [(24.0, 96, 3_000), (24.0, 16, 100), (400.0, 512, 1_000), (333.3, 64, 17), (7.0, 8, 1)]
    {
        let rate_limiter = Arc::new(RateLimiter::new(rate).unwrap());
        let time = SECOND * 60;
        check(&departures(rate_limiter, workers, Duration::from_millis(latency), time).await, rate, time);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_saved_up_while_nobody_comes() {
    let rate_limiter = Arc::new(RateLimiter::new(24.0).unwrap());
    for _ in 0..3 {
        let left = departures(Arc::clone(&rate_limiter), 50, Duration::ZERO, SECOND * 2).await;
        check(&left, 24.0, SECOND * 2);
        assert!(left[1] - left[0] >= Duration::from_millis(35), "{:?}", &left[..3]);
        tokio::time::advance(SECOND * 100).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_busy_thread_delays_is_made_up_for_and_a_long_delay_is_not() {
    for (delay, expected) in [(20, 0.99..=1.0), (50, 0.98..=1.0), (500, 0.4..=0.65)] {
        let rate_limiter = Arc::new(RateLimiter::new(400.0).unwrap());
        let running = tokio::spawn(departures(Arc::clone(&rate_limiter), 100, Duration::ZERO, SECOND * 10));
        for _ in 0..10_000 / (delay + 400) {
            tokio::time::sleep(Duration::from_millis(400)).await;
            // As if nothing ran meanwhile: the head of the queue wakes that late.
            tokio::time::advance(Duration::from_millis(delay)).await;
        }
        let left = running.await.unwrap();
        assert!(most_in_a_second(&left) <= 429, "{}", most_in_a_second(&left));
        let fraction = left.len() as f64 / 4_000.0;
        assert!(expected.contains(&fraction), "{fraction} after {delay} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_takes_no_turn_along() {
    let rate_limiter = RateLimiter::new(1.0).unwrap();
    rate_limiter.next_slot().await.consume();
    let begun = Instant::now();
    for _ in 0..5 {
        let slot = async { rate_limiter.next_slot().await.wait().await };
        assert!(tokio::time::timeout(Duration::from_millis(10), slot).await.is_err());
    }
    let slot = rate_limiter.next_slot().await;
    slot.wait().await;
    assert_eq!(begun.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn throttling_that_goes_on_slows_down_for_a_while() {
    let rate_limiter = RateLimiter::new(30.0).unwrap();
    let fraction = || (rate_limiter.fraction(Instant::now()) * 100.0).round();
    let begun = Instant::now();
    rate_limiter.throttled(begun, SECOND * 10);
    assert_eq!(fraction(), 100.0, "once may be somebody else's fault");
    tokio::time::advance(SECOND * 30).await;
    for _ in 0..50 {
        rate_limiter.throttled(begun, SECOND * 10);
    }
    assert_eq!(fraction(), 100.0, "these left before");
    rate_limiter.throttled(begun + SECOND * 29, SECOND * 10);
    assert_eq!(fraction(), 83.0);
    tokio::time::advance(SECOND * 60).await;
    rate_limiter.throttled(Instant::now(), SECOND * 100);
    assert_eq!(fraction(), 72.0, "some was regained in between");
    tokio::time::advance(SECOND * 150).await;
    rate_limiter.throttled(Instant::now(), SECOND * 10);
    assert_eq!(fraction(), 66.0, "the wait does not count as calm");
    tokio::time::advance(SECOND * 300).await;
    rate_limiter.throttled(Instant::now(), SECOND * 10);
    assert_eq!(fraction(), 83.0, "after a long calm one is forgiven");
    tokio::time::advance(SECOND * 600).await;
    assert_eq!(fraction(), 100.0);
    for _ in 0..100 {
        tokio::time::advance(SECOND).await;
        rate_limiter.throttled(Instant::now(), SECOND);
    }
    assert_eq!(fraction(), 10.0);
}

#[test]
fn a_pace_is_a_number_above_nothing() {
    for none in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300, 1e-5] {
        assert!(RateLimiter::new(none).is_none(), "{none}");
    }
    for rate in [0.001, 24.0, 1e6, f64::MAX] {
        assert!(RateLimiter::new(rate).is_some(), "{rate}");
    }
}
