"""A service with more rows than an emulator can hold: one address, and behind it emulators of a few weeks each.

An emulator renders its rows ahead, 1.4 KB each. So each has some weeks of the service, is started when one of these is
asked for, and ends when others need the memory: a first pass goes from week to week. The emulators are processes of
their own, and what is between them and the client runs here: neither counts for the client.
"""

import collections
import contextlib
import datetime
import json
import pathlib
import re
import socket
import sys
import threading

sys.path.insert(1, str(pathlib.Path(__file__).parents[2] / "tests/python/interop"))

from processes import advance, started  # noqa: E402

TABLE = "msdyn_copilotevent"
CLOCK = datetime.datetime(2025, 11, 5, 12)
# The last day of the newest week.
LAST = datetime.date(2025, 11, 1)
# What a phase brings: new rows of its day, and changed ones of the newest two weeks.
NEW, CHANGED = 1_000, 100
# A row in an emulator's memory.
ROW_BYTES = 1_500
# Emulators at the same time: a run reads three slices at once, which may be of two.
TOGETHER = 2
CHUNK = 1 << 20
WEEK = re.compile(rb"createdon(?:%20|\+)ge(?:%20|\+)(\d{4}-\d\d-\d\d)")
AUTHORIZATION = re.compile(rb"^authorization:[^\r]*", re.MULTILINE | re.IGNORECASE)
LENGTH = re.compile(rb"^content-length: *(\d+)", re.MULTILINE | re.IGNORECASE)


