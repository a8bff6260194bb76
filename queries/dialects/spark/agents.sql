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
-- Spark SQL: Spark, Databricks, Fabric. Run by `make interop` on Spark 4 and Sail, whose rows are DuckDB's.
-- Generated from queries/agents.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter.`from` AS DATE) AS from_day,
    CAST(copilot_lake_parameter.`to` AS DATE) AS to_day
  FROM copilot_lake_parameter
), counted AS (
  SELECT
    COALESCE(
      NEXT_DAY(
        DATE_ADD(
          DATE_FROM_UNIX_DATE(CAST(FLOOR(UNIX_SECONDS(FROM_UTC_TIMESTAMP(CAST(created_ts AS TIMESTAMP), tz)) / 86400) AS INT)),
          -7
        ),
        first_day
      ),
      NEXT_DAY(DATE_ADD(week_start, -4), first_day)
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
      from_day IS NULL OR week_start >= from_day - 15
    )
    AND (
      to_day IS NULL OR week_start <= to_day + 15
    )
  UNION ALL
  SELECT
    COALESCE(
      NEXT_DAY(
        DATE_ADD(
          DATE_FROM_UNIX_DATE(CAST(FLOOR(UNIX_SECONDS(FROM_UTC_TIMESTAMP(CAST(first_response_at AS TIMESTAMP), tz)) / 86400) AS INT)),
          -7
        ),
        first_day
      ),
      NEXT_DAY(DATE_ADD(week_start, -4), first_day)
    ),
    agent,
    scenario,
    scenario_label,
    CAST(NULL AS STRING),
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
      from_day IS NULL OR week_start >= from_day - 15 OR week_start = CAST('1970-01-04' AS DATE)
    )
    AND (
      to_day IS NULL OR week_start <= to_day + 15
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
  week_start NULLS LAST,
  agent NULLS LAST,
  scenario NULLS LAST
