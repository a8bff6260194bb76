"""How a lake's cost grows with its rows: what each command takes on lakes of several sizes.

usage: growth.py BINARY REPORT extract|replay ROWS...

BINARY   a `copilot-lake` with its emulator, in the release profile
REPORT   the results: REPORT.json, and REPORT.md, written again after each size
extract  events without payloads, then the stored views of all of them, a run with 1,000 new and 100 changed rows of
         the newest two weeks, the views of these, a run that finds nothing, and queries
replay   the same events from an archive
ROWS     sizes, such as 1000000 10000000 100000000; a lake is deleted before the next one

The emulator renders its rows ahead, 1.4 KB each, and cannot hold 100,000,000. So a lake is filled by several runs,
newest weeks first as a first pass goes, each from an emulator that has the weeks before those of the last
(`dataverse.since`). A row takes 0.2 KB of disk, 0.5 KB with its archive, the emulator 8 GB of memory. Weeks have
400,000 rows at any size.
"""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import sys
import tempfile
import urllib.request

sys.path[1:1] = [str(pathlib.Path(__file__).parents[2] / "tests/python" / of) for of in ("", "interop")]

from processes import advance, started  # noqa: E402
from throughput import used_by  # noqa: E402

TABLE = "msdyn_copilotevent"
CLOCK = datetime.datetime(2025, 11, 5, 12)
# The last day of the newest week.
LAST = datetime.date(2025, 11, 1)
WEEK_ROWS = 400_000
# Weeks that an emulator has at most.
WEEKS = 12
NEW, CHANGED = 1_000, 100
QUERIES = ("feedback_rates", "scenario_usage", "scenario_funnel", "week_over_week", "retention", "completeness")
DISK = {"extract": 200, "replay": 500}
EMULATOR_BYTES = 1_500


