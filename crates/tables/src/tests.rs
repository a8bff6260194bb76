//! Rules that hold for every table of the registry, and the calendar.

use std::collections::BTreeSet;

use crate::choice::{OLDER_INTERACTION_TYPE, OLDER_SCENARIO_TYPE};
use crate::{
    AI_AGENT, INTERACTION_TYPE, Instant, Labels, Origin, SCENARIO_TYPE, SYSTEM_USER, Service, TABLES, Table, TimeOf,
    Type, Week, dataverse_tables, table, written_with,
};

#[test]
fn names_are_unique_and_plain() {
    let mut tables = BTreeSet::new();
    for table in TABLES {
        assert!(tables.insert(table.name), "table {} twice", table.name);
        let mut fields = BTreeSet::new();
        for field in table.layout().fields() {
            assert!(fields.insert(&field.name), "{}.{} twice", table.name, field.name);
            assert!(
                field.name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_'),
                "{}.{} is not letters, digits, _",
                table.name,
                field.name
            );
        }
    }
}

#[test]
fn everything_is_documented() {
    for table in TABLES {
        assert!(table.doc.ends_with('.'), "{} has no sentence", table.name);
        for field in table.layout().fields() {
            assert!(field.doc.ends_with('.'), "{}.{} has no sentence", table.name, field.name);
        }
    }
}

#[test]
fn keys_versions_and_times_name_columns() {
    for table in TABLES {
        let layout = table.layout();
        assert!(!table.key.is_empty(), "{} has no key", table.name);
        let required: Vec<_> = table.columns.iter().filter(|c| c.required).map(|c| c.name).collect();
        assert_eq!(required, table.key, "{}: the key is what is required", table.name);
        assert_eq!(layout.key(), (0..table.key.len()).collect::<Vec<_>>(), "{}: keys first", table.name);
        for name in table.version {
            assert!(layout.position(name).is_some(), "{}: no version column {name}", table.name);
        }
        if let TimeOf::Column(name) | TimeOf::PartitionIdOr(name) | TimeOf::Unpartitioned(name) = table.time {
            assert!(layout.position(name).is_some(), "{}: no time column {name}", table.name);
        }
        assert_eq!(table.is_partitioned(), layout.position("row_time").is_some(), "{}", table.name);
        let last = layout.fields().last().map(|field| field.origin);
        match table.view_of() {
            Some(_) => assert!(matches!(last, Some(Origin::ExtractedAt)), "{}", table.name),
            None => assert!(matches!(last, Some(Origin::ExtraJson)), "{}", table.name),
        }
    }
}

#[test]
fn choice_sets_are_sorted_and_complete() {
    let counts = [
        (&SCENARIO_TYPE, 25),
        (&INTERACTION_TYPE, 28),
        (&AI_AGENT, 4),
        (&OLDER_SCENARIO_TYPE, 20),
        (&OLDER_INTERACTION_TYPE, 20),
    ];
    for (set, count) in counts {
        assert_eq!(set.options.len(), count, "{}", set.name);
    }
    for column in TABLES.iter().flat_map(|table| table.columns) {
        let Type::Choice(set) = column.ty else { continue };
        assert!(set.options.is_sorted_by(|a, b| a.0 < b.0), "{}", set.name);
    }
    assert_eq!(OLDER_INTERACTION_TYPE.label(100_230_325), Some("TemplateRecommended"));
    assert_eq!(OLDER_INTERACTION_TYPE.label(100_230_321), None, "the older list does not have it");
    assert_eq!(SCENARIO_TYPE.label(100_230_321), Some("Enrich record"));
    assert_eq!(INTERACTION_TYPE.label(100_230_321), Some("EmailDrafted"));
    assert_eq!(SCENARIO_TYPE.label(1), None);
}

#[test]
fn weeks_run_from_sunday() {
    for (instant, week) in [
        ("2025-06-28T23:59:59Z", "2025-06-22"),
        ("2025-06-29T00:00:00Z", "2025-06-29"),
        ("2024-12-31T23:59:59.999999Z", "2024-12-29"),
        ("2025-01-01T00:00:00Z", "2024-12-29"),
        ("1970-01-01T00:00:00Z", "1969-12-28"),
        ("1970-01-04T00:00:00Z", "1970-01-04"),
        ("1753-01-01T00:00:00Z", "1752-12-31"),
    ] {
        assert_eq!(Week::of(Instant::parse(instant).unwrap()).to_string(), week, "{instant}");
    }
    assert_eq!(Week::UNKNOWN.to_string(), "1970-01-04");
}

#[test]
fn partition_ids_name_a_week_or_nothing() {
    let week = |text| Week::from_partition_id(text).map(|week| week.to_string());
    assert_eq!(week("20250622-20250628-100230203").as_deref(), Some("2025-06-22"));
    assert_eq!(week("20250624-20250628-100230203").as_deref(), Some("2025-06-22"), "a Tuesday lies in its week");
    for other in
        ["", "c49dc43b-9804-f011-bae2-6045bd014292", "20250632-20250638-1", "20250622-20250628", "2025062é-20250628-1"]
    {
        assert_eq!(week(other), None, "{other}");
    }
}

