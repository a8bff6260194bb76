-- title: Feedback rates per scenario and week
-- question: How good do representatives find Copilot's responses? A request counts once: the last of ThumbsUp, ThumbsDown
--   and ThumbsClear wins, and Clear means not rated. Rates belong to the week of the request's first response, even
--   when the rating came later. Ratings of requests without a response are in no rate, only among the rating events.
-- definition: rating_events_* are Microsoft's ("Agent ratings" of the Copilot analytics report); the rates are ours
-- tables: copilot_activity, copilot_request
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week; weeks that saw only rating events are there too
--   scenario, scenario_label: the feature
--   responses: requests with a response to a person
--   rated_responses: of these, rated up or down in the end
--   up, down: of these, each
--   net_positive_rate: up / (up + down); null when nobody rated
--   feedback_rate: rated_responses / responses; null without responses
--   rating_events_up, rating_events_down: ratings given in this week, as Microsoft's report counts them: every event
--   thumbs_down_with_verbatim_rate: of down, those with text on any of their ThumbsDown rows; null when down is 0
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/feedback_rates.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), counted AS (
  SELECT
    COALESCE(
      DATE_ADD(
        'DAY',
        -(
          DAY_OF_WEEK(CAST(AT_TIMEZONE(first_response_at, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
        ) % 7,
        CAST(AT_TIMEZONE(first_response_at, tz) AS DATE)
      ),
      CASE first_day WHEN 'sunday' THEN week_start WHEN 'monday' THEN DATE_ADD('DAY', 1, week_start) END
    ) AS week,
    scenario,
    scenario_label,
    1 AS responses,
    CASE WHEN rating = 'up' THEN 1 ELSE 0 END AS up,
    CASE WHEN rating = 'down' THEN 1 ELSE 0 END AS down,
    CASE WHEN rating = 'down' THEN has_verbatim ELSE 0 END AS down_with_verbatim,
    0 AS events_up,
    0 AS events_down
  FROM copilot_request
  CROSS JOIN parameter
  WHERE
    responses > 0
    AND is_human = 1
    AND (
      from_day IS NULL
      OR week_start >= DATE_ADD('DAY', -(
        15
      ), from_day)
      OR week_start = CAST('1970-01-04' AS DATE)
    )
    AND (
      to_day IS NULL OR week_start <= DATE_ADD('DAY', 15, to_day)
    )
  UNION ALL
  SELECT
    COALESCE(
      DATE_ADD(
        'DAY',
        -(
          DAY_OF_WEEK(CAST(AT_TIMEZONE(created_ts, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
        ) % 7,
        CAST(AT_TIMEZONE(created_ts, tz) AS DATE)
      ),
      CASE first_day WHEN 'sunday' THEN week_start WHEN 'monday' THEN DATE_ADD('DAY', 1, week_start) END
    ),
    scenario,
    scenario_label,
    0,
    0,
    0,
    0,
    CASE WHEN kind = 100230301 THEN 1 ELSE 0 END,
    CASE WHEN kind = 100230302 THEN 1 ELSE 0 END
  FROM copilot_activity
  CROSS JOIN parameter
  WHERE
    kind IN (100230301, 100230302)
    AND (
      from_day IS NULL OR week_start >= DATE_ADD('DAY', -(
        15
      ), from_day)
    )
    AND (
      to_day IS NULL OR week_start <= DATE_ADD('DAY', 15, to_day)
    )
), total AS (
  SELECT
    week,
    scenario,
    MAX(scenario_label) AS scenario_label,
    CAST(SUM(responses) AS BIGINT) AS responses,
    CAST(SUM(up) AS BIGINT) AS up,
    CAST(SUM(down) AS BIGINT) AS down,
    CAST(SUM(down_with_verbatim) AS BIGINT) AS down_with_verbatim,
    CAST(SUM(events_up) AS BIGINT) AS events_up,
    CAST(SUM(events_down) AS BIGINT) AS events_down
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
  responses,
  up + down AS rated_responses,
  up,
  down,
  CAST(up AS DOUBLE) / NULLIF(up + down, 0) AS net_positive_rate,
  CAST(up + down AS DOUBLE) / NULLIF(responses, 0) AS feedback_rate,
  events_up AS rating_events_up,
  events_down AS rating_events_down,
  CAST(down_with_verbatim AS DOUBLE) / NULLIF(down, 0) AS thumbs_down_with_verbatim_rate
FROM total
ORDER BY
  week_start,
  scenario
