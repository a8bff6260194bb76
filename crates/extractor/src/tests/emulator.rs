//! Against the emulator: both read the vendor's documentation in the same way.

use std::collections::BTreeSet;

use super::*;
use crate::FileAddress;
use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, ORGANIZATION_ID, Scenario, TENANT_ID};
use copilot_lake_tables::Instant;
use futures::TryStreamExt;

const DATA: &str = "[[table]]\nname = \"msdyn_copilotevent\"\nrows = 1000\nweeks = 3\n";

async fn start(more: &str) -> (Emulator, Dataverse) {
    let scenario = Scenario::parse(&format!("{more}\n{DATA}")).unwrap();
    let emulator = Emulator::start(([127, 0, 0, 1], 0).into(), scenario).await.unwrap();
    let mut settings = settings(emulator.url());
    settings.page_size = 100;
    settings.auth.tenant_id = TENANT_ID.to_owned();
    settings.auth.client_id = CLIENT_ID.to_owned();
    settings.auth.credential = Credential::Secret(Secret::new(CLIENT_SECRET));
    let backoff = Backoff { initial: Duration::from_millis(1), max: Duration::from_millis(4), jitter: || 0.0 };
    let service = Dataverse::with_retry_policy(settings, RetryPolicy { backoff, ..RetryPolicy::documented() }).unwrap();
    (emulator, service)
}

fn everything() -> Slice {
    let (start, end) = (Instant::from_days(0), Instant::from_days(40_000));
    Slice { start, end, ..slice() }
}

/// Every row of the table by key, and the number of pages.
async fn read_all(service: &Dataverse) -> (Vec<serde_json::Value>, usize) {
    let pages: Vec<Page> = service.pages(&everything(), &Selection::all(&COPILOT_EVENT)).try_collect().await.unwrap();
    let rows = pages.iter().flat_map(|page| serde_json::from_slice::<Vec<serde_json::Value>>(page.rows()).unwrap());
    (rows.collect(), pages.len())
}

fn keys(rows: &[serde_json::Value]) -> BTreeSet<String> {
    rows.iter().map(|row| row["msdyn_copiloteventid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_row_is_read_once_and_every_file_is_found() {
    let (emulator, service) = start("").await;
    assert_eq!(service.who_am_i().await.unwrap().organization_id, ORGANIZATION_ID);
    let (rows, pages) = read_all(&service).await;
    assert_eq!((rows.len(), keys(&rows).len(), pages), (1000, 1000, 10));
    let oldest = service.oldest(&COPILOT_EVENT, "createdon").await.unwrap().unwrap();
    assert_eq!(oldest.to_string(), rows[0]["createdon"].as_str().unwrap());

    let text = |row: &serde_json::Value, name: &str| row[name].as_str().map(str::to_owned);
    let named: Vec<_> = rows.iter().filter(|row| !row["msdyn_interactiondata"].is_null()).collect();
    assert!(named.len() > 50, "{}", named.len());
    let fetches = named.iter().map(|row| {
        let key = COPILOT_EVENT.key.iter().map(|name| text(row, name).unwrap()).collect();
        let file = FileAddress { table: &COPILOT_EVENT, key, column: "msdyn_interactiondata", name: None };
        let service = &service;
        async move { service.file(&file).await.map(|file| (file.name.clone(), file.bytes.len())) }
    });
    for (row, found) in named.iter().zip(futures::future::join_all(fetches).await) {
        let (name, length) = found.unwrap();
        assert_eq!(name, text(row, "msdyn_interactiondata_name"));
        assert!(length > 0);
    }
    let served = emulator.served();
    assert_eq!((served.payloads, served.rows), (named.len() as u64, 1001));
    assert!(served.concurrency_max <= 52, "{}", served.concurrency_max);
    emulator.stop().await;
}

#[tokio::test]
async fn a_misbehaving_service_gives_the_same_rows() {
    let (emulator, service) = start("").await;
    let (expected, _) = read_all(&service).await;
    emulator.stop().await;
    let faults = [
        "number = 1\nkind = \"503\"",
        "number = 3\nkind = \"429\"\nretry_after = 1",
        "number = 5\nkind = \"429\"\ncode = \"0x80072326\"",
        "number = 6\nkind = \"408\"",
        "number = 7\nkind = \"cut_body\"",
        "number = 9\nkind = \"cut_chunked\"",
        "number = 11\nkind = \"reset\"",
        "number = 13\nkind = \"not_json\"",
        "number = 15\nkind = \"expired_token\"",
        "number = 17\nkind = \"short_page\"\nrows = 2",
        "number = 18\nkind = \"empty_page\"",
    ];
    let faults: String = faults.iter().map(|fault| format!("[[fault]]\nat = \"page\"\n{fault}\n")).collect();
    let (emulator, service) = start(&format!("[service]\ngzip = true\ndop_hint = 4\n{faults}")).await;
    let (rows, pages) = read_all(&service).await;
    assert!(rows == expected, "{} rows", rows.len());
    let served = emulator.served();
    assert!(served.faults >= 10, "{served:?}");
    assert_eq!(served.retry_after_violations, 0);
    assert_eq!(served.requests["token"], 2);
    let meter = service.meter();
    assert!(pages > 10 && meter.requests > pages as u64 && meter.throttled_seconds >= 1.0, "{pages} {meter:?}");
    emulator.stop().await;
}

#[tokio::test]
async fn tokens_that_expire_all_the_time_are_replaced() {
    let (emulator, service) = start("[token]\nrequests = 3").await;
    let (rows, _) = read_all(&service).await;
    assert_eq!(keys(&rows).len(), 1000);
    assert!(emulator.served().requests["token"] >= 3, "{:?}", emulator.served());
    emulator.stop().await;
}

#[tokio::test]
async fn a_wrong_secret_is_refused_with_the_vendors_code() {
    let (emulator, _) = start("").await;
    let mut settings = settings(emulator.url());
    settings.auth.tenant_id = TENANT_ID.to_owned();
    settings.auth.client_id = CLIENT_ID.to_owned();
    let error = Dataverse::new(settings).unwrap().who_am_i().await.unwrap_err();
    assert!(matches!(&error, Error::SignInRefused { code, .. } if code == "AADSTS7000215"), "{error}");
    emulator.stop().await;
}
