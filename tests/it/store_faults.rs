//! Lakes in object stores, with faults between the program and the store.

#![expect(clippy::print_stdout, reason = "a failure is repeated by its seed and its faults")]

use crate::harness::{World, is_soak, text};
use crate::store_proxy::{StoreFault, StoreProxy};
use crate::store_servers::{BOTH, Kind, Server, read_by_others, world};

/// A world whose lake is in a store behind a proxy.
fn behind(kind: Kind, server: &Server) -> (World, StoreProxy) {
    let mut world = world(kind, &server.url, BOTH);
    let proxy = StoreProxy::start(&world, &server.url);
    let (_, options) = world.store.as_mut().unwrap();
    options.options = kind.options(&proxy.url);
    (world, proxy)
}

/// Asserts that the lake is whole, for us and for others, with nothing beside it.
fn check(world: &World, kind: Kind, server: &Server) {
    world.check_complete();
    world.check_lake();
    if matches!(kind, Kind::S3) {
        // An upload that was begun twice, because the first answer was lost, is known to no run.
        let output = world.run(&["maintain"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(server.open_uploads(), [""; 0]);
        world.check_complete();
        world.check_lake();
    }
    read_by_others(world, kind, &server.url);
}

/// A fault of each kind of request to a store that a run makes.
fn each_fault(kind: Kind, proxy: &StoreProxy, fault: StoreFault) {
    let parts = match kind {
        Kind::S3 | Kind::Gcs => {
            [("PUT", "_delta_log/"), ("POST", "uploadId="), ("PUT", "partNumber="), ("GET", "list-type=2")]
        }
        Kind::Azure => {
            [("PUT", "_delta_log/"), ("PUT", "comp=blocklist"), ("PUT", "comp=block&"), ("GET", "comp=list")]
        }
    };
    for (method, part) in parts {
        proxy.fail(method, part, 1, 2, fault);
    }
    proxy.fail("PUT", "lake/_lock", 0, 1, fault);
    proxy.fail("GET", "_delta_log/", 1, 1, fault);
    proxy.fail("GET", ".parquet", 1, 1, fault);
}

fn ridden_out(kind: Kind) {
    let server = kind.serve();
    let (world, proxy) = behind(kind, &server);
    for fault in StoreFault::TRANSIENT {
        each_fault(kind, &proxy, fault);
        if fault == StoreFault::AnswerCut {
            // The client does not ask again for a list, or for the reason of a refusal: the run may fail, clean.
            let output = world.run(&["extract"]);
            assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{output:?}");
            proxy.mend();
        }
        world.extract(&[], 0);
        proxy.mend();
        println!("{kind:?}: {:?}", proxy.faults());
        assert!(proxy.faults()[&fault] >= 3, "{kind:?}: {:?}", proxy.faults());
        world.check_complete();
        world.check_listing();
    }
    check(&world, kind, &server);
}

#[test]
fn every_fault_on_the_way_to_s3_is_ridden_out() {
    ridden_out(Kind::S3);
}

#[test]
fn every_fault_on_the_way_to_azure_is_ridden_out() {
    ridden_out(Kind::Azure);
}

#[test]
fn every_fault_on_the_way_to_google_is_ridden_out() {
    ridden_out(Kind::Gcs);
}

/// Runs with faults at random; each ends complete, or fails clean and the next one completes it.
fn at_random(kind: Kind, has_archive: bool) {
    let seeds = if is_soak() { 1..=12 } else { 1..=1 };
    for seed in seeds {
        println!("{kind:?}: seed {seed}");
        let server = kind.serve();
        let (mut world, proxy) = behind(kind, &server);
        world.keys.insert("lake.archive_raw".to_owned(), has_archive.into());
        proxy.fail_at_random(Some((4, seed)));
        for _ in 0..2 {
            let output = world.run(&["extract"]);
            assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{output:?}");
        }
        let faults: u64 = proxy.faults().values().sum();
        assert!(faults > 20, "{:?}", proxy.faults());
        proxy.fail_at_random(None);
        world.extract(&[], 0);
        check(&world, kind, &server);
    }
}

#[test]
fn faults_at_random_on_the_way_to_s3_lose_and_double_nothing() {
    at_random(Kind::S3, true);
}

#[test]
fn faults_at_random_on_the_way_to_azure_lose_and_double_nothing() {
    at_random(Kind::Azure, false);
}
