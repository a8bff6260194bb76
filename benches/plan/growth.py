"""How a lake's cost grows with its rows: what each command takes on lakes of several sizes.

usage: growth.py BINARY FOLDER extract|replay ROWS... [OPTION]...
       growth.py --record FOLDER MACHINE

BINARY     a `copilot-lake` with its emulator, in the release profile
FOLDER     for the lakes and the results: growth.json and growth.md, written again after each step
extract    events without payloads into an empty lake; then, four times, a day with 1,000 new rows and 100 changed ones
           of the newest two weeks; then a run that finds nothing
replay     the same events from an archive
ROWS       sizes, one after the other; a lake is deleted before the next one, unless `--keep` is given
--weeks N  over how many weeks the rows are spread; 100 if absent
--views    after that the stored views: of all weeks, and of those that another such day changes
--queries  after that six shipped queries
--disk GB  the most that may be used, 30 if absent; 2 GB stay free in any case
--emulator-rows N  the most rows of an emulator; 4,000,000 if absent: 6 GB of memory, and there are two at times
--record   enters what was measured in measured.toml, as of machine `a` (quiet) or `b` (not quiet) there

Wall and CPU seconds and peak memory are those of the command alone; the emulators and what is between them and the
command (service.py) are other processes. Rows are counted after each step, and a wrong number ends the series. A step
that is done is not run again; one that was interrupted goes on, and its attempts are added up. Requests are those to
the service; the program counts requests to the lake for stores only, and these lakes are folders: see daily.py.

What the plan waits for, after `make release`, with D=/var/tmp/growth. The newest two weeks of the largest lake are also
a lake of their own, which says what the rewriting of their files takes:

    P="python3 benches/plan/growth.py target/release/copilot-lake $D"
    $P extract 1000000 10000000 20000000 --views --queries
    $P extract 2000000 --weeks 2
    $P extract 100000000
    $P replay 1000000 10000000
    python3 benches/plan/growth.py --record $D a && make plan

A row takes 0.12 KB of disk, 0.045 KB more with views, and for `replay` 0.37 KB: the lake, its archive, and the lake
that is made from that. So `extract` takes 0.17, 1.7 and 3.3 GB with views, 0.24 GB for two weeks, and 12 GB for
100,000,000 rows (a day 0.5 GB more for a while); `replay` takes 0.37 and 3.7 GB. Each step says what it takes.
"""

import argparse
import dataclasses
import pathlib
import shutil
import signal
import subprocess
import sys

from measurements import Failed, Measurements, record
from service import NEW, TABLE, Service

QUERIES = ("feedback_rates", "scenario_usage", "scenario_funnel", "week_over_week", "retention", "completeness")
DAYS = 4
FILL, NOTHING, REPLAY = "fill", "nothing new", "replay"
VIEWS, WEEK_VIEWS = "views of all weeks", "views of changed weeks"
# Bytes of disk per row: of a lake, its archive and its views.
LAKE, ARCHIVE, STORED_VIEWS = 120, 130, 45
# Bytes of disk that nothing takes.
RESERVE = 2 << 30


@dataclasses.dataclass
class SizedLake:
    """A lake of some size, and where it is."""

    kind: str
    rows: int
    weeks: int
    folder: pathlib.Path

    def __post_init__(self):
        self.name = f"{self.kind}-{self.rows}-{self.weeks}"
        self.folder = self.folder / self.name
        self.path, self.again = self.folder / "lake", self.folder / "again"

    def changed_rows(self):
        """The rows of the weeks that a day changes."""
        return self.rows * min(2, self.weeks) // self.weeks


