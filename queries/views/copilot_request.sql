-- title: Requests to Copilot in Dynamics 365, and what became of them
-- question: What happened to each response? One row per scenario request: everything that copilot_activity says about it.
--   Where people and agents share a request, it is the person's if Copilot responded to the person, and only the
--   person's rows count, but for the rating. Flags are 1 or 0.
-- definition: Microsoft's events; a request, and the final rating of one, are ours
-- tables: copilot_activity, transcript_message, msdyn_copilotevent, msdyn_copilotinteraction
-- parameters: none
-- columns:
--   request_key: what the rows of a request share
--   request_id: the service's id of it; null where a row came without one, which is a request of its own
--   scenario, scenario_label: the feature
--   agent: the autonomous agent that acted on it, if one did
--   is_human: 1 if a person got a response, or did anything where nobody got one; 0 for agents' own requests
--   user_id: who got the response, else who did anything; of several people, the first in the order of ids
--   first_response_at: when the service recorded the first response; null without one, and where it has no time
--   first_row_at: when the service recorded anything of it first
--   responses: Generated events; 0 for a rating or a copy whose response is not in the lake
--   response_status_code: 20000 is success; of several that of a failure; null where the service gave none
--   answer_seconds: from the last message of the person before it to the first of Copilot, where a chat has both
--   viewed: ViewHistory, ExpandTile or CheckSources
--   used_copy: Copy or ManualCopy
--   used_any: used_copy, or SendToCustomer, EditAndSend, AcceptSuggestion or KeepIt
--   sent, edited: SendToCustomer; EditAndSend
--   kept, discarded: KeepIt; Discard
--   auto_prompted: 1 if Copilot began by itself; null where the service does not say
--   rating: up, down or cleared: the last of the request's ratings; null if it has none
--   has_verbatim: 1 if any of its ThumbsDown rows has text
--   source_count: sources that Copilot's messages cite; null without messages
--   transcript_id, transcript_data_id: the chat, and the row that holds its messages
--   for_table, for_id: the row that Copilot was used for
--   response_source_category, response_source_sub_category: what the response was made from
--   first_week, last_week: the UTC weeks of the files of its first and last row or message, such as a late rating
--   week_start: the UTC week of the files of its first response, else of its first row
WITH activity AS (
  SELECT
    *,
    -- Whose row it is: a request of a person's counts those of people only, an agent's counts all.
    CASE WHEN is_human THEN 2 ELSE 1 END AS actor,
    CASE WHEN kind = 100230305 AND is_human THEN 2 WHEN kind = 100230305 THEN 1 END AS responder
  FROM copilot_activity
  -- Available rows are no requests, and have no request id.
  WHERE kind IS DISTINCT FROM 100230309
),
request AS (
  SELECT
    request_key,
    nullif(max(request_id), '') AS request_id,
    coalesce(min(scenario) FILTER (WHERE responder = 2), min(scenario) FILTER (WHERE responder = 1), min(scenario))
      AS scenario,
    min(agent) AS agent,
    coalesce(max(responder), max(actor)) - 1 AS is_human,
    coalesce(min(user_id) FILTER (WHERE responder = 2), min(user_id) FILTER (WHERE responder = 1), min(user_id))
      AS user_id,
    coalesce(min(created_ts) FILTER (WHERE responder = 2), min(created_ts) FILTER (WHERE responder = 1))
      AS first_response_at,
    min(created_ts) AS first_row_at,
    count(*) FILTER (WHERE responder = 2) AS responses_to_people,
    count(*) FILTER (WHERE responder = 1) AS other_responses,
    coalesce(
      min(ctx_response_status_code) FILTER (WHERE responder > 0 AND ctx_response_status_code <> 20000),
      min(ctx_response_status_code) FILTER (WHERE responder > 0)) AS response_status_code,
    max(actor) FILTER (WHERE kind IN (100230313, 100230314, 100230326)) AS viewed,
    max(actor) FILTER (WHERE kind IN (100230304, 100230308)) AS used_copy,
    max(actor) FILTER (WHERE kind IN (100230304, 100230306, 100230307, 100230308, 100230312, 100230316)) AS used_any,
    max(actor) FILTER (WHERE kind = 100230306) AS sent,
    max(actor) FILTER (WHERE kind = 100230307) AS edited,
    max(actor) FILTER (WHERE kind = 100230316) AS kept,
    max(actor) FILTER (WHERE kind = 100230317) AS discarded,
    max(CASE WHEN ctx_is_auto_prompt THEN 1 WHEN NOT ctx_is_auto_prompt THEN 0 END) FILTER (WHERE responder > 0)
      AS auto_prompted,
    max(transcript_id) AS transcript_id,
    max(transcript_data_id) AS transcript_data_id,
    max(for_table) AS for_table,
    max(for_id) AS for_id,
    min(ctx_response_source_category) FILTER (WHERE responder > 0) AS response_source_category,
    min(ctx_response_source_sub_category) FILTER (WHERE responder > 0) AS response_source_sub_category,
    coalesce(min(week_start) FILTER (WHERE responder = 2), min(week_start) FILTER (WHERE responder = 1),
      min(week_start)) AS week_start,
    min(week_start) AS first_week,
    max(week_start) AS last_week
  FROM activity
  GROUP BY request_key
),
-- Whatever became of the rows that have it.
label AS (
  SELECT scenario, max(scenario_label) AS scenario_label
  FROM (
    SELECT msdyn_scenariotype AS scenario, msdyn_scenariotype_label AS scenario_label FROM msdyn_copilotevent
    UNION ALL
    SELECT msdyn_scenariotype, msdyn_scenariotype_label FROM msdyn_copilotinteraction
  ) AS row_of
  GROUP BY scenario
),
-- The messages of a request, of a chat that was kept.
chat AS (
  SELECT
    request_id,
    seconds_between(max(CASE WHEN role = 'user' AND sent_at <= answered_at THEN sent_at END), min(answered_at))
      AS answer_seconds,
    CAST(sum(CASE WHEN role = 'bot' THEN source_count END) AS BIGINT) AS source_count,
    min(week_start) AS first_week,
    max(week_start) AS last_week
  FROM (
    SELECT
      request_id,
      role,
      sent_at,
      source_count,
      week_start,
      min(CASE WHEN role = 'bot' THEN sent_at END) OVER (PARTITION BY request_id) AS answered_at
    FROM transcript_message
    WHERE request_id <> ''
  ) AS message
  GROUP BY request_id
),
-- By the representative's clock, which the service's follows late and out of order.
rating AS (
  SELECT
    request_key,
    CASE kind WHEN 100230301 THEN 'up' WHEN 100230302 THEN 'down' ELSE 'cleared' END AS rating,
    max(CASE WHEN kind = 100230302 AND verbatim <> '' THEN 1 ELSE 0 END)
      OVER (PARTITION BY request_key) AS has_verbatim,
    row_number() OVER (
      PARTITION BY request_key
      ORDER BY coalesce(client_ts, created_ts) DESC NULLS LAST, created_ts DESC NULLS LAST,
        version_number DESC NULLS LAST, event_id DESC, partition_id DESC) AS place
  FROM copilot_activity
  WHERE kind IN (100230301, 100230302, 100230303)
),
-- A join holds the side that is written first in memory: the smaller one.
rated AS (
  SELECT request.*, rating.rating, rating.has_verbatim
  FROM rating
  RIGHT JOIN request ON rating.request_key = request.request_key AND rating.place = 1
),
answered AS (
  SELECT
    rated.*,
    chat.answer_seconds,
    chat.source_count,
    chat.first_week AS first_chat_week,
    chat.last_week AS last_chat_week
  FROM chat
  RIGHT JOIN rated ON chat.request_id = rated.request_id
)
SELECT
  request_key,
  request_id,
  answered.scenario,
  label.scenario_label,
  agent,
  CAST(is_human AS INTEGER) AS is_human,
  user_id,
  first_response_at,
  first_row_at,
  CASE WHEN is_human = 1 THEN responses_to_people ELSE other_responses END AS responses,
  response_status_code,
  answer_seconds,
  CAST(CASE WHEN viewed > is_human THEN 1 ELSE 0 END AS INTEGER) AS viewed,
  CAST(CASE WHEN used_copy > is_human THEN 1 ELSE 0 END AS INTEGER) AS used_copy,
  CAST(CASE WHEN used_any > is_human THEN 1 ELSE 0 END AS INTEGER) AS used_any,
  CAST(CASE WHEN sent > is_human THEN 1 ELSE 0 END AS INTEGER) AS sent,
  CAST(CASE WHEN edited > is_human THEN 1 ELSE 0 END AS INTEGER) AS edited,
  CAST(CASE WHEN kept > is_human THEN 1 ELSE 0 END AS INTEGER) AS kept,
  CAST(CASE WHEN discarded > is_human THEN 1 ELSE 0 END AS INTEGER) AS discarded,
  CAST(auto_prompted AS INTEGER) AS auto_prompted,
  rating,
  CAST(coalesce(answered.has_verbatim, 0) AS INTEGER) AS has_verbatim,
  source_count,
  transcript_id,
  transcript_data_id,
  for_table,
  for_id,
  response_source_category,
  response_source_sub_category,
  CASE WHEN first_chat_week < answered.first_week THEN first_chat_week ELSE answered.first_week END AS first_week,
  CASE WHEN last_chat_week > answered.last_week THEN last_chat_week ELSE answered.last_week END AS last_week,
  week_start
FROM label
RIGHT JOIN answered ON label.scenario = answered.scenario
