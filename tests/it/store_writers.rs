//! Runs on one lake in an object store that are killed, paused, cut off, or at work at once.

#![expect(clippy::print_stdout, reason = "a failure is repeated by its seed and its faults")]

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use copilot_lake_tables::{SYSTEM_USER, TABLES, dataverse_tables};
use tempfile::TempDir;

use crate::harness::{Numbers, World, is_soak, text};
use crate::store_proxy::{StoreFault, StoreProxy};
use crate::store_servers::{BOTH, Kind, Server, read_by_others, rows, signal, world};

/// A store that several runs write to, behind a proxy. Servers of S3 and Azure can be stopped and started, and keep their state
/// on disk.
struct Store {
    kind: Kind,
    server: Server,
    proxy: StoreProxy,
    folder: TempDir,
}

impl Store {
    fn of(kind: Kind, toml: &str) -> (World, Self) {
        let folder = TempDir::new().unwrap();
        let server = match kind {
            Kind::S3 => Server::moto_in(folder.path()),
            Kind::Azure => Server::azurite_in(folder.path()),
            Kind::Gcs => kind.serve(),
        };
        let mut world = world(kind, &server.url, toml);
        let proxy = StoreProxy::start(&world, &server.url);
        world.store.as_mut().unwrap().1.options = kind.options(&proxy.url);
        (world, Self { kind, server, proxy, folder })
    }

    /// Starts a run, and waits until it has sent this many requests to the store. `None`: it has ended before.
    fn under_way(&self, world: &World, requests: u64) -> Option<Child> {
        self.command_under_way(world, &["extract", "-v"], requests)
    }

    /// As [`Store::under_way`], of any command.
    fn command_under_way(&self, world: &World, command: &[&str], requests: u64) -> Option<Child> {
        let until = self.proxy.requests() + requests;
        let log = std::fs::File::create(log_of(world)).unwrap();
        let mut run = world.command(command).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        world.wait_until(&mut run, || self.proxy.requests() >= until).then_some(run)
    }

    /// Cuts a run off from the store for a while: nothing listens, or, where its state is on disk, the server is stopped
    /// and started.
    fn cut_off(&mut self, world: &World, run: &mut Child) {
        let refused = self.proxy.requests() + 15;
        self.proxy.refuse(true);
        self.restart();
        world.wait_until(run, || self.proxy.requests() >= refused);
        self.proxy.refuse(false);
    }

    fn restart(&mut self) {
        let again: fn(&Path) -> Server = match self.kind {
            Kind::S3 => Server::moto_again,
            Kind::Azure => Server::azurite_again,
            Kind::Gcs => return,
        };
        self.server.stop();
        self.server = again(self.folder.path());
        self.proxy.forward_to(&self.server.url);
    }

    fn check(&self, world: &World) {
        world.check_complete();
        world.check_lake();
        read_by_others(world, self.kind, &self.server.url);
    }
}

/// What the run that was started last says.
fn log_of(world: &World) -> PathBuf {
    world.folder.path().join("extract.log")
}

/// Asserts how that run ends.
fn assert_ends(run: &mut Child, code: i32, world: &World, what: &str) {
    let ended = run.wait().unwrap();
    assert_eq!(ended.code(), Some(code), "{what}: {}", std::fs::read_to_string(log_of(world)).unwrap());
}

/// Rows in every table of both services.
fn all_tables() -> String {
    let others = dataverse_tables().filter(|table| table.name != SYSTEM_USER.name && !BOTH.contains(table.name));
    others.fold(BOTH.to_owned(), |toml, table| {
        format!("{toml}[[table]]\nname = \"{}\"\nrows = 300\nweeks = 3\n", table.name)
    })
}

fn killed(kind: Kind) {
    let kills = if is_soak() { 30 } else { 2 };
    let (mut world, mut store) = Store::of(kind, &all_tables());
    world.keys.insert("dataverse.page_size".to_owned(), 100.into());
    let seed = 42;
    println!("{kind:?}: seed {seed}");
    let mut moments = Numbers(seed);
    let (mut killed, mut seen) = (0, Vec::new());
    for _ in 0..kills {
        if let Some(mut run) = store.under_way(&world, 40 + moments.next(400)) {
            run.kill().unwrap();
            run.wait().unwrap();
            killed += 1;
        }
        seen.push(world.visible_rows());
    }
    assert!(killed >= 1, "no run was killed");
    if let Some(mut run) = store.under_way(&world, 60) {
        store.cut_off(&world, &mut run);
        assert_ends(&mut run, 0, &world, "it was cut off for a moment");
    }
    world.extract(&[], 0);
    store.check(&world);
    world.check_weeks_were_whole(&seen);
}

