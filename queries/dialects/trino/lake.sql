-- The lake's tables, and the shipped views of them.
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/views by `make dialects`: edit those.
-- The catalog `delta` has the connector delta_lake with delta.register-table-procedure.enabled. It reads times to
-- the millisecond.
CREATE SCHEMA IF NOT EXISTS delta.copilot;
USE delta.copilot;
-- The parameters of the queries, which are texts; null is the default that a query's header names. To set some,
-- make this view again, with all of its columns.
CREATE OR REPLACE VIEW copilot_lake_parameter AS
SELECT
  CAST(NULL AS VARCHAR) AS "from",
  CAST(NULL AS VARCHAR) AS id,
  CAST(NULL AS VARCHAR) AS idle_days,
  CAST(NULL AS VARCHAR) AS min_group,
  CAST(NULL AS VARCHAR) AS request,
  CAST(NULL AS VARCHAR) AS "to",
  CAST(NULL AS VARCHAR) AS tz,
  CAST(NULL AS VARCHAR) AS user_id,
  CAST(NULL AS VARCHAR) AS week_start,
  CAST(NULL AS VARCHAR) AS with_text;
-- ${copilot_lake} stands for the lake's location.
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'msdyn_copilotevent', table_location => '${copilot_lake}/msdyn_copilotevent');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'msdyn_copilotinteraction', table_location => '${copilot_lake}/msdyn_copilotinteraction');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'msdyn_copilotinteractiondata', table_location => '${copilot_lake}/msdyn_copilotinteractiondata');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'msdyn_copilottranscript', table_location => '${copilot_lake}/msdyn_copilottranscript');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'msdyn_copilottranscriptdata', table_location => '${copilot_lake}/msdyn_copilottranscriptdata');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'msdyn_conversationinsight', table_location => '${copilot_lake}/msdyn_conversationinsight');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'payload', table_location => '${copilot_lake}/payload');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'transcript_message', table_location => '${copilot_lake}/transcript_message');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'transcript_source', table_location => '${copilot_lake}/transcript_source');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'systemuser', table_location => '${copilot_lake}/systemuser');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'ai_interaction', table_location => '${copilot_lake}/ai_interaction');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'ai_interaction_attachment', table_location => '${copilot_lake}/ai_interaction_attachment');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'ai_interaction_context', table_location => '${copilot_lake}/ai_interaction_context');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'ai_interaction_link', table_location => '${copilot_lake}/ai_interaction_link');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'ai_interaction_mention', table_location => '${copilot_lake}/ai_interaction_mention');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'graph_user', table_location => '${copilot_lake}/graph_user');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'extraction_run', table_location => '${copilot_lake}/extraction_run');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'extraction_slice', table_location => '${copilot_lake}/extraction_slice');
CALL delta.system.register_table(
  schema_name => 'copilot', table_name => 'rejected_record', table_location => '${copilot_lake}/rejected_record');

