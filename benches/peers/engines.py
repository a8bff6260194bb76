"""Measures the shipped queries over a lake in one process, on workers, and in other engines, on the same two cores in turn.

usage: engines.py BINARY TARGET LAKE RESULT [ENGINE...]

BINARY  built in the release profile with `--features workers`
TARGET  the target directory, with the environments of `make interop`, whose Python runs this
LAKE    a local lake after `extract --set lake.views=false`: every engine works out the views
RESULT  the Markdown file for the table
ENGINE  only these: one, two, workers, duckdb, spark, sail. The first one says what rows are right

A query is asked once. Its time includes the start of a process and the opening of the lake, but for Spark and Sail,
whose sessions are there before: that is told apart. CPU-seconds are those of the whole machine meanwhile.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from bench import busy

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
DIALECTS = ROOT / "tests/python/dialects"
QUERIES = sorted(path.stem for path in (ROOT / "queries").glob("*.sql"))
CORES = ("0", "1")
TITLES = {
    "duckdb": "DuckDB",
    "one": "`query`, one core",
    "two": "`query`, two cores",
    "workers": "`query`, two workers of one core each",
    "spark": "PySpark, local[2]",
    "sail": "Sail",
}
# An engine that takes longer for a query is not asked more.
QUERY_SECONDS = 300


def timed(action):
    """Wall seconds, and CPU-seconds of the machine, of something."""
    before, begun = busy(), time.monotonic()
    action()
    return {"wall": time.monotonic() - begun, "cpu": busy() - before}


def command(arguments, core=None):
    arguments = [str(part) for part in arguments]
    return ["taskset", "--cpu-list", core, *arguments] if core else arguments


class Ours:
    """A process for each query."""

    def __init__(self, binary, lake, core=None, more=()):
        self.begin = [binary, "query", "--no-progress", "--lake", lake, *more]
        self.core = core

    def ask(self, query, out):
        run = command([*self.begin, query, "--output", out], self.core)
        done = subprocess.run(run, capture_output=True, text=True, timeout=QUERY_SECONDS)
        # A query that workers handed back has no time of theirs.
        if done.returncode or "warning" in done.stderr:
            raise RuntimeError(done.stderr)


class Duckdb:
    """A process for each query, over the files that the log names."""

    def __init__(self, binary, lake, folder):
        self.views = folder / "views.sql"
        with self.views.open("w") as file:
            subprocess.run(command([binary, "query", "--duckdb-views", "--lake", lake]), check=True, stdout=file)

    def ask(self, query, out):
        run = command([sys.executable, HERE / "query.py", self.views, ROOT / f"queries/{query}.sql", out])
        subprocess.run(run, check=True, timeout=QUERY_SECONDS)


class Session:
    """A process that is asked one query after the other."""

    def __init__(self, engine, binary, lake, target):
        environment = dict(os.environ)
        if engine == "sail":
            environment["PYTHONPATH"] = str(target / "interop/sail")
        run = command([sys.executable, pathlib.Path(__file__).absolute(), "--session", engine, binary, lake])
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        # Spark leaves a folder where it is started.
        self.process = subprocess.Popen(run, cwd=tempfile.gettempdir(), env=environment, **pipes)
        self.answer()

    def answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                found = json.loads(line)
                if found["error"]:
                    raise RuntimeError(found["error"])
                return
        raise RuntimeError("the session ended")

    def ask(self, query, out):
        # Sail 0.7.2 does not end some queries.
        hangs = threading.Timer(QUERY_SECONDS, self.process.kill)
        hangs.start()
        try:
            print(json.dumps([query, str(out)]), file=self.process.stdin, flush=True)
            self.answer()
        finally:
            hangs.cancel()

    def close(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.wait()


def serve(engine, binary, lake):
    """The process of a session: a line for each query that it has answered."""
    sys.path[:0] = [str(DIALECTS)]
    import engine as engines
    import pyarrow.parquet
    from cases import Case, Job, generated
    from lake import definitions

    class Spark(engines.Spark):
        def opened(self):
            """Views are worked out by the queries."""

    # As many tasks as cores; what a query of many rows gains by.
    engines.SETTINGS |= {"spark.sql.codegen.wholeStage": "true", "spark.driver.memory": "8g"}
    session = {"spark": Spark, "sail": engines.Sail}[engine](Job(definitions(pathlib.Path(binary)), generated("lake"), []))
    # Sail too reads files: after a run those of a folder are the table.
    session.open(lake, "UTC", "parquet")
    print(json.dumps({"error": None}), flush=True)
    for line in sys.stdin:
        query, out = json.loads(line)
        error = None
        try:
            found = session.ask(Case(query, generated(query), lake, {}, ("UTC",), [], []))
            pyarrow.parquet.write_table(found, out)
        except Exception as failed:
            error = f"{type(failed).__name__}: {str(failed)[:300]}"
        print(json.dumps({"error": error}), flush=True)
    session.close()


@contextlib.contextmanager
def workers(binary, lake):
    """Two workers of one core each, and their URLs."""
    running, urls = [], []
    try:
        for core in CORES:
            run = command([binary, "worker", "--lake", lake, "--listen", "127.0.0.1:0", "--log", "json"], core)
            # Two lines at most: when it listens, and that it has no token.
            running.append(subprocess.Popen(run, stderr=subprocess.PIPE, text=True))
            urls.append(json.loads(running[-1].stderr.readline())["url"])
        yield ",".join(urls)
    finally:
        for process in running:
            process.terminate()
            process.wait()


def rows_of(out):
    """Columns and rows of a result, in an order that near floats do not change."""
    sys.path[:0] = [str(DIALECTS)]
    import duckdb
    from cases import answer

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    columns, rows = answer(connection, f"FROM '{out}'")
    return columns, sorted(rows, key=lambda row: [f"{value:.6f}" if isinstance(value, float) else str(value) for value in row])


def is_same(left, right):
    sys.path[:0] = [str(DIALECTS)]
    from engine import is_same

    names, rows = left
    other_names, other_rows = right
    pairs = zip(rows, other_rows, strict=False)
    alike = all(is_same(*values) for row, other in pairs for values in zip(row, other, strict=True))
    return names == other_names and len(rows) == len(other_rows) and alike


def measured(engine, session, folder, right):
    """What a query took, by its name; a text where it has no time."""
    found = {}
    for query in QUERIES:
        out = folder / f"{engine}-{query}.parquet"
        try:
            took = timed(lambda: session.ask(query, out))
        except Exception as failed:
            found[query] = f"failed: {' '.join(str(failed).split())[:80]}"
        else:
            rows = rows_of(out)
            expected = right.setdefault(query, rows)
            found[query] = took | {"rows": len(rows[1])} if is_same(rows, expected) else "other rows"
        print(engine, query, found[query], flush=True)
    return found


def table(of, found, queries):
    engines = list(found)
    lines = [f"| query, {of} | " + " | ".join(TITLES[engine] for engine in engines) + " |"]
    lines.append("|---" * (len(engines) + 1) + "|")
    total = {engine: 0 for engine in engines}
    for query in queries:
        cells = []
        for engine in engines:
            took = found[engine][query]
            if isinstance(took, str):
                cells.append(took)
                total[engine] = None
                continue
            cells.append(f"{took[of]:.2f}")
            if total[engine] is not None:
                total[engine] += took[of]
        lines.append(f"| {query} | " + " | ".join(cells) + " |")
    sums = ("" if total[engine] is None else f"{total[engine]:.1f}" for engine in engines)
    return [*lines, "| all | " + " | ".join(sums) + " |"]


def main(binary, target, lake, result, *only):
    binary, target, lake = (pathlib.Path(path).absolute() for path in (binary, target, lake))
    found, starts, right = {}, {}, {}
    with tempfile.TemporaryDirectory(prefix="engines-") as name:
        folder = pathlib.Path(name)
        for engine in only or TITLES:
            with contextlib.ExitStack() as stack:
                sessions = {
                    "one": lambda: Ours(binary, lake, CORES[0]),
                    "two": lambda: Ours(binary, lake),
                    "workers": lambda: Ours(binary, lake, more=["--workers", stack.enter_context(workers(binary, lake))]),
                    "duckdb": lambda: Duckdb(binary, lake, folder),
                    "spark": lambda: stack.enter_context(contextlib.closing(Session("spark", binary, lake, target))),
                    "sail": lambda: stack.enter_context(contextlib.closing(Session("sail", binary, lake, target))),
                }
                opened = []
                took = timed(lambda: opened.append(sessions[engine]()))
                if engine in ("spark", "sail", "workers"):
                    starts[engine] = took["wall"]
                found[engine] = measured(engine, opened[0], folder, right)
    count = subprocess.run(
        command([binary, "query", "-q", "--lake", lake, "--format", "csv", "--sql", "SELECT count(*) FROM copilot_activity"]),
        check=True, capture_output=True, text=True,
    ).stdout.split()[1]
    queries = [query for query in QUERIES if query in right and right[query][1]]
    text = [f"# The shipped queries on two cores, {time.strftime('%Y-%m-%d')}", "", __doc__.split("\n\n")[-1].strip(), ""]
    text += [f"{int(count):,} activities. Only queries that have rows; a time counts only if its rows are equal.", ""]
    text += ["Before the first query: " + ", ".join(f"{TITLES[engine]} {took:.1f} s" for engine, took in starts.items()) + ".", ""]
    for of, title in (("wall", "Wall seconds"), ("cpu", "CPU-seconds")):
        text += [f"## {title}", "", *table(of, found, queries), ""]
    pathlib.Path(result).write_text("\n".join(text))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--session", engine, binary, lake]:
            serve(engine, binary, lake)
        case [_, _, _, _, *_]:
            main(*sys.argv[1:])
        case _:
            sys.exit(__doc__)
