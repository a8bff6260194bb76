//! Microsoft's published samples, extracted value by value.

use std::collections::BTreeMap;

use copilot_lake_tables::{COPILOT_EVENT, Instant, Type};
use serde_json::Value;

use crate::harness::{World, package};

fn fixture(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(package().join("fixtures").join(name)).unwrap()).unwrap()
}

/// The two published rows, served as events with an event's columns, with the published transcript as their payload.
#[test]
fn every_value_of_the_published_rows_arrives() {
    let page = fixture("copilotinteractions-page.json");
    let rows: Vec<BTreeMap<String, Value>> = page["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let mut row: BTreeMap<String, Value> =
                row.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            let id = row.remove("msdyn_copilotinteractionid").unwrap();
            row.insert("msdyn_copiloteventid".to_owned(), id);
            row.insert("partitionid".to_owned(), "20250316-20250322-100230201".into());
            row
        })
        .collect();
    let raw: Vec<_> = rows
        .iter()
        .map(|row| format!("[[table.row]]\nraw = '''{}'''\n", serde_json::to_string(row).unwrap()))
        .collect();
    let world = World::parse(&format!(
        "clock = 2025-04-01T00:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\n{}",
        raw.concat()
    ));
    world.extract(&[], 0);
    world.check_lake();

    let columns: Vec<_> = COPILOT_EVENT.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let sql = format!("SELECT {}, extra_json FROM msdyn_copilotevent ORDER BY createdon", columns.join(", "));
    let lake = world.sql(&sql);
    assert_eq!(lake.len(), 2);
    for (sent, stored) in rows.iter().zip(&lake) {
        let extra: BTreeMap<String, Value> = serde_json::from_str(stored.last().unwrap()).unwrap();
        for (name, value) in sent.iter().filter(|(name, _)| !name.contains('@')) {
            let Some(at) = COPILOT_EVENT.columns.iter().position(|column| column.wire == name) else {
                assert_eq!(extra.get(name), Some(value), "{name} belongs into extra_json");
                continue;
            };
            let expected = match (value, COPILOT_EVENT.columns[at].ty) {
                (Value::Null, _) => "-".to_owned(),
                (Value::String(text), Type::Instant) => Instant::parse(text).unwrap().to_string(),
                (Value::String(text), _) => text.clone(),
                (other, _) => other.to_string(),
            };
            assert_eq!(stored[at], expected, "{name}");
        }
    }
    let context = "SELECT context_oc_session_id, context_response_status_code, context_is_content_redacted, \
         context_streaming_state, context_response_source_category, context_response_source_sub_category, \
         context_is_auto_prompt, context_auto_prompt_trigger, context_is_auto_expanded, context_is_suggested_prompt, \
         context_is_embed, context_is_standalone, transcript_id, transcript_data_id, msdyn_scenariotype_label, \
         msdyn_interactiontype_label FROM msdyn_copilotevent ORDER BY createdon";
    assert_eq!(
        world.sql(context),
        [
            [
                "28dea393-c175-4788-9494-07fd42ee0884",
                "20000",
                "false",
                "GENERATED",
                "KnowledgeSearch",
                "KnowledgeSearch",
                "true",
                "follow-up-prompt",
                "false",
                "false",
                "false",
                "false",
                "8d1d70e6-3297-644a-4e86-00d8973223a0",
                "a1584aaf-d5bd-357d-54a8-84dbdba547f9",
                "Ask a question",
                "Generated",
            ],
            [
                "28dea393-c175-4788-9494-07fd42ee0884",
                "-",
                "-",
                "-",
                "-",
                "-",
                "-",
                "-",
                "-",
                "-",
                "false",
                "false",
                "-",
                "-",
                "Ask a question",
                "ThumbsDown",
            ],
        ]
    );
}

#[test]
fn the_published_transcript_arrives_as_it_is() {
    let world = World::parse(
        "clock = 2025-04-01T00:00:00Z
        [[table]]
        name = \"msdyn_copilotevent\"
        [[table.row]]
        values = { createdon = 2025-03-19T08:00:34Z, msdyn_scenariotype = 100230201, msdyn_interactiontype = 100230305 }
        payload_file = \"transcript.json\"
        encoding = \"base64+utf-16le\"",
    );
    world.extract(&[], 0);
    let rows = world.sql("SELECT status, encoding, text FROM payload");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0][..2], ["decoded", "base64+utf-16le"]);
    let text = std::fs::read_to_string(package().join("fixtures/transcript.json")).unwrap();
    assert_eq!(rows[0][2], text, "the text is the file, byte by byte");
}
