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
WITH parameter AS (
  SELECT
    coalesce(getvariable('tz'), 'UTC') AS tz,
    coalesce(getvariable('week_start'), 'sunday') AS first_day,
    CAST(getvariable('from') AS DATE) AS from_day,
    CAST(getvariable('to') AS DATE) AS to_day
),
used AS (
  SELECT DISTINCT
    local_day(created_ts, tz) AS day,
    week_of(created_ts, tz, first_day) AS week,
    user_id,
    CASE WHEN is_human AND kind IS DISTINCT FROM 100230309 THEN 1 ELSE 0 END AS is_active
  FROM copilot_activity
  CROSS JOIN parameter
  WHERE created_ts IS NOT NULL AND user_id IS NOT NULL
),
period AS (
  SELECT
    kinds.period,
    CASE kinds.period
      WHEN 'day' THEN day
      WHEN 'week' THEN week
      ELSE CAST(date_trunc('month', day) AS DATE)
    END AS period_start,
    day,
    user_id,
    is_active
  FROM used
  CROSS JOIN (VALUES ('day'), ('week'), ('month')) AS kinds(period)
),
counted AS (
  SELECT
    period,
    period_start,
    count(DISTINCT CASE WHEN is_active = 1 THEN user_id END) AS active_users,
    count(DISTINCT user_id) AS active_users_any,
    -- Of each person and day there is one such row.
    sum(is_active) AS user_days,
    min(min(day)) OVER () AS first_day_seen,
    max(max(day)) OVER () AS last_day_seen
  FROM period
  GROUP BY period, period_start
)
SELECT
  period,
  period_start,
  active_users,
  active_users_any,
  CASE WHEN period = 'month' THEN
    CAST(user_days AS DOUBLE)
      / (least(CAST(date_trunc('month', period_start + INTERVAL '32 days') AS DATE), last_day_seen + 1)
        - greatest(period_start, first_day_seen))
      / nullif(active_users, 0)
  END AS stickiness
FROM counted
CROSS JOIN parameter
WHERE (from_day IS NULL OR period_start >= from_day) AND (to_day IS NULL OR period_start <= to_day)
ORDER BY CASE period WHEN 'day' THEN 1 WHEN 'week' THEN 2 ELSE 3 END, period_start
