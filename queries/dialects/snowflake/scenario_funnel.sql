-- title: From available to rated, per scenario and week
-- question: How far do responses get? Each stage counts requests of people in the week of their first response; a request
--   can skip stages (a response can be copied without being viewed in full). Available comes before there is a request:
--   it counts people, records and days, and cannot be joined with the other stages.
-- definition: ours, but for used_copy, which is what Microsoft calls used
-- tables: copilot_activity, copilot_request
-- parameters:
--   tz (time zone, UTC): time zone that decides days and weeks, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   scenario, scenario_label: the feature
--   available: times that Copilot was offered: distinct people, records and local days
--   generated: requests with a response
--   viewed: of generated, those opened, expanded or checked for sources
--   used_copy: of generated, those copied from
--   used_any: of generated, those copied, sent, edited and sent, accepted or kept
--   edited: of generated, those edited before they were sent
--   rated: of generated, rated up or down in the end
--   positive: of rated, up
--   viewed_rate, used_copy_rate, used_rate, edited_rate: each / generated; null without responses
--   rated_rate: rated / generated; null without responses
--   positive_rate: positive / rated; null when nobody rated
--   self_started: of generated, those that Copilot did not begin by itself, as far as the service says
--   used_self_started_rate: used in any way / self_started, within them; null without any
-- Snowflake. Generated and parsed only: it was never run.
-- Generated from queries/scenario_funnel.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), offered AS (
  SELECT DISTINCT
    COALESCE(
      DATEADD(
        DAY,
        -(
          DAYOFWEEKISO(CAST(CONVERT_TIMEZONE(tz, created_ts) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
        ) % 7,
        CAST(CONVERT_TIMEZONE(tz, created_ts) AS DATE)
      ),
      CASE first_day WHEN 'sunday' THEN week_start WHEN 'monday' THEN DATEADD(DAY, 1, week_start) END
    ) AS week,
    CAST(CONVERT_TIMEZONE(tz, created_ts) AS DATE) AS day,
    scenario,
    scenario_label,
    user_id,
    for_table,
    for_id
  FROM copilot_activity
  CROSS JOIN parameter
  WHERE
    kind = 100230309
    AND is_human
    AND (
      from_day IS NULL OR week_start >= from_day - 15
    )
    AND (
      to_day IS NULL OR week_start <= to_day + 15
    )
), counted AS (
  SELECT
    COALESCE(
      DATEADD(
        DAY,
        -(
          DAYOFWEEKISO(CAST(CONVERT_TIMEZONE(tz, first_response_at) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
        ) % 7,
        CAST(CONVERT_TIMEZONE(tz, first_response_at) AS DATE)
      ),
      CASE first_day WHEN 'sunday' THEN week_start WHEN 'monday' THEN DATEADD(DAY, 1, week_start) END
    ) AS week,
    scenario,
    scenario_label,
    0 AS available,
    1 AS generated,
    viewed,
    used_copy,
    used_any,
    edited,
    CASE WHEN rating IN ('up', 'down') THEN 1 ELSE 0 END AS rated,
    CASE WHEN rating = 'up' THEN 1 ELSE 0 END AS positive,
    CASE WHEN auto_prompted = 0 THEN 1 ELSE 0 END AS self_started,
    CASE WHEN auto_prompted = 0 THEN used_any ELSE 0 END AS used_self_started
  FROM copilot_request
  CROSS JOIN parameter
  WHERE
    responses > 0
    AND is_human = 1
    AND (
      from_day IS NULL OR week_start >= from_day - 15 OR week_start = CAST('1970-01-04' AS DATE)
    )
    AND (
      to_day IS NULL OR week_start <= to_day + 15
    )
  UNION ALL
  SELECT
    week,
    scenario,
    scenario_label,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0
  FROM offered
), total AS (
  SELECT
    week,
    scenario,
    MAX(scenario_label) AS scenario_label,
    CAST(SUM(available) AS BIGINT) AS available,
    CAST(SUM(generated) AS BIGINT) AS generated,
    CAST(SUM(viewed) AS BIGINT) AS viewed,
    CAST(SUM(used_copy) AS BIGINT) AS used_copy,
    CAST(SUM(used_any) AS BIGINT) AS used_any,
    CAST(SUM(edited) AS BIGINT) AS edited,
    CAST(SUM(rated) AS BIGINT) AS rated,
    CAST(SUM(positive) AS BIGINT) AS positive,
    CAST(SUM(self_started) AS BIGINT) AS self_started,
    CAST(SUM(used_self_started) AS BIGINT) AS used_self_started
  FROM counted
  CROSS JOIN parameter
  WHERE
    (
      from_day IS NULL OR week >= from_day
    ) AND (
      to_day IS NULL OR week <= to_day
    )
  GROUP BY
    week,
    scenario
)
SELECT
  week AS week_start,
  scenario,
  scenario_label,
  available,
  generated,
  viewed,
  used_copy,
  used_any,
  edited,
  rated,
  positive,
  CAST(viewed AS DOUBLE) / NULLIF(generated, 0) AS viewed_rate,
  CAST(used_copy AS DOUBLE) / NULLIF(generated, 0) AS used_copy_rate,
  CAST(used_any AS DOUBLE) / NULLIF(generated, 0) AS used_rate,
  CAST(edited AS DOUBLE) / NULLIF(generated, 0) AS edited_rate,
  CAST(rated AS DOUBLE) / NULLIF(generated, 0) AS rated_rate,
  CAST(positive AS DOUBLE) / NULLIF(rated, 0) AS positive_rate,
  self_started,
  CAST(used_self_started AS DOUBLE) / NULLIF(self_started, 0) AS used_self_started_rate
FROM total
ORDER BY
  week_start,
  scenario
