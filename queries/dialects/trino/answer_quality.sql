-- title: Quality of answers, per scenario and week
-- question: Do answers come, how fast, and do they cite their sources? Response status is of Generated events; errors, latency
--   and citations are of the chats whose messages were kept, which few scenarios have. Percentiles are values that occur.
-- definition: ours; 20000 is the status of success, as Microsoft documents it
-- tables: copilot_activity, copilot_request, transcript_message
-- parameters:
--   tz (time zone, UTC): time zone that decides the week, such as Europe/Berlin
--   week_start (weekday, sunday): first day of the week, sunday or monday
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   week_start: first day of the week
--   scenario, scenario_label: the feature; null for chats whose request is not in the lake
--   response_events: Generated events to people
--   response_events_with_status: of these, those with a status
--   error_events: of those, those that failed
--   error_rate: error_events / response_events_with_status; null without any
--   bot_messages: messages of Copilot in chats
--   bot_errors: of these, those that the service marks as errors
--   bot_error_rate: bot_errors / bot_messages; null without any
--   bot_messages_with_sources: of bot_messages, those that cite a source
--   citation_rate: bot_messages_with_sources / bot_messages; null without any
--   timed_answers: questions in chats with an answer, and times for both
--   median_latency_seconds, p90_latency_seconds: from the last message of the person before it to the first of Copilot
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/answer_quality.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    COALESCE(copilot_lake_parameter.week_start, 'sunday') AS first_day,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), event AS (
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
    scenario,
    scenario_label,
    CASE WHEN NOT ctx_response_status_code IS NULL THEN 1 ELSE 0 END AS has_status,
    CASE WHEN ctx_response_status_code <> 20000 THEN 1 ELSE 0 END AS is_error
  FROM copilot_activity
  CROSS JOIN parameter
  WHERE
    kind = 100230305
    AND is_human
    AND (
      from_day IS NULL OR week_start >= DATE_ADD('DAY', -(
        15
      ), from_day)
    )
    AND (
      to_day IS NULL OR week_start <= DATE_ADD('DAY', 15, to_day)
    )
), message AS (
  SELECT
    COALESCE(
      DATE_ADD(
        'DAY',
        -(
          DAY_OF_WEEK(CAST(AT_TIMEZONE(sent_at, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
        ) % 7,
        CAST(AT_TIMEZONE(sent_at, tz) AS DATE)
      ),
      CASE first_day
        WHEN 'sunday'
        THEN transcript_message.week_start
        WHEN 'monday'
        THEN DATE_ADD('DAY', 1, transcript_message.week_start)
      END
    ) AS week,
    scenario,
    scenario_label,
    transcript_message.transcript_data_id,
    transcript_message.request_id,
    role,
    sent_at,
    CASE WHEN role = 'bot' THEN 1 ELSE 0 END AS is_bot,
    CASE WHEN role = 'bot' AND is_activity_error THEN 1 ELSE 0 END AS is_bot_error,
    CASE WHEN role = 'bot' AND transcript_message.source_count > 0 THEN 1 ELSE 0 END AS has_sources,
    MIN(CASE WHEN role = 'bot' THEN sent_at END) OVER (PARTITION BY transcript_message.transcript_data_id, transcript_message.request_id) AS answered_at
  FROM transcript_message
  CROSS JOIN parameter
  LEFT JOIN copilot_request
    ON copilot_request.request_id = transcript_message.request_id
), latency AS (
  SELECT
    DATE_ADD(
      'DAY',
      -(
        DAY_OF_WEEK(CAST(AT_TIMEZONE(answered_at, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
      ) % 7,
      CAST(AT_TIMEZONE(answered_at, tz) AS DATE)
    ) AS week,
    scenario,
    scenario_label,
    CAST(DATE_DIFF('MILLISECOND', MAX(sent_at), answered_at) AS DOUBLE) / 1000 AS seconds
  FROM message
  CROSS JOIN parameter
  WHERE
    role = 'user' AND request_id <> '' AND sent_at <= answered_at
  GROUP BY
    DATE_ADD(
      'DAY',
      -(
        DAY_OF_WEEK(CAST(AT_TIMEZONE(answered_at, tz) AS DATE)) - CASE first_day WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
      ) % 7,
      CAST(AT_TIMEZONE(answered_at, tz) AS DATE)
    ),
    scenario,
    scenario_label,
    transcript_data_id,
    request_id,
    answered_at
), part AS (
  SELECT
    week,
    scenario,
    scenario_label,
    1 AS events,
    has_status,
    is_error,
    0 AS bot,
    0 AS bot_errors,
    0 AS sourced,
    CAST(NULL AS DOUBLE) AS seconds
  FROM event
  UNION ALL
  SELECT
    week,
    scenario,
    scenario_label,
    0,
    0,
    0,
    is_bot,
    is_bot_error,
    has_sources,
    CAST(NULL AS DOUBLE)
  FROM message
  UNION ALL
  SELECT
    week,
    scenario,
    scenario_label,
    0,
    0,
    0,
    0,
    0,
    0,
    seconds
  FROM latency
), placed AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY week, scenario ORDER BY seconds) AS place,
    COUNT(seconds) OVER (PARTITION BY week, scenario) AS timed
  FROM part
  CROSS JOIN parameter
  WHERE
    (
      from_day IS NULL OR week >= from_day
    ) AND (
      to_day IS NULL OR week <= to_day
    )
), total AS (
  SELECT
    week,
    scenario,
    MAX(scenario_label) AS scenario_label,
    CAST(SUM(events) AS BIGINT) AS events,
    CAST(SUM(has_status) AS BIGINT) AS with_status,
    CAST(SUM(is_error) AS BIGINT) AS errors,
    CAST(SUM(bot) AS BIGINT) AS bot,
    CAST(SUM(bot_errors) AS BIGINT) AS bot_errors,
    CAST(SUM(sourced) AS BIGINT) AS sourced,
    COUNT(seconds) AS timed,
    MIN(seconds) FILTER(WHERE
      place * 2 >= timed) AS median_seconds,
    MIN(seconds) FILTER(WHERE
      place * 10 >= timed * 9) AS p90_seconds
  FROM placed
  GROUP BY
    week,
    scenario
)
SELECT
  week AS week_start,
  scenario,
  scenario_label,
  events AS response_events,
  with_status AS response_events_with_status,
  errors AS error_events,
  CAST(errors AS DOUBLE) / NULLIF(with_status, 0) AS error_rate,
  bot AS bot_messages,
  bot_errors,
  CAST(bot_errors AS DOUBLE) / NULLIF(bot, 0) AS bot_error_rate,
  sourced AS bot_messages_with_sources,
  CAST(sourced AS DOUBLE) / NULLIF(bot, 0) AS citation_rate,
  timed AS timed_answers,
  median_seconds AS median_latency_seconds,
  p90_seconds AS p90_latency_seconds
FROM total
ORDER BY
  week_start,
  scenario
