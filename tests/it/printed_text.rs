//! People's text: no character of it controls a terminal or forges a line, and no message quotes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{World, text};

/// A scenario whose one row has this text, written as TOML.
fn world(verbatim: &str) -> World {
    let mut world = World::parse(&format!(
        "clock = 2025-11-05T12:00:00Z
        [[table]]
        name = \"msdyn_copilotevent\"
        [[table.row]]
        values = {{ msdyn_verbatim = \"{verbatim}\" }}"
    ));
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.extract(&[], 0);
    world
}

/// Asserts that a terminal would obey nothing in a text.
fn assert_harmless(what: &str, text: &str) {
    let is_control = |c: char| {
        c != '\n' && c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(is_control), "{what}: {text:?}");
}

const SELECT: &str = "SELECT msdyn_verbatim FROM msdyn_copilotevent";

/// A title for the terminal, a forged line, a C1 code and a reversal.
const VERBATIM: &str = "=Jane\\u001b]0;x\\u0007\\nerror: forged\\u009b31m\\u202egpj";

#[test]
fn a_failing_query_names_the_cast_and_not_the_value() {
    let world = world(VERBATIM);
    for form in ["text", "json"] {
        let sql = "SELECT CAST(msdyn_verbatim AS BIGINT) FROM msdyn_copilotevent";
        let output = world.run(&["query", "--sql", sql, "--log", form]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("the query casts msdyn_copilotevent.msdyn_verbatim to Int64"), "{message}");
        assert!(!message.contains("Jane") && !message.contains("forged"), "{message}");
        assert_harmless(form, &message);
    }
}

#[test]
fn results_control_no_terminal_and_files_have_what_the_lake_has() {
    let world = world(VERBATIM);
    let shown = |arguments: &[&str]| {
        let output = world.run(&[&["query", "--sql", SELECT], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let plain = "=Jane\u{1b}]0;x\u{7}\nerror: forged\u{9b}31m\u{202e}gpj";
    let table = shown(&[]);
    assert_harmless("table", &table);
    assert_eq!(table.lines().nth(1), Some("=Jane ]0;x ↵ error: forged 31mgpj"));
    let record = shown(&["--format", "record"]);
    assert_harmless("record", &record);
    assert_eq!(record, "msdyn_verbatim: =Jane ]0;x\n  error: forged 31mgpj\n");
    let json = shown(&["--format", "json"]);
    assert_harmless("json", &json);
    let row: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(row["msdyn_verbatim"], plain, "it is the same value");
    assert_eq!(shown(&["--format", "csv"]), format!("msdyn_verbatim\n\"{plain}\"\n"));
    assert_eq!(shown(&["--format", "csv", "--csv-safe"]), format!("msdyn_verbatim\n\"'{plain}\"\n"));
    let refused = world.run(&["query", "--sql", SELECT, "--csv-safe"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
}

#[cfg(unix)]
#[test]
fn results_on_a_terminal_control_nothing() {
    let world = world(VERBATIM);
    let shown = |sql: &str, format: &str| {
        let command = world.command(&["query", "--sql", sql, "--format", format]);
        let mut terminal = Command::new("python3");
        terminal.args(["-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"]);
        terminal.arg(command.get_program()).args(command.get_args()).current_dir(world.folder.path());
        let output = terminal.stdin(std::process::Stdio::null()).output().unwrap();
        text(&output.stdout).replace("\r\n", "\n")
    };
    for (format, wanted) in [
        ("csv", "=Jane ]0;x error: forged 31mgpj"),
        ("table", "=Jane ]0;x\n error: forged 31mgpj\n"),
        ("record", "msdyn_verbatim: =Jane ]0;x\n  error: forged 31mgpj\n"),
    ] {
        let shown = shown(SELECT, format);
        assert!(shown.contains(wanted), "{format}: {shown:?}");
        assert!(!shown.contains("no rows"), "{format}: {shown:?}");
        assert_harmless("a terminal", &shown);
    }
    let none = shown(&format!("{SELECT} WHERE false"), "table");
    assert!(none.contains("msdyn_verbatim") && none.contains("no rows"), "{none:?}");
}

fn descriptions(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = paths.flat_map(|path| if path.is_dir() { descriptions(&path) } else { vec![path] });
    found.filter(|path| path.ends_with("slice.json")).collect()
}

#[test]
fn an_archive_from_elsewhere_forges_no_line() {
    let world = world("text");
    let raw = world.lake().join("_raw");
    let files: Vec<_> =
        descriptions(&raw).into_iter().map(|path| (std::fs::read_to_string(&path).unwrap(), path)).collect();
    assert!(!files.is_empty());
    for (field, value, reason) in [
        ("run_id", "\"r\\nerror: forged\"", "`run_id` of its description is not valid"),
        ("table", "\"t\\u001b[31m\\nerror: forged\"", "`table` of its description is not valid"),
        ("scope", "\"s\\u202eforged\"", "`scope` of its description is not valid"),
        ("window_start", "\"w\\u009b31m\\nerror: forged\"", "`window_start` of its description is not valid"),
        ("finished_at", "\"\\u0007forged\"", "`finished_at` of its description is not valid"),
        ("reason", "\"r\\nerror: forged\"", "`reason` of its description is not valid"),
        ("version", "\"\\nerror: forged\"", "its description cannot be read"),
    ] {
        // Each from what the program wrote, so that no field is refused for another one's sake.
        for (text, path) in &files {
            let forged = text.lines().map(|line| {
                let mut slice: serde_json::Value = serde_json::from_str(line).unwrap();
                slice[field] = serde_json::from_str(value).unwrap();
                format!("{slice}\n")
            });
            std::fs::write(path, forged.collect::<String>()).unwrap();
        }
        for form in ["text", "json"] {
            let output = world.run(&["replay", raw.to_str().unwrap(), "--lake", "again", "--log", form]);
            let message = text(&output.stderr);
            assert!(!output.status.success(), "{field}: {message}");
            assert!(message.contains(reason), "{field}: {message}");
            assert!(!message.contains("forged"), "{field}: {message}");
            assert_harmless(field, &message);
        }
    }
    for (text, path) in &files {
        std::fs::write(path, text).unwrap();
    }
    let output = world.run(&["replay", raw.to_str().unwrap(), "--lake", "again"]);
    assert!(output.status.success(), "as it was written it is replayed: {}", text(&output.stderr));
}