def parts(rows, weeks, most):
    """The rows, the weeks and the last day of each emulator of at most so many rows, newest first."""
    each, last = max(1, most * weeks // rows), LAST
    while weeks > 0:
        of = min(weeks, each)
        share = rows * of // weeks
        yield share, of, last
        rows, weeks, last = rows - share, weeks - of, last - datetime.timedelta(weeks=of)


def scenario(part, phases):
    """The rows, and each day later new and changed ones."""
    rows, weeks, last = part
    text = f"""seed = 1
clock = {CLOCK:%FT%TZ}
[token]
lifetime = 864000
[[table]]
name = "{TABLE}"
rows = {rows}
weeks = {weeks}
end = {last}
"""
    step = max(1, rows * min(weeks, 2) // weeks // CHANGED)
    for day in range(phases):
        begin, end = (CLOCK + datetime.timedelta(days=of) for of in (day, day + 1))
        # From the end, without the new rows of the days before.
        positions = (-1 - NEW * day - step * number for number in range(CHANGED))
        change = ", ".join(f'{{ position = {of}, values = {{ msdyn_verbatim = "changed" }} }}' for of in positions)
        text += f"""[[phase]]
clock = {end:%FT%TZ}
generate = {{ rows = {NEW}, from = {begin:%FT%TZ} }}
change = [{change}]
"""
    return text


def available():
    """Bytes of memory."""
    return int(re.search(r"MemAvailable: +(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) << 10


class Emulator:
    """A process with some of the weeks."""

    def __init__(self, binary, path, part, phases):
        if available() < part[0] * ROW_BYTES:
            needed = part[0] * ROW_BYTES >> 20
            raise RuntimeError(f"an emulator of {part[0]:,} rows takes {needed} MiB of memory: --emulator-rows")
        path.write_text(scenario(part, phases))
        self.running = contextlib.ExitStack()
        _, self.printed = self.running.enter_context(started([binary, "emulator", "--scenario", path], r"^since"))
        self.url = re.search(r"http://127\.0\.0\.1:\d+", self.printed)[0]
        self.address = ("127.0.0.1", int(self.url.rpartition(":")[2]))
        self.requests, self.token = 0, None

    def connect(self):
        return socket.create_connection(self.address)


class Service:
    """The whole. `with` starts it, and ends every process."""

    def __init__(self, binary, folder, lake, most, phases):
        self.binary, self.folder, self.phases = binary, folder, phases
        self.parts = list(parts(lake.rows, lake.weeks, most))
        self.oldest = LAST - datetime.timedelta(days=7 * lake.weeks - 1)
        # In the order in which they were started.
        self.emulators, self.lock = collections.OrderedDict(), threading.RLock()
        self.sign_in, self.requests, self.failure = None, 0, None

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        # Before the processes end: nothing is started any more.
        self.socket.close()
        with self.lock:
            while self.emulators:
                self.emulators.popitem()[1].running.close()

    def configuration(self, path):
        """Writes the configuration of a client."""
        printed = self.emulator(0).printed.replace(self.emulator(0).url, self.url).splitlines()
        lines = [line for line in printed[: printed.index("[graph]")] if not line.startswith("the emulator")]
        lines += ["payloads = false", f'tables = ["{TABLE}"]', f'since = "{self.oldest}"']
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n")

    def advance(self):
        """Comes to the next phase, in the newest weeks."""
        advance(self.emulator(0).url)

    def emulator(self, number):
        with self.lock:
            if number not in self.emulators:
                idle = [of for of, emulator in self.emulators.items() if not emulator.requests]
                # The first one knows which phase it is.
                idle = [of for of in idle if of or not self.phases]
                for of in idle[: max(0, len(self.emulators) + 1 - TOGETHER)]:
                    self.emulators.pop(of).running.close()
                path, part = self.folder / f"scenario-{number}.toml", self.parts[number]
                self.emulators[number] = Emulator(self.binary, path, part, self.phases if number == 0 else 0)
            return self.emulators[number]

    def number_of(self, target):
        """Which emulator answers: that of the week, else any."""
        found = WEEK.search(target)
        if not found:
            return next(iter(self.emulators), 0)
        asked = datetime.date.fromisoformat(found[1].decode())
        firsts = (last - datetime.timedelta(days=7 * weeks - 1) for _, weeks, last in self.parts)
        return next((number for number, first in enumerate(firsts) if asked >= first), len(self.parts) - 1)

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        """Answers the requests of a connection, one after the other."""
        upstreams = {}
        try:
            with connection, contextlib.ExitStack() as opened, connection.makefile("rb") as reader:
                while head := read_head(reader):
                    body = reader.read(length(head) or 0)
                    self.forward(head, body, connection, upstreams, opened)
        except OSError:
            # The client, or an emulator, has ended.
            pass
        except Exception as error:
            self.failure = error

    def forward(self, head, body, connection, upstreams, opened):
        target = head.split(b" ", 2)[1]
        is_sign_in = b"/oauth2/" in target
        with self.lock:
            if is_sign_in:
                self.sign_in = head + body
            else:
                self.requests += 1
            emulator = self.emulator(self.number_of(target))
            emulator.requests += 1
        try:
            if not is_sign_in:
                head = AUTHORIZATION.sub(b"authorization: Bearer " + self.token(emulator), head)
            if emulator not in upstreams:
                upstream = opened.enter_context(emulator.connect())
                upstreams[emulator] = upstream, opened.enter_context(upstream.makefile("rb"))
            upstream, answers = upstreams[emulator]
            upstream.sendall(head + body)
            relay(answers, connection)
        finally:
            with self.lock:
                emulator.requests -= 1

    def token(self, emulator):
        """An emulator accepts its own tokens only, and the client knows that of one."""
        with self.lock:
            if emulator.token is None:
                with emulator.connect() as upstream, upstream.makefile("rb") as answers:
                    upstream.sendall(self.sign_in)
                    body = answers.read(length(read_head(answers)))
                emulator.token = json.loads(body)["access_token"].encode()
            return emulator.token


def read_head(reader):
    """The lines up to an empty one; nothing where the other side has ended."""
    lines = []
    while (line := reader.readline()) not in (b"\r\n", b""):
        lines.append(line)
    return b"".join([*lines, line]) if line else b""


def length(head):
    found = LENGTH.search(head)
    return int(found[1]) if found else None


def relay(answers, connection):
    """Passes a response on."""
    head = read_head(answers)
    if not head:
        raise ConnectionResetError("no response")
    rest = length(head)
    if rest is None:
        raise RuntimeError(f"a response without a length: {head}")
    connection.sendall(head)
    chunk = memoryview(bytearray(min(CHUNK, rest)))
    while rest:
        read = answers.readinto(chunk[: min(CHUNK, rest)])
        if not read:
            raise ConnectionResetError("half a response")
        connection.sendall(chunk[:read])
        rest -= read
