-- title: Health of the extraction, per table
-- question: How fresh is each table, and what failed? Of the ledger: windows that a later run read well count as healed.
--   Lag is up to the ledger's newest entry, so that it does not grow because nobody looks.
-- definition: ours
-- tables: extraction_slice, payload
-- parameters: none
-- columns:
--   source, table_name: the table
--   scopes: users of Microsoft Graph whose history was asked for; 1 for a table without scopes
--   done_until: up to when every scope is complete; null if one never was
--   lag_hours: hours from then to the newest entry of the ledger
--   slices_done, slices_failed, slices_skipped: entries of the ledger, repeated ones included
--   scopes_failing: scopes whose newest entry failed
--   scopes_skipped: scopes whose newest entry was skipped
--   last_reason: why the newest entry failed or was skipped that did
--   throttled_seconds: time that the service made us wait
--   rows_received, rows_rejected: rows received, and values of them that did not fit their column: rejected_record has them
--   payloads_undecoded: Files of its rows that are neither decoded nor empty: payload_health says why; null without Files
--   last_finished_at: when the newest entry was written
WITH newest AS (
  SELECT max(finished_at) AS newest_at
  FROM extraction_slice
),
slice AS (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY source, table_name, scope
      ORDER BY finished_at DESC NULLS LAST, window_start DESC NULLS LAST, run_id DESC, clock) AS place,
    row_number() OVER (
      PARTITION BY source, table_name, CASE WHEN reason <> '' AND status <> 'done' THEN 1 ELSE 0 END
      ORDER BY finished_at DESC NULLS LAST, window_start DESC NULLS LAST, run_id DESC, clock, scope) AS place_by_reason
  FROM extraction_slice
  -- Weeks whose Files are complete, and weeks of views that were made, are no windows that were read.
  WHERE clock NOT IN ('payloads', 'views')
),
scope AS (
  SELECT
    source,
    table_name,
    scope,
    max(done_until) AS done_until,
    max(CASE WHEN place = 1 AND status = 'failed' THEN 1 ELSE 0 END) AS is_failing,
    max(CASE WHEN place = 1 AND status = 'skipped' THEN 1 ELSE 0 END) AS is_skipped,
    count(*) FILTER (WHERE status = 'done') AS slices_done,
    count(*) FILTER (WHERE status = 'failed') AS slices_failed,
    count(*) FILTER (WHERE status = 'skipped') AS slices_skipped,
    max(CASE WHEN place_by_reason = 1 AND reason <> '' AND status <> 'done' THEN reason END) AS last_reason,
    sum(throttled_seconds) AS throttled_seconds,
    sum(rows) AS rows_received,
    sum(rejected) AS rows_rejected,
    max(finished_at) AS last_finished_at
  FROM slice
  GROUP BY source, table_name, scope
),
total AS (
  SELECT
    source,
    table_name,
    count(*) AS scopes,
    -- A scope without a watermark holds back its table.
    CASE WHEN count(*) = count(done_until) THEN min(done_until) END AS done_until,
    CAST(sum(slices_done) AS BIGINT) AS slices_done,
    CAST(sum(slices_failed) AS BIGINT) AS slices_failed,
    CAST(sum(slices_skipped) AS BIGINT) AS slices_skipped,
    CAST(sum(is_failing) AS BIGINT) AS scopes_failing,
    CAST(sum(is_skipped) AS BIGINT) AS scopes_skipped,
    max(last_reason) AS last_reason,
    CAST(sum(throttled_seconds) AS DOUBLE) AS throttled_seconds,
    CAST(sum(rows_received) AS BIGINT) AS rows_received,
    CAST(sum(rows_rejected) AS BIGINT) AS rows_rejected,
    max(last_finished_at) AS last_finished_at
  FROM scope
  GROUP BY source, table_name
),
file AS (
  SELECT source_table, count(*) FILTER (WHERE status NOT IN ('decoded', 'empty')) AS payloads_undecoded
  FROM payload
  GROUP BY source_table
)
SELECT
  source,
  table_name,
  scopes,
  done_until,
  seconds_between(done_until, newest_at) / 3600 AS lag_hours,
  slices_done,
  slices_failed,
  slices_skipped,
  scopes_failing,
  scopes_skipped,
  last_reason,
  throttled_seconds,
  rows_received,
  rows_rejected,
  payloads_undecoded,
  last_finished_at
FROM total
CROSS JOIN newest
LEFT JOIN file ON file.source_table = total.table_name
ORDER BY source, table_name
