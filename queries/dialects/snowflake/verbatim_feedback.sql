-- title: Thumbs-down with what people wrote, what they had asked and what Copilot had answered
-- question: Why are people dissatisfied? One row per ThumbsDown with text, newest first, also where the person took it back
--   later. Question and answer are those of the chat where it was kept, else those of what the interaction produced.
-- definition: ours
-- tables: copilot_activity, copilot_request, transcript_message, copilot_content
-- parameters:
--   tz (time zone, UTC): time zone that decides the day, such as Europe/Berlin
--   from (date, none): leave out days before this date
--   to (date, none): leave out days after this date
-- columns:
--   rated_at: when, by the service's clock
--   scenario, scenario_label: the feature
--   verbatim: what the person wrote
--   question: what was asked; null where neither a chat nor a prompt was kept
--   answer: what Copilot answered; null where nothing was kept
--   final_rating: up, down or cleared: the request's last rating
--   user_id: who rated; joins systemuser.systemuserid, where names are
--   request_key: what the rows of the request share
--   transcript_id: the chat, for the query transcript
--   for_table, for_id: the row that Copilot was used for
-- Snowflake. Generated and parsed only: it was never run.
-- Generated from queries/verbatim_feedback.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), question AS (
  SELECT
    request_id,
    CAST(CASE
      WHEN COUNT(message) > 0
      THEN LISTAGG(message, CHR(  10)) WITHIN GROUP (ORDER BY
        sent_at,
        sequence,
        message_id)
    END AS VARCHAR) AS question
  FROM transcript_message
  WHERE
    role = 'user' AND message <> ''
  GROUP BY
    request_id
), answer AS (
  SELECT
    request_id,
    CAST(CASE
      WHEN COUNT(message) > 0
      THEN LISTAGG(message, CHR(  10)) WITHIN GROUP (ORDER BY
        sent_at,
        sequence,
        message_id)
    END AS VARCHAR) AS answer
  FROM transcript_message
  WHERE
    role = 'bot' AND message <> ''
  GROUP BY
    request_id
), produced AS (
  SELECT
    request_key,
    MAX(prompt_text) AS question,
    MAX(COALESCE(response_text, content)) AS answer
  FROM copilot_content
  JOIN copilot_activity AS activity
    ON activity.source_table = copilot_content.source_table
    AND activity.event_id = copilot_content.event_id
    AND COALESCE(activity.partition_id, '') = copilot_content.partition_id
  WHERE
    kind = 100230305
  GROUP BY
    request_key
)
SELECT
  rated.created_ts AS rated_at,
  rated.scenario,
  rated.scenario_label,
  rated.verbatim,
  COALESCE(question.question, produced.question) AS question,
  COALESCE(answer.answer, produced.answer) AS answer,
  request.rating AS final_rating,
  rated.user_id,
  rated.request_key,
  request.transcript_id,
  rated.for_table,
  rated.for_id
FROM copilot_activity AS rated
CROSS JOIN parameter
LEFT JOIN copilot_request AS request
  ON request.request_key = rated.request_key
LEFT JOIN question
  ON question.request_id = rated.request_id
LEFT JOIN answer
  ON answer.request_id = rated.request_id
LEFT JOIN produced
  ON produced.request_key = rated.request_key
WHERE
  rated.kind = 100230302
  AND rated.verbatim <> ''
  AND (
    from_day IS NULL OR CAST(CONVERT_TIMEZONE(tz, rated.created_ts) AS DATE) >= from_day
  )
  AND (
    to_day IS NULL OR CAST(CONVERT_TIMEZONE(tz, rated.created_ts) AS DATE) <= to_day
  )
ORDER BY
  rated_at DESC NULLS LAST,
  rated.event_id,
  rated.partition_id
