-- title: A conversation with Microsoft 365 Copilot as a person reads it
-- question: What was said? Every prompt and answer in order: of one conversation or turn, found by any of its ids, of one
--   person, or of all of them.
-- definition: ours
-- tables: ai_interaction
-- parameters:
--   id (text, none): a session, a request or an interaction; sessions of two people may share an id
--   user_id (text, none): a person, by object id
-- columns:
--   user_id, session_id: whose history, and the conversation in it
--   place: the number of the prompt or answer in the conversation, from 1
--   sent_at: when
--   role: user or copilot
--   message: what was said; for a card or a page its text
--   app: where
--   request_id: what a prompt and its answers share
--   interaction_id: the row
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/m365_transcript.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    CAST(copilot_lake_parameter.id AS VARCHAR) AS id,
    CAST(copilot_lake_parameter.user_id AS VARCHAR) AS person
  FROM copilot_lake_parameter
)
SELECT
  user_id,
  session_id,
  CAST(ROW_NUMBER() OVER (PARTITION BY user_id, session_id ORDER BY created_at, interaction_type DESC, interaction_id) AS BIGINT) AS place,
  created_at AS sent_at,
  CASE interaction_type WHEN 'userPrompt' THEN 'user' WHEN 'aiResponse' THEN 'copilot' END AS role,
  text AS message,
  app,
  request_id,
  interaction_id
FROM ai_interaction
CROSS JOIN parameter
WHERE
  (
    id IS NULL OR id IN (session_id, request_id, interaction_id)
  ) AND (
    person IS NULL OR user_id = person
  )
ORDER BY
  user_id,
  session_id,
  place
