-- title: Conversations with Microsoft 365 Copilot, by week and app
-- question: How long are conversations? A conversation is a person's session: two people may share a session's id and have
--   two conversations. It belongs to the week of its first row and to the app of its first turn. Medians of an even
--   number are the lower one.
-- definition: ours
-- tables: m365_turn
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   app: where the conversation began
--   conversations: sessions; interactions without a session count as one per turn
--   turns: prompts with their answers, answers without a prompt included
--   turns_per_conversation: turns / conversations
--   longest_turns: turns of the longest conversation
--   median_minutes, longest_minutes: from first to last row
--   median_reply_seconds: from a prompt to its first answer, of the turns that have both
-- Snowflake. Generated and parsed only: it was never run.
-- Generated from queries/m365_conversations.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
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
    user_id,
    conversation_key,
    MAX(CASE WHEN place = 1 THEN app END) AS app,
    MIN(started_at) AS started_at,
    MIN(week_start) AS lake_week_start,
    COUNT(*) AS turns,
    CAST(DATEDIFF(MICROSECOND, MIN(started_at), MAX(ended_at)) AS DOUBLE) / 1000000 / 60 AS minutes
  FROM turn
  GROUP BY
    user_id,
    conversation_key
), counted AS (
  SELECT
    user_id,
    conversation_key,
    COALESCE(
      DATEADD(
        DAY,
        -(
          DAYOFWEEKISO(CAST(CONVERT_TIMEZONE(tz, started_at) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
        ) % 7,
        CAST(CONVERT_TIMEZONE(tz, started_at) AS DATE)
      ),
      CASE first_day WHEN 'sunday' THEN lake_week_start WHEN 'monday' THEN DATEADD(DAY, 1, lake_week_start) END
    ) AS week,
    app,
    turns,
    minutes
  FROM conversation
  CROSS JOIN parameter
), placed AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY week, app ORDER BY minutes) AS place,
    COUNT(minutes) OVER (PARTITION BY week, app) AS timed
  FROM counted
  CROSS JOIN parameter
  WHERE
    (
      from_day IS NULL OR week >= from_day
    ) AND (
      to_day IS NULL OR week <= to_day
    )
), reply AS (
  SELECT
    counted.week,
    counted.app,
    reply_seconds,
    ROW_NUMBER() OVER (PARTITION BY counted.week, counted.app ORDER BY reply_seconds) AS place,
    COUNT(*) OVER (PARTITION BY counted.week, counted.app) AS replies
  FROM counted
  JOIN m365_turn
    ON m365_turn.user_id = counted.user_id AND m365_turn.conversation_key = counted.conversation_key
  WHERE
    NOT reply_seconds IS NULL
), median_reply AS (
  SELECT
    week,
    app,
    MIN(IFF(place * 2 >= replies, reply_seconds, NULL)) AS median_reply_seconds
  FROM reply
  GROUP BY
    week,
    app
), total AS (
  SELECT
    week,
    app,
    COUNT(*) AS conversations,
    CAST(SUM(turns) AS BIGINT) AS turns,
    MAX(turns) AS longest_turns,
    MIN(IFF(place * 2 >= timed, minutes, NULL)) AS median_minutes,
    MAX(minutes) AS longest_minutes
  FROM placed
  GROUP BY
    week,
    app
)
SELECT
  total.week AS week_start,
  total.app,
  conversations,
  turns,
  CAST(turns AS DOUBLE) / conversations AS turns_per_conversation,
  longest_turns,
  median_minutes,
  longest_minutes,
  median_reply_seconds
FROM total
LEFT JOIN median_reply
  ON median_reply.week = total.week AND COALESCE(median_reply.app, '') = COALESCE(total.app, '')
ORDER BY
  week_start,
  total.app
