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
WITH parameter AS (
  SELECT
    coalesce(getvariable('tz'), 'UTC') AS tz,
    coalesce(getvariable('week_start'), 'sunday') AS first_day,
    CAST(getvariable('from') AS DATE) AS from_day,
    CAST(getvariable('to') AS DATE) AS to_day
),
activity AS (
  SELECT
    coalesce(week_of(created_ts, tz, first_day), lake_week(week_start, first_day)) AS week,
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
  WHERE is_human
  UNION ALL
  SELECT
    coalesce(week_of(first_response_at, tz, first_day), lake_week(week_start, first_day)),
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
  WHERE responses > 0 AND is_human = 1
  UNION ALL
  SELECT
    week_of(prompted_at, tz, first_day),
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
  WHERE prompted_at IS NOT NULL AND is_system_prompt = 0
),
total AS (
  SELECT
    is_dynamics,
    week,
    count(DISTINCT active_user) AS active_users,
    count(DISTINCT m365_user) AS m365_users,
    CAST(sum(responses) AS DOUBLE) AS responses,
    CAST(sum(rated) AS DOUBLE) AS rated,
    CAST(sum(up) AS DOUBLE) AS up,
    CAST(sum(used) AS DOUBLE) AS used,
    CAST(sum(m365_prompts) AS DOUBLE) AS m365_prompts,
    lead(week) OVER (PARTITION BY is_dynamics ORDER BY week) AS next_week
  FROM activity
  -- Rows without a time would stretch the weeks to 1970.
  WHERE week >= DATE '2000-01-01'
  GROUP BY is_dynamics, week
),
digit AS (
  SELECT n
  FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS digits(n)
),
later AS (
  SELECT hundreds.n * 100 + tens.n * 10 + ones.n AS weeks_later
  FROM digit AS hundreds
  CROSS JOIN digit AS tens
  CROSS JOIN digit AS ones
),
-- Each week that has rows, and the silent ones before the next such.
filled AS (
  SELECT
    is_dynamics,
    week + CAST(weeks_later * 7 AS INTEGER) AS week,
    CASE WHEN weeks_later = 0 THEN active_users ELSE 0 END AS active_users,
    CASE WHEN weeks_later = 0 THEN m365_users ELSE 0 END AS m365_users,
    CASE WHEN weeks_later = 0 THEN responses ELSE 0 END AS responses,
    CASE WHEN weeks_later = 0 THEN rated ELSE 0 END AS rated,
    CASE WHEN weeks_later = 0 THEN up ELSE 0 END AS up,
    CASE WHEN weeks_later = 0 THEN used ELSE 0 END AS used,
    CASE WHEN weeks_later = 0 THEN m365_prompts ELSE 0 END AS m365_prompts
  FROM total
  JOIN later ON weeks_later = 0 OR week + CAST(weeks_later * 7 AS INTEGER) < next_week
),
measure AS (
  SELECT place, is_dynamics, measure
  FROM (VALUES
    (1, 1, 'active_users'), (2, 1, 'responses'), (3, 1, 'rated_responses'), (4, 1, 'feedback_rate'),
    (5, 1, 'net_positive_rate'), (6, 1, 'used_rate'), (7, 0, 'm365_active_users'), (8, 0, 'm365_prompts')
  ) AS measures(place, is_dynamics, measure)
),
valued AS (
  SELECT
    measure.is_dynamics,
    week,
    place,
    measure,
    CASE measure
      WHEN 'active_users' THEN CAST(active_users AS DOUBLE)
      WHEN 'responses' THEN responses
      WHEN 'rated_responses' THEN rated
      WHEN 'feedback_rate' THEN rated / nullif(responses, 0)
      WHEN 'net_positive_rate' THEN up / nullif(rated, 0)
      WHEN 'used_rate' THEN used / nullif(responses, 0)
      WHEN 'm365_active_users' THEN CAST(m365_users AS DOUBLE)
      WHEN 'm365_prompts' THEN m365_prompts
    END AS value
  FROM filled
  JOIN measure ON measure.is_dynamics = filled.is_dynamics
),
compared AS (
  SELECT is_dynamics, week, place, measure, value, lag(value) OVER (PARTITION BY measure ORDER BY week) AS previous
  FROM valued
),
-- A service is known as far as its main table was read.
known AS (
  SELECT CASE WHEN source = 'dataverse' THEN 1 ELSE 0 END AS is_dynamics, done_until
  FROM extraction_health
  WHERE table_name IN ('msdyn_copilotevent', 'ai_interaction')
)
SELECT
  week AS week_start,
  measure,
  value,
  previous,
  value - previous AS change,
  CAST(CASE WHEN week + 7 <= local_day(done_until, tz) THEN 1 ELSE 0 END AS INTEGER) AS is_over
FROM compared
CROSS JOIN parameter
LEFT JOIN known ON known.is_dynamics = compared.is_dynamics
WHERE (from_day IS NULL OR week >= from_day) AND (to_day IS NULL OR week <= to_day)
ORDER BY week_start, place
