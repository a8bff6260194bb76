"""The columns of msdyn_copilotevent as the service sends them, their names in the lake, and their types."""

TEXT, INTEGER, TIME = "text", "integer", "time"

# The table's definition, crates/tables/src/dataverse/copilot_event.rs, in the order of its columns.
WIRES = {
    "msdyn_copiloteventid": TEXT,
    "partitionid": TEXT,
    "createdon": TIME,
    "modifiedon": TIME,
    "msdyn_clienttimestamp": TIME,
    "msdyn_scenariotype": INTEGER,
    "msdyn_interactiontype": INTEGER,
    "msdyn_aiagent": INTEGER,
    "msdyn_scenariorequestid": TEXT,
    "_createdby_value": TEXT,
    "_ownerid_value": TEXT,
    "_owninguser_value": TEXT,
    "_owningteam_value": TEXT,
    "_owningbusinessunit_value": TEXT,
    "_modifiedby_value": TEXT,
    "_createdonbehalfby_value": TEXT,
    "_modifiedonbehalfby_value": TEXT,
    "msdyn_interactionforlogicalname": TEXT,
    "msdyn_interactionforid": TEXT,
    "versionnumber": INTEGER,
    "ttlinseconds": INTEGER,
    "importsequencenumber": INTEGER,
    "overriddencreatedon": TIME,
    "msdyn_interactiondata": TEXT,
    "msdyn_interactiondata_name": TEXT,
    "msdyn_name": TEXT,
    "msdyn_verbatim": TEXT,
    "msdyn_interactioncontext": TEXT,
}


def stored(wire):
    """The lake's name of a column: lookups lose what the service puts around them."""
    return wire.removeprefix("_").removesuffix("_value") if wire.startswith("_") else wire


# What the lake's columns of a context are, and where they are in it.
CONTEXT = {
    "context_oc_session_id": ("OcSessionId", "VARCHAR"),
    "context_response_status_code": ("ResponseStatusCode", "INTEGER"),
    "context_is_content_redacted": ("Plugins.IsContentRedacted", "BOOLEAN"),
    "transcript_id": ("Transcript.Id", "VARCHAR"),
    "transcript_data_id": ("Transcript.DataId", "VARCHAR"),
    "context_streaming_state": ("Streaming.State", "VARCHAR"),
    "context_response_source_category": ("ResponseSource.category", "VARCHAR"),
    "context_response_source_sub_category": ("ResponseSource.subCategory", "VARCHAR"),
    "context_is_auto_prompt": ("IsAutoPrompt", "BOOLEAN"),
    "context_auto_prompt_trigger": ("AutoPromptTrigger", "VARCHAR"),
    "context_is_auto_expanded": ("IsAutoExpanded", "BOOLEAN"),
    "context_is_suggested_prompt": ("IsSuggestedPrompt", "BOOLEAN"),
    "context_is_embed": ("IsEmbed", "BOOLEAN"),
    "context_is_standalone": ("IsStandalone", "BOOLEAN"),
}

# The columns that have values in the tables of payloads, their messages, and the sources that these cite.
PAYLOAD_COLUMNS = (
    "source_table", "source_id", "source_partitionid", "column_name", "row_time", "file_id", "file_name", "byte_length",
    "status", "encoding", "text", "extracted_at",
)
MESSAGE_COLUMNS = (
    "transcript_data_id", "message_id", "row_time", "sent_at", "sequence", "role", "request_id", "chat_id", "session_id",
    "entity_id", "entity_name", "is_activity_error", "source_count", "customer_intent", "message", "extracted_at",
)
SOURCE_COLUMNS = ("transcript_data_id", "message_id", "position", "row_time", "source_id", "source", "title", "extracted_at")
