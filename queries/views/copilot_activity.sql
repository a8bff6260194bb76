-- title: What representatives and agents did with Copilot
-- question: What happened, one thing at a time? One row per interaction in Dynamics 365 Customer Service: a response, a
--   rating, a copy and so on, of the newer store and the older one. Every Dynamics question is asked of this view. Rows
--   that the service deleted are hidden. What both stores hold is there once, as copilotevent: rows are the same
--   interaction if request, scenario, kind, client time and user agree; without a request none of the others may be
--   missing. Rows of one store that agree are as many interactions: each newer row stands for one older row, and older
--   rows beyond them stay.
-- definition: Microsoft's events; which rows of the two stores are one interaction is ours
-- tables: msdyn_copilotevent, msdyn_copilotinteraction, msdyn_copilotinteractiondata
-- parameters: none
-- columns:
--   source_table: the store that the row comes from: copilotevent since August 2025, copilotinteraction before
--   event_id, partition_id: the row's key in that store; the older one has no partitions
--   request_id: the request that a response and its feedback share; null on Available rows
--   request_key: request_id, else a value of the row's own: what to group by
--   scenario, scenario_label: the feature; unknown codes have no label
--   kind, kind_label: what was done; unknown codes have no label
--   agent: the autonomous agent that acted; null for people, and in the older store
--   is_human: no agent and no autonomous scenario (100230218, 100230220); never null
--   user_id: who made the row, else who owns it
--   client_ts, created_ts: when, by the representative's clock and by the service's; the latter decides weeks
--   version_number: the row's version
--   for_table, for_id: the row that Copilot was used for
--   verbatim: what the representative wrote with a rating, never empty; from the older store where only that has it
--   transcript_id, transcript_data_id: the chat, and the row that holds its messages
--   ctx_oc_session_id: the omnichannel session in which Copilot was used; ctx_* are from the row's context
--   ctx_response_status_code: the outcome of generating the response; 20000 is success
--   ctx_is_content_redacted: whether a plug-in redacted the content
--   ctx_streaming_state: how far streaming got, such as GENERATED
--   ctx_response_source_category, ctx_response_source_sub_category: what the response was made from, such as KnowledgeSearch
--   ctx_is_auto_prompt, ctx_auto_prompt_trigger: whether the prompt was made without the representative, and by what
--   ctx_is_auto_expanded: whether the pane opened by itself
--   ctx_is_suggested_prompt: whether a suggested prompt was taken
--   ctx_is_embed: whether Copilot was embedded in another page
--   ctx_is_standalone: whether Copilot was used outside the workspace
--   week_start: the UTC week of the row's files; filter on it to read fewer of them. Queries with from and to take it to be
--     that of created_ts, or at most one week beside it: a row of a week further away is missing there
-- joins:
--   copilot_request: copilot_request.request_key = copilot_activity.request_key
--   copilot_content: copilot_content.source_table = copilot_activity.source_table
--     and copilot_content.event_id = copilot_activity.event_id
--     and copilot_content.partition_id = coalesce(copilot_activity.partition_id, '')
--   transcript_message: transcript_message.transcript_data_id = copilot_activity.transcript_data_id
--   systemuser: systemuser.systemuserid = copilot_activity.user_id
WITH feedback AS (
  SELECT msdyn_copilotinteractiondataid AS data_id, msdyn_verbatim AS verbatim
  FROM msdyn_copilotinteractiondata
  WHERE deleted_at IS NULL AND msdyn_verbatim <> ''
),
-- What tells an interaction, in either store. A join holds the side that is written first in memory: the smaller one.
older AS (
  SELECT
    msdyn_copilotinteractionid AS older_id,
    nullif(msdyn_scenariorequestid, '') AS request_id,
    msdyn_scenariotype AS scenario,
    msdyn_interactiontype AS kind,
    msdyn_clienttimestamp AS client_ts,
    createdby AS user_id,
    feedback.verbatim
  FROM feedback
  RIGHT JOIN msdyn_copilotinteraction ON feedback.data_id = msdyn_interactiondataid
  WHERE deleted_at IS NULL
    AND (msdyn_scenariorequestid <> ''
      OR (msdyn_scenariotype IS NOT NULL AND msdyn_interactiontype IS NOT NULL
        AND msdyn_clienttimestamp IS NOT NULL AND createdby IS NOT NULL))
),
newer AS (
  SELECT
    msdyn_copiloteventid AS event_id,
    partitionid AS partition_id,
    nullif(msdyn_scenariorequestid, '') AS request_id,
    msdyn_scenariotype AS scenario,
    msdyn_interactiontype AS kind,
    msdyn_clienttimestamp AS client_ts,
    coalesce(createdby, ownerid) AS user_id,
    nullif(msdyn_verbatim, '') AS verbatim
  FROM msdyn_copilotevent
  WHERE deleted_at IS NULL
),
-- Older rows that the newer store holds too: as many of an interaction as it has there, those with text first.
moved AS (
  SELECT older_id
  FROM (
    SELECT
      older_id,
      newer_rows,
      -- Earlier rows of the interaction; PARTITION BY is slow where nearly every part has one row.
      row_number() OVER (
        ORDER BY older.request_id, older.scenario, older.kind, older.client_ts, older.user_id,
          CASE WHEN older.verbatim IS NULL THEN '1' ELSE '0' END || older_id)
        - rank() OVER (
          ORDER BY older.request_id, older.scenario, older.kind, older.client_ts, older.user_id) AS rows_before
    FROM older
    JOIN (
      SELECT request_id, scenario, kind, client_ts, user_id, count(*) AS newer_rows
      FROM newer
      GROUP BY request_id, scenario, kind, client_ts, user_id
    ) AS newer
      -- Without parentheses DataFusion takes the AND for a part of the operand.
      ON (newer.request_id IS NOT DISTINCT FROM older.request_id)
      AND (newer.scenario IS NOT DISTINCT FROM older.scenario)
      AND (newer.kind IS NOT DISTINCT FROM older.kind)
      AND (newer.client_ts IS NOT DISTINCT FROM older.client_ts)
      AND (newer.user_id IS NOT DISTINCT FROM older.user_id)
  ) AS placed
  WHERE rows_before < newer_rows
),
-- Text that an older row has and the newer row of the same place has not.
late_text AS (
  SELECT event_id, partition_id, verbatim
  FROM (
    SELECT
      event_id,
      partition_id,
      older.verbatim,
      newer.verbatim AS newer_verbatim,
      dense_rank() OVER (
        PARTITION BY older.request_id, older.scenario, older.kind, older.client_ts, older.user_id
        ORDER BY older_id) AS older_place,
      dense_rank() OVER (
        PARTITION BY older.request_id, older.scenario, older.kind, older.client_ts, older.user_id
        ORDER BY newer.verbatim IS NULL, event_id, partition_id) AS newer_place
    FROM older
    JOIN newer
      ON (newer.request_id IS NOT DISTINCT FROM older.request_id)
      AND (newer.scenario IS NOT DISTINCT FROM older.scenario)
      AND (newer.kind IS NOT DISTINCT FROM older.kind)
      AND (newer.client_ts IS NOT DISTINCT FROM older.client_ts)
      AND (newer.user_id IS NOT DISTINCT FROM older.user_id)
    WHERE older.verbatim IS NOT NULL
  ) AS placed
  WHERE older_place = newer_place AND newer_verbatim IS NULL
)
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
  coalesce(nullif(msdyn_verbatim, ''), late_text.verbatim) AS verbatim,
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
FROM late_text
RIGHT JOIN msdyn_copilotevent
  ON late_text.event_id = msdyn_copiloteventid AND late_text.partition_id = partitionid
