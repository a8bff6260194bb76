-- title: Automatic against self-started use, per scenario and week
-- question: How many responses did Copilot begin by itself, and are they used and liked as those that people asked for?
--   Automatic responses inflate the number of responses: compare rates within each kind. Requests of people, in the week
--   of their first response.
-- definition: ours; IsAutoPrompt is Microsoft's
-- tables: copilot_request
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   scenario, scenario_label: the feature
--   responses: requests with a response
--   auto_responses, self_started_responses: of these, begun by Copilot and by the person
--   unknown_responses: of these, those of which the service does not say it
--   auto_share: auto_responses / (auto_responses + self_started_responses); null without either
--   auto_used_rate, self_started_used_rate: used in any way / responses of the kind; null without any
--   auto_net_positive_rate, self_started_net_positive_rate: up / (up + down) of the kind; null when nobody rated
-- Snowflake. Generated and parsed only: it was never run.
-- Generated from queries/auto_prompts.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), response AS (
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
    auto_prompted,
    used_any,
    rating
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
), total AS (
  SELECT
    week,
    scenario,
    MAX(scenario_label) AS scenario_label,
    COUNT(*) AS responses,
    COUNT_IF(auto_prompted = 1) AS auto,
    COUNT_IF(auto_prompted = 0) AS self_started,
    COUNT_IF(auto_prompted IS NULL) AS unknown,
    COUNT_IF(auto_prompted = 1 AND used_any = 1) AS auto_used,
    COUNT_IF(auto_prompted = 0 AND used_any = 1) AS self_started_used,
    COUNT_IF(auto_prompted = 1 AND rating = 'up') AS auto_up,
    COUNT_IF(auto_prompted = 1 AND rating IN ('up', 'down')) AS auto_rated,
    COUNT_IF(auto_prompted = 0 AND rating = 'up') AS self_started_up,
    COUNT_IF(auto_prompted = 0 AND rating IN ('up', 'down')) AS self_started_rated
  FROM response
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
  responses,
  auto AS auto_responses,
  self_started AS self_started_responses,
  unknown AS unknown_responses,
  CAST(auto AS DOUBLE) / NULLIF(auto + self_started, 0) AS auto_share,
  CAST(auto_used AS DOUBLE) / NULLIF(auto, 0) AS auto_used_rate,
  CAST(self_started_used AS DOUBLE) / NULLIF(self_started, 0) AS self_started_used_rate,
  CAST(auto_up AS DOUBLE) / NULLIF(auto_rated, 0) AS auto_net_positive_rate,
  CAST(self_started_up AS DOUBLE) / NULLIF(self_started_rated, 0) AS self_started_net_positive_rate
FROM total
ORDER BY
  week_start,
  scenario
