"""A small lake made by daily runs, and what they left, as JSON: what plan.py holds the simulation against.

usage: daily.py BINARY TARGET DAYS REPORT

BINARY  a `copilot-lake` with its emulator
TARGET  the target directory, with the server of `make stores`
DAYS    how many daily runs follow the first
REPORT  where the JSON goes

The days are those of tests/it/year.rs: each brings every table of Dataverse a row and changes one, and brings five
interactions. The lake lies in moto, where requests are counted, and files that a run replaced go at once.
"""

import collections
import datetime
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree

sys.path.insert(1, str(pathlib.Path(__file__).parents[2] / "tests/python/interop"))

from processes import BUCKET, MOTO, SHARES, advance, moto, started  # noqa: E402

FIRST = datetime.datetime(2025, 11, 5, 6)
EVENTS = "msdyn_copilotevent"
TABLES = [EVENTS, *SHARES]
ROWS, WEEKS, USERS, INTERACTIONS = 60, 3, 10, 5
# `-v` says how many requests a run made: the line in crates/pipeline/src/run/mod.rs.
REQUESTS = re.compile(r"requests to the store.*")
KINDS = ("reads", "writes", "lists", "deletes")


def scenario(days):
    numbers = random.Random(1)
    lines = ["seed = 1", f"clock = {FIRST:%FT%TZ}", "[graph]", f"users = {USERS}", "interactions = 100", "days = 20"]
    lines += [f'[[table]]\nname = "{name}"\nrows = {ROWS}\nweeks = {WEEKS}' for name in TABLES]
    for day in range(1, days + 1):
        values = f"values = {{ importsequencenumber = {day} }}"
        made = ", ".join(f'{{ table = "{name}", {values} }}' for name in TABLES)
        changed = ", ".join(
            f'{{ table = "{name}", position = {numbers.randrange(ROWS)}, {values} }}' for name in TABLES
        )
        clock = FIRST + datetime.timedelta(days=day)
        lines += ["[[phase]]", f"clock = {clock:%FT%TZ}", f"row = [{made}]", f"change = [{changed}]"]
        lines += ["[phase.graph]", f"interactions = {INTERACTIONS}"]
    return "\n".join(lines)


def objects(url, prefix):
    """The keys and sizes of a lake's objects."""
    token = {}
    while True:
        query = urllib.parse.urlencode({"list-type": 2, "prefix": prefix, **token})
        with urllib.request.urlopen(f"{url}/{BUCKET}?{query}") as response:
            page = xml.etree.ElementTree.parse(response).getroot()
        space = page.tag.partition("}")[0] + "}"
        for found in page.iter(f"{space}Contents"):
            yield found.findtext(f"{space}Key"), int(found.findtext(f"{space}Size"))
        token = {"continuation-token": page.findtext(f"{space}NextContinuationToken")}
        if token["continuation-token"] is None:
            return


def left(url, today):
    """By table: data files, the most of a week that is over, bytes, entries and checkpoints of the log."""
    tables = collections.defaultdict(lambda: {"files": 0, "bytes": 0, "entries": 0, "checkpoints": 0})
    weeks = collections.Counter()
    for key, size in objects(url, "lake/"):
        table, _, name = key.removeprefix("lake/").partition("/")
        if re.fullmatch(r"_delta_log/\d{20}\.json", name):
            tables[table]["entries"] += 1
        elif name.startswith("_delta_log/") and name.endswith(".parquet"):
            tables[table]["checkpoints"] += 1
        elif name.endswith(".parquet"):
            tables[table]["files"] += 1
            tables[table]["bytes"] += size
            if week := re.match(r"week_start=([\d-]+)/", name):
                if datetime.datetime.fromisoformat(week[1]) + datetime.timedelta(days=7) <= today:
                    weeks[table, week[1]] += 1
    for table, numbers in tables.items():
        numbers["closed_week"] = max((files for (of, _), files in weeks.items() if of == table), default=0)
    return dict(tables)


def extract(binary, configuration):
    """Seconds of a run, and its requests to the store."""
    begun = time.monotonic()
    command = [binary, "extract", "-v", "--no-progress", "--config", configuration]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"`extract` ended with {run.returncode}: {run.stderr[-2000:]}")
    said = REQUESTS.search(run.stderr)
    counted = {kind: int(re.search(rf"{kind}\W+(\d+)", said[0])[1]) for kind in KINDS} if said else {}
    return {"seconds": round(time.monotonic() - begun, 2), **counted}


def main(binary, target, days, report):
    binary, target, days = pathlib.Path(binary).absolute(), pathlib.Path(target).absolute(), int(days)
    with tempfile.TemporaryDirectory(prefix="plan-") as folder, moto(target) as store:
        folder = pathlib.Path(folder)
        (folder / "scenario.toml").write_text(scenario(days))
        command = [binary, "emulator", "--scenario", folder / "scenario.toml"]
        with started(command, r"^since") as (_, printed):
            lines = [line for line in printed.splitlines() if not line.startswith(("the emulator", "since"))]
            text = "\n".join(lines) + '\nsince = "2025-10-01"\nrequests_per_second = 1000\n'
            text += f'[lake]\nurl = "s3://{BUCKET}/lake"\nremoved_files = "0s"\n[lake.options]\n'
            options = {"endpoint": store, "region": "us-east-1", "access_key_id": MOTO[0], "secret_access_key": MOTO[1]}
            text += "".join(f"aws_{key} = {json.dumps(value)}\n" for key, value in options.items())
            configuration = folder / "copilot-lake.toml"
            configuration.touch(mode=0o600)
            configuration.write_text(text)
            runs = [extract(binary, configuration)]
            for _ in range(days):
                advance(re.search(r"http://127\.0\.0\.1:\d+", printed)[0])
                runs.append(extract(binary, configuration))
        today = FIRST + datetime.timedelta(days=days)
        found = {"days": days, "rows": ROWS, "weeks": WEEKS, "users": USERS, "interactions": INTERACTIONS}
        found |= {"machine": f"{os.cpu_count()} cores", "runs": runs, "tables": left(store, today)}
        pathlib.Path(report).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