#[test]
fn killed_runs_on_s3_lose_and_double_nothing() {
    killed(Kind::S3);
}

#[test]
fn killed_runs_on_azure_lose_and_double_nothing() {
    killed(Kind::Azure);
}

#[test]
fn killed_runs_on_google_lose_and_double_nothing() {
    killed(Kind::Gcs);
}

#[test]
fn every_writing_command_waits_for_a_store_that_cannot_be_reached() {
    let (mut world, mut store) = Store::of(Kind::S3, BOTH);
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.extract(&[], 0);
    let again = Kind::S3.url("again");
    let replay = ["replay", &world.lake_url(), "--lake", &again];
    assert!(world.run(&replay).status.success());
    // More requests are refused than one is sent again to a store that has never answered.
    for (command, requests) in [(&["maintain"][..], 60), (&replay, 40), (&replay, 90)] {
        let mut run = store.command_under_way(&world, command, requests).expect("it ended before");
        store.cut_off(&world, &mut run);
        assert_ends(&mut run, 0, &world, command[0]);
    }
    store.check(&world);
    let first = rows(&world);
    world.store.as_mut().unwrap().0 = again;
    let second = rows(&world);
    for table in TABLES.iter().filter(|table| !table.name.starts_with("extraction_")) {
        assert_eq!(first[table.name], second[table.name], "{}", table.name);
    }
}

/// Pauses a run at a moment that a seed chooses; another takes over, and the paused one goes on.
fn paused(kind: Kind, seed: u64, in_commit: bool) {
    println!("{kind:?}: seed {seed}, in a commit: {in_commit}");
    let mut numbers = Numbers(seed);
    let (mut world, store) = Store::of(kind, BOTH);
    world.keys.insert("dataverse.page_size".to_owned(), 100.into());
    let mut run = if in_commit {
        // Tables are made first.
        let after = TABLES.len() as u64 + numbers.next(6);
        store.proxy.fail("PUT", "_delta_log/", after, 1, StoreFault::Held);
        let mut run = store.under_way(&world, 1).unwrap();
        assert!(world.wait_until(&mut run, || store.proxy.is_holding()), "it ended before");
        run
    } else {
        store.under_way(&world, 60 + numbers.next(120)).expect("it ended before")
    };
    signal(&run, "-STOP");
    // Another one watches the lease for 30 s, and goes on in its place.
    world.extract(&[], 0);
    let there = rows(&world);
    if in_commit {
        store.proxy.let_go(&world);
    }
    signal(&run, "-CONT");
    assert_ends(&mut run, 4, &world, "it was taken over");
    assert_eq!(rows(&world), there, "{kind:?}");
    store.check(&world);
}

fn pauses(kind: Kind, in_commit: bool) {
    for seed in if is_soak() { 1..=15 } else { 1..=1 } {
        paused(kind, seed, in_commit);
    }
}

#[test]
fn a_run_on_s3_that_was_paused_for_too_long_commits_nothing_afterwards() {
    pauses(Kind::S3, false);
}

#[test]
fn a_run_on_azure_that_was_paused_for_too_long_commits_nothing_afterwards() {
    pauses(Kind::Azure, false);
}

#[test]
fn a_run_on_google_that_was_paused_for_too_long_commits_nothing_afterwards() {
    pauses(Kind::Gcs, false);
}

#[test]
fn a_commit_on_s3_that_arrives_after_a_takeover_is_refused() {
    pauses(Kind::S3, true);
}

#[test]
fn a_commit_on_azure_that_arrives_after_a_takeover_is_refused() {
    pauses(Kind::Azure, true);
}

#[test]
fn of_two_runs_at_once_one_stops_and_names_the_other() {
    for kind in Kind::ALL {
        let (mut world, store) = Store::of(kind, BOTH);
        world.keys.insert("graph.requests_per_second".to_owned(), 1.into());
        let start = || world.command(&["extract", "-q"]).stderr(Stdio::piped()).spawn().unwrap();
        let (mut a, mut b) = (start(), start());
        let is_second = world.wait_until(&mut a, || b.try_wait().unwrap().is_some());
        let (stopped, running) = if is_second { (b, a) } else { (a, b) };
        let stopped = stopped.wait_with_output().unwrap();
        let message = text(&stopped.stderr);
        assert_eq!(stopped.status.code(), Some(4), "{kind:?}: {message}");
        assert!(message.contains("another run holds the lake: ") && message.contains(", since 20"), "{message}");
        signal(&running, "-TERM");
        let ended = running.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(3), "{kind:?}: {}", text(&ended.stderr));
        world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
        // It has released its lease: nothing is waited for.
        world.extract(&[], 0);
        store.check(&world);
    }
}
