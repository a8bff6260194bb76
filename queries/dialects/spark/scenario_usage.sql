-- title: Use of Copilot per scenario and week
-- question: Who uses which feature, and what becomes of the responses? Microsoft's numbers count events in their own week;
--   the others count requests, each once, in the week of its first response. People only: agents and autonomous
--   scenarios are left out (see agents).
-- definition: response_events, copy_events and used_event_ratio are Microsoft's (Copilot analytics report); the rest is ours
-- tables: copilot_activity, copilot_request
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   scenario, scenario_label: the feature
--   active_users: representatives who did anything; that Copilot was available to them does not count
--   responses: requests with a response
--   response_events: Generated events (Microsoft: total Copilot AI responses)
--   copy_events: Copy and ManualCopy events (Microsoft: number of responses used)
--   used_event_ratio: copy_events / response_events (Microsoft: % responses used); can exceed 1
--   responses_used_copy: of responses, those copied from: Copy, ManualCopy
--   used_copy_rate: responses_used_copy / responses
--   responses_used_any: of responses, those copied, sent, edited and sent, accepted or kept
--   used_rate: responses_used_any / responses
--   responses_discarded: of responses, those with Discard
--   discard_rate: Discard / (KeepIt + Discard), in responses; null where neither happened
-- Spark SQL: Spark, Databricks, Fabric. Run by `make interop` on Spark 4 and Sail, whose rows are DuckDB's.
-- Generated from queries/scenario_usage.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter.`from` AS DATE) AS from_day,
    CAST(copilot_lake_parameter.`to` AS DATE) AS to_day
  FROM copilot_lake_parameter
), counted AS (
  SELECT
    COALESCE(
      NEXT_DAY(
        DATE_ADD(
          DATE_FROM_UNIX_DATE(CAST(FLOOR(UNIX_SECONDS(FROM_UTC_TIMESTAMP(CAST(first_response_at AS TIMESTAMP), tz)) / 86400) AS INT)),
          -7
        ),
        first_day
      ),
      NEXT_DAY(DATE_ADD(week_start, -4), first_day)
    ) AS week,
    scenario,
    scenario_label,
    CAST(NULL AS STRING) AS active_user,
    1 AS responses,
    used_copy,
    used_any,
    kept,
    discarded,
    0 AS response_events,
    0 AS copy_events
  FROM copilot_request
  CROSS JOIN parameter
  WHERE
    responses > 0
    AND is_human = 1
    AND (
      from_day IS NULL OR week_start >= from_day - 15 OR week_start = CAST('1970-01-04' AS DATE)
    )
    AND (
      to_day IS NULL OR week_start <= to_day + 15
    )
  UNION ALL
  SELECT
    COALESCE(
      NEXT_DAY(
        DATE_ADD(
          DATE_FROM_UNIX_DATE(CAST(FLOOR(UNIX_SECONDS(FROM_UTC_TIMESTAMP(CAST(created_ts AS TIMESTAMP), tz)) / 86400) AS INT)),
          -7
        ),
        first_day
      ),
      NEXT_DAY(DATE_ADD(week_start, -4), first_day)
    ),
    scenario,
    scenario_label,
    CASE WHEN kind IS DISTINCT FROM 100230309 THEN user_id END,
    0,
    0,
    0,
    0,
    0,
    CASE WHEN kind = 100230305 THEN 1 ELSE 0 END,
    CASE WHEN kind IN (100230304, 100230308) THEN 1 ELSE 0 END
  FROM copilot_activity
  CROSS JOIN parameter
  WHERE
    is_human
    AND (
      from_day IS NULL OR week_start >= from_day - 15
    )
    AND (
      to_day IS NULL OR week_start <= to_day + 15
    )
), total AS (
  SELECT
    week,
    scenario,
    MAX(scenario_label) AS scenario_label,
    COUNT(DISTINCT active_user) AS active_users,
    CAST(SUM(responses) AS BIGINT) AS responses,
    CAST(SUM(used_copy) AS BIGINT) AS used_copy,
    CAST(SUM(used_any) AS BIGINT) AS used_any,
    CAST(SUM(kept) AS BIGINT) AS kept,
    CAST(SUM(discarded) AS BIGINT) AS discarded,
    CAST(SUM(response_events) AS BIGINT) AS response_events,
    CAST(SUM(copy_events) AS BIGINT) AS copy_events
  FROM counted
  CROSS JOIN parameter
  WHERE
    (
      from_day IS NULL OR week >= from_day
    ) AND (
      to_day IS NULL OR week <= to_day
    )
  GROUP BY
    week,
    scenario
)
SELECT
  week AS week_start,
  scenario,
  scenario_label,
  active_users,
  responses,
  response_events,
  copy_events,
  CAST(copy_events AS DOUBLE) / NULLIF(response_events, 0) AS used_event_ratio,
  used_copy AS responses_used_copy,
  CAST(used_copy AS DOUBLE) / NULLIF(responses, 0) AS used_copy_rate,
  used_any AS responses_used_any,
  CAST(used_any AS DOUBLE) / NULLIF(responses, 0) AS used_rate,
  discarded AS responses_discarded,
  CAST(discarded AS DOUBLE) / NULLIF(kept + discarded, 0) AS discard_rate
FROM total
ORDER BY
  week_start NULLS LAST,
  scenario NULLS LAST
