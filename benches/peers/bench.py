"""Measures `copilot-lake replay` beside what users would pick instead, on the same files and cores, one after the other.

usage: bench.py BINARY FOLDER RESULT [EVENTS] [PAYLOADS] [ROUNDS]

BINARY    the release binary, with the emulator
FOLDER    where material and outputs go; material that is there in full is used again
RESULT    the Markdown file for the table
EVENTS    by default 1,000,000, of about 1.4 KB
PAYLOADS  by default 200,000, of about 8 KB as base64
ROUNDS    runs of each, of which the one with the least CPU counts; by default 2

A time counts only if the values of every row are those of the lake.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
MACHINE_IS_QUIET = 0.12  # Cores that others use at most.
PAGE_ROWS = 5_000
# Peers of events: name, title, and of how many rows, where that is not all of them.
EVENTS_PEERS = (
    ("duckdb-pages", "DuckDB, pages as served", None),
    ("duckdb-ndjson", "DuckDB, rows as NDJSON", None),
    ("duckdb-same-work", "DuckDB, NDJSON, with contexts, labels, order", None),
    ("polars-pages", "Polars, pages as served", None),
    ("polars-ndjson", "Polars, rows as NDJSON", None),
    ("python-pages", "Python, orjson and pyarrow", 250_000),
    ("dlt-pages", "dlt, to Parquet", 20_000),
)
PAYLOADS_PEERS = (
    ("python-payloads", "Python, base64, codecs, json, pyarrow, of lines of base64"),
    ("python-payloads-same-work", "Python, of the archive, with all columns, sources, order, Bloom filters"),
)


def busy():
    """Seconds that all cores have worked."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / os.sysconf("SC_CLK_TCK")


def measure(command):
    """Wall and CPU seconds of a command, its peak memory in MiB, and the cores that others used meanwhile."""
    before, begun = busy(), time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall, cpu = time.monotonic() - begun, used.ru_utime + used.ru_stime
    if process.returncode:
        sys.exit(f"{command}: ended with {process.returncode}")
    return {"wall": wall, "cpu": cpu, "peak": used.ru_maxrss / 1024, "others": max(0, busy() - before - cpu) / wall}


