//! Bytes as a File: a text, nothing, or undecodable with the bytes kept.
#![no_main]

use arrow::array::{Array, AsArray};
use copilot_lake_decoder::{Charset, Fetched, RawPayload, SourceRow, decode_payloads};
use copilot_lake_tables::Instant;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let payloads = [Charset::Utf16Le, Charset::Utf8, Charset::Unknown].map(|documented| {
        let row = SourceRow {
            table: "msdyn_copilotevent",
            id: "id".to_owned(),
            partition_id: "p".to_owned(),
            column: "msdyn_interactiondata",
            file_id: "f".to_owned(),
            file_name: None,
            row_time: Instant(0),
            documented,
        };
        RawPayload { row, fetched: Fetched::Bytes(bytes, None) }
    });
    let decoded = decode_payloads(&payloads, Instant(0)).expect("columns that fit");
    assert_eq!((decoded.payloads.len(), decoded.transcripts.len(), decoded.messages.len()), (1, 0, 0));
    let batch = &decoded.payloads[0].1;
    let column = |name| batch.column_by_name(name).expect("a column").as_string::<i32>();
    assert_eq!(batch.num_rows(), payloads.len());
    for row in 0..batch.num_rows() {
        let (text, raw) = (column("text"), column("raw_base64"));
        let there = (text.is_valid(row) && !text.value(row).is_empty(), raw.is_valid(row));
        match column("status").value(row) {
            "decoded" => assert_eq!(there, (true, false)),
            "empty" => assert_eq!(there, (false, false)),
            status => assert_eq!((status, there), ("undecodable", (false, true))),
        }
    }
});
