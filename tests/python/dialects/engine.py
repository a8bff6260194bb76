"""One engine that speaks Spark's SQL, asked every case, in a process of its own.

usage: engine.py ENGINE JOB

JOB  a pickle of `cases.Job`. Prints a line of JSON: what is wrong, and how much was compared.
"""

import collections
import contextlib
import importlib.metadata
import json
import math
import os
import pathlib
import pickle
import re
import shutil
import sys
import warnings

import duckdb
from cases import answer
from rewrites import PARAMETERS

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "2g",
    # Small tables on two cores: more tasks, and compiling a query that is asked once, take longer than its rows.
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.sql.codegen.wholeStage": "false",
}
# Types as `copilot-lake tables` names them, where Spark has another word.
TYPES = {"timestamp": "TIMESTAMP", "string": "STRING"}


class Skipped(Exception):
    """An engine that cannot be had on this machine."""


class Engine:
    """A session, and the lake that it has views of."""

    def __init__(self, job):
        self.job = job
        self.spark = self.session()

    def session(self):
        raise NotImplementedError

    def source(self, query: str) -> str:
        """How tables are read for a query: as `delta`, as the script does, or as `parquet`."""
        raise NotImplementedError

    def version(self) -> str:
        return self.spark.version

    def close(self) -> None:
        self.spark.stop()

    def run(self, script: str) -> None:
        for statement in script.split(";\n"):
            if statement.strip():
                self.spark.sql(statement)

    def open(self, lake: str, zone: str, source: str) -> None:
        """Runs the script over a lake, in a time zone. A table without files is empty."""
        self.spark.conf.set("spark.sql.session.timeZone", zone)
        script = self.job.script
        for name, table in self.job.definitions.items():
            if table.is_view:
                # The script works out its rows.
                continue
            read = f"SELECT * FROM delta.`${{copilot_lake}}/{name}`"
            assert read in script, name
            if not any((pathlib.Path(lake) / name).glob("**/*.parquet")):
                columns = (f"CAST(NULL AS {TYPES.get(kind, kind)}) AS `{column}`" for column, kind in table.types.items())
                script = script.replace(read, f"SELECT {', '.join(columns)} WHERE FALSE")
            elif source == "parquet" and table.weeks:
                # Sail takes the week in a folder's name for a text.
                columns = ("CAST(week_start AS DATE) AS week_start" if column == "week_start" else f"`{column}`" for column in table.types)
                script = script.replace(read, read.replace("*", ", ".join(columns), 1))
        self.run(script.replace("FROM delta.`", f"FROM {source}.`").replace("${copilot_lake}", lake))
        self.names = self.spark.table(PARAMETERS).columns
        self.views = [name for name in re.findall(r"^CREATE .* VIEW (\w+) AS$", script, re.MULTILINE) if name != PARAMETERS]
        self.opened()

    def opened(self) -> None:
        """Called when the views are there."""

    def ask(self, case):
        values = {name: "NULL" for name in self.names} | {name: f"'{value}'" for name, value in case.parameters.items()}
        columns = (f"CAST({value} AS STRING) AS `{name}`" for name, value in values.items())
        self.run(f"CREATE OR REPLACE TEMPORARY VIEW {PARAMETERS} AS SELECT {', '.join(columns)}")
        return self.spark.sql(case.sql).toArrow()


class Spark(Engine):
    def source(self, query: str) -> str:
        # The reader of Delta is a library that PyPI has not; after each of our runs the files of a folder are the table.
        return "parquet"

    def session(self):
        if not shutil.which("java"):
            raise Skipped("there is no Java")
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[2]")
        for key, value in SETTINGS.items():
            builder = builder.config(key, value)
        spark = builder.getOrCreate()
        spark.sparkContext.setLogLevel("ERROR")
        return spark

    def opened(self) -> None:
        # Spark plans a query's views for seconds each time: their rows are worked out once, in the order of the script.
        for name in self.views:
            self.spark.table(name).localCheckpoint().createOrReplaceTempView(name)


class Sail(Engine):
    def session(self):
        from pysail.spark import SparkConnectServer
        from pyspark.sql import SparkSession

        self.server = SparkConnectServer()
        self.server.start()
        _, port = self.server.listening_address
        return SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()

    def source(self, query: str) -> str:
        # Sail 0.7 takes no UNION of columns of Delta tables whose comments differ.
        return "parquet" if query == "transcript" else "delta"

    def version(self) -> str:
        # The session says which Spark it stands for.
        return importlib.metadata.version("pysail")

    def close(self) -> None:
        super().close()
        self.server.stop()


def is_same(value, expected) -> bool:
    if isinstance(value, float) and isinstance(expected, float):
        return math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-9)
    return value == expected and type(value) is type(expected)


def difference(case, columns: list[str], rows: list[list]) -> str | None:
    """Why the answer is not DuckDB's, or nothing."""
    if columns != case.columns:
        return f"columns {columns}, not {case.columns}"
    for number, (row, expected) in enumerate(zip(rows, case.rows, strict=False)):
        for name, value, wanted in zip(columns, row, expected, strict=True):
            if not is_same(value, wanted):
                return f"row {number}: {name} is {value!r}, not {wanted!r}: {row} and {expected}"
    return None if len(rows) == len(case.rows) else f"{len(rows)} rows of {len(case.rows)}"


def compare(engine: Engine, cases) -> dict:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    found = {"wrong": [], "skipped": None, "answers": 0, "rows": 0, "version": engine.version()}
    asked = collections.defaultdict(list)
    for case in cases:
        for zone in case.zones:
            asked[case.lake, zone, engine.source(case.query)].append(case)
    for (lake, zone, source), together in asked.items():
        engine.open(lake, zone, source)
        for case in together:
            what = f"{case.query} of {pathlib.Path(lake).name} in {zone} with {case.parameters}"
            try:
                connection.register("answer", engine.ask(case))
                differs = difference(case, *answer(connection, "FROM answer"))
            except Exception as error:
                differs = f"{type(error).__name__}: {str(error)[:1000]}"
            found["wrong"] += [f"{what}: {differs}"] if differs else []
            found["answers"], found["rows"] = found["answers"] + 1, found["rows"] + len(case.rows)
    return found


def main(name: str, path: str) -> None:
    with open(path, "rb") as file:
        job = pickle.load(file)
    try:
        engine = {"spark": Spark, "sail": Sail}[name](job)
        with contextlib.closing(engine):
            found = compare(engine, job.cases)
    except (Skipped, ImportError) as error:
        found = {"wrong": [], "skipped": str(error)}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    # Spark's of a newer pandas.
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
