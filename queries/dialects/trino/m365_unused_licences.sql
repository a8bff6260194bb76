-- title: Licences of Microsoft 365 Copilot that are not used
-- question: Who has a licence and does not prompt? Prompts that programs make do not count. Idle is counted back from the
--   newest interaction in the lake, not from today, so that a late extract does not make everybody idle. A person whose
--   history the lake does not hold (see extraction_slice) looks never used.
-- definition: ours, after the terms dormant (used before) and never used
-- tables: m365_turn, graph_user, ai_interaction
-- parameters:
--   tz (time zone, UTC): time zone that decides the day, such as Europe/Berlin
--   idle_days (number, 30): days without a prompt after which a licence counts as unused
-- columns:
--   user_id, user_principal_name, display_name, department: the person
--   account_enabled: 1 if the account can sign in, 0 if not; null where that was not read
--   license_assigned_at: since when there is a licence
--   last_prompt_at: the last prompt; null if there is none in the lake
--   idle_days: days from the last prompt to the newest interaction in the lake; null without a prompt
--   status: never used or dormant
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/m365_unused_licences.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    CAST(COALESCE(copilot_lake_parameter.idle_days, '30') AS INTEGER) AS idle_days
  FROM copilot_lake_parameter
), newest AS (
  SELECT
    MAX(created_at) AS newest_at
  FROM ai_interaction
), last_prompt AS (
  SELECT
    user_id,
    MAX(prompted_at) AS last_prompt_at
  FROM m365_turn
  WHERE
    prompts > 0 AND is_system_prompt = 0
  GROUP BY
    user_id
), person AS (
  SELECT
    graph_user.user_id,
    user_principal_name,
    display_name,
    department,
    CAST(CASE WHEN account_enabled THEN 1 WHEN NOT account_enabled THEN 0 END AS INTEGER) AS account_enabled,
    license_assigned_at,
    last_prompt_at,
    CASE WHEN NOT last_prompt.user_id IS NULL THEN 1 ELSE 0 END AS has_prompted,
    DATE_DIFF('DAY', CAST(AT_TIMEZONE(last_prompt_at, tz) AS DATE), CAST(AT_TIMEZONE(newest_at, tz) AS DATE)) AS days
  FROM graph_user
  CROSS JOIN newest
  CROSS JOIN parameter
  LEFT JOIN last_prompt
    ON last_prompt.user_id = graph_user.user_id
  WHERE
    has_copilot_license
)
SELECT
  user_id,
  user_principal_name,
  display_name,
  department,
  account_enabled,
  license_assigned_at,
  last_prompt_at,
  days AS idle_days,
  CASE WHEN has_prompted = 1 THEN 'dormant' ELSE 'never used' END AS status
FROM person
CROSS JOIN parameter
WHERE
  has_prompted = 0 OR days >= parameter.idle_days
ORDER BY
  has_prompted,
  days DESC NULLS FIRST,
  user_id
