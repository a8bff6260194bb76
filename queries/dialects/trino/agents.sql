-- title: What autonomous agents do, per agent, scenario and week
-- question: How much do AI agents and autonomous scenarios do, apart from people, and how do people rate it? Rows of agents
--   are in no query about people. A scenario that runs by itself has no agent on its rows in the older store.
-- definition: ours; agents and autonomous scenarios (100230218, 100230220) by Microsoft's codes
-- tables: copilot_activity, copilot_request
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   agent, agent_label: the agent; null for an autonomous scenario without one
--   scenario, scenario_label: the feature
--   events: everything that the agent did
--   requests: distinct requests that it acted on
--   responses: of these, those with a response that only agents got, in the week of the first one
--   up, down: of responses, rated so by people in the end
--   net_positive_rate: up / (up + down); null when nobody rated
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/agents.sql by `make dialects`: edit that one.
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
          DAY_OF_WEEK(CAST(AT_TIMEZONE(created_ts, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
        ) % 7,
        CAST(AT_TIMEZONE(created_ts, tz) AS DATE)
      ),
      CASE first_day WHEN 'sunday' THEN week_start WHEN 'monday' THEN DATE_ADD('DAY', 1, week_start) END
    ) AS week,
    agent,
    scenario,
    scenario_label,
    request_key,
    1 AS events,
    0 AS responses,
    0 AS up,
    0 AS down
  FROM copilot_activity
  CROSS JOIN parameter
  WHERE
    NOT is_human
    AND (
      kind IS NULL OR NOT kind IN (100230301, 100230302, 100230303)
    )
    AND (
      from_day IS NULL OR week_start >= DATE_ADD('DAY', -(
        15
      ), from_day)
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
          DAY_OF_WEEK(CAST(AT_TIMEZONE(first_response_at, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
        ) % 7,
        CAST(AT_TIMEZONE(first_response_at, tz) AS DATE)
      ),
      CASE first_day WHEN 'sunday' THEN week_start WHEN 'monday' THEN DATE_ADD('DAY', 1, week_start) END
    ),
    agent,
    scenario,
    scenario_label,
    CAST(NULL AS VARCHAR),
    0,
    1,
    CASE WHEN rating = 'up' THEN 1 ELSE 0 END,
    CASE WHEN rating = 'down' THEN 1 ELSE 0 END
  FROM copilot_request
  CROSS JOIN parameter
  WHERE
    responses > 0
    AND is_human = 0
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
), total AS (
  SELECT
    week,
    agent,
    scenario,
    MAX(scenario_label) AS scenario_label,
    CAST(SUM(events) AS BIGINT) AS events,
    COUNT(DISTINCT request_key) AS requests,
    CAST(SUM(responses) AS BIGINT) AS responses,
    CAST(SUM(up) AS BIGINT) AS up,
    CAST(SUM(down) AS BIGINT) AS down
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
    agent,
    scenario
)
SELECT
  week AS week_start,
  agent,
  CASE agent
    WHEN 192350001
    THEN 'Resolution Discovery Agent'
    WHEN 192350002
    THEN 'Quality Evaluation Agent'
    WHEN 192350003
    THEN 'Case Processing Agent'
    WHEN 192350004
    THEN 'Customer Engagement Agent'
  END AS agent_label,
  scenario,
  scenario_label,
  events,
  requests,
  responses,
  up,
  down,
  CAST(up AS DOUBLE) / NULLIF(up + down, 0) AS net_positive_rate
FROM total
ORDER BY
  week_start,
  agent,
  scenario
