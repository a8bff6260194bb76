//! How much of what the services permit is used where that decides how long a run takes, with their documented limits and
//! compressed time.

use copilot_lake_emulator::RecordedRequest;
use copilot_lake_tables::dataverse_tables;

use crate::graph::histories;
use crate::harness::World;

/// The share that is to be used, without a broken `Retry-After`.
const LEAST: f64 = 0.95;

/// 6,000 requests in 300 s: twelve times as few, in a time that passes 40 times as fast.
const REQUESTS: u64 = 500;
const WINDOW_MS: u64 = 7_500;
const LIMITS: &str = "limits = { requests = 500, window = 300, compression = 40 }";

/// The windows that are looked at.
const WINDOWS: u64 = 2;

/// Requests are counted when they are answered: as many as may be in flight may belong to the time before.
const MOST: f64 = 1.0 + 52.0 / (WINDOWS * REQUESTS) as f64;

/// The share of the permitted requests that were answered within some windows from the first of this kind.
fn share(requests: &[RecordedRequest], kind: &str) -> f64 {
    let api = || requests.iter().filter(|request| request.kind != "token" && request.status == 200);
    let begin = api().filter(|request| request.kind == kind).map(|request| request.at_ms).min().unwrap();
    let within = |from: u64, to: u64| api().filter(|request| (from..to).contains(&request.at_ms)).count() as u64;
    assert!(requests.last().unwrap().at_ms > begin + WINDOWS * WINDOW_MS, "the run was over before");
    let permitted = WINDOWS * REQUESTS - within(begin.saturating_sub(WINDOW_MS), begin);
    within(begin, begin + WINDOWS * WINDOW_MS) as f64 / permitted as f64
}

fn measured(rows: usize, service: &str, keys: &[(&str, toml::Value)], kind: &str) -> f64 {
    let mut world = World::parse(&format!(
        "seed = 12\nclock = 2025-11-05T12:00:00Z\n[service]\n{LIMITS}\n{service}\n[[table]]\n\
         name = \"msdyn_copilotevent\"\nrows = {rows}\nweeks = 8\n"
    ));
    world.keys.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    world.extract(&[], 0);
    world.check_rows(dataverse_tables());
    let served = world.emulator.served();
    assert!(served.statuses[&429] > 0, "the limit was not reached: {served:?}");
    assert_eq!((served.limits_passed, served.retry_after_violations), (0, 0), "{served:?}");
    share(&world.emulator.requests(), kind)
}

#[test]
fn rows_of_dataverse_come_as_fast_as_is_permitted() {
    let keys = [("dataverse.payloads", toml::Value::from(false))];
    let share = measured(7_500, "max_page = 5", &keys, "page");
    assert!((LEAST..=MOST).contains(&share), "{share}");
}

#[test]
fn payloads_come_as_fast_as_is_permitted() {
    let share = measured(4_500, "refuse_batches = 404", &[], "file");
    assert!((LEAST..=MOST).contains(&share), "{share}");
}

/// Of the documented rate, 83 % can be sustained; the default of `graph.requests_per_second` for 30 is 24, which is 96 % of
/// that.
#[test]
fn histories_come_as_fast_as_can_be_sustained() {
    const FACTOR: u32 = 2;
    const SUSTAINED: f64 = 30.0 * 0.83 * FACTOR as f64;
    let world = World::parse(&format!(
        "seed = 7\n[graph]\nusers = 400\ninteractions = 4000\nlicensed = 1.0\ndeleted = 0.0\nlate = {{ share = 0.0 }}\n\
         limits = {{ requests_per_second = {} }}\n[service]\nlatency_ms = 20",
        30 * FACTOR
    ));
    let mut world = world.of_graph("licensed", "2025-07-01");
    world.keys.insert("graph.requests_per_second".to_owned(), (24 * FACTOR).into());
    world.extract(&[], 0);
    let mut times: Vec<u64> = histories(&world, 0).iter().map(|request| request.at_ms).collect();
    times.sort_unstable();
    // At the end too few users are left to fill the rate.
    times.truncate(times.len() * 9 / 10);
    let rate = (times.len() - 1) as f64 * 1000.0 / (times[times.len() - 1] - times[0]) as f64;
    assert!((LEAST..=1.0).contains(&(rate / SUSTAINED)), "{rate:.1} of {SUSTAINED} requests a second");
    let served = world.emulator.served();
    assert_eq!((served.graph.unwrap().throttled, served.retry_after_violations), (0, 0));
}
