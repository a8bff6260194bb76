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
WITH parameter AS (
  SELECT
    coalesce(getvariable('tz'), 'UTC') AS tz,
    coalesce(getvariable('week_start'), 'sunday') AS first_day,
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
    user_id,
    conversation_key,
    max(CASE WHEN place = 1 THEN app END) AS app,
    min(started_at) AS started_at,
    min(week_start) AS lake_week_start,
    count(*) AS turns,
    seconds_between(min(started_at), max(ended_at)) / 60 AS minutes
  FROM turn
  GROUP BY user_id, conversation_key
),
counted AS (
  SELECT
    user_id,
    conversation_key,
    coalesce(week_of(started_at, tz, first_day), lake_week(lake_week_start, first_day)) AS week,
    app,
    turns,
    minutes
  FROM conversation
  CROSS JOIN parameter
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY week, app ORDER BY minutes NULLS LAST) AS place,
    count(minutes) OVER (PARTITION BY week, app) AS timed
  FROM counted
  CROSS JOIN parameter
  WHERE (from_day IS NULL OR week >= from_day) AND (to_day IS NULL OR week <= to_day)
),
reply AS (
  SELECT
    counted.week,
    counted.app,
    reply_seconds,
    row_number() OVER (PARTITION BY counted.week, counted.app ORDER BY reply_seconds) AS place,
    count(*) OVER (PARTITION BY counted.week, counted.app) AS replies
  FROM counted
  JOIN m365_turn
    ON m365_turn.user_id = counted.user_id AND m365_turn.conversation_key = counted.conversation_key
  WHERE reply_seconds IS NOT NULL
),
median_reply AS (
  SELECT week, app, min(reply_seconds) FILTER (WHERE place * 2 >= replies) AS median_reply_seconds
  FROM reply
  GROUP BY week, app
),
total AS (
  SELECT
    week,
    app,
    count(*) AS conversations,
    CAST(sum(turns) AS BIGINT) AS turns,
    max(turns) AS longest_turns,
    min(minutes) FILTER (WHERE place * 2 >= timed) AS median_minutes,
    max(minutes) AS longest_minutes
  FROM placed
  GROUP BY week, app
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
  ON median_reply.week = total.week AND coalesce(median_reply.app, '') = coalesce(total.app, '')
ORDER BY week_start, total.app NULLS LAST
