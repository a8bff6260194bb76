-- title: Prompts to Microsoft 365 Copilot, by week and app
-- question: How much is asked, and how long are prompts and answers? Lengths are characters of plain text; medians are of the
--   turns that have a text, and of an even number of them the lower one.
-- definition: ours; prompts as in Microsoft's adoption report, prompts that programs make counted apart
-- tables: m365_turn
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   app: where the prompts were made
--   prompts: prompts of people
--   system_prompts: prompts that programs made, in no other column
--   active_users: people with a prompt
--   prompts_per_active_user: prompts / active_users
--   median_prompt_length, median_response_length: characters
-- Spark SQL: Spark, Databricks, Fabric. Run by `make interop` on Spark 4 and Sail, whose rows are DuckDB's.
-- Generated from queries/m365_prompts.sql by `make dialects`: edit that one.
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
    app,
    user_id,
    prompts,
    is_system_prompt,
    CASE WHEN is_system_prompt = 0 THEN prompt_length END AS prompt_length,
    CASE WHEN is_system_prompt = 0 THEN response_length END AS response_length
  FROM m365_turn
  CROSS JOIN parameter
  WHERE
    prompts > 0
    AND (
      from_day IS NULL OR last_week >= from_day - 15
    )
    AND (
      to_day IS NULL OR week_start <= to_day + 15
    )
), placed AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY week, app ORDER BY prompt_length NULLS LAST) AS prompt_place,
    COUNT(prompt_length) OVER (PARTITION BY week, app) AS prompt_lengths,
    ROW_NUMBER() OVER (PARTITION BY week, app ORDER BY response_length NULLS LAST) AS response_place,
    COUNT(response_length) OVER (PARTITION BY week, app) AS response_lengths
  FROM turn
  CROSS JOIN parameter
  WHERE
    (
      from_day IS NULL OR week >= from_day
    ) AND (
      to_day IS NULL OR week <= to_day
    )
), total AS (
  SELECT
    week,
    app,
    CAST(SUM(CASE WHEN is_system_prompt = 0 THEN prompts ELSE 0 END) AS BIGINT) AS prompts,
    CAST(SUM(CASE WHEN is_system_prompt = 1 THEN prompts ELSE 0 END) AS BIGINT) AS system_prompts,
    COUNT(DISTINCT CASE WHEN is_system_prompt = 0 THEN user_id END) AS active_users,
    MIN(prompt_length) FILTER(WHERE
      prompt_place * 2 >= prompt_lengths) AS median_prompt_length,
    MIN(response_length) FILTER(WHERE
      response_place * 2 >= response_lengths) AS median_response_length
  FROM placed
  GROUP BY
    week,
    app
)
SELECT
  week AS week_start,
  app,
  prompts,
  system_prompts,
  active_users,
  CAST(prompts AS DOUBLE) / NULLIF(active_users, 0) AS prompts_per_active_user,
  median_prompt_length,
  median_response_length
FROM total
ORDER BY
  week_start NULLS LAST,
  app NULLS LAST
