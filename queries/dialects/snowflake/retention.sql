-- title: Representatives who come back, by week of first use
-- question: Do people stay? Representatives are grouped by the week of their first use; each later week says how many
--   of the group used it again. Weeks that the lake does not reach yet are missing, not zero. A group of fewer people than
--   min_group is suppressed; if it is the only one, the next smallest is too, so that a total does not reveal it.
-- definition: ours; an active representative is one who did anything, as in active_users
-- tables: copilot_activity
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out groups whose first week begins before this date
--   to (date, none): leave out groups whose first week begins after this date
--   min_group (number, 5): fewest people that a group may have without being suppressed
-- columns:
--   cohort_week: first day of the week of first use
--   weeks_later: weeks since then; 0 is the first week itself
--   is_suppressed: 1 if the group is too small to be shown: it is one row, whose figures are null
--   cohort_people: people of the group
--   people: of these, those who used it in that week
--   retained_rate: people / cohort_people
-- Snowflake. Generated and parsed only: it was never run.
-- Generated from queries/retention.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day,
    CAST(COALESCE(copilot_lake_parameter.min_group, '5') AS INT) AS min_group
  FROM copilot_lake_parameter
), used AS (
  SELECT DISTINCT
    user_id,
    DATEADD(
      DAY,
      -(
        DAYOFWEEKISO(CAST(CONVERT_TIMEZONE(tz, created_ts) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
      ) % 7,
      CAST(CONVERT_TIMEZONE(tz, created_ts) AS DATE)
    ) AS week
  FROM copilot_activity
  CROSS JOIN parameter
  WHERE
    is_human AND (
      kind IS DISTINCT FROM 100230309
    ) AND NOT created_ts IS NULL AND NOT user_id IS NULL
), returned AS (
  SELECT
    cohort_week,
    week,
    COUNT(*) AS people
  FROM (
    SELECT
      week,
      MIN(week) OVER (PARTITION BY user_id) AS cohort_week
    FROM used
  ) AS weeks_of_people
  GROUP BY
    cohort_week,
    week
), cohort AS (
  SELECT
    cohort_week,
    MAX(CASE WHEN week = cohort_week THEN people END) AS cohort_people,
    MAX(MAX(week)) OVER () AS last_week
  FROM returned
  GROUP BY
    cohort_week
), placed AS (
  SELECT
    cohort_week,
    cohort_people,
    last_week,
    min_group,
    ROW_NUMBER() OVER (ORDER BY cohort_people, cohort_week) AS place,
    SUM(CASE WHEN cohort_people < min_group THEN 1 ELSE 0 END) OVER () AS small_groups
  FROM cohort
  CROSS JOIN parameter
  WHERE
    (
      from_day IS NULL OR cohort_week >= from_day
    ) AND (
      to_day IS NULL OR cohort_week <= to_day
    )
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
), shown AS (
  SELECT
    placed.cohort_week,
    CAST(weeks_later AS INT) AS weeks_later,
    CAST(CASE WHEN cohort_people < min_group OR (
      small_groups = 1 AND place = 2
    ) THEN 1 ELSE 0 END AS INT) AS is_suppressed,
    cohort_people,
    COALESCE(returned.people, 0) AS people
  FROM placed
  JOIN later
    ON placed.cohort_week + CAST(weeks_later * 7 AS INT) <= placed.last_week
  LEFT JOIN returned
    ON returned.cohort_week = placed.cohort_week AND returned.week = placed.cohort_week + CAST(weeks_later * 7 AS INT)
)
SELECT
  cohort_week,
  weeks_later,
  is_suppressed,
  CASE WHEN is_suppressed = 0 THEN cohort_people END AS cohort_people,
  CASE WHEN is_suppressed = 0 THEN people END AS people,
  CASE WHEN is_suppressed = 0 THEN CAST(people AS DOUBLE) / cohort_people END AS retained_rate
FROM shown
WHERE
  is_suppressed = 0 OR weeks_later = 0
ORDER BY
  cohort_week,
  weeks_later