-- title: Days, with the weeks, months and quarters that they lie in
-- question: Which days does the lake reach over? One row per day of every year that has rows, without gaps, as date tables of
--   reporting tools must be. Rows of other years than 2000 to 2107 count for nothing.
-- definition: ours
-- tables: msdyn_copilotevent, msdyn_copilotinteraction, ai_interaction
-- parameters: none
-- columns:
--   date: the day
--   sunday_week, monday_week: the Sunday and the Monday on or before it
--   month, quarter: the first day of its month and of its quarter
--   year: its year
CREATE OR REPLACE VIEW calendar AS
WITH reach AS (
  SELECT
    MIN(week_start) AS first_week,
    MAX(week_start) AS last_week
  FROM (
    SELECT
      week_start
    FROM msdyn_copilotevent
    UNION ALL
    SELECT
      week_start
    FROM msdyn_copilotinteraction
    UNION ALL
    SELECT
      week_start
    FROM ai_interaction
  ) AS row_of
  WHERE
    week_start BETWEEN CAST('2000-01-02' AS DATE) AND CAST('2107-12-18' AS DATE)
), digit AS (
  SELECT
    n
  FROM (VALUES
    (0),
    (1),
    (2),
    (3),
    (4),
    (5),
    (6),
    (7),
    (8),
    (9)) AS digits(n)
), number AS (
  SELECT
    CAST(tenthousands.n * 10000 + thousands.n * 1000 + hundreds.n * 100 + tens.n * 10 + ones.n AS INTEGER) AS n
  FROM digit AS tenthousands
  CROSS JOIN digit AS thousands
  CROSS JOIN digit AS hundreds
  CROSS JOIN digit AS tens
  CROSS JOIN digit AS ones
  WHERE
    tenthousands.n < 4
), day AS (
  SELECT
    DATE_ADD('DAY', CAST(n AS BIGINT), DATE_ADD('DAY', -(
      371
    ), first_week)) AS day,
    DATE_ADD('DAY', CAST(n - n % 7 AS INTEGER), DATE_ADD('DAY', -(
      371
    ), first_week)) AS sunday_week,
    DATE_ADD('DAY', CAST(n + 6 - (
      n + 6
    ) % 7 AS INTEGER), DATE_ADD('DAY', -(
      377
    ), first_week)) AS monday_week,
    CAST(DATE_TRUNC('YEAR', first_week) AS DATE) AS first_year,
    CAST(DATE_TRUNC('YEAR', DATE_ADD('DAY', 6, last_week)) AS DATE) AS last_year
  FROM reach
  CROSS JOIN number
)
SELECT
  day AS date,
  sunday_week,
  monday_week,
  CAST(DATE_TRUNC('MONTH', day) AS DATE) AS month,
  CAST(DATE_TRUNC('QUARTER', day) AS DATE) AS quarter,
  CAST(EXTRACT(YEAR FROM day) AS INTEGER) AS year
