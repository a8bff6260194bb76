//! Files in batches: against the emulator, and against services that answer batches in another way.

use std::collections::BTreeMap;

use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Scenario, Served, TENANT_ID};
use copilot_lake_tables::Instant;
use futures::TryStreamExt;

use super::*;
use crate::dataverse::service::FILE_BUDGET;
use crate::{BatchedFile, FileAddress};

const COLUMN: &str = "msdyn_interactiondata";

async fn start(more: &str) -> (Emulator, Dataverse) {
    let data = "[[table]]\nname = \"msdyn_copilotevent\"\nrows = 1000\nweeks = 3\n";
    let scenario = Scenario::parse(&format!("{more}\n{data}")).unwrap();
    let emulator = Emulator::start(([127, 0, 0, 1], 0).into(), scenario).await.unwrap();
    let mut settings = settings(emulator.url());
    settings.page_size = 5_000;
    settings.auth.tenant_id = TENANT_ID.to_owned();
    settings.auth.client_id = CLIENT_ID.to_owned();
    settings.auth.credential = Credential::Secret(Secret::new(CLIENT_SECRET));
    (emulator, impatient(settings))
}

/// The Files that rows name.
async fn files(service: &Dataverse) -> Vec<FileAddress> {
    let everything = Slice { start: Instant::from_days(0), end: Instant::from_days(40_000), ..slice() };
    let pages: Vec<Page> = service.pages(&everything, &Selection::all(&COPILOT_EVENT)).try_collect().await.unwrap();
    let rows = pages.iter().flat_map(|page| serde_json::from_slice::<Vec<serde_json::Value>>(page.rows()).unwrap());
    let named = rows.filter(|row| row[COLUMN].is_string()).map(|row| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let (key, name) = (COPILOT_EVENT.key.iter().map(|name| text(name)).collect(), text(&format!("{COLUMN}_name")));
        FileAddress { table: &COPILOT_EVENT, key, column: COLUMN, name: Some(name) }
    });
    named.collect()
}

/// Name and bytes of a File by the id of its row, or why there are none.
type Fetched = BTreeMap<String, Result<(Option<String>, Vec<u8>), String>>;

/// Fetches Files as the pipeline does: together where that is best, otherwise by themselves.
async fn fetch_all(service: &Dataverse, files: &[FileAddress]) -> Fetched {
    let mut fetched = Fetched::new();
    let mut add = |file: &FileAddress, answer: Result<crate::FileContent, Error>| {
        let answer = answer.map(|file| (file.name, file.bytes.to_vec())).map_err(|error| error.without_call());
        assert!(fetched.insert(file.key[0].clone(), answer).is_none(), "each is fetched once");
    };
    let mut rest = files;
    while !rest.is_empty() {
        let size = service.files_at_once(&COPILOT_EVENT).min(rest.len());
        let (now, later) = rest.split_at(size);
        rest = later;
        if size == 1 {
            add(&now[0], service.file(&now[0]).await);
            continue;
        }
        for (file, batched) in now.iter().zip(service.files(now).await.unwrap()) {
            match batched {
                BatchedFile::Fetched(answer) => add(file, answer),
                BatchedFile::Unfetched => add(file, service.file(file).await),
            }
        }
    }
    fetched
}

/// What is fetched where every batch is refused.
async fn expected() -> Fetched {
    let (emulator, service) = start("[service]\nrefuse_batches = 405").await;
    let fetched = fetch_all(&service, &files(&service).await).await;
    emulator.stop().await;
    fetched
}

fn batches(served: &Served) -> u64 {
    served.requests.get("batch").copied().unwrap_or_default()
}

#[tokio::test]
async fn files_come_in_batches_once_twenty_were_the_same_in_both_ways() {
    let (emulator, service) = start("").await;
    let files = files(&service).await;
    assert!(files.len() > 200, "{}", files.len());
    assert_eq!(service.files_at_once(&COPILOT_EVENT), 1);
    assert!(fetch_all(&service, &files).await == expected().await);
    let served = emulator.served();
    assert!(served.requests["file"] <= 22, "{served:?}");
    assert!((4..30).contains(&batches(&served)), "{served:?}");
    assert_eq!(served.payloads, files.len() as u64 + 20);
    assert!(service.files_at_once(&COPILOT_EVENT) > 10);
    let requests = served.requests.values().sum::<u64>() - served.requests["token"];
    assert_eq!(service.meter().requests, requests);
    emulator.stop().await;
}

