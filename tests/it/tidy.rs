//! The rules of the house, checked against manifests and sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Directory under `crates/`, and the whole list of our crates that it may use.
const WALLS: &[(&str, &[&str])] = &[
    ("tables", &[]),
    ("extractor", &["tables"]),
    ("decoder", &["tables"]),
    ("writer", &["tables"]),
    ("pipeline", &["tables", "extractor", "decoder", "writer"]),
    ("query", &["tables", "writer"]),
    ("emulator", &["tables"]),
    ("cli", &["tables", "extractor", "decoder", "writer", "pipeline", "query", "emulator"]),
];

/// What a crate must not use: absences are the architecture.
const ABSENT: &[(&str, &[&str])] = &[
    ("tables", &["arrow", "tokio", "object_store", "reqwest"]),
    ("extractor", &["arrow", "parquet", "deltalake", "rayon"]),
    ("decoder", &["tokio", "reqwest", "object_store", "chrono"]),
    ("writer", &["reqwest", "datafusion"]),
    ("pipeline", &["reqwest", "parquet", "deltalake", "datafusion"]),
    ("emulator", &["arrow", "reqwest"]),
];

/// A file with more lines than this does more than one thing.
const LINES: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn manifest(path: &Path) -> toml::Table {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

fn dependencies(directory: &str) -> BTreeSet<String> {
    let manifest = manifest(&root().join("crates").join(directory).join("Cargo.toml"));
    let names = manifest.get("dependencies").and_then(toml::Value::as_table).into_iter().flatten();
    names.map(|(name, _)| name.clone()).collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates"), root().join("tests"), root().join("benches")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // What the fuzz targets were compiled to.
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn is_test(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.ends_with("tests.rs") || text.contains("/tests/") || text.contains("/benches/") || text.contains("/examples/")
}

#[test]
fn crates_use_only_what_they_may() {
    for (directory, may) in WALLS {
        let allowed: BTreeSet<_> = may.iter().map(|name| format!("copilot-lake-{name}")).collect();
        let used: BTreeSet<_> =
            dependencies(directory).into_iter().filter(|name| name.starts_with("copilot-lake-")).collect();
        assert!(used.is_subset(&allowed), "{directory} uses {:?}", used.difference(&allowed).collect::<Vec<_>>());
    }
    let on_disk: BTreeSet<_> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(on_disk, WALLS.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
fn crates_leave_out_what_they_must() {
    for (directory, absent) in ABSENT {
        let used = dependencies(directory);
        for name in *absent {
            assert!(!used.contains(*name), "{directory} uses {name}");
        }
    }
}

#[test]
fn one_copy_of_the_types_that_meet() {
    let lock = manifest(&root().join("Cargo.lock"));
    for (name, series) in [
        ("arrow", "59."),
        ("parquet", "59."),
        ("object_store", "0.13."),
        ("datafusion", "55."),
        ("buoyant_kernel", "0.28."),
        ("deltalake-core", "1.1."),
    ] {
        let packages = lock["package"].as_array().unwrap().iter();
        let versions: Vec<_> =
            packages.filter(|p| p["name"].as_str() == Some(name)).map(|p| p["version"].as_str().unwrap()).collect();
        assert_eq!(versions.len(), 1, "{name} {versions:?}");
        assert!(versions[0].starts_with(series), "{name} {versions:?}");
    }
}

#[test]
fn builds_take_what_the_lock_file_says() {
    let mut calls = 0;
    for name in ["Makefile", ".ci/run"] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        for call in text.split("cargo ").skip(1) {
            let arguments: Vec<_> = call.lines().next().unwrap().split_whitespace().collect();
            if arguments.first().is_some_and(|first| ["build", "test", "clippy", "bench", "run"].contains(first)) {
                calls += 1;
                assert!(arguments.contains(&"--locked"), "{name}: cargo {} without --locked", arguments.join(" "));
            }
        }
    }
    assert!(calls > 5, "only {calls} calls of cargo were found");
}

#[test]
fn the_toolchain_is_the_release_of_the_manifest() {
    let pin = manifest(&root().join("rust-toolchain.toml"));
    let channel = pin["toolchain"]["channel"].as_str().unwrap().to_owned();
    let manifest = manifest(&root().join("Cargo.toml"));
    let oldest = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    // A release in full, so that two machines do not lint with different ones.
    assert_eq!(channel.split('.').count(), 3, "{channel}");
    assert!(channel.starts_with(&format!("{oldest}.")), "{channel} is not a release of {oldest}");
}

#[test]
fn python_packages_have_hashes() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for line in makefile.lines().filter(|line| line.contains("pip install")) {
        // Without `--only-binary`, pip may run a package's own build, whose requirements have no hashes.
        assert!(line.contains("--require-hashes") && line.contains("--only-binary :all:"), "{line}");
    }
    let mut packages = 0;
    let folders = ["tests/python", "benches/peers"].map(|folder| fs::read_dir(root().join(folder)).unwrap());
    for entry in folders.into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap().replace("\\\n", " ");
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            packages += 1;
            let is_pinned = line.contains("==") && line.contains("--hash=sha256:");
            assert!(is_pinned, "{}: {}", path.display(), line.split_whitespace().next().unwrap());
        }
    }
    assert!(packages > 5, "only {packages} packages were found");
}

