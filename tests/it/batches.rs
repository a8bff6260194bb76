//! Files in batches: the lake is the one that requests for single Files give, whatever goes wrong, and within the limits.

use copilot_lake_emulator::Served;

use crate::harness::World;

/// Rows of the tables that have Files, some of which are malformed or missing.
const TABLES: &str = r#"
seed = 11
clock = 2025-11-05T12:00:00Z
[[table]]
name = "msdyn_copilotevent"
rows = 2000
weeks = 2
row = [
    { payload_text = "no base64 !", payload_name = "Größe 100%.txt" },
    { payload_base64 = "AAAA////", payload_name = "bytes.bin" },
    { payload_text = "QUJD", payload_name = "twice.txt", encoding = "base64+utf-16le", bom = true },
    { payload_text = "", payload_name = "empty.txt" },
    { payload_missing = true },
]
[[table]]
name = "msdyn_copilotinteractiondata"
rows = 120
weeks = 2
[[table]]
name = "msdyn_copilottranscriptdata"
rows = 120
weeks = 2
[[table.row]]
payload_text = "{ no transcript"
"#;

/// The tables that are made of Files, without what differs from run to run.
fn lake(world: &World) -> Vec<Vec<Vec<String>>> {
    let payload = "source_table, source_id, source_partitionid, column_name, file_id, file_name, byte_length, status, \
                   encoding, reason, prompt_text, response_text, text, raw_base64, row_time";
    let queries = [
        format!("SELECT {payload} FROM payload"),
        "SELECT * EXCLUDE (extracted_at) FROM transcript_message".to_owned(),
        "SELECT * EXCLUDE (extracted_at, run_id) FROM rejected_record".to_owned(),
    ];
    let sorted = |query: &String| {
        let mut rows = world.sql(query);
        rows.sort();
        rows
    };
    queries.iter().map(sorted).collect()
}

/// A lake of these tables from a service that behaves in this way.
fn extracted(service: &str) -> World {
    let mut world = World::parse(&format!("{TABLES}\n{service}"));
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.extract(&[], 0);
    world
}

fn requests(served: &Served, kind: &str) -> u64 {
    served.requests.get(kind).copied().unwrap_or_default()
}

#[test]
fn a_lake_got_in_batches_is_the_one_got_file_by_file_and_faults_lose_nothing() {
    let single = extracted("[service]\nrefuse_batches = 405");
    let expected = lake(&single);
    let counts: Vec<_> = expected.iter().map(Vec::len).collect();
    assert!(counts.iter().zip([400, 100, 0]).all(|(rows, least)| *rows >= least), "{counts:?}");
    let undecodable = single.sql("SELECT count(*) FROM payload WHERE status <> 'decoded'");
    assert_ne!(undecodable, [["0"]]);
    let encodings = single.sql("SELECT DISTINCT encoding FROM payload ORDER BY 1");
    assert!(encodings.len() > 2, "{encodings:?}");
    assert_eq!(requests(&single.emulator.served(), "batch"), 3, "one for each table");

    let batched = extracted("");
    let served = batched.emulator.served();
    // How many Files are requested before it is known that batches give the same is a matter of time.
    assert!(requests(&served, "batch") >= 6 && served.batch_parts > 200, "{served:?}");
    assert!(lake(&batched) == expected);
    batched.check_lake();
    batched.check_complete();

    let (raw, again) = (batched.lake().join("_raw"), batched.folder.path().join("again"));
    let output = batched.run(&["replay", raw.to_str().unwrap(), "--lake", again.to_str().unwrap()]);
    assert!(output.status.success());
    let payloads = "SELECT count(*), sum(byte_length), count(text), min(encoding) FROM payload";
    assert_eq!(batched.sql_of(&again, payloads), batched.sql(payloads));

    let faults = [
        "at = \"batch\"\nnumber = 7\nkind = \"503\"",
        "at = \"batch\"\nnumber = 8\nkind = \"429\"\nretry_after = 1",
        "at = \"batch\"\nnumber = 9\nkind = \"cut_chunked\"",
        "at = \"batch\"\nnumber = 10\nkind = \"cut_body\"",
        "at = \"batch\"\nnumber = 11\nkind = \"reset\"",
        "at = \"batch\"\nnumber = 12\nkind = \"not_json\"",
        "at = \"file\"\nnumber = 150\ntimes = 5\nkind = \"500\"",
        "at = \"file\"\nnumber = 250\nkind = \"cut_body\"",
    ];
    let faults: String = faults.iter().map(|fault| format!("[[fault]]\n{fault}\n")).collect();
    let faulty = extracted(&faults);
    let served = faulty.emulator.served();
    assert!(served.faults >= 8 && served.retry_after_violations == 0, "{served:?}");
    assert!(lake(&faulty) == expected);
    faulty.check_lake();
    faulty.check_complete();
}

/// The documented limits, their time compressed a hundredfold and their numbers tenfold: 600 requests and 120 s of execution,
/// 40 ms each, in 3 s.
const LIMITS: &str = "requests = 600, window = 3, concurrency = 52, execution = 120, ms_per_request = 40";

#[test]
fn batches_stay_within_the_limits_that_single_requests_pass() {
    let events =
        "seed = 12\nclock = 2025-11-05T12:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 4500\nweeks = 2\n";
    let statuses = |service: &str| {
        let world = World::parse(&format!("{events}[service]\nlimits = {{ {LIMITS} }}\n{service}"));
        world.extract(&[], 0);
        world.check_complete();
        let served = world.emulator.served();
        assert_eq!((served.limits_passed, served.retry_after_violations), (0, 0), "{served:?}");
        (served.tables["msdyn_copilotevent"].files, served)
    };
    let (files, single) = statuses("refuse_batches = 404");
    assert!(files > 1_500 && single.statuses[&429] > 0, "{single:?}");
    let (_, batched) = statuses("");
    assert!(!batched.statuses.contains_key(&429), "{batched:?}");
    let requests = |served: &Served| requests(served, "file") + requests(served, "batch");
    assert!(requests(&batched) * 5 < requests(&single), "{batched:?}");
}