#[tokio::test]
async fn an_environment_that_refuses_batches_is_asked_once() {
    let expected = expected().await;
    for status in [400, 403, 404, 405] {
        let (emulator, service) = start(&format!("[service]\nrefuse_batches = {status}")).await;
        let files = files(&service).await;
        assert!(fetch_all(&service, &files).await == expected, "{status}");
        let served = emulator.served();
        assert_eq!((batches(&served), served.requests["file"]), (1, files.len() as u64), "{status}");
        emulator.stop().await;
    }
}

#[tokio::test]
async fn faults_in_batches_lose_nothing() {
    let expected = expected().await;
    for (fault, goes_on) in [
        ("at = \"batch\"\nnumber = 1\nkind = \"503\"", true),
        ("at = \"batch\"\nevery = 3\nkind = \"429\"\ncode = \"0x80072321\"", true),
        ("at = \"batch\"\nnumber = 3\nkind = \"429\"\nretry_after = 1", true),
        ("at = \"batch\"\nnumber = 4\nkind = \"cut_body\"", true),
        ("at = \"batch\"\nnumber = 4\nkind = \"cut_chunked\"", true),
        ("at = \"batch\"\nnumber = 4\nkind = \"reset\"", true),
        ("at = \"batch\"\nnumber = 4\nkind = \"not_json\"", true),
        ("at = \"batch\"\nnumber = 4\nkind = \"expired_token\"", true),
        ("at = \"file\"\nnumber = 90\nkind = \"500\"", true),
        ("at = \"file\"\nnumber = 90\nkind = \"429\"\nretry_after = 1", true),
        ("at = \"file\"\nnumber = 90\nkind = \"401\"", true),
        ("at = \"file\"\nnumber = 90\nkind = \"cut_body\"", false),
        ("at = \"file\"\nnumber = 90\nkind = \"not_json\"", false),
        ("at = \"file\"\nnumber = 90\nkind = \"reset\"", false),
        ("at = \"batch\"\nnumber = 4\ntimes = 99\nkind = \"500\"", false),
    ] {
        let (emulator, service) = start(&format!("[service]\ngzip = true\n[[fault]]\n{fault}")).await;
        let files = files(&service).await;
        assert!(fetch_all(&service, &files).await == expected, "{fault}");
        let served = emulator.served();
        assert!(served.faults > 0 && served.retry_after_violations == 0, "{fault} {served:?}");
        assert_eq!(service.files_at_once(&COPILOT_EVENT) > 1, goes_on, "{fault}");
        emulator.stop().await;
    }
}

#[tokio::test]
async fn a_files_own_failure_in_a_batch_is_that_of_a_request_for_it_alone() {
    let (emulator, service) = start("").await;
    let mut files = files(&service).await;
    for number in [40, 41, 60] {
        files[number].key[0] = format!("00000000-0000-4000-8000-0000000000{number}");
    }
    let (refusing, single) = start("[service]\nrefuse_batches = 404").await;
    assert!(fetch_all(&service, &files).await == fetch_all(&single, &files).await);
    let served = emulator.served();
    assert!(served.requests["file"] <= 22 && batches(&served) > 2, "{served:?}");
    emulator.stop().await;
    refusing.stop().await;
}

#[tokio::test]
async fn files_whose_names_only_their_own_responses_have_are_fetched_one_by_one() {
    let (emulator, service) = start("").await;
    let mut files = files(&service).await;
    for file in &mut files {
        file.name = None;
    }
    assert!(fetch_all(&service, &files).await == expected().await);
    assert_eq!((batches(&emulator.served()), service.files_at_once(&COPILOT_EVENT)), (1, 1));
    emulator.stop().await;
}

#[tokio::test]
async fn the_files_of_a_batch_hold_its_memory_until_the_last_is_dropped() {
    let (emulator, service) = start("").await;
    let files = files(&service).await;
    fetch_all(&service, &files[..40]).await;
    let mut batch = service.files(&files[40..60]).await.unwrap();
    let last = batch.pop();
    drop(batch);
    assert!(service.client.bodies.budget.try_reserve(FILE_BUDGET).is_none());
    drop(last);
    assert!(service.client.bodies.budget.try_reserve(FILE_BUDGET).is_some());
    emulator.stop().await;
}

