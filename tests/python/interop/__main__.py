"""Reads the lake with engines that nobody in this project wrote, in every state and store, and compares rows, types and filters.

usage: interop TARGET [ENGINE...]

TARGET  the target directory, with the binary, the environments of `make interop` and the servers of `make stores`
ENGINE  only these engines

Ends with 0 when all agree, with 1 when one does not, with 2 when it cannot begin. What cannot be had on this machine is skipped,
and said.
"""

import concurrent.futures
import json
import os
import pathlib
import pickle
import shutil
import subprocess
import sys
import tempfile
import time

import engines
import files
import page
from lake import definitions
from states import States

HERE = pathlib.Path(__file__).parent
# A reader that takes longer over all lakes hangs.
ENGINE_SECONDS = 1200


def ask(name, job, target):
    """What a reader found, by lake."""
    environment = dict(os.environ)
    if name == "DuckDB delta_scan":
        # The DuckDB that has the extension, before the newer one.
        environment["PYTHONPATH"] = str(target / "python/delta")
    command = [sys.executable, HERE / "worker.py", name, job]
    # ClickHouse reads the logs of tables in its working directory alone.
    try:
        done = subprocess.run(
            command, cwd=job.parent, env=environment, capture_output=True, text=True, timeout=ENGINE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return [{"lake": "-", "skipped": None, "wrong": [f"not done after {ENGINE_SECONDS} s"]}]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"lake"')]
    if done.returncode != 0:
        found.append({"lake": "-", "skipped": None, "wrong": [f"ended with {done.returncode}: {done.stderr[-2000:]}"]})
    return found


class Report:
    """What was compared, a line at a time, and the sum of it."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def tell(self, what, wrong, skipped=None, details=""):
        if skipped:
            self.skipped += 1
            print(f"{what:45} skipped: {skipped}", flush=True)
        elif wrong:
            self.failed += 1
            print(f"{what:45} DIFFERS", *wrong[:20], sep="\n    ", flush=True)
        else:
            self.passed += 1
            print(f"{what:45} equal{details}", flush=True)


def run_page(states, folder, target, report):
    """Runs the blocks of the page: over a folder, and against stores into which they extract."""
    # All stores have the same rows.
    first, stored = states.lakes[0], states.lakes[-1]
    shutil.copytree(first.url, folder / "demo-lake")
    shutil.copy(states.configuration, folder / "copilot-lake.toml")
    # Of the repository, whose folder the page calls it.
    (folder / "tests").symlink_to(pathlib.Path(__file__).parents[2])
    groups = page.groups()
    assert {"folder", "spark", "azure", "s3", "gcs"} == set(groups), groups
    for group, blocks in groups.items():
        rows = (first if group in ("folder", "spark") else stored).expected("msdyn_copilotevent").num_rows
        reason = page.skipped(group)
        differs = [] if reason else list(page.wrong(group, blocks, folder, rows, target))
        report.tell(f"page: {group}", differs, reason, f": {len(blocks)} blocks")


def main(target, only):
    target = pathlib.Path(target).absolute()
    binary = target / "debug/copilot-lake"
    known = {engine.name for engine in engines.ENGINES}
    if not binary.exists() or not set(only) <= known:
        print(f"{binary} is missing: `make build`" if not binary.exists() else f"engines: {sorted(known)}")
        return 2
    report, begun = Report(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        states = States(binary, target, folder, definitions(binary))
        with states.built():
            print(f"lakes built in {time.monotonic() - begun:.0f} s", flush=True)
            for name, reason in states.skipped.items():
                report.tell(f"lake {name}", [], reason)
            report.tell("the same rows in every state", states.wrong)
            for lake in (lake for lake in states.lakes if lake.name in ("three runs", "maintained")):
                report.tell(f"Parquet files: {lake.name}", files.wrong(lake, states.definitions))
            report.tell("older versions", list(states.older_versions()))
            if not only:
                run_page(states, pathlib.Path(folder) / "page", target, report)
            job = pathlib.Path(folder) / "job"
            job.write_bytes(pickle.dumps((states.definitions, states.lakes)))
            names = [engine.name for engine in engines.ENGINES if engine.name in (only or known)]
            # The slowest one first.
            names.sort(key=lambda name: name != engines.Pyspark.name)
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                for name, found in zip(names, pool.map(lambda name: ask(name, job, target), names)):
                    for each in found:
                        details = (
                            f": {each['tables']} tables, {each['rows']} rows, {each['filters']} filters, "
                            f"{each['seconds']:.0f} s"
                            if "rows" in each
                            else ""
                        )
                        report.tell(f"{name}: {each['lake']}", each["wrong"], each["skipped"], details)
    print(f"finished in {time.monotonic() - begun:.0f} s")
    print(f"interop: {report.passed} passed, {report.failed} failed, {report.skipped} skipped")
    return 1 if report.failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