class Series:
    """The steps of a lake."""

    def __init__(self, binary, lake, found, options):
        self.binary, self.lake, self.found, self.options = binary, lake, found, options
        self.service = None

    def days(self):
        """How many days the lake has seen after the first run."""
        return sum(1 for of in self.found.done if of["lake"] == self.lake.name and of["step"].startswith("day "))

    def step(self, name, command, *, rows=None, disk=0, lake=None):
        """Measures a command, unless that is done; `rows`: those that it goes through, `disk`: bytes that it needs."""
        if self.found.found(self.lake, name):
            return
        if name != FILL and not self.lake.path.exists():
            raise Failed(f"{name}: the lake was deleted after its steps; take another FOLDER, or `--keep`")
        self.has_room(name, disk)
        before = size(self.lake.folder)
        measurement = self.found.measure(self.lake, name, [str(part) for part in command], self.requests)
        if rows:
            measurement["cpu_s_per_million"] = round(measurement["cpu_s"] * 1e6 / rows, 2)
        expected = self.lake.rows + NEW * (self.days() + name.startswith("day "))
        self.counted(lake or self.lake.path, expected)
        measurement |= in_lake(lake or self.lake.path) | {"disk": size(self.lake.folder) - before}
        self.found.add(measurement)
        print(measurement, flush=True)

    def requests(self):
        """Requests to the service so far."""
        if not self.service:
            return 0
        if self.service.failure:
            raise self.service.failure
        return self.service.requests

    def has_room(self, name, needed):
        """Says how much disk a step takes, by the same step of another size if there is one; fails without room."""
        same = [of for of in self.found.done if of["step"] == name and not of["resumed"]]
        same = [of for of in same if of["lake"].startswith(f"{self.lake.kind}-")]
        source = "estimated"
        if same and not name.startswith("day "):
            needed = max(0, *(of["disk"] * self.lake.rows // of["rows"] for of in same))
            source = f"by {same[-1]['lake']}"
        used, free = size(self.options.folder), shutil.disk_usage(self.options.folder).free
        print(f"{self.lake.name}, {name}: {needed / 1e9:.2f} GB ({source}), {used / 1e9:.2f} used", flush=True)
        if used + needed > self.options.disk * 1e9 or free - needed < RESERVE:
            raise Failed(f"no room: {free / 1e9:.1f} GB are free, and {self.options.disk:g} may be used (`--disk`)")

    def counted(self, lake, expected):
        command = [self.binary, "query", "-q", "--lake", lake, "--format", "csv"]
        command += ["--sql", f"SELECT count(*) AS number_of_rows FROM {TABLE}"]
        counted = subprocess.run(command, capture_output=True, text=True)
        if counted.stdout.split() != ["number_of_rows", f"{expected}"]:
            printed = counted.stdout or counted.stderr or "nothing was printed"
            raise Failed(f"{lake} has not {expected:,} rows: {printed}")

    def extract(self, *settings):
        path = self.lake.folder / "copilot-lake.toml"
        command = [self.binary, "extract", "-q", "--no-progress", "--config", path, "--lake", self.lake.path]
        return command + [argument for setting in settings for argument in ("--set", setting)]

    def serve(self, phases):
        most = self.options.emulator_rows
        return Service(self.binary, self.lake.folder, self.lake, most, phases)

    def fill(self, *settings, disk):
        """A first pass."""
        if self.found.found(self.lake, FILL):
            return
        with self.serve(0) as self.service:
            self.service.configuration(self.lake.folder / "copilot-lake.toml")
            command = self.extract("lake.views=false", *settings)
            self.step(FILL, command, rows=self.lake.rows, disk=disk * self.lake.rows)
        self.service = None

    def day(self, number):
        name = f"day {number}"
        if not self.found.found(self.lake, name):
            self.service.advance()
            # Files of the changed weeks are there twice for a while.
            disk = 2 * LAKE * self.lake.changed_rows()
            self.step(name, self.extract("lake.views=false"), disk=disk)

    def run_extract(self):
        rows, days = self.lake.rows, range(1, DAYS + 1)
        self.fill(disk=LAKE)
        steps = [*(f"day {number}" for number in days), NOTHING]
        steps += [VIEWS, f"day {DAYS + 1}", WEEK_VIEWS] if self.options.views else []
        if not all(self.found.found(self.lake, step) for step in steps):
            with self.serve(DAYS + 1) as self.service:
                self.service.configuration(self.lake.folder / "copilot-lake.toml")
                for _ in range(self.days()):
                    self.service.advance()
                for number in days:
                    self.day(number)
                self.step(NOTHING, self.extract("lake.views=false"))
                if self.options.views:
                    self.step(VIEWS, self.extract("lake.views=true"), rows=rows, disk=STORED_VIEWS * rows)
                    self.day(DAYS + 1)
                    self.step(WEEK_VIEWS, self.extract("lake.views=true"), rows=self.lake.changed_rows())
            self.service = None
        for name in QUERIES if self.options.queries else ():
            command = [self.binary, "query", "-q", "--lake", self.lake.path, name, "--format", "csv"]
            self.step(f"query {name}", [*command, "--output", self.lake.folder / "out.csv"])

    def run_replay(self):
        self.fill("lake.archive_raw=true", disk=LAKE + ARCHIVE)
        if self.found.found(self.lake, REPLAY):
            return
        command = [self.binary, "replay", "-q", "--no-progress", self.lake.path / "_raw", "--lake", self.lake.again]
        command += ["--set", "lake.views=false"]
        self.step(REPLAY, command, rows=self.lake.rows, disk=LAKE * self.lake.rows, lake=self.lake.again)


def in_lake(lake):
    """Data files, commits and bytes of all tables."""
    files = [path for path in lake.rglob("*.parquet") if not {"_delta_log", "_raw"} & set(path.parts)]
    commits = sum(1 for _ in lake.glob("*/_delta_log/*.json"))
    return {"files": len(files), "commits": commits, "bytes": sum(path.stat().st_size for path in files)}


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def parsed():
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, description=__doc__, formatter_class=form)
    parser.add_argument("binary", type=lambda path: pathlib.Path(path).absolute())
    parser.add_argument("folder", type=lambda path: pathlib.Path(path).absolute())
    parser.add_argument("kind", choices=("extract", "replay"))
    parser.add_argument("rows", type=int, nargs="+")
    parser.add_argument("--weeks", type=int, default=100)
    parser.add_argument("--views", action="store_true")
    parser.add_argument("--queries", action="store_true")
    parser.add_argument("--disk", type=float, default=30)
    parser.add_argument("--emulator-rows", type=int, default=4_000_000)
    parser.add_argument("--keep", action="store_true")
    return parser.parse_args()


def main():
    match sys.argv[1:]:
        case ["--record", folder, ("a" | "b") as machine]:
            print(*record(pathlib.Path(folder), machine), sep="\n")
            return
    options = parsed()
    # Processes are ended as by Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended; the same command goes on"))
    options.folder.mkdir(parents=True, exist_ok=True)
    found = Measurements(options.folder, " ".join(sys.argv))
    for rows in options.rows:
        lake = SizedLake(options.kind, rows, options.weeks, options.folder)
        lake.folder.mkdir(exist_ok=True)
        try:
            getattr(Series(options.binary, lake, found, options), f"run_{options.kind}")()
        except (Failed, RuntimeError) as failed:
            sys.exit(f"{lake.name}: {failed}")
        if not options.keep:
            shutil.rmtree(lake.folder)


if __name__ == "__main__":
    main()
