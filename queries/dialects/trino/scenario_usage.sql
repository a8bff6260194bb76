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
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/scenario_usage.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), counted AS (
  SELECT
    COALESCE(
      DATE_ADD(
        'DAY',
        -(
          DAY_OF_WEEK(CAST(AT_TIMEZONE(first_response_at, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
        ) % 7,
        CAST(AT_TIMEZONE(first_response_at, tz) AS DATE)
      ),
      CASE first_day WHEN 'sunday' THEN week_start WHEN 'monday' THEN DATE_ADD('DAY', 1, week_start) END
    ) AS week,
    scenario,
    scenario_label,
    CAST(NULL AS VARCHAR) AS active_user,
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
      from_day IS NULL
      OR week_start >= DATE_ADD('DAY', -(
        15
      ), from_day)
      OR week_start = CAST('1970-01-04' AS DATE)
    )
    AND (
      to_day IS NULL OR week_start <= DATE_ADD('DAY', 15, to_day)
    )
  UNION ALL
  SELECT
    COALESCE(
      DATE_ADD(
        'DAY',
        -(
          DAY_OF_WEEK(CAST(AT_TIMEZONE(created_ts, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
        ) % 7,
        CAST(AT_TIMEZONE(created_ts, tz) AS DATE)
      ),
      CASE first_day WHEN 'sunday' THEN week_start WHEN 'monday' THEN DATE_ADD('DAY', 1, week_start) END
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
      from_day IS NULL OR week_start >= DATE_ADD('DAY', -(
        15
      ), from_day)
    )
    AND (
      to_day IS NULL OR week_start <= DATE_ADD('DAY', 15, to_day)
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
  week_start,
  scenario