FROM day
WHERE
  CAST(DATE_TRUNC('YEAR', day) AS DATE) BETWEEN first_year AND last_year;

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
CREATE OR REPLACE VIEW copilot_activity AS
WITH feedback AS (
  SELECT
    msdyn_copilotinteractiondataid AS data_id,
    msdyn_verbatim AS verbatim
  FROM msdyn_copilotinteractiondata
  WHERE
    deleted_at IS NULL AND msdyn_verbatim <> ''
), older AS (
  SELECT
    msdyn_copilotinteractionid AS older_id,
    NULLIF(msdyn_scenariorequestid, '') AS request_id,
    msdyn_scenariotype AS scenario,
    msdyn_interactiontype AS kind,
    msdyn_clienttimestamp AS client_ts,
    createdby AS user_id,
    feedback.verbatim
  FROM feedback
  RIGHT JOIN msdyn_copilotinteraction
    ON feedback.data_id = msdyn_interactiondataid
  WHERE
    deleted_at IS NULL
    AND (
      msdyn_scenariorequestid <> ''
      OR (
        NOT msdyn_scenariotype IS NULL
        AND NOT msdyn_interactiontype IS NULL
        AND NOT msdyn_clienttimestamp IS NULL
        AND NOT createdby IS NULL
      )
    )
), newer AS (
  SELECT
    msdyn_copiloteventid AS event_id,
    partitionid AS partition_id,
    NULLIF(msdyn_scenariorequestid, '') AS request_id,
    msdyn_scenariotype AS scenario,
    msdyn_interactiontype AS kind,
    msdyn_clienttimestamp AS client_ts,
    COALESCE(createdby, ownerid) AS user_id,
    NULLIF(msdyn_verbatim, '') AS verbatim
  FROM msdyn_copilotevent
  WHERE
    deleted_at IS NULL
), moved AS (
  SELECT
    older_id
  FROM (
    SELECT
      older_id,
      newer_rows,
      ROW_NUMBER() OVER (
        ORDER BY older.request_id, older.scenario, older.kind, older.client_ts, older.user_id, CONCAT(CAST(CASE WHEN older.verbatim IS NULL THEN '1' ELSE '0' END AS VARCHAR), CAST(older_id AS VARCHAR))
      ) - RANK() OVER (ORDER BY older.request_id, older.scenario, older.kind, older.client_ts, older.user_id) AS rows_before
    FROM older
    JOIN (
      SELECT
        request_id,
        scenario,
        kind,
        client_ts,
        user_id,
        COUNT(*) AS newer_rows
      FROM newer
      GROUP BY
        request_id,
        scenario,
        kind,
        client_ts,
        user_id
    ) AS newer
      ON (
        newer.request_id IS NOT DISTINCT FROM older.request_id
      )
      AND (
        newer.scenario IS NOT DISTINCT FROM older.scenario
      )
      AND (
        newer.kind IS NOT DISTINCT FROM older.kind
      )
      AND (
        newer.client_ts IS NOT DISTINCT FROM older.client_ts
      )
      AND (
        newer.user_id IS NOT DISTINCT FROM older.user_id
      )
  ) AS placed
  WHERE
    rows_before < newer_rows
), late_text AS (
  SELECT
    event_id,
    partition_id,
    verbatim
  FROM (
    SELECT
      event_id,
      partition_id,
      older.verbatim,
      newer.verbatim AS newer_verbatim,
      DENSE_RANK() OVER (PARTITION BY older.request_id, older.scenario, older.kind, older.client_ts, older.user_id ORDER BY older_id) AS older_place,
      DENSE_RANK() OVER (
        PARTITION BY older.request_id, older.scenario, older.kind, older.client_ts, older.user_id
        ORDER BY newer.verbatim IS NULL, event_id, partition_id
      ) AS newer_place
    FROM older
    JOIN newer
      ON (
        newer.request_id IS NOT DISTINCT FROM older.request_id
      )
      AND (
        newer.scenario IS NOT DISTINCT FROM older.scenario
      )
      AND (
        newer.kind IS NOT DISTINCT FROM older.kind
      )
      AND (
        newer.client_ts IS NOT DISTINCT FROM older.client_ts
      )
      AND (
        newer.user_id IS NOT DISTINCT FROM older.user_id
      )
    WHERE
      NOT older.verbatim IS NULL
  ) AS placed
  WHERE
    older_place = newer_place AND newer_verbatim IS NULL
)
SELECT
  'copilotevent' AS source_table,
  msdyn_copiloteventid AS event_id,
  partitionid AS partition_id,
  msdyn_scenariorequestid AS request_id,
  COALESCE(
    NULLIF(msdyn_scenariorequestid, ''),
    CONCAT(CAST('copilotevent:' AS VARCHAR), CAST(msdyn_copiloteventid AS VARCHAR))
  ) AS request_key,
  msdyn_scenariotype AS scenario,
  msdyn_scenariotype_label AS scenario_label,
  msdyn_interactiontype AS kind,
  msdyn_interactiontype_label AS kind_label,
  msdyn_aiagent AS agent,
  msdyn_aiagent IS NULL AND COALESCE(NOT msdyn_scenariotype IN (100230218, 100230220), TRUE) AS is_human,
  COALESCE(createdby, ownerid) AS user_id,
  msdyn_clienttimestamp AS client_ts,
  createdon AS created_ts,
  versionnumber AS version_number,
  msdyn_interactionforlogicalname AS for_table,
  msdyn_interactionforid AS for_id,
  COALESCE(NULLIF(msdyn_verbatim, ''), late_text.verbatim) AS verbatim,
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
WHERE
  deleted_at IS NULL
UNION ALL
SELECT
  'copilotinteraction',
  msdyn_copilotinteractionid,
  CAST(NULL AS VARCHAR),
  msdyn_scenariorequestid,
  COALESCE(
    NULLIF(msdyn_scenariorequestid, ''),
    CONCAT(CAST('copilotinteraction:' AS VARCHAR), CAST(msdyn_copilotinteractionid AS VARCHAR))
  ),
  msdyn_scenariotype,
  msdyn_scenariotype_label,
  msdyn_interactiontype,
  msdyn_interactiontype_label,
  CAST(NULL AS INTEGER),
  COALESCE(NOT msdyn_scenariotype IN (100230218, 100230220), TRUE),
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
  SELECT
    interaction.*
  FROM moved
  RIGHT JOIN msdyn_copilotinteraction AS interaction
    ON moved.older_id = msdyn_copilotinteractionid
  WHERE
    moved.older_id IS NULL AND deleted_at IS NULL
) AS interaction
  ON feedback.data_id = msdyn_interactiondataid;

