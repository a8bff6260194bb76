//! Sessions on workers of this process: the same rows as without, and what becomes of queries when workers fail or refuse.

use std::collections::BTreeMap;

use copilot_lake_tables::COPILOT_REQUEST;
use copilot_lake_writer::{Lake, LakeOptions};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

use super::lake::{ASK, CLEAR, COPY, DOWN, EMAIL, GENERATED, SEND, TestLake, UP, answer, event, try_answer};
use super::stored_views::lake_with_views;
use crate::workers::handshake::Handshake;
use crate::{Error, QUERIES, Session, WorkerAccess, WorkerServer, WorkerToken, Workers};

/// A worker of this process.
struct LocalWorker {
    url: Url,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), Error>>,
}

impl LocalWorker {
    fn start(lake: &Lake, access: &WorkerAccess) -> Self {
        let server = WorkerServer::bind(([127, 0, 0, 1], 0).into(), lake, access, None).unwrap();
        let url = server.url().parse().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        Self { url, stop, served: tokio::spawn(server.serve(stopped)) }
    }

    async fn end(self) {
        drop(self.stop);
        self.served.await.unwrap().unwrap();
    }
}

fn events() -> TestLake {
    TestLake::of(&[
        event(GENERATED, ASK, "r1", "2025-06-23T10:00:00Z"),
        event(UP, ASK, "r1", "2025-06-23T10:00:09Z"),
        event(CLEAR, ASK, "r1", "2025-06-23T10:00:10Z"),
        event(DOWN, ASK, "r1", "2025-06-23T10:00:11Z").says("wrong case"),
        event(GENERATED, EMAIL, "r2", "2025-06-30T10:00:00Z").by("bob"),
        event(SEND, EMAIL, "r2", "2025-06-30T10:05:00Z").by("bob"),
        event(GENERATED, ASK, "r3", "2025-07-08T10:00:00Z"),
        event(COPY, ASK, "r3", "2025-07-08T10:00:30Z"),
    ])
}

async fn opened(lake: &TestLake) -> Lake {
    Lake::open(lake.directory.path().to_str().unwrap(), LakeOptions::default()).await.unwrap()
}

fn sorted(table: &str) -> Vec<&str> {
    let mut lines: Vec<_> = table.lines().collect();
    lines.sort_unstable();
    lines
}

const COUNTS: &str = "SELECT msdyn_interactiontype, count(*) FROM msdyn_copilotevent GROUP BY 1 ORDER BY 1";

