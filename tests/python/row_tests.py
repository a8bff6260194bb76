"""Runs the row tests of the shipped queries in DuckDB and leaves lakes and answers for the other engine.

usage: row_tests.py VIEWS_SQL TABLES_JSON TESTS_DIR OUTPUT_DIR

A test is a file of records in the manner of sqllogictest, apart by empty lines:

    # what the case shows
    statement ok
    INSERT INTO msdyn_copilotevent (createdon, msdyn_interactiontype) VALUES ('2025-06-23 10:00Z', 100230305)

    query
    SELECT responses, net_positive_rate FROM feedback_rates
    ----
    1  NULL

Columns are two blanks apart; the order of rows does not count. An INSERT after a query begins a new, empty lake;
`SET VARIABLE` sets a parameter in it.
"""

import json
import pathlib
import re
import sys

from made_lakes import Lake, write

views, tables, tests, output = (pathlib.Path(argument) for argument in sys.argv[1:])
lake = Lake(views.read_text(), json.loads(tables.read_text()))
answers, problems = [], []


def run(path):
    """Every record of a file."""
    lake.clear()
    asked, saved, cases = True, None, 0
    line = 1
    for record in re.split(r"\n\n+", path.read_text().strip()):
        where = f"{path.name}:{line}"
        line += record.count("\n") + 2
        lines = [text for text in record.splitlines() if not text.startswith("#")]
        if not lines:
            continue
        head, body = lines[0].split()[0], "\n".join(lines[1:])
        if head == "statement":
            if asked and not body.startswith("SET"):
                lake.clear()
                asked, saved = False, None
            lake.connection.execute(body)
        elif head == "query":
            if saved is None:
                lake.complete()
                cases += 1
                saved = output / f"{path.stem}-{cases}"
                saved.mkdir(parents=True)
                lake.save(saved)
            asked = True
            check(where, saved, *body.split("----"))
        else:
            problems.append(f"{where}: a record is `statement` or `query`, not `{head}`")


def check(where, folder, sql, expected):
    """One query: its rows are the expected ones."""
    columns, rows = lake.answer(sql)
    expected = [re.split(r"\s{2,}|\t", line.strip()) for line in expected.strip().splitlines()]
    if not same(rows, expected):
        seen = "\n".join("  ".join("NULL" if value is None else str(value) for value in row) for row in rows)
        problems.append(f"{where}:\n{sql.strip()}\n----\n{seen}")
    answers.append(
        {"where": where, "lake": str(folder), "parameters": lake.parameters(), "sql": sql, "columns": columns, "rows": rows, "is_ordered": False}
    )


def same(rows, expected):
    """Whether texts are equal, and floats to nine digits, in whatever order."""

    def cell(value):
        if value is None:
            return "NULL"
        try:
            return f"{float(value):.9f}"
        except ValueError:
            return value

    return sorted([cell(value) for value in row] for row in rows) == sorted([cell(value) for value in row] for row in expected)


for path in sorted(tests.glob("*.slt")):
    run(path)
write(output / "answers.json", answers)
if problems:
    sys.exit("\n\n".join(problems))
print(len(answers), "answers ok")
