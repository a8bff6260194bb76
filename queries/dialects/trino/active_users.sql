-- title: Active representatives by day, week and month
-- question: How many people use Copilot in Dynamics 365, and how often do they come back within a month? A period counts in
--   the zone given; rows without a time count in no period.
-- definition: active_users_any is Microsoft's "daily active users" read literally, every row counted; active_users is ours
-- tables: copilot_activity
-- parameters:
--   tz (time zone, UTC): time zone that decides days, weeks and months, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out periods that begin before this date
--   to (date, none): leave out periods that begin after this date
-- columns:
--   period: day, week or month
--   period_start: its first day
--   active_users: people who did anything; that Copilot was available to them does not count
--   active_users_any: whoever has any row, agents' owners and people with Copilot only available to them included
--   stickiness: of months, average active_users of its days / active_users; days of the month before the first and after
--     the last row of the lake do not count; null for other periods
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/active_users.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), used AS (
  SELECT DISTINCT
    CAST(AT_TIMEZONE(created_ts, tz) AS DATE) AS day,
    DATE_ADD(
      'DAY',
      -(
        DAY_OF_WEEK(CAST(AT_TIMEZONE(created_ts, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
      ) % 7,
      CAST(AT_TIMEZONE(created_ts, tz) AS DATE)
    ) AS week,
    user_id,
    CASE WHEN is_human AND kind IS DISTINCT FROM 100230309 THEN 1 ELSE 0 END AS is_active
  FROM copilot_activity
  CROSS JOIN parameter
  WHERE
    NOT created_ts IS NULL AND NOT user_id IS NULL
), period AS (
  SELECT
    kinds.period,
    CASE kinds.period WHEN 'day' THEN day WHEN 'week' THEN week ELSE CAST(DATE_TRUNC('MONTH', day) AS DATE) END AS period_start,
    day,
    user_id,
    is_active
  FROM used
  CROSS JOIN (VALUES
    ('day'),
    ('week'),
    ('month')) AS kinds(period)
), counted AS (
  SELECT
    period,
    period_start,
    COUNT(DISTINCT CASE WHEN is_active = 1 THEN user_id END) AS active_users,
    COUNT(DISTINCT user_id) AS active_users_any,
    SUM(is_active) AS user_days,
    MIN(MIN(day)) OVER () AS first_day_seen,
    MAX(MAX(day)) OVER () AS last_day_seen
  FROM period
  GROUP BY
    period,
    period_start
)
SELECT
  period,
  period_start,
  active_users,
  active_users_any,
  CASE
    WHEN period = 'month'
    THEN CAST(CAST(user_days AS DOUBLE) / (
      DATE_DIFF(
        'DAY',
        GREATEST(period_start, first_day_seen),
        LEAST(CAST(DATE_TRUNC('MONTH', period_start + INTERVAL '32' DAY) AS DATE), DATE_ADD('DAY', 1, last_day_seen))
      )
    ) AS DOUBLE) / NULLIF(active_users, 0)
  END AS stickiness
FROM counted
CROSS JOIN parameter
WHERE
  (
    from_day IS NULL OR period_start >= from_day
  ) AND (
    to_day IS NULL OR period_start <= to_day
  )
ORDER BY
  CASE period WHEN 'day' THEN 1 WHEN 'week' THEN 2 ELSE 3 END,
  period_start
