-- title: What Copilot produced: the mail, summary or reply of each interaction
-- question: What did Copilot write? One row per interaction whose content the service kept, with its decoded text, newest
--   first. Of the older store the text is kept beside the interaction.
-- definition: ours
-- tables: copilot_activity, copilot_content
-- parameters:
--   tz (time zone, UTC): time zone that decides the day, such as Europe/Berlin
--   from (date, none): leave out days before this date
--   to (date, none): leave out days after this date
--   request (text, none): only the interactions of this scenario request
-- columns:
--   created_ts: when, by the service's clock
--   scenario, scenario_label: the feature
--   kind_label: what was done
--   request_key: what the rows of a request share
--   source_table, event_id, partition_id: the interaction in copilot_activity
--   user_id: who made it
--   for_table, for_id: the row that Copilot was used for
--   status: decoded, empty, undecodable, missing, too_large or failed
--   content: the text; null unless decoded
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/interaction_content.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day,
    CAST(copilot_lake_parameter.request AS VARCHAR) AS request
  FROM copilot_lake_parameter
)
SELECT
  created_ts,
  scenario,
  scenario_label,
  kind_label,
  request_key,
  copilot_activity.source_table,
  copilot_activity.event_id,
  copilot_activity.partition_id,
  user_id,
  for_table,
  for_id,
  status,
  content
FROM copilot_content AS produced
JOIN copilot_activity
  ON copilot_activity.source_table = produced.source_table
  AND copilot_activity.event_id = produced.event_id
  AND COALESCE(copilot_activity.partition_id, '') = produced.partition_id
CROSS JOIN parameter
WHERE
  (
    request IS NULL OR request_id = request
  )
  AND (
    from_day IS NULL
    OR (
      copilot_activity.week_start >= DATE_ADD('DAY', -(
        15
      ), from_day)
      AND produced.week_start >= DATE_ADD('DAY', -(
        15
      ), from_day)
    )
  )
  AND (
    to_day IS NULL
    OR (
      copilot_activity.week_start <= DATE_ADD('DAY', 15, to_day)
      AND produced.week_start <= DATE_ADD('DAY', 15, to_day)
    )
  )
  AND (
    from_day IS NULL OR CAST(AT_TIMEZONE(created_ts, tz) AS DATE) >= from_day
  )
  AND (
    to_day IS NULL OR CAST(AT_TIMEZONE(created_ts, tz) AS DATE) <= to_day
  )
ORDER BY
  created_ts DESC,
  copilot_activity.event_id,
  copilot_activity.partition_id
