-- title: Active people in Microsoft 365 Copilot, by week and app
-- question: How many people prompt Microsoft 365 Copilot, in which app, and how many of those who have a licence? Prompts
--   that programs make do not count. Numbers are lower than the admin centre's: the API does not export every surface.
--   Licences are those of today, for every week; satisfaction is not in this source at all.
-- definition: Microsoft's adoption report: active users, enabled users and their rate, as far as this source has them
-- tables: m365_turn, graph_user
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   app: where the prompts were made; null for all apps together
--   active_users: people with a prompt
--   prompts: their prompts
--   prompts_per_active_user: prompts / active_users
--   enabled_users: people with a licence; of all apps together only
--   active_enabled_users: of these, those with a prompt; of all apps together only
--   active_users_rate: active_enabled_users / enabled_users; of all apps together only
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/m365_active_users.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), enabled AS (
  SELECT
    user_id
  FROM graph_user
  WHERE
    has_copilot_license
), enabled_count AS (
  SELECT
    COUNT(*) AS enabled_users
  FROM enabled
), prompt AS (
  SELECT
    DATE_ADD(
      'DAY',
      -(
        DAY_OF_WEEK(CAST(AT_TIMEZONE(prompted_at, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
      ) % 7,
      CAST(AT_TIMEZONE(prompted_at, tz) AS DATE)
    ) AS week,
    app,
    m365_turn.user_id,
    enabled.user_id AS enabled_user,
    prompts
  FROM m365_turn
  CROSS JOIN parameter
  LEFT JOIN enabled
    ON enabled.user_id = m365_turn.user_id
  WHERE
    prompts > 0
    AND is_system_prompt = 0
    AND (
      from_day IS NULL OR last_week >= DATE_ADD('DAY', -(
        15
      ), from_day)
    )
    AND (
      to_day IS NULL OR week_start <= DATE_ADD('DAY', 15, to_day)
    )
), scoped AS (
  SELECT
    week,
    CASE WHEN scope.is_total = 0 THEN app END AS app,
    scope.is_total,
    user_id,
    enabled_user,
    prompts
  FROM prompt
  CROSS JOIN (VALUES
    (0),
    (1)) AS scope(is_total)
), total AS (
  SELECT
    week,
    app,
    is_total,
    COUNT(DISTINCT user_id) AS active_users,
    CAST(SUM(prompts) AS BIGINT) AS prompts,
    COUNT(DISTINCT enabled_user) AS active_enabled_users
  FROM scoped
  CROSS JOIN parameter
  WHERE
    (
      from_day IS NULL OR week >= from_day
    ) AND (
      to_day IS NULL OR week <= to_day
    )
  GROUP BY
    week,
    app,
    is_total
)
SELECT
  week AS week_start,
  app,
  active_users,
  prompts,
  CAST(prompts AS DOUBLE) / active_users AS prompts_per_active_user,
  CASE WHEN is_total = 1 THEN enabled_users END AS enabled_users,
  CASE WHEN is_total = 1 THEN active_enabled_users END AS active_enabled_users,
  CASE WHEN is_total = 1 THEN CAST(active_enabled_users AS DOUBLE) / NULLIF(enabled_users, 0) END AS active_users_rate
FROM total
CROSS JOIN enabled_count
ORDER BY
  week_start,
  is_total DESC,
  app
