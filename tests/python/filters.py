"""Filters on every column of every table find the same rows in every reader.

usage: filters.py LAKE STATE VIEWS_SQL FILTERS_JSON

STATE         what is done first to every table by deltalake: plain (nothing), checkpoint, optimize (compaction, Z-ORDER)
VIEWS_SQL     what `copilot-lake query --duckdb-views` prints is expected here; in state optimize it was made before
FILTERS_JSON  written: the filters as SQL with the rows that each finds, for the readers that are asked elsewhere
"""

import datetime
import json
import pathlib
import sys
from decimal import Decimal

import duckdb
import polars
import pyarrow
import pyarrow.compute
import pyarrow.dataset
from deltalake import DeltaTable

lake, state, views, output = sys.argv[1:]
lake = pathlib.Path(lake)
tables = sorted(path.parent.name for path in lake.glob("*/_delta_log"))


def change(table):
    delta = DeltaTable(str(lake / table))
    if state == "checkpoint":
        delta.create_checkpoint()
    if state == "optimize":
        delta.optimize.compact()
        # The order of another tool: by the first column that is not a key alone.
        delta.optimize.z_order(["extracted_at"])


def literal(value):
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case Decimal():
            return f"CAST('{value:f}' AS DECIMAL(38, 12))"
        case datetime.datetime():
            return f"CAST('{value.isoformat()}' AS TIMESTAMP WITH TIME ZONE)"
        case datetime.date():
            return f"DATE '{value.isoformat()}'"
        case str():
            return "'" + value.replace("'", "''") + "'"
    raise TypeError(value)


SIGNS = {"=": "__eq__", "<": "__lt__", ">=": "__ge__"}


def filters_of(values):
    """Operators and operands for a column with these values, ascending: each bound of the statistics decides in one."""
    yield ("null", None)
    if values:
        low, middle, high = values[0], values[len(values) // 2], values[-1]
        yield from [("=", low), ("=", high), ("<", middle), (">=", middle), ("in", [low, high])]


def expected(column, operator, operand):
    there = [value for value in column if value is not None]
    match operator:
        case "null":
            return len(column) - len(there)
        case "in":
            return sum(value in operand for value in there)
    return sum(getattr(value, SIGNS[operator])(operand) for value in there)


def as_sql(name, operator, operand):
    match operator:
        case "null":
            return f'"{name}" IS NULL'
        case "in":
            return f'"{name}" IN ({", ".join(map(literal, operand))})'
    return f'"{name}" {operator} {literal(operand)}'


def as_arrow(field, operator, operand):
    column = pyarrow.dataset.field(field.name)
    match operator:
        case "null":
            return column.is_null()
        case "in":
            return column.isin(pyarrow.array(operand, field.type))
    return getattr(column, SIGNS[operator])(pyarrow.scalar(operand, field.type))


def as_polars(name, dtype, operator, operand):
    column = polars.col(name)
    match operator:
        case "null":
            return column.is_null()
        case "in":
            return column.is_in(polars.lit(polars.Series(operand, dtype=dtype).implode()))
    return getattr(column, SIGNS[operator])(polars.lit(operand, dtype=dtype))


def ask_duckdb(connection, name, filters):
    parts = (f"SELECT {number}, count(*) FROM {name} WHERE {each['sql']}" for number, each in enumerate(filters))
    rows = connection.execute(" UNION ALL ".join(parts)).fetchall()
    return [count for _, count in sorted(rows)]


def ask_polars(frame, filters):
    schema = frame.collect_schema()
    frames = [
        frame.filter(as_polars(each["column"], schema[each["column"]], *each["by"])).select(polars.len())
        for each in filters
    ]
    return [found.item() for found in polars.collect_all(frames)]


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
    if state == "plain":
        compare(table, "DuckDB over files", filters, ask_duckdb(connection, f'"{table}"', filters))
    files = polars.scan_parquet(delta.file_uris(), hive_partitioning="week_start" in rows.schema.names)
    compare(table, "Polars over files", filters, ask_polars(files, filters))

# The words of the issue.
licensed = DeltaTable(str(lake / "graph_user")).to_pyarrow_table(filters=[("has_copilot_license", "=", True)])
assert licensed.num_rows > 0

pathlib.Path(output).write_text(json.dumps(everything))
assert not wrong, f"{len(wrong)} wrong\n" + "\n".join(wrong[:20])
print(state, len(everything), "filters ok")
