-- title: A conversation with Copilot as a person reads it
-- question: What was said? Every message in order, with the knowledge sources that it cites: of one conversation, found by
--   any of its ids, or of all of them.
-- definition: ours
-- tables: transcript_message, transcript_source, copilot_activity
-- parameters:
--   id (text, none): an interaction, a scenario request, a chat, a transcript or a transcript's data
-- columns:
--   transcript_data_id: the conversation
--   place: the message's number in it, from 1
--   sent_at: when
--   role: user or bot
--   message: what was said
--   sources: titles of the sources that it cites, one per line; null without any
--   is_error: 1 if the service marks the message as an error
--   request_id: the scenario request that it belongs to
--   customer_intent: what the service took the customer to want
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/transcript.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    CAST(copilot_lake_parameter.id AS VARCHAR) AS id
  FROM copilot_lake_parameter
), wanted AS (
  SELECT DISTINCT
    transcript_data_id
  FROM transcript_message
  CROSS JOIN parameter
  WHERE
    id IS NULL OR id IN (transcript_data_id, chat_id, request_id)
  UNION
  SELECT DISTINCT
    transcript_data_id
  FROM copilot_activity
  CROSS JOIN parameter
  WHERE
    NOT transcript_data_id IS NULL AND id IN (event_id, request_id, transcript_id)
), cited AS (
  SELECT
    transcript_data_id,
    message_id,
    CAST(LISTAGG(COALESCE(NULLIF(title, ''), source, source_id), CHR(  10)) WITHIN GROUP (ORDER BY
      position) AS VARCHAR) AS sources
  FROM transcript_source
  GROUP BY
    transcript_data_id,
    message_id
)
SELECT
  message.transcript_data_id,
  CAST(ROW_NUMBER() OVER (PARTITION BY message.transcript_data_id ORDER BY sequence, sent_at, message.message_id) AS BIGINT) AS place,
  sent_at,
  role,
  message,
  sources,
  CAST(CASE WHEN is_activity_error THEN 1 WHEN NOT is_activity_error THEN 0 END AS INTEGER) AS is_error,
  request_id,
  customer_intent
FROM transcript_message AS message
JOIN wanted
  ON wanted.transcript_data_id = message.transcript_data_id
LEFT JOIN cited
  ON cited.transcript_data_id = message.transcript_data_id AND cited.message_id = message.message_id
ORDER BY
  message.transcript_data_id,
  place
