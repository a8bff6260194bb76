//! Bytes as a page of several tables: an array is a page with all its rows, anything else is none.
#![no_main]

use copilot_lake_decoder::decode_page;
use copilot_lake_tables::{CONVERSATION_INSIGHT, COPILOT_EVENT, Instant, Labels, SYSTEM_USER};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|bytes: &[u8]| {
    let rows = str::from_utf8(bytes).ok().and_then(|text| serde_json::from_str::<Vec<&RawValue>>(text).ok());
    for table in [&COPILOT_EVENT, &CONVERSATION_INSIGHT, &SYSTEM_USER] {
        match decode_page(table, bytes, Instant(0), &Labels::default()) {
            Ok(decoded) => {
                let there: usize = decoded.batches.iter().map(|(_, batch)| batch.num_rows()).sum();
                assert_eq!(Some(there), rows.as_ref().map(Vec::len));
                assert_eq!(decoded.rows, there as u64);
            }
            Err(_) => assert!(rows.is_none()),
        }
    }
});
