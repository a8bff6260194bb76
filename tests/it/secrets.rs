//! Canaries: no secret of the configuration appears in what the program prints, at any level, nor in a summary, a lake or
//! its log; and no other program inherits one.

use std::path::Path;
use std::process::Output;

use copilot_lake_emulator::{CLIENT_SECRET, Scenario};
use copilot_lake_tables::TABLES;

use crate::harness::{World, text};

/// Stands for secrets that are not those of the emulator.
const CANARY: &str = "aB3~xyZ9.Qq8_canary";

/// A secret that is shorter than those that services issue.
const SHORT: &str = "zQ7~x";

/// Every level of messages in both forms.
const LEVELS: [&[&str]; 6] = [&[], &["-q"], &["-v"], &["-vv"], &["--log", "json"], &["--log", "json", "-vv"]];

fn world() -> World {
    let mut world = World::new(Scenario::rows(40, 1));
    // What is on this machine is not reached through a proxy.
    world.keys.insert("network.proxy".to_owned(), format!("http://mallory:{CANARY}@127.0.0.1:1").into());
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world
}

/// Asserts that bytes hold neither a secret nor a token.
fn assert_clean(what: &str, bytes: &[u8]) {
    for secret in [CANARY, "canary", SHORT, CLIENT_SECRET, "Bearer "] {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{what}: {secret} in {}", text(bytes));
    }
}

fn run(world: &World, arguments: &[&str]) -> Output {
    let output = world.run(arguments);
    assert_clean(&arguments.join(" "), &output.stdout);
    assert_clean(&arguments.join(" "), &output.stderr);
    output
}

