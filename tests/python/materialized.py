"""Compares materialized views with what DuckDB answers to their SQL.

Arguments: the script of `query --duckdb-views`, the lake, and the views.
"""

import sys

import duckdb
from deltalake import DeltaTable

script, lake, *views = sys.argv[1:]
database = duckdb.connect()
database.execute("SET TimeZone = 'UTC'")
with open(script, encoding="utf-8") as text:
    database.execute(text.read())
for view in views:
    answered = database.execute(f"DESCRIBE {view}").fetchall()
    stored = DeltaTable(f"{lake}/{view}").to_pyarrow_table()
    database.register("stored", stored)
    # Seconds are decimals in the lake.
    columns = ", ".join(
        f'CAST(round("{name}", 6) AS DECIMAL(38, 6)) AS "{name}"' if kind == "DOUBLE" else f'"{name}"'
        for name, kind, *_ in answered
    )
    counted = database.execute(f"SELECT count(*) FROM {view}").fetchone()[0]
    assert counted > 0 and counted == stored.num_rows, f"{view}: DuckDB has {counted} rows, the lake {stored.num_rows}"
    for one, other in ((view, "stored"), ("stored", view)):
        rows = database.execute(f"SELECT {columns} FROM {one} EXCEPT ALL SELECT {columns} FROM {other}").fetchall()
        assert not rows, f"{view}: in {one} and not in {other}: {rows[:3]}"
