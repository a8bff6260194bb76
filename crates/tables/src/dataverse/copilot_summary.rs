//! The known keys of `msdyn_copilotsummary`, when it holds a JSON object: `{"status":{"code","message"},"summary"}`.

use crate::column::{JsonColumn, Type};

pub(super) static COPILOT_SUMMARY: &[JsonColumn] = &[
    JsonColumn::new("summary_text", Type::Text, &["summary"], "The summary as a person reads it."),
    JsonColumn::new(
        "summary_status_code",
        Type::Int32,
        &["status", "code"],
        "The outcome of making the summary; 20000 is success.",
    ),
];
