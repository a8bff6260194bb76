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
-- Spark SQL: Spark, Databricks, Fabric. Run by `make interop` on Spark 4 and Sail, whose rows are DuckDB's.
-- Generated from queries/m365_person_weeks.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'monday') AS first_day
  FROM copilot_lake_parameter
), used AS (
  SELECT
    user_id,
    NEXT_DAY(
      DATE_ADD(
        DATE_FROM_UNIX_DATE(CAST(FLOOR(UNIX_SECONDS(FROM_UTC_TIMESTAMP(CAST(prompted_at AS TIMESTAMP), tz)) / 86400) AS INT)),
        -7
      ),
      first_day
    ) AS week,
    CAST(SUM(prompts) AS BIGINT) AS prompts
  FROM m365_turn
  CROSS JOIN parameter
  WHERE
    NOT prompted_at IS NULL AND is_system_prompt = 0
  GROUP BY
    user_id,
    NEXT_DAY(
      DATE_ADD(
        DATE_FROM_UNIX_DATE(CAST(FLOOR(UNIX_SECONDS(FROM_UTC_TIMESTAMP(CAST(prompted_at AS TIMESTAMP), tz)) / 86400) AS INT)),
        -7
      ),
      first_day
    )
), reach AS (
  SELECT
    MIN(week) AS first_week,
    MAX(week) AS last_week
  FROM used
), digit AS (
  SELECT
    n
  FROM VALUES
    (0),
    (1),
    (2),
    (3),
    (4),
    (5),
    (6),
    (7),
    (8),
    (9) AS digits(n)
), week AS (
  SELECT
    first_week + CAST((
      hundreds.n * 100 + tens.n * 10 + ones.n
    ) * 7 AS INT) AS week
  FROM reach
  CROSS JOIN digit AS hundreds
  CROSS JOIN digit AS tens
  CROSS JOIN digit AS ones
  WHERE
    first_week + CAST((
      hundreds.n * 100 + tens.n * 10 + ones.n
    ) * 7 AS INT) <= last_week
), person AS (
  SELECT
    COALESCE(graph_user.user_id, prompter.user_id) AS user_id,
    CAST(CASE WHEN has_copilot_license THEN 1 WHEN NOT has_copilot_license THEN 0 END AS INT) AS has_license,
    department
  FROM graph_user
  FULL JOIN (
    SELECT DISTINCT
      user_id
    FROM used
  ) AS prompter
    ON prompter.user_id = graph_user.user_id
  WHERE
    has_copilot_license OR NOT prompter.user_id IS NULL
), densified AS (
  SELECT
    week.week,
    person.user_id,
    has_license,
    department,
    COALESCE(used.prompts, 0) AS prompts
  FROM person
  CROSS JOIN week
  LEFT JOIN used
    ON used.user_id = person.user_id AND used.week = week.week
), rolling AS (
  SELECT
    *,
    COUNT(*) OVER (PARTITION BY user_id ORDER BY week NULLS LAST ROWS BETWEEN 11 PRECEDING AND CURRENT ROW) AS weeks_known,
    SUM(CASE WHEN prompts > 0 THEN 1 ELSE 0 END) OVER (PARTITION BY user_id ORDER BY week NULLS LAST ROWS BETWEEN 11 PRECEDING AND CURRENT ROW) AS active_weeks,
    CAST(SUM(prompts) OVER (PARTITION BY user_id ORDER BY week NULLS LAST ROWS BETWEEN 11 PRECEDING AND CURRENT ROW) AS DOUBLE) / 12 AS average_prompts
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
    WHEN weeks_known < 12
    THEN NULL
    WHEN active_weeks >= 9 AND average_prompts >= 15
    THEN 'Power User'
    WHEN active_weeks >= 9
    THEN 'Habitual User'
    WHEN average_prompts >= 1
    THEN 'Novice User'
    WHEN average_prompts > 0
    THEN 'Low User'
    ELSE 'Non-user'
  END AS segment
FROM rolling
ORDER BY
  week_start NULLS LAST,
  user_id NULLS LAST
