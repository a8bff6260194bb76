"""What commands took: measured, kept in a file from which an interrupted series goes on, entered in measured.toml."""

import contextlib
import datetime
import fnmatch
import json
import os
import pathlib
import platform
import re
import signal
import statistics
import subprocess
import threading
import time
import tomllib

from markdown import table

HERE = pathlib.Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")
# Seconds after which what a command has taken so far is noted.
NOTED = 5
COLUMNS = ("wall_s", "cpu_s", "cpu_s_per_million", "peak_mib", "requests", "files", "commits", "bytes")
COLUMNS += ("resumed", "load", "date")


class Failed(Exception):
    """A command that did not end well, or numbers that are not what they must be."""


def run(command, log, note):
    """Wall and CPU seconds of a command and its peak memory in MiB. Meanwhile `note` gets these again and again; where
    it raises an error, the command is ended. What the command prints goes to the log."""
    begun, failures, is_over = time.monotonic(), [], threading.Event()
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def take_note():
        # It may have ended just now.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            note(so_far(process.pid, begun))

    def take_notes():
        while not is_over.wait(NOTED):
            try:
                take_note()
            except Exception as error:
                failures.append(error)
                # `terminate` would wait for it, which is the other thread's part.
                os.kill(process.pid, signal.SIGTERM)
                return

    thread = threading.Thread(target=take_notes, daemon=True)
    thread.start()
    try:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        is_over.set()
        thread.join()
        if process.returncode is None:
            take_note()
            process.terminate()
            process.wait()
    if failures:
        raise Failed(f"{command[1]}: ended, because {failures[0]}")
    if process.returncode:
        raise Failed(f"{command[1]}: ended with {process.returncode}: {log.read_text()[-2_000:]}")
    cpu = used.ru_utime + used.ru_stime
    return {"wall_s": time.monotonic() - begun, "cpu_s": cpu, "peak_mib": used.ru_maxrss / 1024}


def so_far(pid, begun):
    """What a process has taken up to now."""
    times = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    peak = re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
    cpu = (int(times[11]) + int(times[12])) / TICK
    return {"wall_s": time.monotonic() - begun, "cpu_s": cpu, "peak_mib": int(peak[1]) / 1024 if peak else 0}


class Measurements:
    """The steps that are done, and the attempts of those that are not, in a file that is written again after each."""

    def __init__(self, folder, command):
        self.folder, self.path, self.command = folder, folder / "growth.json", command
        kept = json.loads(self.path.read_text()) if self.path.exists() else {"done": [], "attempts": {}}
        self.done, self.attempts = kept["done"], kept["attempts"]

    def found(self, lake, step):
        """The measurement of a step of a lake, if it is done."""
        return next((of for of in self.done if of["lake"] == lake.name and of["step"] == step), None)

    def measure(self, lake, step, command, requests):
        """Runs a command, and returns the measurement to be completed. Attempts that were ended count, as far as they
        were noted. `requests`: those to the service so far."""
        attempts = self.attempts.setdefault(f"{lake.name} {step}", [])
        load, before = os.getloadavg()[0], requests()
        attempts.append({"wall_s": 0, "cpu_s": 0, "peak_mib": 0, "requests": 0})
        self.write()

        def note(used):
            attempts[-1] = {**used, "requests": requests() - before}
            self.write()

        attempts[-1] = {**run(command, self.folder / f"{lake.name}.log", note), "requests": requests() - before}
        total = {name: sum(of[name] for of in attempts) for name in attempts[0]}
        total |= {"peak_mib": max(of["peak_mib"] for of in attempts), "resumed": len(attempts) - 1, "load": load}
        return {"lake": lake.name, "rows": lake.rows, "step": step} | {name: round(of, 2) for name, of in total.items()}

    def add(self, measurement):
        self.done.append({**measurement, "date": f"{datetime.date.today()}"})
        del self.attempts[f"{measurement['lake']} {measurement['step']}"]
        self.write()

    def write(self):
        text = json.dumps({"done": self.done, "attempts": self.attempts}, indent=1) + "\n"
        partial = self.path.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(self.path)
        rows = [[of["lake"], of["step"], *(of.get(column, "") for column in COLUMNS)] for of in self.done]
        machine = f"{os.cpu_count()} cores, {platform.machine()}"
        page = f"{datetime.date.today()}, {machine}, `{self.command}`\n\n{table(['lake', 'step', *COLUMNS], rows)}"
        self.path.with_suffix(".md").write_text(page)


def record(folder, machine):
    """Enters what was measured in measured.toml: values of `pending` whose `from` names a step. Returns their names.

    `from`: the lake, the step (a pattern), the names of values, and what of several steps is taken: the median or the
    sum."""
    path = HERE / "measured.toml"
    text = path.read_text()
    done, names = json.loads((folder / "growth.json").read_text())["done"], []
    for name, of in tomllib.loads(text)["pending"].items():
        if "from" not in of:
            continue
        found = [step for step in done if step["lake"] == of["from"]["lake"]]
        found = [step for step in found if fnmatch.fnmatch(step["step"], of["from"]["step"])]
        # What a killed run took is known up to the last note only: too little for a short one.
        found = [step for step in found if not step["resumed"] or step["wall_s"] > 100 * NOTED]
        if not found:
            continue
        together = {"median": statistics.median, "sum": sum}[of["from"].get("together", "median")]
        values = [round(together(step[value] for step in found), 2) for value in of["from"]["values"]]
        value = values[0] if len(values) == 1 else json.dumps(" / ".join(f"{value:g}" for value in values))
        head, section, rest = text.partition(f"[pending.{name}]\n")
        own, after, tail = rest.partition("\n[")
        own = re.sub(r"^(value|date|machine) = .*\n", "", own, flags=re.MULTILINE)
        entered = f'value = {value}\ndate = "{found[-1]["date"]}"\nmachine = "{machine}"\n'
        text = head + section + entered + own + after + tail
        names.append(name)
    path.write_text(text)
    return names
