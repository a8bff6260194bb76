-- title: Days, with the weeks, months and quarters that they lie in
-- question: Which days does the lake reach over? One row per day of every year that has rows, without gaps, as date tables of
--   reporting tools must be. Rows of other years than 2000 to 2107 count for nothing.
-- definition: ours
-- tables: msdyn_copilotevent, msdyn_copilotinteraction, ai_interaction
-- parameters: none
-- columns:
--   date: the day
--   sunday_week, monday_week: the Sunday and the Monday on or before it
--   month, quarter: the first day of its month and of its quarter
--   year: its year
WITH reach AS (
  SELECT min(week_start) AS first_week, max(week_start) AS last_week
  FROM (
    SELECT week_start FROM msdyn_copilotevent
    UNION ALL
    SELECT week_start FROM msdyn_copilotinteraction
    UNION ALL
    SELECT week_start FROM ai_interaction
  ) AS row_of
  -- Others have a time that nobody meant, or none. Engines differ in what they can do with such days.
  WHERE week_start BETWEEN DATE '2000-01-02' AND DATE '2107-12-18'
),
digit AS (
  SELECT n
  FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS digits(n)
),
number AS (
  SELECT CAST(tenthousands.n * 10000 + thousands.n * 1000 + hundreds.n * 100 + tens.n * 10 + ones.n AS INTEGER) AS n
  FROM digit AS tenthousands
  CROSS JOIN digit AS thousands
  CROSS JOIN digit AS hundreds
  CROSS JOIN digit AS tens
  CROSS JOIN digit AS ones
  WHERE tenthousands.n < 4
),
-- From a Sunday of the year before on.
day AS (
  SELECT
    first_week - 371 + n AS day,
    first_week - 371 + CAST(n - n % 7 AS INTEGER) AS sunday_week,
    first_week - 377 + CAST(n + 6 - (n + 6) % 7 AS INTEGER) AS monday_week,
    CAST(date_trunc('year', first_week) AS DATE) AS first_year,
    CAST(date_trunc('year', last_week + 6) AS DATE) AS last_year
  FROM reach
  CROSS JOIN number
)
SELECT
  day AS date,
  sunday_week,
  monday_week,
  CAST(date_trunc('month', day) AS DATE) AS month,
  CAST(date_trunc('quarter', day) AS DATE) AS quarter,
  CAST(extract(year FROM day) AS INTEGER) AS year
FROM day
WHERE CAST(date_trunc('year', day) AS DATE) BETWEEN first_year AND last_year