-- title: What Copilot produced, by interaction
-- question: Which text belongs to an interaction? One row per file of the newer store, and per interaction of the older one
--   that a file belongs to: there the text is kept beside the interaction.
-- definition: ours
-- tables: payload, msdyn_copilotinteraction
-- parameters: none
-- columns:
--   source_table, event_id, partition_id: the interaction in copilot_activity; partition_id is empty in the older store
--   status: decoded, empty, undecodable, missing, too_large or failed
--   content: the text; null unless decoded
--   prompt_text, response_text: what was asked and answered, where the text is an envelope of both
--   week_start: the UTC week of the interaction's files; filter on it to read fewer of them
-- joins:
--   copilot_activity: copilot_activity.source_table = copilot_content.source_table
--     and copilot_activity.event_id = copilot_content.event_id
--     and coalesce(copilot_activity.partition_id, '') = copilot_content.partition_id
CREATE OR REPLACE VIEW copilot_content AS
SELECT
  'copilotevent' AS source_table,
  source_id AS event_id,
  source_partitionid AS partition_id,
  status,
  CASE WHEN status = 'decoded' THEN text END AS content,
  prompt_text,
  response_text,
  week_start
FROM payload
WHERE
  source_table = 'msdyn_copilotevent' AND column_name = 'msdyn_interactiondata'
UNION ALL
SELECT
  'copilotinteraction',
  msdyn_copilotinteractionid,
  '',
  status,
  CASE WHEN status = 'decoded' THEN text END,
  prompt_text,
  response_text,
  msdyn_copilotinteraction.week_start
FROM payload
JOIN msdyn_copilotinteraction
  ON msdyn_interactiondataid = source_id
WHERE
  source_table = 'msdyn_copilotinteractiondata' AND column_name = 'msdyn_interactiondata';

