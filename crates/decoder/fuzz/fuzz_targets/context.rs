//! Text as a context and as a summary: the row and its text stay, whatever it is.
#![no_main]

use arrow::array::{Array, AsArray};
use copilot_lake_decoder::{Decoded, decode_page};
use copilot_lake_tables::{CONVERSATION_INSIGHT, COPILOT_EVENT, Instant, Labels, Table};
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use serde_json::value::RawValue;

fn decode(table: &'static Table, row: &serde_json::Value) -> Decoded {
    let rows = format!("[{row}]");
    decode_page(table, rows.as_bytes(), Instant(0), &Labels::default()).expect("an array")
}

fn value<'d>(decoded: &'d Decoded, column: &str) -> Option<&'d str> {
    let array = decoded.batches[0].1.column_by_name(column).expect("a column").as_string::<i32>();
    assert_eq!(array.len(), 1);
    array.is_valid(0).then(|| array.value(0))
}

fuzz_target!(|text: &str| {
    let is_json = serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get().starts_with('{'));

    let context = decode(&COPILOT_EVENT, &json!({ "msdyn_copiloteventid": "i", "msdyn_interactioncontext": text }));
    assert_eq!(value(&context, "msdyn_interactioncontext"), Some(text));
    let refused = context.rejects.iter().any(|reject| reject.column_name == "msdyn_interactioncontext");
    assert!(refused || is_json);

    let summary =
        decode(&CONVERSATION_INSIGHT, &json!({ "msdyn_conversationinsightid": "i", "msdyn_copilotsummary": text }));
    assert_eq!(value(&summary, "msdyn_copilotsummary"), Some(text));
    if !is_json {
        assert_eq!(value(&summary, "summary_text"), Some(text).filter(|text| !text.is_empty()));
        assert!(summary.rejects.is_empty());
    }
});
