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
WITH parameter AS (
  SELECT
    CAST(getvariable('from') AS DATE) AS from_day,
    CAST(getvariable('to') AS DATE) AS to_day
),
row_of AS (
  SELECT 'msdyn_copilotevent' AS table_name, week_start FROM msdyn_copilotevent
  UNION ALL
  SELECT 'msdyn_copilotinteraction', week_start FROM msdyn_copilotinteraction
  UNION ALL
  SELECT 'msdyn_copilotinteractiondata', week_start FROM msdyn_copilotinteractiondata
  UNION ALL
  SELECT 'msdyn_copilottranscript', week_start FROM msdyn_copilottranscript
  UNION ALL
  SELECT 'msdyn_copilottranscriptdata', week_start FROM msdyn_copilottranscriptdata
  UNION ALL
  SELECT 'msdyn_conversationinsight', week_start FROM msdyn_conversationinsight
  UNION ALL
  SELECT 'ai_interaction', week_start FROM ai_interaction
),
first_week AS (
  SELECT table_name, min(week_start) AS first_week
  FROM row_of
  GROUP BY table_name
),
slice AS (
  SELECT
    extraction_slice.table_name,
    coalesce(
      greatest(first_week, week_of(window_start, 'UTC', 'sunday')),
      week_of(window_start, 'UTC', 'sunday')) AS week_start,
    status,
    rows,
    row_number() OVER (
      PARTITION BY source, extraction_slice.table_name, scope, window_start
      ORDER BY finished_at DESC NULLS LAST, run_id DESC) AS place
  FROM extraction_slice
  LEFT JOIN first_week ON first_week.table_name = extraction_slice.table_name
  -- Windows of Graph are of one person each, and longer than a week.
  WHERE clock = 'createdon'
),
part AS (
  SELECT table_name, week_start, 1 AS lake_rows, CAST(NULL AS BIGINT) AS received_rows, 0 AS failed_windows
  FROM row_of
  UNION ALL
  SELECT
    table_name,
    week_start,
    0,
    CASE WHEN status = 'done' THEN rows END,
    CASE WHEN status = 'done' THEN 0 ELSE 1 END
  FROM slice
  WHERE place = 1
),
total AS (
  SELECT
    table_name,
    week_start,
    CAST(sum(lake_rows) AS BIGINT) AS lake_rows,
    CAST(sum(received_rows) AS BIGINT) AS received_rows,
    CAST(sum(failed_windows) AS BIGINT) AS failed_windows
  FROM part
  GROUP BY table_name, week_start
),
-- Up to when each table was read, and since when the newer store has rows.
known AS (
  SELECT
    table_name AS read_table,
    local_day(done_until, 'UTC') AS read_day,
    (SELECT first_week FROM first_week WHERE table_name = 'msdyn_copilotevent') AS taken_over
  FROM extraction_health
),
compared AS (
  SELECT
    this.table_name,
    this.week_start,
    this.lake_rows,
    this.received_rows,
    this.failed_windows,
    CAST(sum(before.lake_rows) AS DOUBLE) / nullif(count(before.lake_rows), 0) AS rows_before
  FROM total AS this
  LEFT JOIN total AS before
    ON before.table_name = this.table_name
    AND before.week_start >= this.week_start - 28
    AND before.week_start < this.week_start
  GROUP BY this.table_name, this.week_start, this.lake_rows, this.received_rows, this.failed_windows
)
SELECT
  table_name,
  week_start,
  lake_rows,
  received_rows,
  failed_windows,
  rows_before,
  CAST(CASE WHEN week_start + 7 <= read_day THEN 1 ELSE 0 END AS INTEGER) AS is_over,
  CAST(CASE
    WHEN table_name IN ('msdyn_copilotinteraction', 'msdyn_copilotinteractiondata') AND week_start >= taken_over THEN 0
    WHEN week_start + 7 <= read_day AND lake_rows * 2 < rows_before THEN 1
    ELSE 0
  END AS INTEGER) AS looks_short
FROM compared
CROSS JOIN parameter
LEFT JOIN known ON read_table = table_name
WHERE (from_day IS NULL OR week_start >= from_day) AND (to_day IS NULL OR week_start <= to_day)
ORDER BY table_name, week_start
