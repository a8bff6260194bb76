-- title: Conversations with Copilot, the longest first
-- question: Which conversations were the longest? Of Customer Service and of Microsoft 365, by what people asked. The rest of a
--   conversation is in transcript and m365_transcript, by its id. A thread of several people in Teams is a row for each of
--   them: two people's sessions may share an id and be two conversations.
-- definition: ours; a conversation of Microsoft 365 is a person's session, as in m365_conversations
-- tables: transcript_message, m365_turn
-- parameters:
--   tz (time zone, UTC): time zone that decides the day, such as Europe/Berlin
--   from (date, none): leave out conversations that began before this date
--   to (date, none): leave out conversations that began after this date
-- columns:
--   service: dataverse or graph
--   conversation_id: for transcript or m365_transcript
--   user_id: whose session; joins graph_user.user_id, where names are; null for Customer Service
--   app: where it began; null for Customer Service
--   started_at: time of the first message
--   prompts: what a person asked
--   responses: what Copilot answered
--   minutes: from the first message to the last
-- Snowflake. Generated and parsed only: it was never run.
-- Generated from queries/longest_conversations.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), turn AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY user_id, conversation_key ORDER BY started_at, request_id) AS place
  FROM m365_turn
), conversation AS (
  SELECT
    'dataverse' AS service,
    transcript_data_id AS conversation_id,
    CAST(NULL AS VARCHAR) AS user_id,
    CAST(NULL AS VARCHAR) AS app,
    MIN(sent_at) AS started_at,
    MAX(sent_at) AS ended_at,
    COUNT_IF(role = 'user') AS prompts,
    COUNT_IF(role = 'bot') AS responses
  FROM transcript_message
  GROUP BY
    transcript_data_id
  UNION ALL
  SELECT
    'graph',
    conversation_key,
    user_id,
    MAX(CASE WHEN place = 1 THEN app END),
    MIN(started_at),
    MAX(ended_at),
    CAST(SUM(prompts) AS BIGINT),
    CAST(SUM(responses) AS BIGINT)
  FROM turn
  GROUP BY
    user_id,
    conversation_key
)
SELECT
  service,
  conversation_id,
  user_id,
  app,
  started_at,
  prompts,
  responses,
  CAST(DATEDIFF(MICROSECOND, started_at, ended_at) AS DOUBLE) / 1000000 / 60 AS minutes
FROM conversation
CROSS JOIN parameter
WHERE
  (
    from_day IS NULL OR CAST(CONVERT_TIMEZONE(tz, started_at) AS DATE) >= from_day
  )
  AND (
    to_day IS NULL OR CAST(CONVERT_TIMEZONE(tz, started_at) AS DATE) <= to_day
  )
ORDER BY
  prompts DESC NULLS LAST,
  responses DESC NULLS LAST,
  minutes DESC NULLS LAST,
  service,
  conversation_id,
  user_id
