//! The known keys of `msdyn_interactioncontext`, a JSON object kept as text.

use crate::column::{JsonColumn, Type};

pub(super) static INTERACTION_CONTEXT: &[JsonColumn] = &[
    JsonColumn::new(
        "transcript_id",
        Type::Guid,
        &["Transcript", "Id"],
        "The chat: `msdyn_copilottranscript.activityid`.",
    ),
    JsonColumn::new(
        "transcript_data_id",
        Type::Guid,
        &["Transcript", "DataId"],
        "The chat's messages: `msdyn_copilottranscriptdata.msdyn_copilottranscriptdataid`.",
    ),
    JsonColumn::new(
        "context_oc_session_id",
        Type::Guid,
        &["OcSessionId"],
        "The omnichannel session in which Copilot was used.",
    )
    .bloom(),
    JsonColumn::new(
        "context_response_status_code",
        Type::Int32,
        &["ResponseStatusCode"],
        "The outcome of generating the response; 20000 is success.",
    ),
    JsonColumn::new(
        "context_is_content_redacted",
        Type::Boolean,
        &["Plugins", "IsContentRedacted"],
        "Whether a plug-in redacted the content.",
    ),
    JsonColumn::new(
        "context_streaming_state",
        Type::Text,
        &["Streaming", "State"],
        "How far streaming got, such as GENERATED.",
    ),
    JsonColumn::new(
        "context_response_source_category",
        Type::Text,
        &["ResponseSource", "category"],
        "What the response was made from, such as KnowledgeSearch.",
    ),
    JsonColumn::new(
        "context_response_source_sub_category",
        Type::Text,
        &["ResponseSource", "subCategory"],
        "The finer kind of what the response was made from.",
    ),
    JsonColumn::new(
        "context_is_auto_prompt",
        Type::Boolean,
        &["IsAutoPrompt"],
        "Whether the prompt was made without the representative.",
    ),
    JsonColumn::new(
        "context_auto_prompt_trigger",
        Type::Text,
        &["AutoPromptTrigger"],
        "What triggered the automatic prompt.",
    ),
    JsonColumn::new(
        "context_is_auto_expanded",
        Type::Boolean,
        &["IsAutoExpanded"],
        "Whether the pane opened by itself.",
    ),
    JsonColumn::new(
        "context_is_suggested_prompt",
        Type::Boolean,
        &["IsSuggestedPrompt"],
        "Whether a suggested prompt was taken.",
    ),
    JsonColumn::new("context_is_embed", Type::Boolean, &["IsEmbed"], "Whether Copilot was embedded in another page."),
    JsonColumn::new(
        "context_is_standalone",
        Type::Boolean,
        &["IsStandalone"],
        "Whether Copilot was used outside the workspace.",
    ),
];
