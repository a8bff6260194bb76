"""Prints a digest of the rows of every table, as deltalake, Polars and DuckDB read them: the first two by the log, the last
one by a plain glob. Rows in another order have the same digest.

usage: rows.py LAKE
"""

import json
import pathlib
import sys

import duckdb
import polars
from deltalake import DeltaTable

lake = pathlib.Path(sys.argv[1])
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")


def digest(columns, source):
    sql = f"SELECT count(*), sum(hash({', '.join(columns)})::HUGEINT) FROM {source}"
    [(rows, total)] = connection.execute(sql).fetchall()
    return [rows, str(total)]


found = {}
for log in sorted(lake.glob("*/_delta_log")):
    folder = log.parent
    table = DeltaTable(str(folder))
    columns = [f'"{field.name}"' for field in sorted(table.schema().fields, key=lambda field: field.name)]
    weeks = table.metadata().partition_columns
    connection.register("by_log", table.to_pyarrow_table())
    connection.register("by_polars", polars.scan_delta(str(folder)).collect().to_arrow())
    readers = {"deltalake": digest(columns, "by_log"), "polars": digest(columns, "by_polars")}
    files = f"{folder}/week_start=*/*.parquet" if weeks else f"{folder}/*.parquet"
    if list(folder.rglob("*.parquet")):
        parquet = f"read_parquet('{files}', hive_partitioning = {bool(weeks)}, union_by_name = true)"
        readers["glob"] = digest(columns, parquet)
    found[folder.name] = readers
print(json.dumps(found))
