"""Filters on every column of every table find the same rows in every reader.

usage: filters.py LAKE STATE VIEWS_SQL FILTERS_JSON VIEW,...

STATE         what is done first to every table by deltalake: plain (nothing), checkpoint, optimize (compaction, Z-ORDER)
VIEWS_SQL     what `copilot-lake query --duckdb-views` prints is expected here; in state optimize it was made before
FILTERS_JSON  written: the filters as SQL with the rows that each finds, for the readers that are asked elsewhere
VIEW          a table that other sessions compute, under the same name, without the columns that only its files have
"""

import json
import os
import pathlib
import sys

import duckdb
import polars
from deltalake import DeltaTable
from filter_cases import as_arrow, as_sql, ask_polars, expected, filters_of

lake, state, views, output, computed = sys.argv[1:]
lake, computed = pathlib.Path(lake), computed.split(",")
tables = sorted(path.parent.name for path in lake.glob("*/_delta_log"))


def change(table):
    delta = DeltaTable(str(lake / table))
    if state == "checkpoint":
        delta.create_checkpoint()
    if state == "optimize":
        delta.optimize.compact()
        # The order of another tool: by the first column that is not a key alone.
        delta.optimize.z_order(["extracted_at"])


def ask_duckdb(connection, name, filters):
    parts = (f"SELECT {number}, count(*) FROM {name} WHERE {each['sql']}" for number, each in enumerate(filters))
    rows = connection.execute(" UNION ALL ".join(parts)).fetchall()
    return [count for _, count in sorted(rows)]


def compare(table, reader, filters, found):
    for each, count in zip(filters, found, strict=True):
        if count != each["rows"]:
            wrong.append(f"{state}: {table} WHERE {each['sql'][:200]}: {reader} finds {count} rows of {each['rows']}")


for table in tables:
    change(table)

connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
if state == "plain":
    connection.execute(pathlib.Path(views).read_text())
wrong, everything = [], []
for table in tables:
    delta = DeltaTable(str(lake / table))
    rows = delta.to_pyarrow_table()
    filters = []
    for field in rows.schema:
        column = rows.column(field.name).to_pylist()
        values = sorted({value for value in column if value is not None})
        for by in filters_of(values):
            sql = as_sql(field.name, *by)
            filters.append({"table": table, "column": field.name, "by": by, "sql": sql, "rows": expected(column, *by)})
    if table not in computed:
        everything += [{key: each[key] for key in ("table", "sql", "rows")} for each in filters]
    if rows.num_rows == 0:
        continue

    dataset = delta.to_pyarrow_dataset()
    arrow = [dataset.count_rows(filter=as_arrow(rows.schema.field(each["column"]), *each["by"])) for each in filters]
    compare(table, "deltalake", filters, arrow)
    compare(table, "Polars over the log", filters, ask_polars(polars.scan_delta(str(lake / table)), filters))
    if state == "checkpoint":
        # The files are what they were.
        continue
    connection.register("log", dataset)
    compare(table, "DuckDB over pyarrow", filters, ask_duckdb(connection, "log", filters))
    connection.unregister("log")
    if state == "plain" and table not in computed:
        compare(table, "DuckDB over files", filters, ask_duckdb(connection, f'"{table}"', filters))
    files = polars.scan_parquet(delta.file_uris(), hive_partitioning="week_start" in rows.schema.names)
    compare(table, "Polars over files", filters, ask_polars(files, filters))

# The words of the issue.
licensed = DeltaTable(str(lake / "graph_user")).to_pyarrow_table(filters=[("has_copilot_license", "=", True)])
assert licensed.num_rows > 0

pathlib.Path(output).write_text(json.dumps(everything))
assert not wrong, f"{len(wrong)} wrong\n" + "\n".join(wrong[:20])
print(state, len(everything), "filters ok", flush=True)
# Threads of the readers may outlive the interpreter, and abort it when it ends.
os._exit(0)