#[test]
fn seven_things_lie_at_the_top() {
    let known = ["Cargo.toml", "README.md", "Makefile", "crates", "queries", "tests", "benches"];
    // The lock file is cargo's, the toolchain file rustup's, which looks for no hidden one; the others are made by running things
    // and ignored by git.
    let made = ["Cargo.lock", "rust-toolchain.toml", "target", "demo-lake", "lake"];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || known.contains(&name.as_str()) || made.contains(&name.as_str()), "{name}");
    }
    for name in known {
        assert!(root().join(name).exists(), "{name} is missing");
    }
}

#[test]
fn files_stay_one_room() {
    for (path, text) in sources().iter().filter(|(path, _)| !is_test(path)) {
        let lines = text.lines().count();
        assert!(lines <= LINES, "{} has {lines} lines", path.display());
    }
}

#[test]
fn sources_keep_the_rules() {
    for (path, text) in sources().iter().filter(|(path, _)| !is_test(path)) {
        let shown = path.display().to_string();
        assert!(!text.contains("#[allow(") && !text.contains("#![allow("), "{shown}: a bare allow");
        assert!(!text.contains("::prelude::*") || text.contains("rayon::prelude"), "{shown}: a glob import");
        let in_cli = shown.contains("/crates/cli/");
        let prints = text.contains("println!(") && !text.contains("//! ```");
        assert!(in_cli || !prints, "{shown}: only cli prints");
        let environment = ["env::var(", "env::vars(", "env::var_os("];
        let reads = environment.iter().any(|call| text.contains(call));
        assert!(!reads || shown.ends_with("/crates/cli/src/environment.rs"), "{shown}: reads the environment");
    }
}

#[test]
fn one_file_makes_paths() {
    let makers: Vec<_> = sources()
        .into_iter()
        .filter(|(path, text)| {
            !is_test(path) && path.to_string_lossy().contains("/writer/") && text.contains("_delta_log")
        })
        .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(makers.iter().all(|name| name == "paths.rs" || name == "lib.rs"), "{makers:?}");
}

#[test]
fn the_code_map_names_what_there_is() {
    let map = fs::read_to_string(root().join("crates/README.md")).unwrap();
    let lines = map.lines().count();
    assert!(lines <= 220, "crates/README.md has {lines} lines");
    assert!(map.matches('`').count().is_multiple_of(2), "crates/README.md has a backtick without its other half");
    let (mut paths, mut stations, mut missing) = (0, 0, Vec::new());
    let mut folder = root().join("crates");
    // What is between backticks: the map has no blocks of code.
    for named in map.split('`').skip(1).step_by(2) {
        let (path, function) = named.split_once(':').map_or((named, None), |(path, name)| (path, Some(name)));
        let is_file = Path::new(path).extension().is_some_and(|extension| extension == "rs" || extension == "sql");
        if !is_file && !path.ends_with('/') {
            continue;
        }
        paths += 1;
        let is_full = ["crates/", "queries/", "tests/"].iter().any(|top| path.starts_with(top));
        let place = if is_full { root().join(path) } else { folder.join(path) };
        // `<table>.rs` stands for any file there.
        let looked_for = if path.contains('<') { place.parent().unwrap() } else { place.as_path() };
        if !looked_for.exists() {
            missing.push(format!("`{named}`: there is no {}", looked_for.display()));
        } else if let Some(function) = function {
            stations += 1;
            let text = fs::read_to_string(&place).unwrap();
            if !text.contains(&format!("fn {function}(")) && !text.contains(&format!("fn {function}<")) {
                missing.push(format!("`{named}`: there is no `fn {function}` in {}", place.display()));
            }
        }
        if is_full {
            folder = if path.ends_with('/') { place } else { place.parent().unwrap().to_owned() };
        }
    }
    assert!(missing.is_empty(), "crates/README.md names what is not there:\n{}", missing.join("\n"));
    assert!(paths > 100 && stations > 30, "crates/README.md: only {paths} paths and {stations} functions were found");
}

#[test]
fn the_readme_lists_what_there_is() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 200);
    let listed: Vec<_> = readme
        .lines()
        .skip_while(|line| *line != "## Tables")
        .take_while(|line| *line != "## Queries")
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let mut tables: Vec<_> = copilot_lake_tables::TABLES.iter().map(|table| table.name).collect();
    tables.sort_unstable();
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, tables);
    for query in copilot_lake_query::QUERIES {
        let link = format!("[`{0}`](queries/{0}.sql)", query.name);
        assert!(readme.contains(&link), "{link} is missing");
    }
}
