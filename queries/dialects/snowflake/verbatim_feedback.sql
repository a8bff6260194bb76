-- title: Thumbs-down with what people wrote, what they had asked and what Copilot had answered
-- question: Why are people dissatisfied? One row per ThumbsDown, of those with text or of all, newest first, also where the
--   person took it back later. Question and answer are those of the chat where it was kept, else those of what the
--   interaction produced.
-- definition: ours
-- tables: copilot_activity, copilot_request, transcript_message, copilot_content
-- parameters:
--   tz (time zone, UTC): time zone that decides the day, such as Europe/Berlin
--   from (date, none): leave out days before this date
--   to (date, none): leave out days after this date
--   with_text (yes or no, yes): leave out ThumbsDown without text
-- columns:
--   rated_at: when, by the service's clock
--   scenario, scenario_label: the feature
--   verbatim: what the person wrote; null or empty without text
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
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day,
    COALESCE(copilot_lake_parameter.with_text, 'yes') AS with_text
  FROM copilot_lake_parameter
), rated AS (
  SELECT
    copilot_activity.*
  FROM copilot_activity
  CROSS JOIN parameter
  WHERE
    kind = 100230302
    AND (
      with_text = 'no' OR verbatim <> ''
    )
    AND (
      from_day IS NULL OR week_start >= from_day - 15
    )
    AND (
      to_day IS NULL OR week_start <= to_day + 15
    )
    AND (
      from_day IS NULL OR CAST(CONVERT_TIMEZONE(tz, created_ts) AS DATE) >= from_day
    )
    AND (
      to_day IS NULL OR CAST(CONVERT_TIMEZONE(tz, created_ts) AS DATE) <= to_day
    )
), request AS (
  SELECT
    request_key,
    rating,
    transcript_id
  FROM copilot_request
  CROSS JOIN parameter
  WHERE
    (
      from_day IS NULL OR last_week >= from_day - 15
    ) AND (
      to_day IS NULL OR first_week <= to_day + 15
    )
), said AS (
  SELECT
    request_id,
    CAST(CASE
      WHEN COUNT(CASE WHEN role = 'user' THEN message END) > 0
      THEN LISTAGG(CASE WHEN role = 'user' THEN message END, CHR(  10)) WITHIN GROUP (ORDER BY
        sent_at,
        sequence,
        message_id)
    END AS VARCHAR) AS question,
    CAST(CASE
      WHEN COUNT(CASE WHEN role = 'bot' THEN message END) > 0
      THEN LISTAGG(CASE WHEN role = 'bot' THEN message END, CHR(  10)) WITHIN GROUP (ORDER BY
        sent_at,
        sequence,
        message_id)
    END AS VARCHAR) AS answer
  FROM transcript_message
  WHERE
    message <> '' AND request_id <> '' AND request_id IN (
      SELECT
        request_id
      FROM rated
    )
  GROUP BY
    request_id
), response AS (
  SELECT
    source_table,
    event_id,
    COALESCE(partition_id, '') AS partition_id,
    request_key
  FROM copilot_activity
  WHERE
    kind = 100230305 AND request_key IN (
      SELECT
        request_key
      FROM rated
    )
), produced AS (
  SELECT
    request_key,
    MAX(prompt_text) AS question,
    MAX(COALESCE(response_text, content)) AS answer
  FROM response
  JOIN copilot_content
    ON copilot_content.source_table = response.source_table
    AND copilot_content.event_id = response.event_id
    AND copilot_content.partition_id = response.partition_id
  GROUP BY
    request_key
)
SELECT
  rated.created_ts AS rated_at,
  rated.scenario,
  rated.scenario_label,
  rated.verbatim,
  COALESCE(said.question, produced.question) AS question,
  COALESCE(said.answer, produced.answer) AS answer,
  request.rating AS final_rating,
  rated.user_id,
  rated.request_key,
  request.transcript_id,
  rated.for_table,
  rated.for_id
FROM rated
LEFT JOIN request
  ON request.request_key = rated.request_key
LEFT JOIN said
  ON said.request_id = rated.request_id
LEFT JOIN produced
  ON produced.request_key = rated.request_key
ORDER BY
  rated_at DESC NULLS LAST,
  rated.event_id,
  rated.partition_id
