"""The lakes that the generated queries are asked about, and DuckDB's answers to the shipped ones."""

import dataclasses
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
sys.path[1:1] = [str(HERE.parent), str(HERE.parent / "interop")]

import duckdb  # noqa: E402
from lake import Definition  # noqa: E402
from processes import emulator  # noqa: E402
from rewrites import rewritten  # noqa: E402
from sqlglot import parse_one  # noqa: E402

QUERIES = HERE.parents[2] / "queries"
ZONES = ("UTC", "America/New_York")
# Events, and weeks, of the large lake: its times have the hour that New York has twice.
EVENTS, WEEKS = 6_000, 13
RANDOM_LAKES, SEED = 4, 7
# Days whose begin is not that of UTC, and weeks from Monday.
PARAMETERS = ({}, {"tz": "America/Denver", "week_start": "monday", "from": "2025-08-20", "to": "2025-11-04", "min_group": "2"})


HOURS = """SELECT zone, time, local_day(time, zone) AS day, week_of(time, zone, first_day) AS week
FROM {source}
CROSS JOIN (VALUES ('UTC', 'sunday'), ('Europe/Berlin', 'monday'), ('America/Denver', 'sunday'), ('Asia/Kolkata', 'monday'),
  ('Pacific/Auckland', 'sunday'), ('Africa/Cairo', 'monday')) AS zones(zone, first_day)
ORDER BY zone, time"""


@dataclasses.dataclass
class Case:
    """A query of a lake, and DuckDB's answer. A value is the text that DuckDB makes of it in UTC; a float is itself."""

    query: str
    # In the engine's words.
    sql: str
    lake: str
    parameters: dict[str, str]
    zones: tuple[str, ...]
    columns: list[str]
    rows: list[list]


@dataclasses.dataclass
class Job:
    """What an engine is asked."""

    definitions: dict[str, Definition]
    script: str
    cases: list[Case]


def answer(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[list[str], list[list]]:
    """Names and rows of a query or table."""
    columns = connection.execute(f"DESCRIBE {relation}").fetchall()
    texts = (f'"{name}"' if kind == "DOUBLE" else f'CAST("{name}" AS VARCHAR)' for name, kind, *_ in columns)
    rows = connection.execute(f"SELECT {', '.join(texts)} FROM ({relation}\n)").fetchall()
    return [name for name, *_ in columns], [list(row) for row in rows]


def generated(name: str) -> str:
    """A text for Spark."""
    return (QUERIES / f"dialects/spark/{name}.sql").read_text()


def large_lake(binary: pathlib.Path, folder: pathlib.Path, tables: dict[str, Definition]) -> list[Case]:
    """The cases of a lake of thirteen weeks, which has rows in every table."""
    lake, script = folder / "weeks", folder / "views.sql"
    with emulator(binary, folder, EVENTS, WEEKS) as (_, configuration):
        subprocess.run([binary, "--config", configuration, "-q", "extract", "--lake", lake], check=True)
    with script.open("w") as file:
        subprocess.run([binary, "-q", "query", "--lake", lake, "--duckdb-views"], check=True, stdout=file)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(script.read_text())
    empty = [name for name in tables if not connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]]
    assert not empty, f"tables without rows: {empty}"
    span = "SELECT date_diff('day', min(created_ts), max(created_ts)) FROM copilot_activity"
    assert connection.execute(span).fetchone()[0] >= 90
    cases = []
    for parameters in PARAMETERS:
        for name, value in parameters.items():
            connection.execute(f'SET VARIABLE "{name}" = $value', {"value": value})
        for path in sorted(QUERIES.glob("*.sql")):
            columns, rows = answer(connection, path.read_text())
            assert rows, f"{path.stem} has no rows"
            cases.append(Case(path.stem, generated(path.stem), str(lake), parameters, ZONES, columns, rows))
    cases.append(hours(connection, folder / "hours.parquet", str(lake)))
    return cases


def hours(connection: duckdb.DuckDBPyConnection, path: pathlib.Path, lake: str) -> Case:
    """Days and weeks of every hour of a year in several zones: few rows of a lake are in an hour that a clock shows twice."""
    connection.execute(
        f"COPY (SELECT unnest(range(TIMESTAMPTZ '2025-01-01 00:30:00+00', TIMESTAMPTZ '2026-01-15 00:00:00+00', "
        f"INTERVAL '1 hour')) AS time) TO '{path}'"
    )
    columns, rows = answer(connection, HOURS.format(source=f"'{path}'"))
    sql = rewritten(parse_one(HOURS.format(source="hours"), read="duckdb"), {"hours": {"time": "TIMESTAMPTZ"}}, "spark")
    text = sql.sql("spark").replace("FROM hours", f"FROM parquet.`{path}`")
    return Case("hours of a year", text, lake, {}, ZONES, columns, rows)


def random_lakes(folder: pathlib.Path, tables: dict[str, Definition]) -> list[Case]:
    """The cases of random lakes, with parameters of their own."""
    keys = folder / "tables.json"
    # Views are views there.
    stored = {name: table.key for name, table in tables.items() if not (QUERIES / f"views/{name}.sql").exists()}
    keys.write_text(json.dumps(stored))
    script, output = HERE.parent / "random_lakes.py", folder / "random"
    arguments = [folder / "views.sql", keys, QUERIES, str(RANDOM_LAKES), str(SEED), output]
    subprocess.run([sys.executable, script, *arguments], check=True, stdout=subprocess.DEVNULL)
    cases = []
    for each in json.loads((output / "answers.json").read_text()):
        query, zone = each["where"].split(",")[0], ZONES[int(each["lake"][-1]) % len(ZONES)]
        columns = [name for name, _ in each["columns"]]
        cases.append(Case(query, generated(query), each["lake"], each["parameters"], (zone,), columns, each["rows"]))
    return cases