#[tokio::test(flavor = "multi_thread")]
async fn workers_answer_as_one_process_does() {
    let files = events();
    let lake = opened(&files).await;
    let access = WorkerAccess { token: Some(WorkerToken::new("t0ken")), ca: None };
    let running = [LocalWorker::start(&lake, &access), LocalWorker::start(&lake, &access)];
    let workers = Workers::connect(running.iter().map(|of| of.url.clone()).collect(), &lake, &access).await.unwrap();
    let alone = files.session(&[]).await;
    let session = files.session(&[]).await.on(&workers).unwrap();
    let plan = session.explain(COUNTS).await.unwrap();
    assert!(plan.contains("RerunExec: workers=2") && plan.contains("DistributedExec"), "{plan}");
    for query in QUERIES {
        let (here, there) = (answer(&alone, query.sql).await, answer(&session, query.sql).await);
        assert_eq!(sorted(&there), sorted(&here), "{}", query.name);
    }
    let unsupported = workers.unsupported();
    assert!(unsupported.len() * 10 < QUERIES.len(), "{unsupported:?}");
    assert!(workers.failures().is_empty());
    let broken = "SELECT CAST(msdyn_verbatim AS INT) FROM msdyn_copilotevent";
    let (here, there) =
        (try_answer(&alone, broken).await.unwrap_err(), try_answer(&session, broken).await.unwrap_err());
    assert_eq!(there.to_string(), here.to_string(), "what a plan fails for is no failure of a worker");
    assert!(workers.failures().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_read_the_stored_rows_of_a_view() {
    let (_directory, lake) = lake_with_views().await;
    let access = WorkerAccess::default();
    let running = [LocalWorker::start(&lake, &access), LocalWorker::start(&lake, &access)];
    let workers = Workers::connect(running.iter().map(|of| of.url.clone()).collect(), &lake, &access).await.unwrap();
    let computed = Session::open(&lake, &BTreeMap::new(), &[]).await.unwrap();
    let stored = Session::open(&lake, &BTreeMap::new(), &[&COPILOT_REQUEST]).await.unwrap().on(&workers).unwrap();
    let sql = "SELECT rating, count(*), max(last_week), sum(answer_seconds) FROM copilot_request GROUP BY 1 ORDER BY 1";
    let plan = stored.explain(sql).await.unwrap();
    assert!(plan.contains("DistributedExec") && !plan.contains("msdyn_copilotevent"), "{plan}");
    assert_eq!(answer(&stored, sql).await, answer(&computed, sql).await);
    assert!(workers.failures().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_runs_again_without_a_worker_that_ended_and_names_the_last_one() {
    let files = events();
    let lake = opened(&files).await;
    let access = WorkerAccess::default();
    let (first, second) = (LocalWorker::start(&lake, &access), LocalWorker::start(&lake, &access));
    let urls = [&first, &second].map(|of| of.url.clone());
    let workers = Workers::connect(urls.to_vec(), &lake, &access).await.unwrap();
    let session = files.session(&[]).await.on(&workers).unwrap();
    let wanted = answer(&files.session(&[]).await, COUNTS).await;
    assert_eq!(answer(&session, COUNTS).await, wanted);

    first.end().await;
    assert_eq!(answer(&session, COUNTS).await, wanted);
    let failures = workers.failures();
    let is_first = |error: &Error| matches!(error, Error::WorkerFailed { url, .. } if *url == urls[0].to_string());
    assert!(failures.len() == 1 && failures.iter().all(is_first), "{failures:?}");

    second.end().await;
    let failed = try_answer(&session, COUNTS).await.unwrap_err();
    assert!(matches!(&failed, Error::WorkerFailed { url, .. } if *url == urls[1].to_string()), "{failed}");
    let none = Workers::connect(urls.to_vec(), &lake, &access).await.err().unwrap();
    assert!(matches!(none, Error::WorkerFailed { .. }), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_workers_miss_is_named() {
    let files = events();
    let lake = opened(&files).await;
    let access = WorkerAccess::default();
    let running = [LocalWorker::start(&lake, &access), LocalWorker::start(&lake, &access)];
    let workers = Workers::connect(running.iter().map(|of| of.url.clone()).collect(), &lake, &access).await.unwrap();
    let session = files.session(&[]).await.on(&workers).unwrap();
    // Workers keep the metadata that they have read: the second time they miss the rows.
    answer(&session, COUNTS).await;
    for file in &files.files["msdyn_copilotevent"] {
        std::fs::remove_file(files.directory.path().join(&file.path)).unwrap();
    }
    let failed = try_answer(&session, COUNTS).await.unwrap_err();
    let is_named = |path: &str| files.files["msdyn_copilotevent"].iter().any(|file| path.ends_with(&file.path));
    assert!(matches!(&failed, Error::FileMissing { path, .. } if is_named(path)), "{failed:?}");
    assert!(workers.failures().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_refuse_whoever_is_not_of_their_kind() {
    let files = events();
    let lake = opened(&files).await;
    let access = |token: Option<&str>| WorkerAccess { token: token.map(WorkerToken::new), ca: None };
    let worker = LocalWorker::start(&lake, &access(Some("t0ken")));
    let urls = || vec![worker.url.clone()];
    let connect = async |lake: &Lake, token| Workers::connect(urls(), lake, &access(token)).await.map(drop);

    connect(&lake, Some("t0ken")).await.unwrap();
    for token in [None, Some("other")] {
        let refused = connect(&lake, token).await.unwrap_err();
        assert!(matches!(&refused, Error::WorkerRefused { url, .. } if *url == worker.url.to_string()), "{refused}");
    }
    let invalid = connect(&lake, Some("t0ken\n")).await.unwrap_err();
    assert!(matches!(invalid, Error::WorkerSetting(_)) && !invalid.to_string().contains("t0ken"), "{invalid}");

    let other = Lake::open("memory://", LakeOptions::default()).await.unwrap();
    let unfit = connect(&other, Some("t0ken")).await.unwrap_err();
    assert!(matches!(unfit, Error::WorkerUnfit { .. }) && unfit.to_string().contains("memory://"), "{unfit}");

    let mut handshake = Handshake::new(&lake, Some(WorkerToken::new("t0ken")));
    handshake.version = "0.0.7".to_owned();
    let unfit = Workers::greet(urls(), &handshake, None).await.err().unwrap();
    let versions = format!("its version is {}, and that of the client 0.0.7", env!("CARGO_PKG_VERSION"));
    assert!(matches!(unfit, Error::WorkerUnfit { .. }) && unfit.to_string().ends_with(&versions), "{unfit}");
}