fn assert_files_clean(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += assert_files_clean(&path);
        } else {
            files += 1;
            assert_clean(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn no_command_shows_a_secret_at_any_level() {
    let world = world();
    let summary = world.folder.path().join("summary.json");
    let summary = summary.to_str().unwrap();
    let again = world.folder.path().join("again");
    let raw = world.lake().join("_raw");
    for level in LEVELS {
        for (command, code) in [
            (&["extract", "--full", "--summary", summary][..], 0),
            (&["check"], 0),
            (&["plan"], 0),
            (&["replay", raw.to_str().unwrap(), "--lake", again.to_str().unwrap()], 0),
            (&["query", "--sql", "SELECT count(*) FROM payload"], 0),
            (&["query", "--sql", "SELECT nothing"], 2),
            (&["query", "--sql", "SELECT 1", "--explain"], 0),
            (&["query", "--duckdb-views"], 0),
            (&["query", "--list"], 0),
            (&["tables"], 0),
            (&["completions", "bash"], 0),
        ] {
            let output = run(&world, &[command, level].concat());
            assert_eq!(output.status.code(), Some(code), "{command:?}: {}", text(&output.stderr));
        }
        assert_clean("the summary", &std::fs::read(summary).unwrap());
    }
    let shown = text(&run(&world, &["check", "-v"]).stderr);
    assert!(shown.contains("auth.client_secret = *** (") && shown.contains("http://***@127.0.0.1:1"), "{shown}");
    assert!(assert_files_clean(&world.lake()) + assert_files_clean(&again) > 100);
    // What is compressed in the files.
    for table in TABLES {
        let rows = world.sql(&format!("SELECT * FROM {}", table.name));
        assert_clean(table.name, rows.concat().join(" ").as_bytes());
    }
}

#[test]
fn no_mistake_shows_a_secret() {
    let s3 = format!("s3://KEY:{CANARY}@bucket/lake");
    let slash = format!("s3://KEY:a/{CANARY}@bucket/lake");
    let sas = format!("az://box/lake?sv=2022-11-02&sig={CANARY}");
    let account = format!("AccountName=a;AccountKey={CANARY}");
    let summary = "summary.json";
    for (key, value) in [
        ("lake.url", s3.as_str()),
        ("lake.url", &slash),
        ("lake.url", &sas),
        ("lake.url", &account),
        ("lake.options.account_key", CANARY),
        ("auth.client_secret", CANARY),
        ("auth.client_id", CANARY),
        ("auth.tenant_id", CANARY),
        ("auth.method", CANARY),
        ("auth.authority", CANARY),
        ("dataverse.url", CANARY),
        ("dataverse.tables", CANARY),
        ("dataverse.overlap", CANARY),
        ("dataverse.page_size", CANARY),
        ("graph.users", CANARY),
        ("network.ca_file", CANARY),
        ("auth.client_secret_file", CANARY),
        ("dataverse.secret", CANARY),
        (CANARY, "x"),
        ("auth.client_secret", SHORT),
        ("auth.client_secrt", SHORT),
        ("auth.client_secret_file", SHORT),
        ("auth.client_certificate_password_file", SHORT),
        ("auth.method", SHORT),
        ("auth.authority", SHORT),
        ("network.proxy", SHORT),
        ("dataverse.url", SHORT),
        ("dataverse.overlap", SHORT),
        ("dataverse.page_size", SHORT),
        ("dataverse.payloads", SHORT),
        ("dataverse.secret", SHORT),
        ("lake.options.key", SHORT),
        (SHORT, "x"),
    ] {
        let world = World::new(Scenario::rows(10, 1));
        let set = format!("{key}={value}");
        let mut commands =
            vec![vec!["extract", "--summary", summary], vec!["check", "-vv"], vec!["plan", "--log", "json"]];
        if key.starts_with("lake") {
            commands.push(vec!["query", "--sql", "SELECT 1"]);
            if key == "lake.url" {
                commands.push(vec!["replay", value]);
            }
        }
        for command in commands {
            run(&world, &[&command[..], &["--set", &set]].concat());
        }
        assert_clean(key, &std::fs::read(world.folder.path().join(summary)).unwrap());
        let named: Vec<_> = std::fs::read_dir(world.folder.path()).unwrap().map(|of| of.unwrap().file_name()).collect();
        assert_clean("the folder", format!("{named:?}").as_bytes());
    }
    let world = World::new(Scenario::rows(10, 1));
    for arguments in [
        &["extract", CANARY][..],
        &["extract", "--since", CANARY],
        &["extract", "--deadline", CANARY],
        &["extract", "--table", CANARY],
        &["query", CANARY],
        &["query", "--list", "--format", CANARY],
        &["query", "active_users", "--param", CANARY],
        &["tables", CANARY],
        &[CANARY],
        &["--log", CANARY, "tables"],
        &["extract", "--set", CANARY],
        &["replay", &s3],
        &["extract", "--lake", &sas],
    ] {
        assert_eq!(run(&world, arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn check_warns_of_secrets_that_others_can_see() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut world = World::new(Scenario::rows(10, 1));
    let secret = world.folder.path().join("secret.txt");
    let set_mode = |mode| std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::write(&secret, CLIENT_SECRET).unwrap();
    world.keys.insert("auth.client_secret".to_owned(), "".into());
    world.keys.insert("auth.client_secret_file".to_owned(), "secret.txt".into());
    set_mode(0o600);
    let quiet = run(&world, &["check"]);
    assert!(quiet.status.success() && !text(&quiet.stderr).contains("other users"), "{}", text(&quiet.stderr));
    set_mode(0o644);
    let warned = run(&world, &["check"]);
    let line = "warning: `auth.client_secret_file`: other users can read `";
    assert!(warned.status.success() && text(&warned.stderr).starts_with(line), "{}", text(&warned.stderr));
    // The secret is right, so nothing but the warning is to be said.
    let set = format!("auth.client_secret={CLIENT_SECRET}");
    let warned = run(&world, &["check", "--set", &set]);
    let line = "warning: `auth.client_secret` has a secret on the command line, which other users can see; set \
                COPILOT_LAKE_AUTH__CLIENT_SECRET, or name a file in `auth.client_secret_file`\n";
    assert!(warned.status.success() && text(&warned.stderr).contains(line), "{}", text(&warned.stderr));
}
