-- title: What representatives and agents did with Copilot
-- answers: One row per interaction in Dynamics 365 Customer Service: a response, a rating, a copy and so on. Every
--   Dynamics question is asked of this view. Rows that the service deleted are hidden.
-- tables: msdyn_copilotevent
-- parameters: none
-- columns:
--   source_table: the store that the row comes from; copilotevent since August 2025
--   event_id, partition_id: the row's key in that store
--   request_id: the request that a response and its feedback share; null on Available rows
--   request_key: request_id, else a value of the row's own: what to group by
--   scenario, scenario_label: the feature; unknown codes have no label
--   kind, kind_label: what was done; unknown codes have no label
--   agent: the autonomous agent that acted; null for people
--   is_human: no agent and no autonomous scenario (100230218, 100230220); never null
--   user_id: who made the row, else who owns it
--   client_ts, created_ts: when, by the representative's clock and by the service's; the latter decides weeks
--   version_number: the row's version
--   for_table, for_id: the row that Copilot was used for
--   verbatim: what the representative wrote with a rating
--   transcript_id, transcript_data_id: the chat, and the row that holds its messages
--   ctx_*: how Copilot was used, from the row's context
--   week_start: the UTC week of the row's files; filter on it to read fewer of them
SELECT
  'copilotevent' AS source_table,
  msdyn_copiloteventid AS event_id,
  partitionid AS partition_id,
  msdyn_scenariorequestid AS request_id,
  coalesce(nullif(msdyn_scenariorequestid, ''), 'copilotevent:' || msdyn_copiloteventid) AS request_key,
  msdyn_scenariotype AS scenario,
  msdyn_scenariotype_label AS scenario_label,
  msdyn_interactiontype AS kind,
  msdyn_interactiontype_label AS kind_label,
  msdyn_aiagent AS agent,
  msdyn_aiagent IS NULL AND coalesce(msdyn_scenariotype NOT IN (100230218, 100230220), true) AS is_human,
  coalesce(createdby, ownerid) AS user_id,
  msdyn_clienttimestamp AS client_ts,
  createdon AS created_ts,
  versionnumber AS version_number,
  msdyn_interactionforlogicalname AS for_table,
  msdyn_interactionforid AS for_id,
  msdyn_verbatim AS verbatim,
  transcript_id,
  transcript_data_id,
  context_oc_session_id AS ctx_oc_session_id,
  context_response_status_code AS ctx_response_status_code,
  context_is_content_redacted AS ctx_is_content_redacted,
  context_streaming_state AS ctx_streaming_state,
  context_response_source_category AS ctx_response_source_category,
  context_response_source_sub_category AS ctx_response_source_sub_category,
  context_is_auto_prompt AS ctx_is_auto_prompt,
  context_auto_prompt_trigger AS ctx_auto_prompt_trigger,
  context_is_auto_expanded AS ctx_is_auto_expanded,
  context_is_suggested_prompt AS ctx_is_suggested_prompt,
  context_is_embed AS ctx_is_embed,
  context_is_standalone AS ctx_is_standalone,
  week_start
FROM msdyn_copilotevent
WHERE deleted_at IS NULL
