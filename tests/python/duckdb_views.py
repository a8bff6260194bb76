"""The two forms of the views for DuckDB, with its extension delta: equal types, equal rows, every filter.

usage: duckdb_views.py FILES_SQL DELTA_SQL FILTERS_JSON QUERIES_DIR

FILES_SQL, DELTA_SQL  what `copilot-lake query --duckdb-views` and `--duckdb-views=delta` printed
FILTERS_JSON          what filters.py wrote
QUERIES_DIR           the shipped queries
"""

import json
import pathlib
import sys

import duckdb
import duckdb_ext

# Filters that are asked in one query.
TOGETHER = 100

files, delta, filters, queries = (pathlib.Path(argument) for argument in sys.argv[1:])
filters = json.loads(filters.read_text())
tables = sorted({each["table"] for each in filters})


def connect(script):
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    extension = f"extensions/v{duckdb.__version__}/linux_amd64/delta.duckdb_extension"
    connection.execute(f"LOAD '{pathlib.Path(list(duckdb_ext.__path__)[0]) / extension}'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(script.read_text())
    return connection


forms = {"files": connect(files), "delta": connect(delta)}
for table in tables:
    types = {name: connection.execute(f'DESCRIBE "{table}"').fetchall() for name, connection in forms.items()}
    assert types["files"] == types["delta"], f"{table}: {types}"
    of_table = [each for each in filters if each["table"] == table]
    for name, connection in forms.items():
        parts = [f'SELECT {n}, count(*) FROM "{table}" WHERE {each["sql"]}' for n, each in enumerate(of_table)]
        # DuckDB allows a thousand levels of a query.
        some = (parts[at : at + TOGETHER] for at in range(0, len(parts), TOGETHER))
        found = sorted(row for part in some for row in connection.execute(" UNION ALL ".join(part)).fetchall())
        for each, (_, count) in zip(of_table, found, strict=True):
            assert count == each["rows"], f"{name}: {table} WHERE {each['sql']}: {count} rows of {each['rows']}"
answered = 0
for path in sorted(queries.glob("*.sql")):
    # Texts, because Python knows no zones by itself.
    sql = f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({path.read_text()})"
    rows = {name: connection.execute(sql).fetchall() for name, connection in forms.items()}
    assert rows["files"] == rows["delta"], path.stem
    answered += bool(rows["files"])
assert answered > 15, answered
print(len(tables), "tables ok")