#[tokio::test]
async fn files_that_are_too_large_together_are_fetched_one_by_one() {
    let row = |number: usize| {
        let (repeat, size) = if number < 30 { (1, "a") } else { (200_000, "b") };
        format!(
            "[[table.row]]\npayload_text = \"large, {number:02}\"\npayload_repeat = {repeat}\npayload_name = \"{size}\"\n"
        )
    };
    let rows: String = (0..45).map(row).collect();
    let (emulator, service) = {
        let data = format!("[[table]]\nname = \"msdyn_copilotevent\"\n{rows}");
        let emulator = Emulator::start(([127, 0, 0, 1], 0).into(), Scenario::parse(&data).unwrap()).await.unwrap();
        let mut settings = settings(emulator.url());
        settings.auth.tenant_id = TENANT_ID.to_owned();
        settings.auth.client_id = CLIENT_ID.to_owned();
        settings.auth.credential = Credential::Secret(Secret::new(CLIENT_SECRET));
        (emulator, impatient(settings))
    };
    let mut files = files(&service).await;
    assert_eq!(files.len(), 45);
    files.sort_by(|one, other| one.name.cmp(&other.name));
    let fetched = fetch_all(&service, &files).await;
    assert!(fetched.values().all(Result::is_ok));
    assert_eq!(fetched.values().flatten().filter(|(_, bytes)| bytes.len() == 9 * 200_000).count(), 15);
    files.reverse();
    assert_eq!(fetch_all(&service, &files).await.len(), 45);
    emulator.stop().await;
}

#[tokio::test]
async fn a_batch_goes_nowhere_else_than_to_the_service() {
    let elsewhere = Server::start(|_| Reply::ok("{}")).await;
    let target = elsewhere.url.join("/api/data/v9.2/$batch").unwrap().to_string();
    let server = Server::start(move |request| match request.target.ends_with("$batch") {
        true => Reply::new(307, "").header("Location", target.clone()),
        false => Reply::ok("same").header("x-ms-file-name", "n"),
    })
    .await;
    let service = dataverse(server.url.clone());
    for number in 10..40 {
        let key = vec![format!("f9d841e5-0000-4000-8000-0000000000{number}"), "p".to_owned()];
        let file = FileAddress { table: &COPILOT_EVENT, key, column: COLUMN, name: Some("n".to_owned()) };
        assert_eq!(&service.file(&file).await.unwrap().bytes[..], b"same");
    }
    let asked = server.asked();
    let batch = asked.iter().find(|asked| asked.target.ends_with("$batch")).unwrap();
    assert_eq!(batch.header("prefer"), Some("odata.continue-on-error"));
    assert_eq!(batch.header("content-type"), Some("multipart/mixed; boundary=\"batch_files\""));
    assert_eq!(batch.body.matches("\r\nGET /api/data/v9.2/msdyn_copilotevents(").count(), 10);
    assert_eq!(asked.len(), 31, "it is sent once");
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_batch_ends_when_the_client_is_stopped() {
    let (emulator, service) = start("[[fault]]\nat = \"batch\"\nnumber = 3\ntimes = 9\nkind = \"503\"").await;
    let files = files(&service).await;
    fetch_all(&service, &files[..21]).await;
    service.stop();
    assert!(matches!(service.files(&files[21..31]).await, Err(Error::Stopped)));
    emulator.stop().await;
}

#[tokio::test]
async fn the_pace_is_that_of_the_answers_and_not_of_one_server() {
    for servers in [1, 3] {
        let limits = format!("limits = {{ requests = 60, window = 5, servers = {servers} }}");
        let (emulator, service) = start(&format!("[service]\nrefuse_batches = 404\n{limits}")).await;
        let files = files(&service).await;
        let fetches = files.iter().map(|file| service.file(file));
        assert!(futures::future::join_all(fetches).await.iter().all(Result::is_ok));
        let requests = emulator.requests();
        let refused = requests.iter().position(|request| request.status == 429).unwrap();
        // Those for tokens are not limited, and a response may be recorded before an earlier one.
        assert!((60 * servers - 55..=60 * servers + 5).contains(&refused), "{servers} servers: {refused}");
        assert_eq!((emulator.served().retry_after_violations, emulator.served().limits_passed), (0, 0));
        emulator.stop().await;
    }
}
