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
WITH parameter AS (
  SELECT
    coalesce(getvariable('tz'), 'UTC') AS tz,
    coalesce(getvariable('week_start'), 'sunday') AS first_day,
    CAST(getvariable('from') AS DATE) AS from_day,
    CAST(getvariable('to') AS DATE) AS to_day
),
-- Twice each: of its app, and of all apps.
turn AS (
  SELECT
    coalesce(week_of(prompted_at, tz, first_day), lake_week(week_start, first_day)) AS week,
    CASE WHEN scope.is_total = 0 THEN app END AS app,
    scope.is_total,
    responses,
    reply_seconds
  FROM m365_turn
  CROSS JOIN parameter
  CROSS JOIN (VALUES (0), (1)) AS scope(is_total)
  WHERE prompts > 0 AND is_system_prompt = 0
    -- Files of weeks that cannot have such rows are not read.
    AND (from_day IS NULL OR last_week >= from_day - 15)
    AND (to_day IS NULL OR week_start <= to_day + 15)
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY week, app, is_total ORDER BY reply_seconds NULLS LAST) AS place,
    count(reply_seconds) OVER (PARTITION BY week, app, is_total) AS timed
  FROM turn
  CROSS JOIN parameter
  WHERE (from_day IS NULL OR week >= from_day) AND (to_day IS NULL OR week <= to_day)
)
SELECT
  week AS week_start,
  app,
  count(*) FILTER (WHERE responses > 0) AS prompts_answered,
  count(*) FILTER (WHERE responses = 0) AS prompts_unanswered,
  min(reply_seconds) FILTER (WHERE place * 2 >= timed) AS median_seconds,
  min(reply_seconds) FILTER (WHERE place * 10 >= timed * 9) AS p90_seconds,
  max(reply_seconds) AS longest_seconds
FROM placed
GROUP BY week, app, is_total
ORDER BY week_start, is_total DESC, app NULLS LAST
