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
-- Spark SQL: Spark, Databricks, Fabric. Run by `make interop` on Spark 4 and Sail, whose rows are DuckDB's.
-- Generated from queries/extraction_health.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH newest AS (
  SELECT
    MAX(finished_at) AS newest_at
  FROM extraction_slice
), slice AS (
  SELECT
    *,
    ROW_NUMBER() OVER (
      PARTITION BY source, table_name, scope
      ORDER BY finished_at DESC, window_start DESC, run_id DESC, clock NULLS LAST
    ) AS place,
    ROW_NUMBER() OVER (
      PARTITION BY source, table_name, CASE WHEN reason <> '' AND status <> 'done' THEN 1 ELSE 0 END
      ORDER BY finished_at DESC, window_start DESC, run_id DESC, clock NULLS LAST, scope NULLS LAST
    ) AS place_by_reason
  FROM extraction_slice
  WHERE
    NOT clock IN ('payloads', 'views')
), scope AS (
  SELECT
    source,
    table_name,
    scope,
    MAX(done_until) AS done_until,
    MAX(CASE WHEN place = 1 AND status = 'failed' THEN 1 ELSE 0 END) AS is_failing,
    MAX(CASE WHEN place = 1 AND status = 'skipped' THEN 1 ELSE 0 END) AS is_skipped,
    COUNT(*) FILTER(WHERE
      status = 'done') AS slices_done,
    COUNT(*) FILTER(WHERE
      status = 'failed') AS slices_failed,
    COUNT(*) FILTER(WHERE
      status = 'skipped') AS slices_skipped,
    MAX(CASE WHEN place_by_reason = 1 AND reason <> '' AND status <> 'done' THEN reason END) AS last_reason,
    SUM(throttled_seconds) AS throttled_seconds,
    SUM(rows) AS rows_received,
    SUM(rejected) AS rows_rejected,
    MAX(finished_at) AS last_finished_at
  FROM slice
  GROUP BY
    source,
    table_name,
    scope
), total AS (
  SELECT
    source,
    table_name,
    COUNT(*) AS scopes,
    CASE WHEN COUNT(*) = COUNT(done_until) THEN MIN(done_until) END AS done_until,
    CAST(SUM(slices_done) AS BIGINT) AS slices_done,
    CAST(SUM(slices_failed) AS BIGINT) AS slices_failed,
    CAST(SUM(slices_skipped) AS BIGINT) AS slices_skipped,
    CAST(SUM(is_failing) AS BIGINT) AS scopes_failing,
    CAST(SUM(is_skipped) AS BIGINT) AS scopes_skipped,
    MAX(last_reason) AS last_reason,
    CAST(SUM(throttled_seconds) AS DOUBLE) AS throttled_seconds,
    CAST(SUM(rows_received) AS BIGINT) AS rows_received,
    CAST(SUM(rows_rejected) AS BIGINT) AS rows_rejected,
    MAX(last_finished_at) AS last_finished_at
  FROM scope
  GROUP BY
    source,
    table_name
), file AS (
  SELECT
    source_table,
    COUNT(*) FILTER(WHERE
      NOT status IN ('decoded', 'empty')) AS payloads_undecoded
  FROM payload
  GROUP BY
    source_table
)
SELECT
  source,
  table_name,
  scopes,
  done_until,
  CAST(UNIX_MICROS(newest_at) - UNIX_MICROS(done_until) AS DOUBLE) / 1000000 / 3600 AS lag_hours,
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
LEFT JOIN file
  ON file.source_table = total.table_name
ORDER BY
  source NULLS LAST,
  table_name NULLS LAST
