-- title: Health of payloads, per column
-- question: Was what Copilot produced decoded, and why not? One row per column, status and reason; the worst column first.
-- definition: ours
-- tables: payload
-- parameters: none
-- columns:
--   source_table, column_name: where the file is
--   status: decoded, empty, undecodable, missing, too_large or failed
--   encoding: how it was decoded
--   reason: why it was not
--   payloads: how many
--   payload_share: payloads / all of the column
--   byte_length: their bytes, as far as known
WITH total AS (
  SELECT
    source_table,
    column_name,
    status,
    encoding,
    reason,
    count(*) AS payloads,
    CAST(sum(byte_length) AS BIGINT) AS byte_length
  FROM payload
  GROUP BY source_table, column_name, status, encoding, reason
),
compared AS (
  SELECT
    *,
    sum(payloads) OVER (PARTITION BY source_table, column_name) AS all_payloads,
    sum(CASE WHEN status IN ('decoded', 'empty') THEN 0 ELSE payloads END)
      OVER (PARTITION BY source_table, column_name) AS bad_payloads
  FROM total
)
SELECT
  source_table,
  column_name,
  status,
  encoding,
  reason,
  payloads,
  CAST(payloads AS DOUBLE) / CAST(all_payloads AS DOUBLE) AS payload_share,
  byte_length
FROM compared
ORDER BY bad_payloads DESC, source_table, column_name, status, payloads DESC, encoding NULLS LAST, reason NULLS LAST
