//! Bytes as a transcript: messages with keys of their own, or a reason.
#![no_main]

use std::collections::HashSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int32Type;
use copilot_lake_decoder::{Charset, Fetched, RawPayload, SourceRow, decode_payloads};
use copilot_lake_tables::Instant;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let row = SourceRow {
        table: "msdyn_copilottranscriptdata",
        id: "id".to_owned(),
        partition_id: String::new(),
        column: "msdyn_transcriptdata",
        file_id: "f".to_owned(),
        file_name: None,
        row_time: Instant(0),
        documented: Charset::Utf16Le,
    };
    let payload = RawPayload { row, fetched: Fetched::Bytes(bytes, None) };
    let decoded = decode_payloads(&[payload], Instant(0)).expect("columns that fit");
    assert_eq!(decoded.transcripts, ["id"]);
    assert_eq!(decoded.payloads[0].1.num_rows(), 1);
    assert!(decoded.rejects.iter().all(|(_, reject)| reject.record_key.starts_with("id/")));

    let (mut ids, mut cited) = (HashSet::new(), 0);
    for (_, messages) in &decoded.messages {
        let column = messages.column_by_name("message_id").expect("a column").as_string::<i32>();
        assert!(column.iter().all(|id| id.is_some_and(|id| !id.is_empty() && ids.insert(id.to_owned()))));
        let counts = messages.column_by_name("source_count").expect("a column").as_primitive::<Int32Type>();
        cited += counts.iter().flatten().sum::<i32>();
    }
    let sources: usize = decoded.sources.iter().map(|(_, batch)| batch.num_rows()).sum();
    assert_eq!(cited as usize, sources);
    let reason = decoded.payloads[0].1.column_by_name("reason").expect("a column");
    assert!(reason.is_null(0) || (ids.is_empty() && decoded.rejects.is_empty()));
});
