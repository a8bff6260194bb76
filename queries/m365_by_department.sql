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
WITH parameter AS (
  SELECT
    coalesce(getvariable('tz'), 'UTC') AS tz,
    coalesce(getvariable('week_start'), 'sunday') AS first_day,
    CAST(getvariable('from') AS DATE) AS from_day,
    CAST(getvariable('to') AS DATE) AS to_day,
    CAST(coalesce(getvariable('min_group'), '5') AS INTEGER) AS min_group
),
enabled AS (
  SELECT user_id, nullif(department, '') AS department
  FROM graph_user
  WHERE has_copilot_license
),
sized AS (
  SELECT department, count(*) AS enabled_users
  FROM enabled
  GROUP BY department
),
-- Departments by size: where only one is too small, the next is hidden too.
placed AS (
  SELECT
    department,
    enabled_users,
    row_number() OVER (ORDER BY enabled_users, department NULLS LAST) AS place,
    sum(CASE WHEN enabled_users < min_group THEN 1 ELSE 0 END) OVER () AS small_departments
  FROM sized
  CROSS JOIN parameter
),
prompt AS (
  SELECT user_id, week_of(prompted_at, tz, first_day) AS week, CAST(sum(prompts) AS BIGINT) AS prompts
  FROM m365_turn
  CROSS JOIN parameter
  WHERE prompted_at IS NOT NULL AND is_system_prompt = 0
  GROUP BY user_id, week_of(prompted_at, tz, first_day)
),
week AS (
  SELECT DISTINCT week
  FROM prompt
  CROSS JOIN parameter
  WHERE (from_day IS NULL OR week >= from_day) AND (to_day IS NULL OR week <= to_day)
),
used AS (
  SELECT week, coalesce(department, '') AS department, count(*) AS active_users, CAST(sum(prompts) AS BIGINT) AS prompts
  FROM prompt
  JOIN enabled ON enabled.user_id = prompt.user_id
  GROUP BY week, coalesce(department, '')
),
shown AS (
  SELECT
    week.week,
    placed.department,
    CAST(CASE WHEN enabled_users < min_group OR (small_departments = 1 AND place = 2) THEN 1 ELSE 0 END AS INTEGER)
      AS is_suppressed,
    enabled_users,
    coalesce(active_users, 0) AS active_users,
    CASE WHEN active_users < min_group THEN NULL ELSE coalesce(prompts, 0) END AS prompts
  FROM placed
  CROSS JOIN week
  CROSS JOIN parameter
  LEFT JOIN used ON used.week = week.week AND used.department = coalesce(placed.department, '')
)
SELECT
  week AS week_start,
  department,
  is_suppressed,
  CASE WHEN is_suppressed = 0 THEN enabled_users END AS enabled_users,
  CASE WHEN is_suppressed = 0 THEN active_users END AS active_users,
  CASE WHEN is_suppressed = 0 THEN CAST(active_users AS DOUBLE) / enabled_users END AS active_users_rate,
  CASE WHEN is_suppressed = 0 THEN prompts END AS prompts,
  CASE WHEN is_suppressed = 0 THEN CAST(prompts AS DOUBLE) / nullif(active_users, 0) END AS prompts_per_active_user
FROM shown
ORDER BY week_start, department NULLS LAST
