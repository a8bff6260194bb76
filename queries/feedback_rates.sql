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
WITH parameter AS (
  SELECT
    coalesce(getvariable('tz'), 'UTC') AS tz,
    coalesce(getvariable('week_start'), 'sunday') AS first_day,
    CAST(getvariable('from') AS DATE) AS from_day,
    CAST(getvariable('to') AS DATE) AS to_day
),
counted AS (
  SELECT
    coalesce(week_of(first_response_at, tz, first_day), lake_week(week_start, first_day)) AS week,
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
  WHERE responses > 0 AND is_human = 1
    -- Files of weeks that cannot have such rows are not read; a request may have a row without a time, too.
    AND (from_day IS NULL OR week_start >= from_day - 15 OR week_start = DATE '1970-01-04')
    AND (to_day IS NULL OR week_start <= to_day + 15)
  UNION ALL
  SELECT
    coalesce(week_of(created_ts, tz, first_day), lake_week(week_start, first_day)),
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
  WHERE kind IN (100230301, 100230302)
    -- Files of weeks that cannot have such rows are not read.
    AND (from_day IS NULL OR week_start >= from_day - 15)
    AND (to_day IS NULL OR week_start <= to_day + 15)
),
total AS (
  SELECT
    week,
    scenario,
    max(scenario_label) AS scenario_label,
    CAST(sum(responses) AS BIGINT) AS responses,
    CAST(sum(up) AS BIGINT) AS up,
    CAST(sum(down) AS BIGINT) AS down,
    CAST(sum(down_with_verbatim) AS BIGINT) AS down_with_verbatim,
    CAST(sum(events_up) AS BIGINT) AS events_up,
    CAST(sum(events_down) AS BIGINT) AS events_down
  FROM counted
  CROSS JOIN parameter
  WHERE (from_day IS NULL OR week >= from_day) AND (to_day IS NULL OR week <= to_day)
  GROUP BY week, scenario
)
SELECT
  week AS week_start,
  scenario,
  scenario_label,
  responses,
  up + down AS rated_responses,
  up,
  down,
  CAST(up AS DOUBLE) / nullif(up + down, 0) AS net_positive_rate,
  CAST(up + down AS DOUBLE) / nullif(responses, 0) AS feedback_rate,
  events_up AS rating_events_up,
  events_down AS rating_events_down,
  CAST(down_with_verbatim AS DOUBLE) / nullif(down, 0) AS thumbs_down_with_verbatim_rate
FROM total
ORDER BY week_start, scenario NULLS LAST