WHERE deleted_at IS NULL
UNION ALL
SELECT
  'copilotinteraction',
  msdyn_copilotinteractionid,
  CAST(NULL AS VARCHAR),
  msdyn_scenariorequestid,
  coalesce(nullif(msdyn_scenariorequestid, ''), 'copilotinteraction:' || msdyn_copilotinteractionid),
  msdyn_scenariotype,
  msdyn_scenariotype_label,
  msdyn_interactiontype,
  msdyn_interactiontype_label,
  CAST(NULL AS INTEGER),
  coalesce(msdyn_scenariotype NOT IN (100230218, 100230220), true),
  createdby,
  msdyn_clienttimestamp,
  createdon,
  versionnumber,
  msdyn_interactionforlogicalname,
  msdyn_interactionforid,
  feedback.verbatim,
  transcript_id,
  transcript_data_id,
  context_oc_session_id,
  context_response_status_code,
  context_is_content_redacted,
  context_streaming_state,
  context_response_source_category,
  context_response_source_sub_category,
  context_is_auto_prompt,
  context_auto_prompt_trigger,
  context_is_auto_expanded,
  context_is_suggested_prompt,
  context_is_embed,
  context_is_standalone,
  week_start
FROM feedback
RIGHT JOIN (
  SELECT interaction.*
  FROM moved
  RIGHT JOIN msdyn_copilotinteraction AS interaction ON moved.older_id = msdyn_copilotinteractionid
  WHERE moved.older_id IS NULL AND deleted_at IS NULL
) AS interaction
  ON feedback.data_id = msdyn_interactiondataid