def parts(rows):
    """The rows, the weeks and the last day of what each emulator has, newest first."""
    weeks, last = max(2, -(-rows // WEEK_ROWS)), LAST
    while weeks > 0:
        of = min(weeks, WEEKS)
        share = rows * of // weeks
        yield share, of, last
        rows, weeks, last = rows - share, weeks - of, last - datetime.timedelta(weeks=of)


def scenario(rows, weeks, last):
    """Rows, and a day later new ones and changed ones of the newest two weeks."""
    step = max(1, rows * min(weeks, 2) // weeks // CHANGED)
    change = ", ".join(
        f'{{ position = -{1 + step * number}, values = {{ msdyn_verbatim = "changed" }} }}' for number in range(CHANGED)
    )
    clock = CLOCK + datetime.timedelta(days=1)
    return f"""seed = 1
clock = {CLOCK:%FT%TZ}
[[table]]
name = "{TABLE}"
rows = {rows}
weeks = {weeks}
end = {last}
[[phase]]
clock = {clock:%FT%TZ}
generate = {{ rows = {NEW}, from = {CLOCK:%FT%TZ} }}
change = [{change}]
"""


@contextlib.contextmanager
def emulator(binary, folder, part):
    """Its address, and the configuration of a lake that reads it."""
    rows, weeks, last = part
    available = int(re.search(r"MemAvailable: +(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) << 10
    if available < rows * EMULATOR_BYTES:
        needed = rows * EMULATOR_BYTES >> 20
        sys.exit(f"an emulator of {rows:,} rows needs {needed} MiB of memory, and {available >> 20} are there")
    path = folder / "scenario.toml"
    path.write_text(scenario(*part))
    with started([binary, "emulator", "--scenario", path], r"^since") as (_, printed):
        lines = printed.splitlines()
        lines = [line for line in lines[: lines.index("[graph]")] if not line.startswith("the emulator")]
        since = last - datetime.timedelta(days=7 * weeks - 1)
        lines += ["payloads = false", f'tables = ["{TABLE}"]', f'since = "{since}"']
        configuration = folder / "copilot-lake.toml"
        configuration.touch(mode=0o600)
        configuration.write_text("\n".join(lines) + "\n")
        yield re.search(r"http://127\.0\.0\.1:\d+", printed)[0], configuration


def served(url):
    with urllib.request.urlopen(f"{url}/_emulator/served") as response:
        return sum(json.load(response)["requests"].values())


def in_lake(lake):
    """Data files, commits and bytes of all tables."""
    files = [path for path in lake.rglob("*.parquet") if not {"_delta_log", "_raw"} & set(path.parts)]
    commits = sum(1 for _ in lake.glob("*/_delta_log/*.json"))
    return {"files": len(files), "commits": commits, "bytes": sum(path.stat().st_size for path in files)}


class Measurements:
    """What was measured, printed as it comes and written to the report."""

    def __init__(self, report):
        self.report, self.found = report, []

    def add(self, rows, what, used, requests=None, lake=None):
        wall, cpu, peak = used
        numbers = {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "peak_mib": round(peak)}
        numbers |= {"requests": requests, **(in_lake(lake) if lake else {})}
        self.found.append({"rows": rows, "what": what, **numbers})
        print(self.found[-1], flush=True)

    def write(self):
        machine = f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[1]:.1f}"
        heading = {"date": f"{datetime.date.today()}", "machine": machine, "command": " ".join(sys.argv)}
        self.report.with_suffix(".json").write_text(json.dumps(heading | {"measured": self.found}, indent=1) + "\n")
        columns = ["rows", "what", "wall_s", "cpu_s", "cpu_s_per_million", "peak_mib"]
        columns += ["requests", "files", "commits", "bytes"]
        lines = [f"{heading['date']}, {machine}, `{heading['command']}`\n", "", "", *map(self.line, self.found)]
        lines[1:3] = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        self.report.with_suffix(".md").write_text("\n".join(lines) + "\n")

    @staticmethod
    def line(of):
        per_million = f"{of['cpu_s'] * 1e6 / of['rows']:.2f}" if of["what"] in WHOLE else ""
        cells = [f"{of['rows']:,}", of["what"], of["wall_s"], of["cpu_s"], per_million, of["peak_mib"], of["requests"]]
        cells += [of.get(key) for key in ("files", "commits", "bytes")]
        return "| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |"


FIRST_PASS, ALL_VIEWS, REPLAY = "`extract`, no views", "the views of all weeks, nothing new", "`replay`, no views"
WHOLE = (FIRST_PASS, ALL_VIEWS, REPLAY)


def first_pass(binary, folder, lake, rows, *more):
    """Fills a lake. Seconds and CPU are the sum of its runs, memory is the most that one took."""
    wall, cpu, peak, requests = 0, 0, 0, 0
    for part in parts(rows):
        with emulator(binary, folder, part) as (url, configuration):
            before = served(url)
            used = used_by(extract(binary, configuration, lake, "lake.views=false", *more))
            wall, cpu, peak = wall + used[0], cpu + used[1], max(peak, used[2])
            requests += served(url) - before
    return (wall, cpu, peak), requests


def extract(binary, configuration, lake, *settings):
    command = [binary, "extract", "-q", "--no-progress", "--config", configuration, "--lake", lake]
    return command + [argument for setting in settings for argument in ("--set", setting)]


def measure_extract(binary, folder, rows, found):
    lake = folder / "lake"
    found.add(rows, FIRST_PASS, *first_pass(binary, folder, lake, rows), lake)
    with emulator(binary, folder, next(parts(rows))) as (url, configuration):
        # The scope of the first pass is what it was.
        weeks = sum(weeks for _, weeks, _ in parts(rows))
        since = f"dataverse.since={LAST - datetime.timedelta(days=7 * weeks - 1)}"
        for what, is_later, views in (
            (ALL_VIEWS, False, "true"),
            (f"{NEW + CHANGED:,} rows of the newest two weeks, no views", True, "false"),
            ("the views of these weeks, nothing new", False, "true"),
            ("nothing new", False, "true"),
        ):
            if is_later:
                advance(url)
            before = served(url)
            used = used_by(extract(binary, configuration, lake, since, f"lake.views={views}"))
            found.add(rows, what, used, served(url) - before, lake)
    for name in QUERIES:
        command = [binary, "query", "-q", "--lake", lake, name, "--format", "csv", "--output", folder / "out.csv"]
        found.add(rows, f"`query {name}`", used_by(command))


def measure_replay(binary, folder, rows, found):
    lake, again = folder / "lake", folder / "again"
    first_pass(binary, folder, lake, rows, "lake.archive_raw=true")
    command = [binary, "replay", "-q", "--no-progress", lake / "_raw", "--lake", again, "--set", "lake.views=false"]
    found.add(rows, REPLAY, used_by(command), None, again)


def main(binary, report, mode, *sizes):
    binary, found = pathlib.Path(binary).absolute(), Measurements(pathlib.Path(report).absolute())
    for rows in map(int, sizes):
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if free < rows * DISK[mode]:
            needed = rows * DISK[mode] >> 20
            sys.exit(f"{rows:,} rows need {needed} MiB in {tempfile.gettempdir()}, and {free >> 20} are free")
        with tempfile.TemporaryDirectory(prefix="plan-growth-") as folder:
            {"extract": measure_extract, "replay": measure_replay}[mode](binary, pathlib.Path(folder), rows, found)
        found.write()


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[3] not in DISK:
        sys.exit(__doc__)
    main(*sys.argv[1:])
