"""The programs that run beside the readers: the emulator and the servers of stores, each ended with its `with` block."""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import threading
import urllib.request

# The bucket or container of every lake.
BUCKET = "lakes"
# Azurite's own account and key, which its documentation publishes.
AZURITE = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
)
# moto checks no signatures.
MOTO = ("any", "any")
# Nor does what stands for Google Cloud Storage: the account of a service that asks for no token.
GOOGLE = ("client", json.dumps({"private_key": "any", "private_key_id": "any", "client_email": "client", "disable_oauth": True}))

# The demo's data in proportion to a number of events, with a value that does not fit and properties that nobody knows, and
# what changes before two more runs.
SCENARIO = """seed = 1
clock = 2025-11-05T12:00:00Z
{tables}
[[table]]
name = "msdyn_copilotevent"
rows = {events}
weeks = {weeks}
[[table.row]]
values = {{ msdyn_verbatim = "quotes ' \\" \\\\ and \\u2028 \\U0001F600", createdon = 2025-10-29T10:00:00Z }}
extra = {{ new_region = "north" }}
[[table.row]]
values = {{ createdon = 2025-10-25T23:59:59Z, msdyn_scenariotype = 987654321 }}
json = {{ msdyn_verbatim = '"\\ud800"' }}
[graph]
users = 200
interactions = {interactions}
days = {days}
[[phase]]
clock = 2025-11-06T12:00:00Z
row = [{{ table = "msdyn_copilotevent", values = {{ msdyn_verbatim = "new" }} }}]
change = [{{ table = "msdyn_copilotevent", every = 50, values = {{ msdyn_verbatim = "changed once" }} }}]
graph = {{ interactions = 300 }}
[[phase]]
clock = 2025-11-07T12:00:00Z
row = [{{ table = "msdyn_copilotevent", values = {{ msdyn_verbatim = "newer" }} }}]
change = [{{ table = "msdyn_copilotevent", every = 120, values = {{ msdyn_verbatim = "changed twice" }} }}]
graph = {{ interactions = 300 }}
"""
# Rows of the other tables, per event.
SHARES = {
    "msdyn_copilotinteraction": 1 / 5,
    "msdyn_copilotinteractiondata": 1 / 15,
    "msdyn_copilottranscript": 1 / 20,
    "msdyn_copilottranscriptdata": 1 / 20,
    "msdyn_conversationinsight": 1 / 20,
}


def scenario(events, weeks):
    table = '[[table]]\nname = "{}"\nrows = {}\nweeks = {}\n'
    tables = "".join(table.format(name, int(events * share), weeks) for name, share in SHARES.items())
    return SCENARIO.format(tables=tables, events=events, weeks=weeks, interactions=events // 5, days=7 * weeks)


@contextlib.contextmanager
def started(command, pattern):
    """The process, and the text up to the line that matches; what it prints later is read and forgotten."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        printed = ""
        for line in process.stdout:
            printed += line
            if re.search(pattern, line):
                break
        else:
            raise RuntimeError(f"{command[0]} ended: {printed}")
        threading.Thread(target=lambda: [None for _ in process.stdout], daemon=True).start()
        yield process, printed
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def emulator(binary, folder, events, weeks):
    """The URL of an emulator, and the file with the configuration that it prints."""
    path = pathlib.Path(folder) / f"scenario-{events}.toml"
    path.write_text(scenario(events, weeks))
    with started([binary, "emulator", "--scenario", path], r"^since") as (_, printed):
        url = re.search(r"http://127\.0\.0\.1:\d+", printed)[0]
        configuration = pathlib.Path(folder) / f"emulator-{events}.toml"
        lines = [line for line in printed.splitlines() if not line.startswith(("the emulator", "since"))]
        # Of all that there is: the emulator's clock is not this machine's.
        configuration.write_text("\n".join(lines) + '\nsince = "2025-07-01"\nrequests_per_second = 1000\n')
        yield url, configuration


def advance(url):
    urllib.request.urlopen(urllib.request.Request(f"{url}/_emulator/advance", method="POST")).close()


@contextlib.contextmanager
def moto(target):
    """S3 with a bucket: its URL."""
    command = [target / "moto/bin/moto_server", "-H", "127.0.0.1", "-p", "0"]
    with started(command, r"Running on http") as (_, printed):
        url = re.search(r"http://127\.0\.0\.1:\d+", printed)[0]
        urllib.request.urlopen(urllib.request.Request(f"{url}/{BUCKET}", method="PUT")).close()
        yield url


@contextlib.contextmanager
def gcs(target):
    """Google Cloud Storage with a bucket, in front of moto: its URL."""
    script = pathlib.Path(__file__).parent.parent / "gcs.py"
    with moto(target) as store, started([sys.executable, script, store], r"Running on http") as (_, printed):
        yield re.search(r"http://127\.0\.0\.1:\d+", printed)[0]


@contextlib.contextmanager
def azurite(target):
    """Azure Blob with a container: its URL."""
    main = target / "azurite/node_modules/azurite/dist/src/blob/main.js"
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--blobHost", "127.0.0.1"]
    with started(["node", main, *options, "--blobPort", "0"], "successfully listens on") as (_, printed):
        url = re.search(r"http://127\.0\.0\.1:\d+", printed)[0]
        script = pathlib.Path(__file__).parent.parent / "make_container.py"
        subprocess.run([sys.executable, script, url, BUCKET], check=True)
        yield url
