-- title: Summaries of conversations with customers
-- question: What were conversations about? One row per insight with a summary, newest first: the text that Copilot wrote,
--   however the service wrapped it. Rows that the service deleted are hidden.
-- definition: ours
-- tables: msdyn_conversationinsight
-- parameters:
--   tz (time zone, UTC): time zone that decides the day, such as Europe/Berlin
--   from (date, none): leave out days before this date
--   to (date, none): leave out days after this date
-- columns:
--   created_at: when the service recorded it
--   conversation_id: the conversation
--   target_table, target_id: the row that the insight is about
--   summary: the text
--   status_code: 20000 is success; null where the service gave none
--   owner_id: who owns it
--   insight_id: the row in msdyn_conversationinsight
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/conversation_summaries.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), summary AS (
  SELECT
    createdon AS created_at,
    msdyn_conversationid AS conversation_id,
    msdyn_conversationinsighttarget_table AS target_table,
    msdyn_conversationinsighttarget AS target_id,
    COALESCE(NULLIF(summary_text, ''), NULLIF(msdyn_summary, '')) AS summary,
    summary_status_code AS status_code,
    ownerid AS owner_id,
    msdyn_conversationinsightid AS insight_id
  FROM msdyn_conversationinsight
  CROSS JOIN parameter
  WHERE
    deleted_at IS NULL
    AND (
      from_day IS NULL OR week_start >= DATE_ADD('DAY', -(
        15
      ), from_day)
    )
    AND (
      to_day IS NULL OR week_start <= DATE_ADD('DAY', 15, to_day)
    )
    AND (
      from_day IS NULL OR CAST(AT_TIMEZONE(createdon, tz) AS DATE) >= from_day
    )
    AND (
      to_day IS NULL OR CAST(AT_TIMEZONE(createdon, tz) AS DATE) <= to_day
    )
)
SELECT
  created_at,
  conversation_id,
  target_table,
  target_id,
  summary,
  status_code,
  owner_id,
  insight_id
FROM summary
WHERE
  NOT summary IS NULL
ORDER BY
  created_at DESC,
  insight_id
