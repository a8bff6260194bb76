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
WITH parameter AS (
  SELECT
    coalesce(getvariable('tz'), 'UTC') AS tz,
    CAST(getvariable('from') AS DATE) AS from_day,
    CAST(getvariable('to') AS DATE) AS to_day
),
turn AS (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY user_id, conversation_key ORDER BY started_at NULLS LAST, request_id) AS place
  FROM m365_turn
),
conversation AS (
  SELECT
    'dataverse' AS service,
    transcript_data_id AS conversation_id,
    CAST(NULL AS VARCHAR) AS user_id,
    CAST(NULL AS VARCHAR) AS app,
    min(sent_at) AS started_at,
    max(sent_at) AS ended_at,
    count(*) FILTER (WHERE role = 'user') AS prompts,
    count(*) FILTER (WHERE role = 'bot') AS responses
  FROM transcript_message
  GROUP BY transcript_data_id
  UNION ALL
  SELECT
    'graph',
    conversation_key,
    user_id,
    max(CASE WHEN place = 1 THEN app END),
    min(started_at),
    max(ended_at),
    CAST(sum(prompts) AS BIGINT),
    CAST(sum(responses) AS BIGINT)
  FROM turn
  GROUP BY user_id, conversation_key
)
SELECT
  service,
  conversation_id,
  user_id,
  app,
  started_at,
  prompts,
  responses,
  seconds_between(started_at, ended_at) / 60 AS minutes
FROM conversation
CROSS JOIN parameter
WHERE (from_day IS NULL OR local_day(started_at, tz) >= from_day)
  AND (to_day IS NULL OR local_day(started_at, tz) <= to_day)
ORDER BY prompts DESC, responses DESC, minutes DESC NULLS LAST, service, conversation_id, user_id
