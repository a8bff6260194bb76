-- title: Licensed people and weeks in Microsoft 365 Copilot, with their usage segment
-- question: Who uses Copilot how steadily? One row per person and week: everybody who has a licence or ever prompted, and
--   every week from the first prompt in the lake to the last, silent ones included, because the segment is of twelve weeks.
-- definition: Viva Insights' usage segments, 12-week rule; prompts of people are the actions
-- tables: m365_turn, graph_user
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, monday): first day of the week, sunday or monday; Viva Insights begins on Monday
-- columns:
--   week_start: first day of the week
--   user_id: the person; joins graph_user.user_id, where names are
--   has_license: 1 with a licence today, 0 without; null where that was not read
--   department: the person's
--   prompts: prompts in the week
--   weeks_known: weeks from the first of the lake to this one, 12 at most
--   active_weeks: of the last twelve weeks, those with a prompt
--   average_prompts: prompts of the last twelve weeks / 12
--   segment: Power User, Habitual User, Novice User, Low User or Non-user; null where the lake does not hold twelve weeks
WITH parameter AS (
  SELECT
    coalesce(getvariable('tz'), 'UTC') AS tz,
    coalesce(getvariable('week_start'), 'monday') AS first_day
),
used AS (
  SELECT
    user_id,
    week_of(prompted_at, tz, first_day) AS week,
    CAST(sum(prompts) AS BIGINT) AS prompts
  FROM m365_turn
  CROSS JOIN parameter
  WHERE prompted_at IS NOT NULL AND is_system_prompt = 0
  GROUP BY user_id, week_of(prompted_at, tz, first_day)
),
reach AS (
  SELECT min(week) AS first_week, max(week) AS last_week
  FROM used
),
digit AS (
  SELECT n
  FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS digits(n)
),
week AS (
  SELECT first_week + CAST((hundreds.n * 100 + tens.n * 10 + ones.n) * 7 AS INTEGER) AS week
  FROM reach
  CROSS JOIN digit AS hundreds
  CROSS JOIN digit AS tens
  CROSS JOIN digit AS ones
  WHERE first_week + CAST((hundreds.n * 100 + tens.n * 10 + ones.n) * 7 AS INTEGER) <= last_week
),
person AS (
  SELECT
    coalesce(graph_user.user_id, prompter.user_id) AS user_id,
    CAST(CASE WHEN has_copilot_license THEN 1 WHEN NOT has_copilot_license THEN 0 END AS INTEGER) AS has_license,
    department
  FROM graph_user
  FULL JOIN (SELECT DISTINCT user_id FROM used) AS prompter ON prompter.user_id = graph_user.user_id
  WHERE has_copilot_license OR prompter.user_id IS NOT NULL
),
densified AS (
  SELECT
    week.week,
    person.user_id,
    has_license,
    department,
    coalesce(used.prompts, 0) AS prompts
  FROM person
  CROSS JOIN week
  LEFT JOIN used ON used.user_id = person.user_id AND used.week = week.week
),
rolling AS (
  SELECT
    *,
    count(*) OVER (PARTITION BY user_id ORDER BY week ROWS BETWEEN 11 PRECEDING AND CURRENT ROW) AS weeks_known,
    sum(CASE WHEN prompts > 0 THEN 1 ELSE 0 END)
      OVER (PARTITION BY user_id ORDER BY week ROWS BETWEEN 11 PRECEDING AND CURRENT ROW) AS active_weeks,
    CAST(sum(prompts) OVER (PARTITION BY user_id ORDER BY week ROWS BETWEEN 11 PRECEDING AND CURRENT ROW) AS DOUBLE)
      / 12 AS average_prompts
  FROM densified
)
SELECT
  week AS week_start,
  user_id,
  has_license,
  department,
  prompts,
  weeks_known,
  CAST(active_weeks AS BIGINT) AS active_weeks,
  average_prompts,
  CASE
    WHEN weeks_known < 12 THEN NULL
    WHEN active_weeks >= 9 AND average_prompts >= 15 THEN 'Power User'
    WHEN active_weeks >= 9 THEN 'Habitual User'
    WHEN average_prompts >= 1 THEN 'Novice User'
    WHEN average_prompts > 0 THEN 'Low User'
    ELSE 'Non-user'
  END AS segment
FROM rolling
ORDER BY week_start, user_id
