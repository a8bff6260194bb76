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
WITH parameter AS (
  SELECT
    coalesce(getvariable('tz'), 'UTC') AS tz,
    coalesce(getvariable('week_start'), 'sunday') AS first_day,
    CAST(getvariable('from') AS DATE) AS from_day,
    CAST(getvariable('to') AS DATE) AS to_day
),
offered AS (
  SELECT DISTINCT
    coalesce(week_of(created_ts, tz, first_day), lake_week(week_start, first_day)) AS week,
    local_day(created_ts, tz) AS day,
    scenario,
    scenario_label,
    user_id,
    for_table,
    for_id
  FROM copilot_activity
  CROSS JOIN parameter
  WHERE kind = 100230309 AND is_human
    -- Files of weeks that cannot have such rows are not read.
    AND (from_day IS NULL OR week_start >= from_day - 15)
    AND (to_day IS NULL OR week_start <= to_day + 15)
),
counted AS (
  SELECT
    coalesce(week_of(first_response_at, tz, first_day), lake_week(week_start, first_day)) AS week,
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
  WHERE responses > 0 AND is_human = 1
    -- Files of weeks that cannot have such rows are not read; a request may have a row without a time, too.
    AND (from_day IS NULL OR week_start >= from_day - 15 OR week_start = DATE '1970-01-04')
    AND (to_day IS NULL OR week_start <= to_day + 15)
  UNION ALL
  SELECT week, scenario, scenario_label, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
  FROM offered
),
total AS (
  SELECT
    week,
    scenario,
    max(scenario_label) AS scenario_label,
    CAST(sum(available) AS BIGINT) AS available,
    CAST(sum(generated) AS BIGINT) AS generated,
    CAST(sum(viewed) AS BIGINT) AS viewed,
    CAST(sum(used_copy) AS BIGINT) AS used_copy,
    CAST(sum(used_any) AS BIGINT) AS used_any,
    CAST(sum(edited) AS BIGINT) AS edited,
    CAST(sum(rated) AS BIGINT) AS rated,
    CAST(sum(positive) AS BIGINT) AS positive,
    CAST(sum(self_started) AS BIGINT) AS self_started,
    CAST(sum(used_self_started) AS BIGINT) AS used_self_started
  FROM counted
  CROSS JOIN parameter
  WHERE (from_day IS NULL OR week >= from_day) AND (to_day IS NULL OR week <= to_day)
  GROUP BY week, scenario
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
  CAST(viewed AS DOUBLE) / nullif(generated, 0) AS viewed_rate,
  CAST(used_copy AS DOUBLE) / nullif(generated, 0) AS used_copy_rate,
  CAST(used_any AS DOUBLE) / nullif(generated, 0) AS used_rate,
  CAST(edited AS DOUBLE) / nullif(generated, 0) AS edited_rate,
  CAST(rated AS DOUBLE) / nullif(generated, 0) AS rated_rate,
  CAST(positive AS DOUBLE) / nullif(rated, 0) AS positive_rate,
  self_started,
  CAST(used_self_started AS DOUBLE) / nullif(self_started, 0) AS used_self_started_rate
FROM total
ORDER BY week_start, scenario NULLS LAST
