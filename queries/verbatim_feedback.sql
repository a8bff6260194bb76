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
WITH parameter AS (
  SELECT
    coalesce(getvariable('tz'), 'UTC') AS tz,
    CAST(getvariable('from') AS DATE) AS from_day,
    CAST(getvariable('to') AS DATE) AS to_day
),
question AS (
  SELECT
    request_id,
    CAST(string_agg(message, chr(10) ORDER BY sent_at, sequence, message_id) AS VARCHAR) AS question
  FROM transcript_message
  WHERE role = 'user' AND message <> ''
  GROUP BY request_id
),
answer AS (
  SELECT
    request_id,
    CAST(string_agg(message, chr(10) ORDER BY sent_at, sequence, message_id) AS VARCHAR) AS answer
  FROM transcript_message
  WHERE role = 'bot' AND message <> ''
  GROUP BY request_id
),
produced AS (
  SELECT request_key, max(prompt_text) AS question, max(coalesce(response_text, content)) AS answer
  FROM copilot_content
  JOIN copilot_activity AS activity
    ON activity.source_table = copilot_content.source_table
    AND activity.event_id = copilot_content.event_id
    AND coalesce(activity.partition_id, '') = copilot_content.partition_id
  WHERE kind = 100230305
  GROUP BY request_key
)
SELECT
  rated.created_ts AS rated_at,
  rated.scenario,
  rated.scenario_label,
  rated.verbatim,
  coalesce(question.question, produced.question) AS question,
  coalesce(answer.answer, produced.answer) AS answer,
  request.rating AS final_rating,
  rated.user_id,
  rated.request_key,
  request.transcript_id,
  rated.for_table,
  rated.for_id
FROM copilot_activity AS rated
CROSS JOIN parameter
LEFT JOIN copilot_request AS request ON request.request_key = rated.request_key
LEFT JOIN question ON question.request_id = rated.request_id
LEFT JOIN answer ON answer.request_id = rated.request_id
LEFT JOIN produced ON produced.request_key = rated.request_key
WHERE rated.kind = 100230302
  AND rated.verbatim <> ''
  AND (from_day IS NULL OR local_day(rated.created_ts, tz) >= from_day)
  AND (to_day IS NULL OR local_day(rated.created_ts, tz) <= to_day)
ORDER BY rated_at DESC NULLS LAST, rated.event_id, rated.partition_id