def python(script, *arguments):
    command = [sys.executable, HERE / script, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def replay(binary, lake, archive):
    """The views that a run stores are queries over what it has written: peers make none."""
    return [binary, "replay", "-q", "--no-progress", "--set", "lake.views=false", "--lake", lake, archive]


def bytes_in(folder):
    files = (file for file in folder.rglob("*.parquet"))
    return sum(file.stat().st_size for file in files)


def best(rounds, out, command):
    runs = []
    for _ in range(rounds):
        shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
        runs.append(measure(command))
    return min(runs, key=lambda run: run["cpu"])


def line(title, run, rows, of_all, size):
    per = 1e6 / rows
    noise = "" if run["others"] < MACHINE_IS_QUIET else f"{run['others']:.1f}"
    sample = "" if rows == of_all else f"{rows:,}"
    scaled = f"{run['wall']:.1f} | {run['cpu']:.1f} | {run['wall'] * per:.1f} | {run['cpu'] * per:.1f}"
    return f"| {title} | {sample} | {scaled} | {run['peak']:.0f} | {size / 1e6:.1f} | {noise} |"


HEAD = "| what | of rows | wall s | CPU-s | wall s per 1,000,000 | CPU-s per 1,000,000 | peak MiB | output MB | cores busy elsewhere |"
HEAD += "\n|---|---|---|---|---|---|---|---|---|"


def events(binary, folder, rows, rounds):
    lake, out = folder / "lake-events", folder / "out"
    all_cores = best(rounds, lake, replay(binary, lake, folder / "archive"))
    sizes = {"replay": python("check.py", lake, "sizes", lake / "msdyn_copilotevent")}
    lines = [HEAD, line("`replay`, of the zstd archive", all_cores, rows, rows, bytes_in(lake))]
    # A process that may use one core starts one thread of each kind.
    one_core = best(rounds, out, ["taskset", "--cpu-list", "0", *replay(binary, out, folder / "archive")])
    lines.append(line("`replay`, on one core", one_core, rows, rows, bytes_in(out)))
    shutil.rmtree(out)
    print("\n".join(lines), flush=True)
    for name, title, sample in EVENTS_PEERS:
        sample = min(sample or rows, rows)
        pages = [-(-sample // PAGE_ROWS)] if sample < rows else []
        run = best(rounds if sample == rows else 1, out, [sys.executable, HERE / "peers.py", name, folder, out, *pages])
        count, missing = python("check.py", lake, "events", out)
        title += f" (without {len(missing)} columns that are null in all rows)" if missing else ""
        lines.append(line(title, run, count, rows, bytes_in(out)))
        print(lines[-1], flush=True)
        sizes[name] = python("check.py", lake, "sizes", out)
        shutil.rmtree(out)
    lines += ["", f"`replay` on {os.cpu_count()} cores is {one_core['wall'] / all_cores['wall']:.2f} times as fast as on one."]
    return lines, sizes


def payloads(binary, folder, rows, rounds):
    lake, out = folder / "lake-payloads", folder / "out"
    run = best(rounds, lake, replay(binary, lake, folder / "payload-archive"))
    lines = [HEAD, line("`replay`, of the zstd archive", run, rows, rows, bytes_in(lake))]
    print("\n".join(lines), flush=True)
    sample = min(40_000, rows)
    for name, title in PAYLOADS_PEERS:
        run = best(1, out, [sys.executable, HERE / "peers.py", name, folder, out, sample])
        count, _ = python("check.py", lake, "payloads", out)
        lines.append(line(title, run, count, rows, bytes_in(out)))
        print(lines[-1], flush=True)
        shutil.rmtree(out)
    return lines


def queries(binary, folder, rounds):
    """The shipped queries that find rows in the lake of events, in the order of their names."""
    lake, views = folder / "lake-events", folder / "views.sql"
    with open(views, "w") as file:
        subprocess.run([binary, "query", "--duckdb-views", "--lake", lake], check=True, stdout=file)
    opening = folder / "opening.sql"
    opening.write_text("SELECT 1 AS one")
    ours, theirs = folder / "ours.parquet", folder / "theirs.parquet"
    lines = ["| query | `query` wall s | CPU-s | DuckDB wall s | CPU-s | CPU, `query` to DuckDB |", "|---|---|---|---|---|---|"]
    total = [0, 0]
    for query in [opening, *sorted((HERE.parent.parent / "queries").glob("*.sql"))]:
        name = ["--sql", opening.read_text()] if query == opening else [query.stem]
        of_ours = best(rounds, ours, [binary, "query", "-q", *name, "--lake", lake, "--output", ours])
        of_theirs = best(rounds, theirs, [sys.executable, HERE / "query.py", views, query, theirs])
        subprocess.run([sys.executable, HERE / "query.py", "--same", ours, theirs], check=True)
        total = [total[0] + of_ours["cpu"], total[1] + of_theirs["cpu"]]
        times = " | ".join(f"{run['wall']:.2f} | {run['cpu']:.2f}" for run in (of_ours, of_theirs))
        lines.append(f"| {query.stem} | {times} | {of_ours['cpu'] / of_theirs['cpu']:.2f} |")
        print(lines[-1], flush=True)
    lines.append(f"| all | | {total[0]:.1f} | | {total[1]:.1f} | {total[0] / total[1]:.2f} |")
    return lines


def columns(sizes):
    """Bytes by column: ours, and those of the peer that reads the same rows at its best."""
    ours, peer = sizes["replay"], sizes["duckdb-ndjson"]
    names = {wire.removeprefix("_").removesuffix("_value") if wire.startswith("_") else wire: wire for wire in peer}
    both = {name: (ours[name], peer[wire]) for name, wire in names.items() if name in ours and name != "Bloom filters"}
    lines = ["| column | `replay` MB | DuckDB MB |", "|---|---|---|"]
    for name, (mine, theirs) in sorted(both.items(), key=lambda item: -item[1][0]):
        if max(mine, theirs) > 50_000:
            lines.append(f"| `{name}` | {mine / 1e6:.2f} | {theirs / 1e6:.2f} |")
    total = [sum(size[at] for size in both.values()) / 1e6 for at in (0, 1)]
    lines.append(f"| all columns that both write | {total[0]:.1f} | {total[1]:.1f} |")
    own = {name: size for name, size in ours.items() if name not in both and name != "Bloom filters"}
    lines.append(f"| columns of `replay` alone | {sum(own.values()) / 1e6:.1f} | |")
    lines.append(f"| Bloom filters | {ours['Bloom filters'] / 1e6:.1f} | {peer['Bloom filters'] / 1e6:.1f} |")
    return lines


def main(binary, folder, result, count=1_000_000, payload_count=200_000, rounds=2):
    binary, folder = pathlib.Path(binary).absolute(), pathlib.Path(folder).absolute()
    count, payload_count, rounds = int(count), int(payload_count), int(rounds)
    material = folder / f"{count}-{payload_count}"
    if not (material / "complete").exists():
        shutil.rmtree(material, ignore_errors=True)
        subprocess.run([sys.executable, HERE / "material.py", binary, material, str(count), str(payload_count)], check=True)
    about_events, sizes = events(binary, material, count, rounds)
    about_queries = queries(binary, material, rounds)
    about_payloads = payloads(binary, material, payload_count, rounds)
    text = [f"# `replay` and its peers, {time.strftime('%Y-%m-%d')}", "", __doc__.strip().splitlines()[-1], ""]
    text += [f"{os.cpu_count()} cores; the best of {rounds} runs by CPU, of samples one. Where other work used the cores, only CPU-seconds are a measure."]
    text += ["", f"## {count:,} events to weekly Parquet", "", *about_events, "", "## Bytes by column", "", *columns(sizes)]
    text += ["", f"## {payload_count:,} payloads to `payload` and `transcript_message`", "", *about_payloads, ""]
    text += [f"## Shipped queries over {count:,} activities, opening and DuckDB's import of the views included", "", *about_queries, ""]
    pathlib.Path(result).write_text("\n".join(text))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
