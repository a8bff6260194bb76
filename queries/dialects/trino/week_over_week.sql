-- title: Measures week over week
-- question: What changed since last week? A fixed list of measures in long form; every week from the first to the last of
--   a service's rows has each of its measures. A count of a silent week is 0, a rate without anything to divide is null.
--   The change of a week that is not over says little: is_over tells.
-- definition: those of feedback_rates, scenario_usage and m365_active_users, over all scenarios and apps
-- tables: copilot_activity, copilot_request, m365_turn, extraction_health
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   measure: active_users, responses, rated_responses, feedback_rate, net_positive_rate and used_rate of Dynamics 365, of
--     people only; m365_active_users and m365_prompts of Microsoft 365
--   value: the measure in this week; counts are floats here, as rates are
--   previous: in the week before; null in the first week
--   change: value - previous
--   is_over: 1 if all of the week was read: extraction_health's done_until of msdyn_copilotevent or ai_interaction is after
--     it; else 0
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/week_over_week.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH extraction_health_newest AS (
  SELECT
    MAX(finished_at) AS newest_at
  FROM extraction_slice
), extraction_health_slice AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY source, table_name, scope ORDER BY finished_at DESC, window_start DESC, run_id DESC, clock) AS place,
    ROW_NUMBER() OVER (
      PARTITION BY source, table_name, CASE WHEN reason <> '' AND status <> 'done' THEN 1 ELSE 0 END
      ORDER BY finished_at DESC, window_start DESC, run_id DESC, clock, scope
    ) AS place_by_reason
  FROM extraction_slice
  WHERE
    NOT clock IN ('payloads', 'views')
), extraction_health_scope AS (
  SELECT
    source,
    table_name,
    scope,
    MAX(done_until) AS done_until,
    MAX(CASE WHEN place = 1 AND status = 'failed' THEN 1 ELSE 0 END) AS is_failing,
    MAX(CASE WHEN place = 1 AND status = 'skipped' THEN 1 ELSE 0 END) AS is_skipped,
    COUNT(*) FILTER(WHERE
      status = 'done') AS slices_done,
    COUNT(*) FILTER(WHERE
      status = 'failed') AS slices_failed,
    COUNT(*) FILTER(WHERE
      status = 'skipped') AS slices_skipped,
    MAX(CASE WHEN place_by_reason = 1 AND reason <> '' AND status <> 'done' THEN reason END) AS last_reason,
    SUM(throttled_seconds) AS throttled_seconds,
    SUM(rows) AS rows_received,
    SUM(rejected) AS rows_rejected,
    MAX(finished_at) AS last_finished_at
  FROM extraction_health_slice AS slice
  GROUP BY
    source,
    table_name,
    scope
), extraction_health_total AS (
  SELECT
    source,
    table_name,
    COUNT(*) AS scopes,
    CASE WHEN COUNT(*) = COUNT(done_until) THEN MIN(done_until) END AS done_until,
    CAST(SUM(slices_done) AS BIGINT) AS slices_done,
    CAST(SUM(slices_failed) AS BIGINT) AS slices_failed,
    CAST(SUM(slices_skipped) AS BIGINT) AS slices_skipped,
    CAST(SUM(is_failing) AS BIGINT) AS scopes_failing,
    CAST(SUM(is_skipped) AS BIGINT) AS scopes_skipped,
    MAX(last_reason) AS last_reason,
    CAST(SUM(throttled_seconds) AS DOUBLE) AS throttled_seconds,
    CAST(SUM(rows_received) AS BIGINT) AS rows_received,
    CAST(SUM(rows_rejected) AS BIGINT) AS rows_rejected,
    MAX(last_finished_at) AS last_finished_at
  FROM extraction_health_scope AS scope
  GROUP BY
    source,
    table_name
), extraction_health_file AS (
  SELECT
    source_table,
    COUNT(*) FILTER(WHERE
      NOT status IN ('decoded', 'empty')) AS payloads_undecoded
  FROM payload
  GROUP BY
    source_table
), extraction_health AS (
  SELECT
    source,
    table_name,
    scopes,
    done_until,
    CAST(CAST(DATE_DIFF('MILLISECOND', done_until, newest_at) AS DOUBLE) / 1000 AS DOUBLE) / 3600 AS lag_hours,
    slices_done,
    slices_failed,
    slices_skipped,
    scopes_failing,
    scopes_skipped,
    last_reason,
    throttled_seconds,
    rows_received,
    rows_rejected,
    payloads_undecoded,
    last_finished_at
  FROM extraction_health_total AS total
  CROSS JOIN extraction_health_newest AS newest
  LEFT JOIN extraction_health_file AS file
    ON file.source_table = total.table_name
), parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), activity AS (
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
    ) AS week,
    CASE WHEN kind IS DISTINCT FROM 100230309 THEN user_id END AS active_user,
    CAST(NULL AS VARCHAR) AS m365_user,
    0 AS responses,
    0 AS rated,
    0 AS up,
    0 AS used,
    0 AS m365_prompts,
    1 AS is_dynamics
  FROM copilot_activity
  CROSS JOIN parameter
  WHERE
    is_human
  UNION ALL
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
    ),
    CAST(NULL AS VARCHAR),
    CAST(NULL AS VARCHAR),
    1,
    CASE WHEN rating IN ('up', 'down') THEN 1 ELSE 0 END,
    CASE WHEN rating = 'up' THEN 1 ELSE 0 END,
    used_any,
    0,
    1
  FROM copilot_request
  CROSS JOIN parameter
  WHERE
    responses > 0 AND is_human = 1
  UNION ALL
  SELECT
    DATE_ADD(
      'DAY',
      -(
        DAY_OF_WEEK(CAST(AT_TIMEZONE(prompted_at, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
      ) % 7,
      CAST(AT_TIMEZONE(prompted_at, tz) AS DATE)
    ),
    CAST(NULL AS VARCHAR),
    user_id,
    0,
    0,
    0,
    0,
    prompts,
    0
  FROM m365_turn
  CROSS JOIN parameter
  WHERE
    NOT prompted_at IS NULL AND is_system_prompt = 0
), total AS (
  SELECT
    is_dynamics,
    week,
    COUNT(DISTINCT active_user) AS active_users,
    COUNT(DISTINCT m365_user) AS m365_users,
    CAST(SUM(responses) AS DOUBLE) AS responses,
    CAST(SUM(rated) AS DOUBLE) AS rated,
    CAST(SUM(up) AS DOUBLE) AS up,
    CAST(SUM(used) AS DOUBLE) AS used,
    CAST(SUM(m365_prompts) AS DOUBLE) AS m365_prompts,
    LEAD(week) OVER (PARTITION BY is_dynamics ORDER BY week) AS next_week
  FROM activity
  WHERE
    week >= CAST('2000-01-01' AS DATE)
  GROUP BY
    is_dynamics,
    week
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
), later AS (
  SELECT
    hundreds.n * 100 + tens.n * 10 + ones.n AS weeks_later
  FROM digit AS hundreds
  CROSS JOIN digit AS tens
  CROSS JOIN digit AS ones
), filled AS (
  SELECT
    is_dynamics,
    DATE_ADD('DAY', CAST(weeks_later * 7 AS INTEGER), week) AS week,
    CASE WHEN weeks_later = 0 THEN active_users ELSE 0 END AS active_users,
    CASE WHEN weeks_later = 0 THEN m365_users ELSE 0 END AS m365_users,
    CASE WHEN weeks_later = 0 THEN responses ELSE 0 END AS responses,
    CASE WHEN weeks_later = 0 THEN rated ELSE 0 END AS rated,
    CASE WHEN weeks_later = 0 THEN up ELSE 0 END AS up,
    CASE WHEN weeks_later = 0 THEN used ELSE 0 END AS used,
    CASE WHEN weeks_later = 0 THEN m365_prompts ELSE 0 END AS m365_prompts
  FROM total
  JOIN later
    ON weeks_later = 0 OR DATE_ADD('DAY', CAST(weeks_later * 7 AS INTEGER), week) < next_week
), measure AS (
  SELECT
    place,
    is_dynamics,
    measure
  FROM (VALUES
    (1, 1, 'active_users'),
    (2, 1, 'responses'),
    (3, 1, 'rated_responses'),
    (4, 1, 'feedback_rate'),
    (5, 1, 'net_positive_rate'),
    (6, 1, 'used_rate'),
    (7, 0, 'm365_active_users'),
    (8, 0, 'm365_prompts')) AS measures(place, is_dynamics, measure)
), valued AS (
  SELECT
    measure.is_dynamics,
    week,
    place,
    measure,
    CASE measure
      WHEN 'active_users'
      THEN CAST(active_users AS DOUBLE)
      WHEN 'responses'
      THEN responses
      WHEN 'rated_responses'
      THEN rated
      WHEN 'feedback_rate'
      THEN CAST(rated AS DOUBLE) / NULLIF(responses, 0)
      WHEN 'net_positive_rate'
      THEN CAST(up AS DOUBLE) / NULLIF(rated, 0)
      WHEN 'used_rate'
      THEN CAST(used AS DOUBLE) / NULLIF(responses, 0)
      WHEN 'm365_active_users'
      THEN CAST(m365_users AS DOUBLE)
      WHEN 'm365_prompts'
      THEN m365_prompts
    END AS value
  FROM filled
  JOIN measure
    ON measure.is_dynamics = filled.is_dynamics
), compared AS (
  SELECT
    is_dynamics,
    week,
    place,
    measure,
    value,
    LAG(value) OVER (PARTITION BY measure ORDER BY week) AS previous
  FROM valued
), known AS (
  SELECT
    CASE WHEN source = 'dataverse' THEN 1 ELSE 0 END AS is_dynamics,
    done_until
  FROM extraction_health
  WHERE
    table_name IN ('msdyn_copilotevent', 'ai_interaction')
)
SELECT
  week AS week_start,
  measure,
  value,
  previous,
  value - previous AS change,
  CAST(CASE WHEN DATE_ADD('DAY', 7, week) <= CAST(AT_TIMEZONE(done_until, tz) AS DATE) THEN 1 ELSE 0 END AS INTEGER) AS is_over
FROM compared
CROSS JOIN parameter
LEFT JOIN known
  ON known.is_dynamics = compared.is_dynamics
WHERE
  (
    from_day IS NULL OR week >= from_day
  ) AND (
    to_day IS NULL OR week <= to_day
  )
ORDER BY
  week_start,
  place
