-- title: Use of Copilot per scenario and week
-- answers: Who uses which feature, and what becomes of the responses? Microsoft's numbers count events in their own week;
--   the others count requests, each once, in the week of its first response. People only: agents and autonomous
--   scenarios are left out.
-- tables: copilot_activity
-- parameters:
--   tz: time zone that decides the week, such as Europe/Berlin; UTC unless given
-- columns:
--   week_start: first day (Sunday) of the week
--   scenario, scenario_label: the feature
--   active_users: representatives who did anything; that Copilot was available to them does not count
--   responses: requests with a response
--   response_events: Generated events (Microsoft: total Copilot AI responses)
--   copy_events: Copy and ManualCopy events (Microsoft: number of responses used)
--   used_event_ratio: copy_events / response_events (Microsoft: % responses used); can exceed 1
--   responses_used_copy: of responses, those copied from: Copy, ManualCopy
--   used_copy_rate: responses_used_copy / responses
--   responses_used_any: of responses, those copied, sent, edited and sent, accepted or kept
--   used_rate: responses_used_any / responses
--   responses_discarded: of responses, those with Discard
--   discard_rate: Discard / (KeepIt + Discard), in responses; null where neither happened
WITH activity AS (
  SELECT
    request_key, scenario, scenario_label, kind, user_id,
    -- Weeks run from Sunday; date_trunc's run from Monday. A row without createdon keeps the week of its files.
    coalesce(
      CAST(date_trunc('week', timezone(coalesce(getvariable('tz'), 'UTC'), created_ts) + INTERVAL '1 day')
        - INTERVAL '1 day' AS DATE),
      week_start) AS week
  FROM copilot_activity
  WHERE is_human
),
label AS (
  SELECT scenario, max(scenario_label) AS scenario_label
  FROM activity
  GROUP BY scenario
),
request AS (
  SELECT
    request_key,
    min(week) FILTER (WHERE kind = 100230305) AS week,
    min(scenario) FILTER (WHERE kind = 100230305) AS scenario,
    count(*) FILTER (WHERE kind = 100230305) AS generated,
    count(*) FILTER (WHERE kind IN (100230304, 100230308)) AS copied,
    count(*) FILTER (WHERE kind IN (100230304, 100230306, 100230307, 100230308, 100230312, 100230316)) AS used,
    count(*) FILTER (WHERE kind = 100230316) AS kept,
    count(*) FILTER (WHERE kind = 100230317) AS discarded
  FROM activity
  WHERE kind IN (100230304, 100230305, 100230306, 100230307, 100230308, 100230312, 100230316, 100230317)
  GROUP BY request_key
),
counted AS (
  SELECT
    week,
    scenario,
    0 AS active_users,
    count(*) AS responses,
    count(*) FILTER (WHERE copied > 0) AS used_copy,
    count(*) FILTER (WHERE used > 0) AS used_any,
    count(*) FILTER (WHERE kept > 0) AS kept,
    count(*) FILTER (WHERE discarded > 0) AS discarded,
    0 AS response_events,
    0 AS copy_events
  FROM request
  WHERE generated > 0
  GROUP BY week, scenario
  UNION ALL
  SELECT
    week,
    scenario,
    count(DISTINCT user_id) FILTER (WHERE kind IS DISTINCT FROM 100230309),
    0,
    0,
    0,
    0,
    0,
    count(*) FILTER (WHERE kind = 100230305),
    count(*) FILTER (WHERE kind IN (100230304, 100230308))
  FROM activity
  GROUP BY week, scenario
),
total AS (
  SELECT
    week,
    scenario,
    CAST(sum(active_users) AS BIGINT) AS active_users,
    CAST(sum(responses) AS BIGINT) AS responses,
    CAST(sum(used_copy) AS BIGINT) AS used_copy,
    CAST(sum(used_any) AS BIGINT) AS used_any,
    CAST(sum(kept) AS BIGINT) AS kept,
    CAST(sum(discarded) AS BIGINT) AS discarded,
    CAST(sum(response_events) AS BIGINT) AS response_events,
    CAST(sum(copy_events) AS BIGINT) AS copy_events
  FROM counted
  GROUP BY week, scenario
)
SELECT
  total.week AS week_start,
  total.scenario,
  label.scenario_label,
  active_users,
  responses,
  response_events,
  copy_events,
  CAST(copy_events AS DOUBLE) / nullif(response_events, 0) AS used_event_ratio,
  used_copy AS responses_used_copy,
  CAST(used_copy AS DOUBLE) / nullif(responses, 0) AS used_copy_rate,
  used_any AS responses_used_any,
  CAST(used_any AS DOUBLE) / nullif(responses, 0) AS used_rate,
  discarded AS responses_discarded,
  CAST(discarded AS DOUBLE) / nullif(kept + discarded, 0) AS discard_rate
FROM total
LEFT JOIN label ON label.scenario = total.scenario
ORDER BY week_start, total.scenario NULLS LAST
