-- title: Rows per table and week against the ledger
-- question: Is anything missing? Rows of the lake in each UTC week, against the rows that the ledger received in windows that
--   begin in that week (first passes of Dataverse only: later passes ask by modification, and Graph by person). A window
--   from before the table's first row counts in the week of that row. A week that is over looks short if it has less than
--   half the rows of the four weeks before it, on average. Where msdyn_copilotevent has taken over, the older store is
--   expected to end.
-- definition: ours
-- tables: extraction_slice, extraction_health, msdyn_copilotevent, msdyn_copilotinteraction, msdyn_copilotinteractiondata, msdyn_copilottranscript, msdyn_copilottranscriptdata, msdyn_conversationinsight, ai_interaction
-- parameters:
--   from (date, none): leave out weeks that begin before this date
--   to (date, none): leave out weeks that begin after this date
-- columns:
--   table_name: the table
--   week_start: the UTC week, from Sunday
--   lake_rows: rows in the lake, deleted ones included
--   received_rows: rows received in windows that begin in the week; null where no such window is done
--   failed_windows: windows that begin in the week and whose newest entry is not done
--   rows_before: average rows of the four weeks before; null without them
--   is_over: 1 if all of the week was read: extraction_health's done_until of the table is after it, else 0
--   looks_short: 1 if the week is over and lake_rows is less than half of rows_before, else 0
-- Snowflake. Generated and parsed only: it was never run.
-- Generated from queries/completeness.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH extraction_health_newest AS (
  SELECT
    MAX(finished_at) AS newest_at
  FROM extraction_slice
), extraction_health_slice AS (
  SELECT
    *,
    ROW_NUMBER() OVER (
      PARTITION BY source, table_name, scope
      ORDER BY finished_at DESC NULLS LAST, window_start DESC NULLS LAST, run_id DESC NULLS LAST, clock
    ) AS place,
    ROW_NUMBER() OVER (
      PARTITION BY source, table_name, CASE WHEN reason <> '' AND status <> 'done' THEN 1 ELSE 0 END
      ORDER BY finished_at DESC NULLS LAST, window_start DESC NULLS LAST, run_id DESC NULLS LAST, clock, scope
    ) AS place_by_reason
  FROM extraction_slice
  WHERE
    NOT clock IN ('payloads', 'views')
), extraction_health_scope AS (
  SELECT
    source,
    table_name,
    scope,
    MAX(done_until) AS done_until,
    MAX(CASE WHEN place = 1 AND status = 'failed' THEN 1 ELSE 0 END) AS is_failing,
    MAX(CASE WHEN place = 1 AND status = 'skipped' THEN 1 ELSE 0 END) AS is_skipped,
    COUNT_IF(status = 'done') AS slices_done,
    COUNT_IF(status = 'failed') AS slices_failed,
    COUNT_IF(status = 'skipped') AS slices_skipped,
    MAX(CASE WHEN place_by_reason = 1 AND reason <> '' AND status <> 'done' THEN reason END) AS last_reason,
    SUM(throttled_seconds) AS throttled_seconds,
    SUM(rows) AS rows_received,
    SUM(rejected) AS rows_rejected,
    MAX(finished_at) AS last_finished_at
  FROM extraction_health_slice AS slice
  GROUP BY
    source,
    table_name,
    scope
), extraction_health_total AS (
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
  FROM extraction_health_scope AS scope
  GROUP BY
    source,
    table_name
), extraction_health_file AS (
  SELECT
    source_table,
    COUNT_IF(NOT status IN ('decoded', 'empty')) AS payloads_undecoded
  FROM payload
  GROUP BY
    source_table
), extraction_health AS (
  SELECT
    source,
    table_name,
    scopes,
    done_until,
    CAST(DATEDIFF(MICROSECOND, done_until, newest_at) AS DOUBLE) / 1000000 / 3600 AS lag_hours,
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
  FROM extraction_health_total AS total
  CROSS JOIN extraction_health_newest AS newest
  LEFT JOIN extraction_health_file AS file
    ON file.source_table = total.table_name
), parameter AS (
  SELECT
    CAST(copilot_lake_parameter."from" AS DATE) AS from_day,
    CAST(copilot_lake_parameter."to" AS DATE) AS to_day
  FROM copilot_lake_parameter
), row_of AS (
  SELECT
    'msdyn_copilotevent' AS table_name,
    week_start
  FROM msdyn_copilotevent
  UNION ALL
  SELECT
    'msdyn_copilotinteraction',
    week_start
  FROM msdyn_copilotinteraction
  UNION ALL
  SELECT
    'msdyn_copilotinteractiondata',
    week_start
  FROM msdyn_copilotinteractiondata
  UNION ALL
  SELECT
    'msdyn_copilottranscript',
    week_start
  FROM msdyn_copilottranscript
  UNION ALL
  SELECT
    'msdyn_copilottranscriptdata',
    week_start
  FROM msdyn_copilottranscriptdata
  UNION ALL
  SELECT
    'msdyn_conversationinsight',
    week_start
  FROM msdyn_conversationinsight
  UNION ALL
  SELECT
    'ai_interaction',
    week_start
  FROM ai_interaction
), first_week AS (
  SELECT
    table_name,
    MIN(week_start) AS first_week
  FROM row_of
  GROUP BY
    table_name
), slice AS (
  SELECT
    extraction_slice.table_name,
    COALESCE(
      GREATEST_IGNORE_NULLS(
        first_week,
        DATEADD(
          DAY,
          -(
            DAYOFWEEKISO(CAST(CONVERT_TIMEZONE('UTC', window_start) AS DATE)) - CASE 'sunday' WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
          ) % 7,
          CAST(CONVERT_TIMEZONE('UTC', window_start) AS DATE)
        )
      ),
      DATEADD(
        DAY,
        -(
          DAYOFWEEKISO(CAST(CONVERT_TIMEZONE('UTC', window_start) AS DATE)) - CASE 'sunday' WHEN 'sunday' THEN 0 WHEN 'monday' THEN 1 END
        ) % 7,
        CAST(CONVERT_TIMEZONE('UTC', window_start) AS DATE)
      )
    ) AS week_start,
    status,
    rows,
    ROW_NUMBER() OVER (
      PARTITION BY source, extraction_slice.table_name, scope, window_start
      ORDER BY finished_at DESC NULLS LAST, run_id DESC NULLS LAST
    ) AS place
  FROM extraction_slice
  LEFT JOIN first_week
    ON first_week.table_name = extraction_slice.table_name
  WHERE
    clock = 'createdon'
), part AS (
  SELECT
    table_name,
    week_start,
    1 AS lake_rows,
    CAST(NULL AS BIGINT) AS received_rows,
    0 AS failed_windows
  FROM row_of
  UNION ALL
  SELECT
    table_name,
    week_start,
    0,
    CASE WHEN status = 'done' THEN rows END,
    CASE WHEN status = 'done' THEN 0 ELSE 1 END
  FROM slice
  WHERE
    place = 1
), total AS (
  SELECT
    table_name,
    week_start,
    CAST(SUM(lake_rows) AS BIGINT) AS lake_rows,
    CAST(SUM(received_rows) AS BIGINT) AS received_rows,
    CAST(SUM(failed_windows) AS BIGINT) AS failed_windows
  FROM part
  GROUP BY
    table_name,
    week_start
), known AS (
  SELECT
    table_name AS read_table,
    CAST(CONVERT_TIMEZONE('UTC', done_until) AS DATE) AS read_day,
    (
      SELECT
        first_week
      FROM first_week
      WHERE
        table_name = 'msdyn_copilotevent'
    ) AS taken_over
  FROM extraction_health
), compared AS (
  SELECT
    this.table_name,
    this.week_start,
    this.lake_rows,
    this.received_rows,
    this.failed_windows,
    CAST(SUM(before.lake_rows) AS DOUBLE) / NULLIF(COUNT(before.lake_rows), 0) AS rows_before
  FROM total AS this
  LEFT JOIN total AS before
    ON before.table_name = this.table_name
    AND before.week_start >= this.week_start - 28
    AND before.week_start < this.week_start
  GROUP BY
    this.table_name,
    this.week_start,
    this.lake_rows,
    this.received_rows,
    this.failed_windows
)
SELECT
  table_name,
  week_start,
  lake_rows,
  received_rows,
  failed_windows,
  rows_before,
  CAST(CASE WHEN week_start + 7 <= read_day THEN 1 ELSE 0 END AS INT) AS is_over,
  CAST(CASE
    WHEN table_name IN ('msdyn_copilotinteraction', 'msdyn_copilotinteractiondata') AND week_start >= taken_over
    THEN 0
    WHEN week_start + 7 <= read_day AND lake_rows * 2 < rows_before
    THEN 1
    ELSE 0
  END AS INT) AS looks_short
FROM compared
CROSS JOIN parameter
LEFT JOIN known
  ON read_table = table_name
WHERE
  (
    from_day IS NULL OR week_start >= from_day
  ) AND (
    to_day IS NULL OR week_start <= to_day
  )
ORDER BY
  table_name,
  week_start