-- title: Requests to Copilot in Dynamics 365, and what became of them
-- question: What happened to each response? One row per scenario request: everything that copilot_activity says about it.
--   Where people and agents share a request, it is the person's if Copilot responded to the person, and only the
--   person's rows count, but for the rating. Flags are 1 or 0.
-- definition: Microsoft's events; a request, and the final rating of one, are ours
-- tables: copilot_activity, transcript_message, msdyn_copilotevent, msdyn_copilotinteraction
-- parameters: none
-- columns:
--   request_key: what the rows of a request share
--   request_id: the service's id of it; null where a row came without one, which is a request of its own
--   scenario, scenario_label: the feature
--   agent: the autonomous agent that acted on it, if one did
--   is_human: 1 if a person got a response, or did anything where nobody got one; 0 for agents' own requests
--   user_id: who got the response, else who did anything; of several people, the first in the order of ids
--   first_response_at: when the service recorded the first response; null without one, and where it has no time
--   first_row_at: when the service recorded anything of it first
--   responses: Generated events; 0 for a rating or a copy whose response is not in the lake
--   response_status_code: 20000 is success; of several that of a failure; null where the service gave none
--   answer_seconds: from the last message of the person before it to the first of Copilot, where a chat has both
--   viewed: ViewHistory, ExpandTile or CheckSources
--   used_copy: Copy or ManualCopy
--   used_any: used_copy, or SendToCustomer, EditAndSend, AcceptSuggestion or KeepIt
--   sent, edited: SendToCustomer; EditAndSend
--   kept, discarded: KeepIt; Discard
--   auto_prompted: 1 if Copilot began by itself; null where the service does not say
--   rating: up, down or cleared: the last of the request's ratings; null if it has none
--   has_verbatim: 1 if any of its ThumbsDown rows has text
--   source_count: sources that Copilot's messages cite; null without messages
--   transcript_id, transcript_data_id: the chat, and the row that holds its messages
--   for_table, for_id: the row that Copilot was used for
--   response_source_category, response_source_sub_category: what the response was made from
--   first_week, last_week: the UTC weeks of the files of its first and last row or message, such as a late rating
--   week_start: the UTC week of the files of its first response, else of its first row
CREATE OR REPLACE VIEW copilot_request AS
WITH activity AS (
  SELECT
    *,
    CASE WHEN is_human THEN 2 ELSE 1 END AS actor,
    CASE WHEN kind = 100230305 AND is_human THEN 2 WHEN kind = 100230305 THEN 1 END AS responder
  FROM copilot_activity
  WHERE
    kind IS DISTINCT FROM 100230309
), request AS (
  SELECT
    request_key,
    NULLIF(MAX(request_id), '') AS request_id,
    COALESCE(MIN(scenario) FILTER(WHERE
      responder = 2), MIN(scenario) FILTER(WHERE
      responder = 1), MIN(scenario)) AS scenario,
    MIN(agent) AS agent,
    COALESCE(MAX(responder), MAX(actor)) - 1 AS is_human,
    COALESCE(MIN(user_id) FILTER(WHERE
      responder = 2), MIN(user_id) FILTER(WHERE
      responder = 1), MIN(user_id)) AS user_id,
    COALESCE(MIN(created_ts) FILTER(WHERE
      responder = 2), MIN(created_ts) FILTER(WHERE
      responder = 1)) AS first_response_at,
    MIN(created_ts) AS first_row_at,
    COUNT(*) FILTER(WHERE
      responder = 2) AS responses_to_people,
    COUNT(*) FILTER(WHERE
      responder = 1) AS other_responses,
    COALESCE(
      MIN(ctx_response_status_code) FILTER(WHERE
        responder > 0 AND ctx_response_status_code <> 20000),
      MIN(ctx_response_status_code) FILTER(WHERE
        responder > 0)
    ) AS response_status_code,
    MAX(actor) FILTER(WHERE
      kind IN (100230313, 100230314, 100230326)) AS viewed,
    MAX(actor) FILTER(WHERE
      kind IN (100230304, 100230308)) AS used_copy,
    MAX(actor) FILTER(WHERE
      kind IN (100230304, 100230306, 100230307, 100230308, 100230312, 100230316)) AS used_any,
    MAX(actor) FILTER(WHERE
      kind = 100230306) AS sent,
    MAX(actor) FILTER(WHERE
      kind = 100230307) AS edited,
    MAX(actor) FILTER(WHERE
      kind = 100230316) AS kept,
    MAX(actor) FILTER(WHERE
      kind = 100230317) AS discarded,
    MAX(CASE WHEN ctx_is_auto_prompt THEN 1 WHEN NOT ctx_is_auto_prompt THEN 0 END) FILTER(WHERE
      responder > 0) AS auto_prompted,
    MAX(transcript_id) AS transcript_id,
    MAX(transcript_data_id) AS transcript_data_id,
    MAX(for_table) AS for_table,
    MAX(for_id) AS for_id,
    MIN(ctx_response_source_category) FILTER(WHERE
      responder > 0) AS response_source_category,
    MIN(ctx_response_source_sub_category) FILTER(WHERE
      responder > 0) AS response_source_sub_category,
    COALESCE(MIN(week_start) FILTER(WHERE
      responder = 2), MIN(week_start) FILTER(WHERE
      responder = 1), MIN(week_start)) AS week_start,
    MIN(week_start) AS first_week,
    MAX(week_start) AS last_week
  FROM activity
  GROUP BY
    request_key
), label AS (
  SELECT
    scenario,
    MAX(scenario_label) AS scenario_label
  FROM (
    SELECT
      msdyn_scenariotype AS scenario,
      msdyn_scenariotype_label AS scenario_label
    FROM msdyn_copilotevent
    UNION ALL
    SELECT
      msdyn_scenariotype,
      msdyn_scenariotype_label
    FROM msdyn_copilotinteraction
  ) AS row_of
  GROUP BY
    scenario
), chat AS (
  SELECT
    request_id,
    CAST(DATE_DIFF('MILLISECOND', MAX(CASE WHEN role = 'user' AND sent_at <= answered_at THEN sent_at END), MIN(answered_at)) AS DOUBLE) / 1000 AS answer_seconds,
    CAST(SUM(CASE WHEN role = 'bot' THEN source_count END) AS BIGINT) AS source_count,
    MIN(week_start) AS first_week,
    MAX(week_start) AS last_week
  FROM (
    SELECT
      request_id,
      role,
      sent_at,
      source_count,
      week_start,
      MIN(CASE WHEN role = 'bot' THEN sent_at END) OVER (PARTITION BY request_id) AS answered_at
    FROM transcript_message
    WHERE
      request_id <> ''
  ) AS message
  GROUP BY
    request_id
), rating AS (
  SELECT
    request_key,
    CASE kind WHEN 100230301 THEN 'up' WHEN 100230302 THEN 'down' ELSE 'cleared' END AS rating,
    MAX(CASE WHEN kind = 100230302 AND verbatim <> '' THEN 1 ELSE 0 END) OVER (PARTITION BY request_key) AS has_verbatim,
    ROW_NUMBER() OVER (
      PARTITION BY request_key
      ORDER BY COALESCE(client_ts, created_ts) DESC, created_ts DESC, version_number DESC, event_id DESC, partition_id DESC
    ) AS place
  FROM copilot_activity
  WHERE
    kind IN (100230301, 100230302, 100230303)
), rated AS (
  SELECT
    request.*,
    rating.rating,
    rating.has_verbatim
  FROM rating
  RIGHT JOIN request
    ON rating.request_key = request.request_key AND rating.place = 1
), answered AS (
  SELECT
    rated.*,
    chat.answer_seconds,
    chat.source_count,
    chat.first_week AS first_chat_week,
    chat.last_week AS last_chat_week
  FROM chat
  RIGHT JOIN rated
    ON chat.request_id = rated.request_id
)
SELECT
  request_key,
  request_id,
  answered.scenario,
  label.scenario_label,
  agent,
  CAST(is_human AS INTEGER) AS is_human,
  user_id,
  first_response_at,
  first_row_at,
  CASE WHEN is_human = 1 THEN responses_to_people ELSE other_responses END AS responses,
  response_status_code,
  answer_seconds,
  CAST(CASE WHEN viewed > is_human THEN 1 ELSE 0 END AS INTEGER) AS viewed,
  CAST(CASE WHEN used_copy > is_human THEN 1 ELSE 0 END AS INTEGER) AS used_copy,
  CAST(CASE WHEN used_any > is_human THEN 1 ELSE 0 END AS INTEGER) AS used_any,
  CAST(CASE WHEN sent > is_human THEN 1 ELSE 0 END AS INTEGER) AS sent,
  CAST(CASE WHEN edited > is_human THEN 1 ELSE 0 END AS INTEGER) AS edited,
  CAST(CASE WHEN kept > is_human THEN 1 ELSE 0 END AS INTEGER) AS kept,
  CAST(CASE WHEN discarded > is_human THEN 1 ELSE 0 END AS INTEGER) AS discarded,
  CAST(auto_prompted AS INTEGER) AS auto_prompted,
  rating,
  CAST(COALESCE(answered.has_verbatim, 0) AS INTEGER) AS has_verbatim,
  source_count,
  transcript_id,
  transcript_data_id,
  for_table,
  for_id,
  response_source_category,
  response_source_sub_category,
  CASE WHEN first_chat_week < answered.first_week THEN first_chat_week ELSE answered.first_week END AS first_week,
  CASE WHEN last_chat_week > answered.last_week THEN last_chat_week ELSE answered.last_week END AS last_week,
  week_start
