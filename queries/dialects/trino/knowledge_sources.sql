-- title: Knowledge sources that answers cite, with the feedback that those answers got
-- question: Which articles are behind good and bad answers? A request counts once per source, by its final rating, even
--   if several of its messages cite it. A rating is of the whole answer: a source is not to blame for what it is cited
--   beside. Worst first.
-- definition: ours
-- tables: transcript_source, transcript_message, copilot_request
-- parameters:
--   tz (time zone, UTC): time zone that decides the day, such as Europe/Berlin
--   from (date, none): leave out messages sent before this date
--   to (date, none): leave out messages sent after this date
-- columns:
--   source_id: the source's id; where it has none, null
--   title, source: what the service calls it, and where it is from
--   citations: times that a message cites it
--   requests: requests whose answers cite it
--   up, down: of these, rated so in the end
--   net_positive_rate: up / (up + down); null when nobody rated
-- Trino. Generated and parsed only: it was never run.
-- Generated from queries/knowledge_sources.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    COALESCE(copilot_lake_parameter.tz, 'UTC') AS tz,
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), cited AS (
  SELECT
    COALESCE(NULLIF(source_id, ''), NULLIF(title, ''), source) AS source_key,
    NULLIF(source_id, '') AS source_id,
    title,
    source,
    NULLIF(message.request_id, '') AS request_id,
    rating
  FROM transcript_source
  JOIN transcript_message AS message
    ON message.transcript_data_id = transcript_source.transcript_data_id
    AND message.message_id = transcript_source.message_id
  LEFT JOIN copilot_request
    ON copilot_request.request_id = message.request_id
  CROSS JOIN parameter
  WHERE
    (
      from_day IS NULL OR CAST(AT_TIMEZONE(sent_at, tz) AS DATE) >= from_day
    )
    AND (
      to_day IS NULL OR CAST(AT_TIMEZONE(sent_at, tz) AS DATE) <= to_day
    )
), total AS (
  SELECT
    MAX(source_id) AS source_id,
    MAX(title) AS title,
    MAX(source) AS source,
    source_key,
    COUNT(*) AS citations,
    COUNT(DISTINCT request_id) AS requests,
    COUNT(DISTINCT CASE WHEN rating = 'up' THEN request_id END) AS up,
    COUNT(DISTINCT CASE WHEN rating = 'down' THEN request_id END) AS down
  FROM cited
  GROUP BY
    source_key
)
SELECT
  source_id,
  title,
  source,
  citations,
  requests,
  up,
  down,
  CAST(up AS DOUBLE) / NULLIF(up + down, 0) AS net_positive_rate
FROM total
ORDER BY
  down DESC,
  net_positive_rate,
  citations DESC,
  source_key
