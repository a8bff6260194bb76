//! Lakes in object stores: S3, Azure Blob and Google Cloud Storage.

use copilot_lake_tables::TABLES;

use crate::harness::{World, text};
use crate::store_servers::{BOTH, Kind, read_by_others, rows, world};

#[test]
fn a_lake_in_a_store_is_like_one_in_a_folder() {
    for kind in Kind::ALL {
        let server = kind.serve();
        let mut world = world(kind, &server.url, BOTH);
        // Views are made and written alike in every store.
        let has_views = matches!(kind, Kind::S3);
        world.keys.insert("lake.views".to_owned(), has_views.into());
        let check = world.run(&["check"]);
        assert!(check.status.success(), "{kind:?}: {}{}", text(&check.stdout), text(&check.stderr));
        world.extract(&[], 0);
        world.check_complete();
        world.check_listing();
        let first = rows(&world);
        let summary = world.extract(&[], 0);
        world.check_complete();
        assert_eq!(first["msdyn_copilotevent"], 2000, "{summary}");
        read_by_others(&world, kind, &server.url);
        let query = world.run(&["query", "--sql", "SELECT count(*) AS n FROM msdyn_copilotevent", "--format", "csv"]);
        assert_eq!(text(&query.stdout), "n\n2000\n", "{kind:?}: {}", text(&query.stderr));
        let status = world.run(&["status", "--format", "json"]);
        let found: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(
            (&found["failed_slices"], &found["runs"][0]["outcome"]),
            (&0.into(), &"complete".into()),
            "{kind:?}"
        );
        for command in [&["plan"][..], &["maintain", "--dry-run"], &["maintain"]] {
            let output = world.run(command);
            assert!(output.status.success(), "{kind:?}: {command:?}: {}", text(&output.stderr));
            if command == ["plan"] {
                assert!(text(&output.stdout).contains("msdyn_copilotevent"), "{}", text(&output.stdout));
            }
        }
        world.check_listing();
        world.check_complete();
        if has_views {
            world.check_views();
        }
        let events = found["tables"].as_array().unwrap().iter().find(|of| of["table"] == "msdyn_copilotevent");
        assert_eq!(events.unwrap()["rows"], 2000, "{kind:?}: {found}");
        let log =
            format!("{}{}{}{}", text(&check.stdout), text(&status.stdout), text(&status.stderr), text(&check.stderr));
        assert!(!log.contains("s3cret-of-the-store") && !log.contains("Eby8vdM02"), "{log}");
    }
}

#[test]
fn an_archive_in_a_store_is_few_objects_and_replayed_from_there() {
    for kind in Kind::ALL {
        let server = kind.serve();
        let mut world = world(kind, &server.url, BOTH);
        world.keys.insert("lake.archive_raw".to_owned(), true.into());
        world.extract(&[], 0);
        world.extract(&[], 0);
        let requests: u64 = world.emulator.served().requests.values().sum();
        let again = kind.url("again");
        for from in [world.lake_url(), format!("{}/_raw", world.lake_url())] {
            let output = world.run(&["replay", &from, "--lake", &again]);
            assert!(output.status.success(), "{kind:?}: {}", text(&output.stderr));
        }
        assert_eq!(world.emulator.served().requests.values().sum::<u64>(), requests, "a service was asked");
        // Which weeks have all their payloads is recorded by runs that ask for them.
        let slices = |world: &World| world.sql("SELECT count(*) FROM extraction_slice WHERE clock <> 'payloads'");
        let (first, first_slices) = (rows(&world), slices(&world));
        let options = world.store.as_ref().unwrap().1.clone();
        let objects = world.runtime.block_on(async {
            let archives = copilot_lake_writer::archived(&world.lake_url(), &options).await.unwrap();
            archives.iter().map(|archive| archive.path.split('/').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
        });
        for table in ["msdyn_copilotevent", "payload", "ai_interaction", "graph_user"] {
            // One archive for each run that had something of it.
            let archives = objects.iter().filter(|of| *of == table).count();
            assert!((1..=2).contains(&archives), "{kind:?}: {archives} archives of {table}");
        }
        world.store = Some((again, options));
        let second = rows(&world);
        for table in TABLES.iter().filter(|table| !table.name.starts_with("extraction_")) {
            assert_eq!(first[table.name], second[table.name], "{kind:?}: {}", table.name);
        }
        assert_eq!(slices(&world), first_slices, "{kind:?}");
    }
}
