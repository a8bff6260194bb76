//! The page that `report` writes: its bytes, its size, and what a browser makes of it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use copilot_lake_emulator::Scenario;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{World, binary, expect, package, python, text};
use crate::queries::prepare;

/// In the week of 2025-10-19, when the last rows of the made lakes are read.
const NOW: &str = "1761127200";

/// Lakes whose rows are the same each time.
fn made_lakes() -> TempDir {
    let folder = TempDir::new().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(prepare(folder.path()));
    let output = Command::new(python())
        .arg(package().join("python/report_lake.py"))
        .args(["views.sql", "tables.json", "lakes"].map(|name| folder.path().join(name)))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .env_clear()
        .env("SOURCE_DATE_EPOCH", NOW)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// The page about a lake of a folder.
fn page(folder: &Path, lake: &str, flags: &[&str]) -> String {
    let file = format!("{lake}.html");
    let lake = format!("lakes/{lake}");
    let output = run(folder, &[&["report", "--lake", &lake, "--output", &file], flags].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(&format!("wrote {file} (")), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// What the page holds for its script.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// The rows of a shipped query, with the period that the page names for it.
fn answer(folder: &Path, lake: &str, page: &str, query: &str) -> Vec<Value> {
    let named = page.split("<code>copilot-lake query ").find(|text| text.starts_with(query)).unwrap();
    let mut arguments: Vec<_> = std::iter::once("query").chain(named.split_once('<').unwrap().0.split(' ')).collect();
    arguments.extend(["--format", "json", "--lake", lake]);
    let output = run(folder, &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// Sums of a column of an answer, by week and name; only those that are not 0.
fn sums(rows: &[Value], name: &str, column: &str) -> BTreeMap<(String, String), i64> {
    let mut sums = BTreeMap::new();
    for row in rows.iter().filter(|row| row[name].is_string()) {
        let key = [&row["week_start"], &row[name]].map(|value| value.as_str().unwrap().to_owned());
        *sums.entry(key.into()).or_default() += row[column].as_i64().unwrap();
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

/// The same of a table of the page: weeks down, names across.
fn cells(table: &Value) -> BTreeMap<(String, String), i64> {
    let columns = table["columns"].as_array().unwrap();
    let mut cells = BTreeMap::new();
    for row in table["rows"].as_array().unwrap() {
        for (value, column) in row.as_array().unwrap().iter().zip(columns).skip(1) {
            cells
                .insert((row[0].as_str().unwrap().into(), column[0].as_str().unwrap().into()), value.as_i64().unwrap());
        }
    }
    cells.retain(|_, value| *value != 0);
    cells
}

/// Every number of the page is one that a shipped query gives.
fn check_numbers(folder: &Path, lake: &str, page: &str) {
    let data = data(page);
    let measures = answer(folder, lake, page, "week_over_week");
    for (table, column, measure) in [
        ("rate", 1, "net_positive_rate"),
        ("rate", 2, "rated_responses"),
        ("people", 1, "active_users"),
        ("people", 2, "m365_active_users"),
    ] {
        let rows = data[table]["rows"].as_array().unwrap();
        let of_page: BTreeMap<_, _> = rows
            .iter()
            .filter(|row| !row[column].is_null())
            .map(|row| (row[0].to_string(), row[column].as_f64()))
            .collect();
        let of_query = measures.iter().filter(|row| row["measure"] == measure && !row["value"].is_null());
        let of_query: BTreeMap<_, _> =
            of_query.map(|row| (row["week_start"].to_string(), row["value"].as_f64())).collect();
        assert!(!of_query.is_empty(), "{measure}");
        assert_eq!(of_page, of_query, "{measure}");
    }
    let funnel = answer(folder, lake, page, "scenario_funnel");
    let total = |column: &str| funnel.iter().map(|row| row[column].as_i64().unwrap()).sum::<i64>();
    let stages: Vec<_> =
        data["funnel"]["rows"].as_array().unwrap().iter().map(|row| row[1].as_i64().unwrap()).collect();
    assert_eq!(stages, ["generated", "viewed", "used_any", "edited", "rated", "positive"].map(total));
    let scenarios: BTreeMap<_, i64> = data["scenario-rates"]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row[0].clone().to_string(), row[1].as_i64().unwrap()))
        .collect();
    assert_eq!(scenarios.values().sum::<i64>(), total("generated"));
    let shown = cells(&data["scenarios"]);
    let of_query = sums(&funnel, "scenario_label", "generated");
    assert_eq!(shown.values().sum::<i64>(), total("generated"));
    assert!(
        shown
            .iter()
            .filter(|((_, name), _)| !name.ends_with(" others"))
            .all(|(key, sum)| of_query.get(key) == Some(sum))
    );
    let apps = sums(&answer(folder, lake, page, "m365_active_users"), "app", "prompts");
    let shown = cells(&data["apps"]);
    assert_eq!(shown.values().sum::<i64>(), apps.values().sum::<i64>());
    assert!(
        shown.iter().filter(|((_, name), _)| !name.ends_with(" others")).all(|(key, sum)| apps.get(key) == Some(sum))
    );
    for (table, query, column, place) in [
        ("sources", "knowledge_sources", "down", 5),
        ("health", "extraction_health", "slices_done", 3),
        ("payloads", "payload_health", "payloads", 5),
    ] {
        let rows = data[table]["rows"].as_array().unwrap();
        let of_query = answer(folder, lake, page, query);
        assert!(!rows.is_empty() && (rows.len() == of_query.len() || rows.len() == 10), "{table}");
        for (row, of_query) in rows.iter().zip(&of_query) {
            assert_eq!(row[place], of_query[column], "{table}");
        }
    }
}

#[test]
fn equal_lakes_and_times_give_equal_bytes() {
    let lakes = made_lakes();
    let with_text = page(lakes.path(), "both", &["--with-text"]);
    assert_eq!(page(lakes.path(), "both", &["--with-text"]), with_text);
    // A tag per line, so that a difference can be read.
    expect("report.html", &with_text);
    check_numbers(lakes.path(), "lakes/both", &with_text);
    for harmful in ["</script><b>", "\u{202e}", "\u{2028}", "<summary> &", "<Descaling>", "503 <busy>"] {
        assert!(!with_text.contains(harmful), "{harmful:?}");
    }
    assert!(with_text.contains("Article is outdated") && with_text.contains("How is it descaled?"));
    let without = page(lakes.path(), "both", &[]);
    assert!(
        !without.contains("outdated") && !without.contains("descaled?") && !without.contains("user-"),
        "people's text"
    );
}

#[test]
fn days_and_weeks_are_those_of_the_parameters() {
    let lakes = made_lakes();
    let page = page(lakes.path(), "both", &["--param", "tz=America/Chicago", "--param", "week_start=monday"]);
    assert!(page.contains(" Days are those of America/Chicago. Weeks begin on Monday. Written "), "{page}");
    assert!(page.contains(" --param tz=America/Chicago --param week_start=monday</code>"), "{page}");
    assert_eq!(data(&page)["rate"]["rows"][0][0], "2025-10-20");
    check_numbers(lakes.path(), "lakes/both", &page);
    let refused = run(lakes.path(), &["report", "--lake", "lakes/both", "--param", "from=2025-10-01"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("the report takes no parameter `from`"), "{}", text(&refused.stderr));
}

#[test]
fn a_lake_without_a_service_or_without_rows_has_an_honest_page() {
    let lakes = made_lakes();
    let graph = page(lakes.path(), "graph", &["--with-text"]);
    let sections = |page: &str| page.matches(">no rows<").count();
    assert!(graph.contains("Prompts by app") && graph.contains("week of 5 Oct 2025"), "{graph}");
    // Dynamics 365: its cards, five charts, sources, verbatims, payloads; and segments, which take twelve weeks.
    assert_eq!((sections(&graph), graph.matches("<figure").count()), (9, 2), "{graph}");
    let none = page(lakes.path(), "none", &[]);
    assert!(none.contains("The lake holds no rows of Copilot yet."));
    assert_eq!((sections(&none), none.matches("<figure").count()), (11, 0), "{none}");
    assert!(none.contains("msdyn_copilotevent"), "the extraction's health");
}

#[test]
fn what_cannot_be_written_or_read_is_said_as_by_query() {
    let lakes = made_lakes();
    for (arguments, code, told) in [
        (&["report", "--lake", "lakes/absent"][..], 2, "no lake at `lakes/absent`"),
        (&["report", "--lake", "lakes/none", "--output", "absent/report.html"], 2, "cannot write `absent/report.html"),
    ] {
        let output = run(lakes.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
    }
    std::fs::write(lakes.path().join("report.html"), "mine").unwrap();
    std::fs::remove_dir_all(lakes.path().join("lakes/both/msdyn_copilotevent/week_start=2025-10-05")).unwrap();
    let output = run(lakes.path(), &["report", "--lake", "lakes/both"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(lakes.path().join("report.html")).unwrap(), "mine");
    assert!(!lakes.path().join("report.html.partial").exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        page(lakes.path(), "none", &[]);
        let mode = std::fs::metadata(lakes.path().join("none.html")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

/// Debian's Chromium, or another one in the usual places.
fn chromium() -> Option<PathBuf> {
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
}

/// A page as a browser has it after its script ran, and what the page asked the network for; the browser has requests of
/// its own, which are not the page's.
fn opened(chromium: &Path, page: &Path) -> (String, Vec<String>) {
    let profile = TempDir::new().unwrap();
    let log = profile.path().join("net.json");
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        // Whatever is requested all the same is refused.
        .args(["--proxy-server=127.0.0.1:9", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(!told.contains("CONSOLE"), "{told}");
    let network = std::fs::read_to_string(log).unwrap();
    let name = page.file_name().unwrap().to_str().unwrap();
    assert!(network.contains(name), "the log names what was loaded");
    // A line per event; requests of a page on disk are kept apart under its origin.
    let requests = network.lines().filter(|line| line.contains("\"network_isolation_key\":\"file://"));
    let urls = requests.filter_map(|line| line.split_once("\"url\":\"")?.1.split('"').next());
    let urls = urls.filter(|url| !url.starts_with("file:")).map(str::to_owned).collect();
    (text(&output.stdout), urls)
}

#[test]
fn a_browser_draws_it_and_requests_nothing() {
    let Some(chromium) = chromium() else {
        writeln!(std::io::stderr(), "skipped: no Chromium; Debian's package is `chromium`").unwrap();
        return;
    };
    let lakes = made_lakes();
    let written = page(lakes.path(), "both", &["--with-text"]);
    let (document, requested) = opened(&chromium, &lakes.path().join("both.html"));
    assert!(requested.is_empty(), "{requested:?}");
    let other = lakes.path().join("other.html");
    std::fs::write(&other, "<img src='http://127.0.0.1:9/x.png'>").unwrap();
    assert_eq!(opened(&chromium, &other).1, ["http://127.0.0.1:9/x.png"], "a page that requests is found out");
    // The script ran: it makes buttons of headings.
    let headings = document.matches(" scope=\"col\"").count();
    assert!(headings > 40 && document.matches("<button type=\"button\">").count() == headings, "{headings}");
    assert_eq!(document.matches("<figure").count(), written.matches("<figure").count());
    for (shape, least) in
        [("<svg", 13), ("role=\"img\"", 6), ("<rect", 40), ("<circle", 6), ("<path", 30), ("<desc", 6)]
    {
        let drawn = document.matches(shape).count();
        assert!(drawn >= least && drawn == written.matches(shape).count(), "{shape} {drawn}");
    }
    check_numbers(lakes.path(), "lakes/both", &document);
}

#[test]
fn a_lake_of_every_table_fits_the_budget() {
    let mut world = World::new(Scenario::rows(6_000, 30));
    let tenant = "[graph]\nusers = 60\ninteractions = 3000\ndays = 182\n";
    world.keys.insert("graph.users".to_owned(), "all".into());
    world.keys.insert("graph.since".to_owned(), "1970-01-01".into());
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    world.extract(&["--source", "dataverse"], 0);
    world.serve(tenant);
    world.extract(&["--source", "graph"], 0);
    let output = world.run(&["report", "--with-text"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = std::fs::read_to_string(world.folder.path().join("report.html")).unwrap();
    assert!(page.len() < 300_000, "{} bytes", page.len());
    assert_eq!(data(&page)["scenarios"]["rows"].as_array().unwrap().len(), 26);
}