#[test]
fn instants_read_every_offset_and_fraction() {
    let micros = |text| Instant::parse(text).map(|instant| instant.0);
    assert_eq!(micros("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(micros("1970-01-01T00:00:00.1Z"), Some(100_000));
    assert_eq!(micros("1970-01-01T00:00:00.123456789Z"), Some(123_456));
    assert_eq!(micros("1970-01-01T02:00:00+02:00"), Some(0));
    assert_eq!(micros("1969-12-31T18:30:00-05:30"), Some(0));
    assert_eq!(micros("1970-01-02"), Some(86_400_000_000));
    for wrong in [
        "",
        "1970-01-01T00:00:00",
        "2025-02-29T00:00:00Z",
        "2025-01-01T24:00:00Z",
        "2025-01-01T00:00:00.Z",
        "2023-05-01Z06:00:00",
    ] {
        assert_eq!(micros(wrong), None, "{wrong}");
    }
    for text in ["2025-06-22T08:00:34Z", "1753-01-01T00:00:00Z", "2025-06-22T08:00:34.000001Z"] {
        assert_eq!(Instant::parse(text).unwrap().to_string(), text);
    }
    for days in -80_000..80_000 {
        let at = Instant::from_days(days).plus_seconds(i64::from(days).rem_euclid(86_400));
        let at = Instant(at.0 + i64::from(days).rem_euclid(7) * 142_857);
        assert_eq!(Instant::parse(&at.to_string()), Some(at), "{at}");
    }
    // Years that do not have four digits.
    for (days, text) in [(2_932_897, "10000-01-01"), (-719_529, "-001-12-31"), (-719_528, "0000-01-01")] {
        assert_eq!(Instant::from_days(days).to_string(), format!("{text}T00:00:00Z"));
    }
}

#[test]
fn dataverse_has_six_tables_and_the_people_they_name() {
    let columns: Vec<_> = dataverse_tables().map(|table| (table.name, table.columns.len())).collect();
    // The counts of the vendor's reference, and the tables of two lookups that lead to several.
    let wanted = [
        ("msdyn_copilotevent", 28),
        ("msdyn_copilotinteraction", 24),
        ("msdyn_copilotinteractiondata", 22),
        ("msdyn_copilottranscript", 62),
        ("msdyn_copilottranscriptdata", 22),
        ("msdyn_conversationinsight", 35),
    ];
    assert_eq!(columns, wanted);
    for table in dataverse_tables() {
        assert!(table.people().any(|column| column.name == "createdby"), "{} names no person", table.name);
        assert!(table.people().all(|column| column.name != "ownerid"), "{}: an owner may be a team", table.name);
    }
    assert!(!SYSTEM_USER.is_mirror());
    assert_eq!(SYSTEM_USER.entity_set(), Some("systemusers"));
}

#[test]
fn every_service_has_tables_of_its_own() {
    let sliced = |service| TABLES.iter().filter(move |table| table.is_sliced() && table.service() == Some(service));
    let names = |service| sliced(service).map(|table| table.name).collect::<Vec<_>>();
    assert_eq!(names(Service::Dataverse), dataverse_tables().map(|table| table.name).collect::<Vec<_>>());
    assert_eq!(names(Service::Graph), ["ai_interaction"]);
    for service in Service::ALL {
        assert_eq!(Service::parse(service.name()), Some(service));
        assert!(sliced(service).all(|table| table.has_slices_of_users() == service.has_slices_of_users()));
    }
    assert_eq!(SYSTEM_USER.service(), Some(Service::Dataverse));
    assert_eq!(table("graph_user").and_then(Table::service), Some(Service::Graph));
    assert_eq!(table("payload").map(Table::source_name), Some("lake"));
}

#[test]
fn rows_of_other_tables_arrive_with_those_of_a_sliced_one() {
    let with = |name| written_with(table(name).unwrap()).map(|table| table.name).collect::<Vec<_>>();
    let payloads = ["payload", "transcript_message", "transcript_source"];
    assert_eq!(with("msdyn_copilotevent"), [&["msdyn_copilotevent"][..], &payloads].concat());
    assert_eq!(with("msdyn_copilotinteraction"), ["msdyn_copilotinteraction"], "it has no Files");
    let histories = [
        "ai_interaction",
        "ai_interaction_attachment",
        "ai_interaction_context",
        "ai_interaction_link",
        "ai_interaction_mention",
        "graph_user",
    ];
    assert_eq!(with("ai_interaction"), histories);
    for name in ["systemuser", "graph_user", "payload", "extraction_slice"] {
        assert_eq!(with(name), [name]);
    }
    let in_ledger: Vec<_> = TABLES.iter().filter(|table| table.is_in_ledger()).map(|table| table.name).collect();
    let of_dataverse = dataverse_tables().map(|table| table.name);
    assert_eq!(in_ledger, of_dataverse.chain(["systemuser", "ai_interaction"]).collect::<Vec<_>>());
}

#[test]
fn labels_belong_to_a_column() {
    let mut labels = Labels::default();
    labels.insert("a", 1, "one");
    assert_eq!((labels.label("a", 1), labels.label("b", 1), labels.label("a", 2)), (Some("one"), None, None));
}
