-- title: Time to answer in Microsoft 365 Copilot, by week and app
-- question: How long do people wait? From a prompt to its first answer, over stored rows: halves that were read in different
--   runs are paired too. Percentiles are values that occur: half, or nine tenths, of the answers came within them.
-- definition: ours
-- tables: m365_turn
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   app: where the prompt was made; null for all apps together
--   prompts_answered: turns with a prompt and an answer
--   prompts_unanswered: turns with a prompt and no answer in the lake
--   median_seconds, p90_seconds: seconds from prompt to first answer
--   longest_seconds: the longest of them
-- Spark SQL: Spark, Databricks, Fabric. Run by `make interop` on Spark 4 and Sail, whose rows are DuckDB's.
-- Generated from queries/m365_response_time.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter.`from` AS DATE) AS from_day,
    CAST(copilot_lake_parameter.`to` AS DATE) AS to_day
  FROM copilot_lake_parameter
), turn AS (
  SELECT
    COALESCE(
      NEXT_DAY(
        DATE_ADD(
          DATE_FROM_UNIX_DATE(CAST(FLOOR(UNIX_SECONDS(FROM_UTC_TIMESTAMP(CAST(prompted_at AS TIMESTAMP), tz)) / 86400) AS INT)),
          -7
        ),
        first_day
      ),
      NEXT_DAY(DATE_ADD(week_start, -4), first_day)
    ) AS week,
    CASE WHEN scope.is_total = 0 THEN app END AS app,
    scope.is_total,
    responses,
    reply_seconds
  FROM m365_turn
  CROSS JOIN parameter
  CROSS JOIN VALUES
    (0),
    (1) AS scope(is_total)
  WHERE
    prompts > 0
    AND is_system_prompt = 0
    AND (
      from_day IS NULL OR last_week >= from_day - 15
    )
    AND (
      to_day IS NULL OR week_start <= to_day + 15
    )
), placed AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY week, app, is_total ORDER BY reply_seconds NULLS LAST) AS place,
    COUNT(reply_seconds) OVER (PARTITION BY week, app, is_total) AS timed
  FROM turn
  CROSS JOIN parameter
  WHERE
    (
      from_day IS NULL OR week >= from_day
    ) AND (
      to_day IS NULL OR week <= to_day
    )
)
SELECT
  week AS week_start,
  app,
  COUNT(*) FILTER(WHERE
    responses > 0) AS prompts_answered,
  COUNT(*) FILTER(WHERE
    responses = 0) AS prompts_unanswered,
  MIN(reply_seconds) FILTER(WHERE
    place * 2 >= timed) AS median_seconds,
  MIN(reply_seconds) FILTER(WHERE
    place * 10 >= timed * 9) AS p90_seconds,
  MAX(reply_seconds) AS longest_seconds
FROM placed
GROUP BY
  week,
  app,
  is_total
ORDER BY
  week_start NULLS LAST,
  is_total DESC,
  app NULLS LAST
