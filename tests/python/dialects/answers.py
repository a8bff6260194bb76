"""Asks every generated query of the engines that can be had here, and compares the rows with DuckDB's of the shipped text.

usage: answers.py TARGET [ENGINE...]

TARGET  the target directory, with the binary and the environments of `make interop`
ENGINE  only these engines: spark, sail

A lake of thirteen weeks is asked in two time zones of the session, with parameters and without; random lakes, with what is rare
and easily wrong, in one of the two each. Ends with 0 when all agree, with 1 when one does not, with 2 when it cannot begin.
"""

import json
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import time

from cases import HERE, Job, generated, large_lake, random_lakes
from lake import definitions

ENGINES = ("spark", "sail")
# An engine that takes longer hangs.
ENGINE_SECONDS = 1800


def ask(engine: str, job: pathlib.Path, target: pathlib.Path) -> dict:
    """What an engine, in a process of its own, found."""
    environment = dict(os.environ)
    if engine == "sail":
        # The client that Sail speaks with, before the newer Spark.
        environment["PYTHONPATH"] = str(target / "interop/sail")
        # With two partitions Sail 0.7.2 never ends `verbatim_feedback` where nothing is rated.
        environment["SAIL_EXECUTION__DEFAULT_PARALLELISM"] = "1"
    command = [sys.executable, (HERE / "engine.py").absolute(), engine, job]
    try:
        # Spark leaves a folder where it is started.
        done = subprocess.run(command, cwd=job.parent, env=environment, capture_output=True, text=True, timeout=ENGINE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"wrong": [f"not done after {ENGINE_SECONDS} s"], "skipped": None}
    if done.returncode != 0:
        return {"wrong": [f"ended with {done.returncode}: {done.stderr[-2000:]}"], "skipped": None}
    return json.loads(done.stdout.splitlines()[-1])


def main(target: str, *only: str) -> int:
    folder_of_target = pathlib.Path(target).absolute()
    binary = folder_of_target / "debug/copilot-lake"
    if not binary.exists() or not set(only) <= set(ENGINES):
        print(f"{binary} is missing: `make build`" if not binary.exists() else f"engines: {ENGINES}")
        return 2
    failed = False
    with tempfile.TemporaryDirectory(prefix="dialects-") as name:
        folder, tables = pathlib.Path(name), definitions(binary)
        cases = large_lake(binary, folder, tables) + random_lakes(folder, tables)
        job = folder / "job"
        job.write_bytes(pickle.dumps(Job(tables, generated("lake"), cases)))
        # One after the other: Spark takes every core.
        for engine in only or ENGINES:
            begun = time.monotonic()
            found = ask(engine, job, folder_of_target)
            if found["skipped"]:
                print(f"dialects: {engine:6} skipped: {found['skipped']}", flush=True)
            elif found["wrong"]:
                failed = True
                print(f"dialects: {engine:6} DIFFERS", *found["wrong"][:20], sep="\n    ", flush=True)
            else:
                took = f"{found['answers']} answers, {found['rows']} rows, {time.monotonic() - begun:.0f} s"
                print(f"dialects: {engine:6} equal: {found['version']}: {took}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
