-- title: Usage segments in Microsoft 365 Copilot, by week
-- question: How many people are Power, Habitual, Novice, Low and Non-users? Everybody with a licence, and whoever prompted,
--   is in one segment each week, by the last twelve weeks. Weeks before the twelfth in the lake are missing.
--   The parameters of m365_person_weeks hold too.
-- definition: Viva Insights' usage segments, 12-week rule, of prompts
-- tables: m365_person_weeks
-- parameters:
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   segment: Power User, Habitual User, Novice User, Low User or Non-user
--   people: people in it
--   people_share: people / all people of the week
-- Spark SQL: Spark, Databricks, Fabric. Run by `make interop` on Spark 4 and Sail, whose rows are DuckDB's.
-- Generated from queries/m365_segments.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH m365_person_weeks_parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'monday') AS first_day
  FROM copilot_lake_parameter
), m365_person_weeks_used AS (
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
  CROSS JOIN m365_person_weeks_parameter AS parameter
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
), m365_person_weeks_reach AS (
  SELECT
    MIN(week) AS first_week,
    MAX(week) AS last_week
  FROM m365_person_weeks_used AS used
), m365_person_weeks_digit AS (
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
), m365_person_weeks_week AS (
  SELECT
    first_week + CAST((
      hundreds.n * 100 + tens.n * 10 + ones.n
    ) * 7 AS INT) AS week
  FROM m365_person_weeks_reach AS reach
  CROSS JOIN m365_person_weeks_digit AS hundreds
  CROSS JOIN m365_person_weeks_digit AS tens
  CROSS JOIN m365_person_weeks_digit AS ones
  WHERE
    first_week + CAST((
      hundreds.n * 100 + tens.n * 10 + ones.n
    ) * 7 AS INT) <= last_week
), m365_person_weeks_person AS (
  SELECT
    COALESCE(graph_user.user_id, prompter.user_id) AS user_id,
    CAST(CASE WHEN has_copilot_license THEN 1 WHEN NOT has_copilot_license THEN 0 END AS INT) AS has_license,
    department
  FROM graph_user
  FULL JOIN (
    SELECT DISTINCT
      user_id
    FROM m365_person_weeks_used AS used
  ) AS prompter
    ON prompter.user_id = graph_user.user_id
  WHERE
    has_copilot_license OR NOT prompter.user_id IS NULL
), m365_person_weeks_densified AS (
  SELECT
    week.week,
    person.user_id,
    has_license,
    department,
    COALESCE(used.prompts, 0) AS prompts
  FROM m365_person_weeks_person AS person
  CROSS JOIN m365_person_weeks_week AS week
  LEFT JOIN m365_person_weeks_used AS used
    ON used.user_id = person.user_id AND used.week = week.week
), m365_person_weeks_rolling AS (
  SELECT
    *,
    COUNT(*) OVER (PARTITION BY user_id ORDER BY week NULLS LAST ROWS BETWEEN 11 PRECEDING AND CURRENT ROW) AS weeks_known,
    SUM(CASE WHEN prompts > 0 THEN 1 ELSE 0 END) OVER (PARTITION BY user_id ORDER BY week NULLS LAST ROWS BETWEEN 11 PRECEDING AND CURRENT ROW) AS active_weeks,
    CAST(SUM(prompts) OVER (PARTITION BY user_id ORDER BY week NULLS LAST ROWS BETWEEN 11 PRECEDING AND CURRENT ROW) AS DOUBLE) / 12 AS average_prompts
  FROM m365_person_weeks_densified AS densified
), m365_person_weeks AS (
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
  FROM m365_person_weeks_rolling AS rolling
), parameter AS (
  SELECT
    CAST(copilot_lake_parameter.`from` AS DATE) AS from_day,
    CAST(copilot_lake_parameter.`to` AS DATE) AS to_day
  FROM copilot_lake_parameter
), segment AS (
  SELECT
    place,
    segment
  FROM VALUES
    (1, 'Power User'),
    (2, 'Habitual User'),
    (3, 'Novice User'),
    (4, 'Low User'),
    (5, 'Non-user') AS segments(place, segment)
), counted AS (
  SELECT
    week_start,
    m365_person_weeks.segment,
    COUNT(*) AS people
  FROM m365_person_weeks
  CROSS JOIN parameter
  WHERE
    NOT m365_person_weeks.segment IS NULL
    AND (
      from_day IS NULL OR week_start >= from_day
    )
    AND (
      to_day IS NULL OR week_start <= to_day
    )
  GROUP BY
    week_start,
    m365_person_weeks.segment
), week AS (
  SELECT
    week_start,
    SUM(people) AS all_people
  FROM counted
  GROUP BY
    week_start
)
SELECT
  week.week_start,
  segment.segment,
  COALESCE(people, 0) AS people,
  CAST(COALESCE(people, 0) AS DOUBLE) / CAST(all_people AS DOUBLE) AS people_share
FROM week
CROSS JOIN segment
LEFT JOIN counted
  ON counted.week_start = week.week_start AND counted.segment = segment.segment
ORDER BY
  week.week_start NULLS LAST,
  place NULLS LAST
