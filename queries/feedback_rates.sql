-- title: Feedback rates per scenario and week
-- answers: How good do representatives find Copilot's responses? A request counts once: the last of ThumbsUp, ThumbsDown
--   and ThumbsClear wins, and Clear means not rated. Rates belong to the week of the request's first response, even
--   when the rating came later. Ratings of requests without a response are in no rate, only among the rating events.
-- tables: copilot_activity
-- parameters:
--   tz: time zone that decides the week, such as Europe/Berlin; UTC unless given
-- columns:
--   week_start: first day (Sunday) of the week; weeks that saw only rating events are there too
--   scenario, scenario_label: the feature
--   responses: requests with a response to a person
--   rated_responses: of these, rated up or down in the end
--   up, down: of these, each
--   net_positive_rate: up / (up + down); null when nobody rated
--   feedback_rate: rated_responses / responses; null without responses
--   rating_events_up, rating_events_down: ratings given in this week, as Microsoft's report counts them: every event
--   thumbs_down_with_verbatim_rate: of down, those with text on any of their ThumbsDown rows; null when down is 0
WITH activity AS (
  SELECT
    request_key, scenario, scenario_label, kind, is_human, verbatim, client_ts, created_ts, version_number, event_id,
    partition_id,
    -- Weeks run from Sunday; date_trunc's run from Monday. A row without createdon keeps the week of its files.
    coalesce(
      CAST(date_trunc('week', timezone(coalesce(getvariable('tz'), 'UTC'), created_ts) + INTERVAL '1 day')
        - INTERVAL '1 day' AS DATE),
      week_start) AS week
  FROM copilot_activity
  WHERE kind IN (100230301, 100230302, 100230303, 100230305)
),
label AS (
  SELECT scenario, max(scenario_label) AS scenario_label
  FROM activity
  GROUP BY scenario
),
response AS (
  SELECT request_key, min(week) AS week, min(scenario) AS scenario
  FROM activity
  WHERE kind = 100230305 AND is_human
  GROUP BY request_key
),
rating AS (
  SELECT
    request_key,
    kind,
    max(CASE WHEN kind = 100230302 AND verbatim <> '' THEN 1 ELSE 0 END)
      OVER (PARTITION BY request_key) AS has_verbatim,
    row_number() OVER (
      PARTITION BY request_key
      ORDER BY coalesce(client_ts, created_ts) DESC NULLS LAST, created_ts DESC NULLS LAST,
        version_number DESC NULLS LAST, event_id DESC, partition_id DESC) AS place
  FROM activity
  WHERE kind IN (100230301, 100230302, 100230303)
),
counted AS (
  SELECT
    response.week,
    response.scenario,
    count(*) AS responses,
    count(*) FILTER (WHERE rating.kind = 100230301) AS up,
    count(*) FILTER (WHERE rating.kind = 100230302) AS down,
    count(*) FILTER (WHERE rating.kind = 100230302 AND rating.has_verbatim = 1) AS down_with_verbatim,
    0 AS events_up,
    0 AS events_down
  FROM response
  LEFT JOIN rating ON rating.request_key = response.request_key AND rating.place = 1
  GROUP BY response.week, response.scenario
  UNION ALL
  SELECT
    week,
    scenario,
    0,
    0,
    0,
    0,
    count(*) FILTER (WHERE kind = 100230301),
    count(*) FILTER (WHERE kind = 100230302)
  FROM activity
  WHERE kind IN (100230301, 100230302)
  GROUP BY week, scenario
),
total AS (
  SELECT
    week,
    scenario,
    CAST(sum(responses) AS BIGINT) AS responses,
    CAST(sum(up) AS BIGINT) AS up,
    CAST(sum(down) AS BIGINT) AS down,
    CAST(sum(down_with_verbatim) AS BIGINT) AS down_with_verbatim,
    CAST(sum(events_up) AS BIGINT) AS events_up,
    CAST(sum(events_down) AS BIGINT) AS events_down
  FROM counted
  GROUP BY week, scenario
)
SELECT
  total.week AS week_start,
  total.scenario,
  label.scenario_label,
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
LEFT JOIN label ON label.scenario = total.scenario
ORDER BY week_start, total.scenario NULLS LAST