FROM label
RIGHT JOIN answered
  ON label.scenario = answered.scenario;

-- title: Prompts to Microsoft 365 Copilot with their answers
-- question: What was asked, and how was it answered? One row per prompt and the responses to it, paired by request within a
--   person and session, whenever they were read. A response without its prompt is a turn too, and so is an interaction
--   without a request. What the API does not export is missing: unlicensed chat, and agents made in Copilot Studio.
-- definition: ours; system-made prompts by the marks that are known of them
-- tables: ai_interaction
-- parameters: none
-- columns:
--   user_id, session_id: whose interaction history, and which conversation in it; sessions of two people may share an id
--   request_id: the request that prompt and responses share; of an interaction without one, `interaction:` and its id
--   conversation_key: the session, else the turn
--   app: where it was asked
--   is_system_prompt: 1 if a program made the prompt: themes and images in Outlook, [AutoGenerated] in Word
--   prompts, responses: rows of each; prompts is 0 where only responses are known
--   prompted_at: time of the first prompt
--   answered_at: time of the first response
--   started_at, ended_at: time of the first and of the last row
--   reply_seconds: from prompt to first response; null without either
--   grounded: 1 if prompt or response has a context or a link
--   context_count, link_count, attachment_count: of prompt and responses together
--   prompt_length, response_length: characters of text; null without a prompt or a response
--   locale: of the prompt, else of a response
--   last_week: the UTC week of the files of its last row
--   week_start: the UTC week of the files of its first row
CREATE OR REPLACE VIEW m365_turn AS
WITH interaction AS (
  SELECT
    *,
    COALESCE(NULLIF(request_id, ''), CONCAT(CAST('interaction:' AS VARCHAR), CAST(interaction_id AS VARCHAR))) AS turn_key,
    CASE WHEN interaction_type = 'userPrompt' THEN 1 ELSE 0 END AS is_prompt,
    CASE WHEN interaction_type = 'aiResponse' THEN 1 ELSE 0 END AS is_response,
    CASE
      WHEN app = 'Outlook' AND (
        body_content LIKE '%VisualTheming%' OR body_content LIKE '%data:image%base64,%'
      )
      THEN 1
      WHEN app = 'Word' AND body_content LIKE '%[AutoGenerated]%'
      THEN 1
      ELSE 0
    END AS is_system
  FROM ai_interaction
), turn AS (
  SELECT
    user_id,
    session_id,
    turn_key,
    COALESCE(MIN(app) FILTER(WHERE
      is_prompt = 1), MIN(app)) AS app,
    CAST(COALESCE(MIN(is_system) FILTER(WHERE
      is_prompt = 1), 0) AS INTEGER) AS is_system_prompt,
    CAST(SUM(is_prompt) AS BIGINT) AS prompts,
    CAST(SUM(is_response) AS BIGINT) AS responses,
    MIN(created_at) FILTER(WHERE
      is_prompt = 1) AS prompted_at,
    MIN(created_at) FILTER(WHERE
      is_response = 1) AS answered_at,
    MIN(created_at) AS started_at,
    MAX(created_at) AS ended_at,
    CAST(SUM(context_count) AS BIGINT) AS context_count,
    CAST(SUM(link_count) AS BIGINT) AS link_count,
    CAST(SUM(attachment_count) AS BIGINT) AS attachment_count,
    CAST(SUM(LENGTH(text)) FILTER(WHERE
      is_prompt = 1) AS BIGINT) AS prompt_length,
    CAST(SUM(LENGTH(text)) FILTER(WHERE
      is_response = 1) AS BIGINT) AS response_length,
    COALESCE(MIN(locale) FILTER(WHERE
      is_prompt = 1), MIN(locale)) AS locale,
    MAX(week_start) AS last_week,
    MIN(week_start) AS week_start
  FROM interaction
  WHERE
    is_prompt + is_response > 0
  GROUP BY
    user_id,
    session_id,
    turn_key
)
SELECT
  user_id,
  session_id,
  turn_key AS request_id,
  CASE WHEN session_id <> '' THEN session_id ELSE turn_key END AS conversation_key,
  app,
  is_system_prompt,
  prompts,
  responses,
  prompted_at,
  answered_at,
  started_at,
  ended_at,
  CAST(DATE_DIFF('MILLISECOND', prompted_at, answered_at) AS DOUBLE) / 1000 AS reply_seconds,
  CAST(CASE WHEN context_count > 0 OR link_count > 0 THEN 1 ELSE 0 END AS INTEGER) AS grounded,
  context_count,
  link_count,
  attachment_count,
  prompt_length,
  response_length,
  locale,
  last_week,
  week_start
FROM turn;
