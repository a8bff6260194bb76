-- title: Rows per table and week against the ledger
-- question: Is anything missing? Rows of the lake in each UTC week, against the rows that the ledger received in windows that
--   begin in that week (first passes of Dataverse only: later passes ask by modification, and Graph by person). A window
--   from before the table's first row counts in the week of that row. A week that is over looks short if it has less than
--   half the rows of the four weeks before it, on average. Where msdyn_copilotevent has taken over, the older store is
--   expected to end.
-- definition: ours
-- tables: extraction_slice, msdyn_copilotevent, msdyn_copilotinteraction, msdyn_copilotinteractiondata, msdyn_copilottranscript, msdyn_copilottranscriptdata, msdyn_conversationinsight, ai_interaction
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
--   is_over: 1 if the week had ended when a run last read the service, else 0
--   looks_short: 1 if the week is over and lake_rows is less than half of rows_before, else 0
-- Spark SQL: Spark, Databricks, Fabric. Run by `make interop` on Spark 4 and Sail, whose rows are DuckDB's.
-- Generated from queries/completeness.sql by `make dialects`: edit that one.
-- Parameters are columns of the view copilot_lake_parameter, which lake.sql makes.
WITH parameter AS (
  SELECT
    CAST(copilot_lake_parameter.`from` AS DATE) AS from_day,
    CAST(copilot_lake_parameter.`to` AS DATE) AS to_day
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
      GREATEST(
        first_week,
        NEXT_DAY(
          DATE_ADD(
            DATE_FROM_UNIX_DATE(CAST(FLOOR(UNIX_SECONDS(FROM_UTC_TIMESTAMP(CAST(window_start AS TIMESTAMP), 'UTC')) / 86400) AS INT)),
            -7
          ),
          'sunday'
        )
      ),
      NEXT_DAY(
        DATE_ADD(
          DATE_FROM_UNIX_DATE(CAST(FLOOR(UNIX_SECONDS(FROM_UTC_TIMESTAMP(CAST(window_start AS TIMESTAMP), 'UTC')) / 86400) AS INT)),
          -7
        ),
        'sunday'
      )
    ) AS week_start,
    status,
    rows,
    ROW_NUMBER() OVER (
      PARTITION BY source, extraction_slice.table_name, scope, clock, window_start
      ORDER BY finished_at DESC, run_id DESC
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
    DATE_FROM_UNIX_DATE(CAST(FLOOR(UNIX_SECONDS(FROM_UTC_TIMESTAMP(CAST(MAX(finished_at) AS TIMESTAMP), 'UTC')) / 86400) AS INT)) AS read_day,
    (
      SELECT
        first_week
      FROM first_week
      WHERE
        table_name = 'msdyn_copilotevent'
    ) AS taken_over
  FROM extraction_slice
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
CROSS JOIN known
WHERE
  (
    from_day IS NULL OR week_start >= from_day
  ) AND (
    to_day IS NULL OR week_start <= to_day
  )
ORDER BY
  table_name NULLS LAST,
  week_start NULLS LAST
