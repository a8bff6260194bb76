"""What DuckDB answers every shipped query about a lake that the program wrote, for the other engine to compare.

usage: every_query.py VIEWS_SQL QUERIES_DIR LAKE OUTPUT_DIR

VIEWS_SQL  what `copilot-lake query --duckdb-views` printed of the lake

By default every query has rows.
"""

import pathlib
import sys

import duckdb
from made_lakes import answer, shipped, write

views, queries, lake, output = (pathlib.Path(argument) for argument in sys.argv[1:])
BERLIN = {"tz": "Europe/Berlin", "week_start": "monday"}
PARAMETERS = [{}, BERLIN, BERLIN | {"from": "2025-09-15", "to": "2025-10-19", "with_text": "no"}]

connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
connection.execute(views.read_text())
answers = []
for parameters in PARAMETERS:
    for name, value in parameters.items():
        connection.execute(f'SET VARIABLE "{name}" = $value', {"value": value})
    for name in shipped(queries):
        sql = (queries / f"{name}.sql").read_text()
        columns, rows = answer(connection, sql)
        assert rows or parameters, f"{name} has no rows"
        answers.append(
            {"where": name, "lake": str(lake), "parameters": parameters, "sql": sql, "columns": columns, "rows": rows, "is_ordered": True}
        )
output.mkdir()
write(output / "answers.json", answers)
print(len(answers), "answers ok")
