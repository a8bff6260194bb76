"""Extracts the same rows into a folder, into Azurite and into moto, and prints how long that took and its peak memory.

usage: throughput.py BINARY TARGET [ROWS]

BINARY  a `copilot-lake` with its emulator
TARGET  the target directory, with the servers of `make stores`
ROWS    of `msdyn_copilotevent`, by default 500,000

The servers and the emulator share the cores of the program.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(1, str(pathlib.Path(__file__).parent / "interop"))

from processes import AZURITE, BUCKET, MOTO, azurite, moto, started  # noqa: E402

SCENARIO = 'seed = 1\nclock = 2025-11-05T12:00:00Z\n[[table]]\nname = "msdyn_copilotevent"\nrows = {}\nweeks = 13\n'
ROUNDS = 3


@contextlib.contextmanager
def emulator(binary, folder, rows):
    """The configuration that it prints, for Dataverse without payloads."""
    path = folder / "scenario.toml"
    path.write_text(SCENARIO.format(rows))
    with started([binary, "emulator", "--scenario", path], r"^since") as (_, printed):
        lines = printed.splitlines()
        until = lines.index("[graph]")
        yield "\n".join(line for line in lines[:until] if not line.startswith("the emulator")) + "\npayloads = false\n"


@contextlib.contextmanager
def place(kind, target, folder):
    """Where a lake of some name is, and the options of its store. A server is ended after it."""
    match kind:
        case "folder":
            yield lambda name: f"{folder}/{name}", {}
        case "Azurite":
            account, key = AZURITE
            with azurite(target) as url:
                options = {"account_name": account, "account_key": key, "endpoint": f"{url}/{account}"}
                yield lambda name: f"az://{BUCKET}/{name}", {f"azure_storage_{key}": of for key, of in options.items()}
        case "moto":
            with moto(target) as url:
                options = {"endpoint": url, "region": "us-east-1", "access_key_id": MOTO[0], "secret_access_key": MOTO[1]}
                yield lambda name: f"s3://{BUCKET}/{name}", {f"aws_{key}": of for key, of in options.items()}


def used_by(command):
    """Wall and CPU seconds of a command, and its peak memory in MiB."""
    begun = time.monotonic()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command}: ended with {process.returncode}")
    return time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main(binary, target, rows=500_000):
    binary, target, rows = pathlib.Path(binary).absolute(), pathlib.Path(target).absolute(), int(rows)
    print(f"{rows:,} rows of 13 weeks, {ROUNDS} times each\n")
    print("| lake | run | s | rows/s | CPU s | peak MiB |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with emulator(binary, folder, rows) as configuration:
            for kind in ("folder", "Azurite", "moto"):
                with place(kind, target, folder) as (url, options):
                    for number in range(ROUNDS):
                        measure(binary, folder, configuration, rows, kind, url(f"lake-{number}"), options)


def measure(binary, folder, configuration, rows, kind, url, options):
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in options.items())
    path = folder / "copilot-lake.toml"
    path.touch(mode=0o600)
    path.write_text(f'{configuration}[lake]\nurl = "{url}"\n[lake.options]\n{lines}')
    for run in ("first", "nothing new"):
        seconds, cpu, peak = used_by([binary, "extract", "-q", "--config", path])
        rate = f"{rows / seconds:,.0f}" if run == "first" else ""
        print(f"| {kind} | {run} | {seconds:.1f} | {rate} | {cpu:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
