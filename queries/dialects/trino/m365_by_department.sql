-- title: Use of Microsoft 365 Copilot by department and week
-- question: Which departments use Copilot? Of the people who have a licence today, in the departments they are in today.
--   A department of fewer people than min_group is suppressed; if it is the only one, the next smallest is too, and there
--   is no total, from which a suppressed one could be found. Prompts are hidden where fewer people than that made them.
-- definition: ours; suppression as in Viva Insights
-- tables: m365_turn, graph_user
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
--   min_group (number, 5): fewest people that a department may have without being suppressed
-- columns:
--   week_start: first day of the week; weeks without any prompt in the lake are missing
--   department: as in the directory; null for people without one
--   is_suppressed: 1 if the department is too small to be shown; its figures are null
--   enabled_users: people with a licence
--   active_users: of these, those with a prompt
--   active_users_rate: active_users / enabled_users
--   prompts: their prompts; null also where 1 to min_group - 1 people made them
--   prompts_per_active_user: prompts / active_users; null as prompts, and without any
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/m365_by_department.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day,
    CAST(COALESCE(copilot_lake_parameter.min_group, '5') AS INTEGER) AS min_group
  FROM copilot_lake_parameter
), enabled AS (
  SELECT
    user_id,
    NULLIF(department, '') AS department
  FROM graph_user
  WHERE
    has_copilot_license
), sized AS (
  SELECT
    department,
    COUNT(*) AS enabled_users
  FROM enabled
  GROUP BY
    department
), placed AS (
  SELECT
    department,
    enabled_users,
    ROW_NUMBER() OVER (ORDER BY enabled_users, department) AS place,
    SUM(CASE WHEN enabled_users < min_group THEN 1 ELSE 0 END) OVER () AS small_departments
  FROM sized
  CROSS JOIN parameter
), prompt AS (
  SELECT
    user_id,
    DATE_ADD(
      'DAY',
      -(
        DAY_OF_WEEK(CAST(AT_TIMEZONE(prompted_at, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
      ) % 7,
      CAST(AT_TIMEZONE(prompted_at, tz) AS DATE)
    ) AS week,
    CAST(SUM(prompts) AS BIGINT) AS prompts
  FROM m365_turn
  CROSS JOIN parameter
  WHERE
    NOT prompted_at IS NULL AND is_system_prompt = 0
  GROUP BY
    user_id,
    DATE_ADD(
      'DAY',
      -(
        DAY_OF_WEEK(CAST(AT_TIMEZONE(prompted_at, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
      ) % 7,
      CAST(AT_TIMEZONE(prompted_at, tz) AS DATE)
    )
), week AS (
  SELECT DISTINCT
    week
  FROM prompt
  CROSS JOIN parameter
  WHERE
    (
      from_day IS NULL OR week >= from_day
    ) AND (
      to_day IS NULL OR week <= to_day
    )
), used AS (
  SELECT
    week,
    COALESCE(department, '') AS department,
    COUNT(*) AS active_users,
    CAST(SUM(prompts) AS BIGINT) AS prompts
  FROM prompt
  JOIN enabled
    ON enabled.user_id = prompt.user_id
  GROUP BY
    week,
    COALESCE(department, '')
), shown AS (
  SELECT
    week.week,
    placed.department,
    CAST(CASE WHEN enabled_users < min_group OR (
      small_departments = 1 AND place = 2
    ) THEN 1 ELSE 0 END AS INTEGER) AS is_suppressed,
    enabled_users,
    COALESCE(active_users, 0) AS active_users,
    CASE WHEN active_users < min_group THEN NULL ELSE COALESCE(prompts, 0) END AS prompts
  FROM placed
  CROSS JOIN week
  CROSS JOIN parameter
  LEFT JOIN used
    ON used.week = week.week AND used.department = COALESCE(placed.department, '')
)
SELECT
  week AS week_start,
  department,
  is_suppressed,
  CASE WHEN is_suppressed = 0 THEN enabled_users END AS enabled_users,
  CASE WHEN is_suppressed = 0 THEN active_users END AS active_users,
  CASE WHEN is_suppressed = 0 THEN CAST(active_users AS DOUBLE) / enabled_users END AS active_users_rate,
  CASE WHEN is_suppressed = 0 THEN prompts END AS prompts,
  CASE WHEN is_suppressed = 0 THEN CAST(prompts AS DOUBLE) / NULLIF(active_users, 0) END AS prompts_per_active_user
FROM shown
ORDER BY
  week_start,
  department
