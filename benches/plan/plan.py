"""The plan of a lake of 200,000 users and ten billion rows in five years: what it holds and costs, what breaks first.

usage: plan.py [--check]

Writes README.md beside it, from measured.toml, the constants of the sources and simulated days, and fails if the
simulation of the lake in daily.json, which daily.py made, is far from what was found there.

--check  write nothing, and fail if README.md is not what would be written, too
"""

import json
import pathlib
import sys
import textwrap

from check import RATIO, Comparison
from markdown import hours, short, table
from model import CORES, GRAPH_PACE, GRAPH_PAGE, MEASURED, PAGE_ROWS, Case, case, figure, first_crossings, five_years
from model import incremental, query_cpu, redecode
from rules import LOG_DAYS, WHERE, origin, rule
from simulation import ENTRY_READS, GROUP_READS, OPEN_READS

HERE = pathlib.Path(__file__).parent
PAGE, REPORT = HERE / "README.md", json.loads((HERE / "daily.json").read_text())
IDENTITIES = (1, 2, 4, 8)
SHARDS = (1, 4, 16, 64)
SHOWN = (1, 28, 91, 364, 728, 1_092, 1_456)


def prose(text, *, item=False):
    lines = " ".join(text.split())
    fill = {"initial_indent": "- ", "subsequent_indent": "  "} if item else {}
    return textwrap.fill(lines, 118, break_long_words=False, break_on_hyphens=False, **fill) + "\n"


def shown(ends):
    return [(today, ends[today]) for today in (*SHOWN, case("days"))]


def head():
    rows = [[name, f"{of['value']:,}", of["unit"], of["law"], of["assumed"]] for name, of in MEASURED["case"].items()]
    yield f"# A lake of {case('users'):,} users and {short(case('rows'))} rows in five years\n"
    yield prose("""Written by `make plan`; edit [measured.toml](measured.toml) or the code, not
        this page. Every number is a figure that was measured ([Figures](#figures)), a constant of the program
        ([Rules](#rules)), an assumption (the next table), or what [simulation.py](simulation.py) and
        [model.py](model.py) make of these. kB, MB and TB are powers of ten.""")
    yield "## The case\n"
    yield table(["what", "value", "unit", "law", "assumed because"], rows)
    yield prose("""Rows are divided among tables as in the demo, without the older tables of Dataverse, which end in
        August 2025.""")


def breaks(of, ends):
    payloads = of.rows["payload"] * rule("payload_execution") / rule("execution_per_second")
    rows = [[f"day {day:,}" if day else "not in five years", *rest] for day, *rest in first_crossings(of, ends)]
    yield "## Which part breaks first, and what then\n"
    yield prose(f"""If five years lie at the services before the first run, it is the payloads: one identity needs
        {hours(payloads)} for {short(of.rows["payload"])} of them ([hours](#hours-at-the-services-limits)). Rows are
        there long before, and newest payloads come first. With daily runs from the first day on:""")
    yield table(["when", "part", "bound", "then"], rows)
    yield prose(f"""Days are ends of weeks. Without stored views the memory of a run is the same whatever the lake
        has, its logs apart (the row of the checkpoint). Measuring has a bound of its own: the emulator renders its
        rows ahead, 1.43 KB and 5.8 µs of CPU each (`/usr/bin/time -v copilot-lake emulator`, 1,000,000 rows,
        2026-11-30), so 100,000,000 rows would take 140 GB. [growth.py](growth.py) fills such a lake from several
        emulators behind one address.""")


def sizes(of, tables, ledger, week):
    rows = []
    for name, spec in of.spec.items():
        found, view = tables[name], " (view)" if "view_of" in spec else ""
        of_rows = [short(of.rows[name]), f"{of.row_bytes(name):,.0f}", short(found.bytes()) + "B"]
        counts = [found.files(), found.most_of_closed_week(week), of.commits(name), found.log.entries]
        rows.append([f"`{name}`{view}", *of_rows, *(f"{count:,}" for count in counts)])
    largest = max(tables.values(), key=lambda of: of.files())
    checkpoints = max(1, round(largest.work.commits / rule("checkpoint_commits")))
    yield "## Sizes, files, logs and ledger after five years\n"
    titles = ["table", "rows", "bytes a row", "bytes", "files", "most of a week that is over", "commits a run"]
    yield table([*titles, "log entries"], rows)
    yield prose(f"""Together {short(sum(of.bytes() for of in tables.values()))}B in
        {sum(of.files() for of in tables.values()):,} files. A log keeps the entries of {LOG_DAYS} days, Delta's
        default, and those since the checkpoint before them. A checkpoint is written every
        {rule("checkpoint_commits")} commits and names every file: that of `{largest.work.name}` holds
        {short(largest.files() * figure("add_bytes"))}B of actions, {checkpoints} times a day.""")
    yield prose(f"""The ledger has {short(ledger.rows)} rows in {ledger.files():,} files, {short(ledger.bytes())}B,
        and {ledger.log.entries:,} log entries. A run reads its newest files only: {figure("ledger_open_seconds")} s
        for {case("users"):,} users.""")


def requests(ends):
    kinds = ("reads", "writes", "lists", "deletes")
    rows = []
    for today, end in shown(ends):
        counts = [short(end["day"].requests[kind]) for kind in kinds]
        keys = short(end["day"].rows_looked_through * figure("key_bytes")) + "B"
        rows.append([f"{today:,}", *counts, keys, f"{end['day'].commits:,}", f"{end['files']:,}"])
    yield "## Requests to the store, a day\n"
    yield table(["day", *kinds, "bytes of keys read", "commits", "files in the lake"], rows)
    yield prose(f"""Writes follow the commits of a run and stay as they are. Reads grow with the files of the lake:
        each commit whose new keys a run's filter cannot clear looks for them in every file of its table
        ({GROUP_READS} reads a row group, at most). A log is opened with {OPEN_READS} reads and {ENTRY_READS} for each
        commit since the checkpoint.""")


def services(of):
    payloads = rule("execution_per_second") / rule("payload_execution")
    calls = rule("calls_per_hour") / 3_600
    rows, daily = of.rows, of.daily
    work = {
        "a daily run, Graph: requests": (of.graph_requests, GRAPH_PACE),
        "a daily run, Dataverse: pages of rows": (daily["msdyn_copilotevent"] / PAGE_ROWS, calls),
        "a daily run, Dataverse: payloads": (daily["payload"], payloads),
        "five years at once, Graph: requests": (rows["ai_interaction"] / GRAPH_PAGE + of.graph_requests, GRAPH_PACE),
        "five years at once, Dataverse: pages of rows": (rows["msdyn_copilotevent"] / PAGE_ROWS, calls),
        "five years at once, Dataverse: payloads": (rows["payload"], payloads),
    }
    cells = [
        [what, short(count), f"{pace:g}/s", *(hours(count / pace / n) for n in IDENTITIES)]
        for what, (count, pace) in work.items()
    ]
    names = ["1 identity", *(f"{n} identities" for n in IDENTITIES[1:])]
    yield "## Hours at the services' limits\n"
    yield table(["what", "how many", "pace of an identity", *names], cells)
    yield prose(
        f"""Dataverse allows a user and server 6,000 requests and 1,200 s of execution in 300 s, and 52 requests at
        once (reference/dataverse.md, section 7). A payload is taken to need {rule("payload_execution") * 1e3:.0f} ms.
        By requests an identity could have {calls * rule("payloads_in_batch"):,.0f} payloads/s in batches of
        {rule("payloads_in_batch")}, or {calls:.0f} singly; by concurrency {52 / rule("payload_execution"):,.0f}; by
        execution {payloads:.0f}. Execution binds: more identities or more servers help, larger batches do not.""",
        item=True,
    )
    yield prose(
        f"""Graph allows an application and tenant 30 requests/s, of which 83 % are sustained (reference/graph.md,
        section 5). A run asks for two days of each user, in each mailbox folder: {figure("histories_requests")}
        requests, even if the user wrote nothing.""",
        item=True,
    )
    yield prose("Identities have limits of their own and share the work: hours are divided by their number.", item=True)


def daily_run(of, ends):
    found = shown(ends)
    rows = [[part, *(hours(end["cpu"][part]) for _, end in found)] for part in found[0][1]["cpu"]]
    totals = [sum(end["cpu"].values()) for _, end in found]
    rows.append(["**all**", *(f"**{hours(total)}**" for total in totals)])
    rows.append([f"on {CORES} cores", *(hours(total / CORES) for total in totals)])
    yield "## CPU of a daily run\n"
    yield table(["what", *(f"day {today:,}" for today, _ in found)], rows)
    yield prose(f"""The services take {hours(max(of.seconds.values()))} of a day at one identity; new rows and
        payloads are decoded meanwhile. Keys are what grows: the filter of a run, in half of
        {rule("filter_bytes") >> 20} MiB, rules out less and less, and each of {of.commits("payload")} commits of
        payloads and {of.commits("ai_interaction")} of histories searches every file.""")


def again(of):
    parts = redecode(of)
    total = sum(parts.values())
    rows = [[f"`replay` of {what}", hours(seconds)] for what, seconds in parts.items()]
    walls = [[f"{n} x {CORES} cores", hours(total / CORES / n)] for n in SHARDS]
    yield "## Decoding everything again\n"
    yield table(["what", "CPU"], [*rows, ["**all**", f"**{hours(total)}**"]])
    yield table(["shards", "wall"], walls)
    yield prose("""A shard holds the lock only while it commits. Commits are not in these hours, and neither is
        looking keys up, which a replay does as a daily run does, once per commit and over what the lake has by then.""")


def queries(of):
    source, names = MEASURED["queries_source"], [name for name in MEASURED["queries"] if name != "opening"]
    shares = (13 * 7 / case("days"), 365 / case("days"), 1)
    rows = []
    for name in names:
        cells = [hours(query_cpu(name, of, share)) for share in shares]
        rows.append([f"`{name}`", hours(MEASURED["queries"][name]), *cells, hours(query_cpu(name, of) / CORES)])
    yield "## Queries\n"
    law = source["law"].capitalize()
    yield prose(f"CPU of each. {law}; {source['file']}, `{source['command']}`, {source['date']}.")
    measured = f"{source['rows']:,} activities (measured)"
    yield table(["query", measured, "13 weeks", "a year", "five years", f"five years on {CORES} cores"], rows)
    yield prose(f"Not measured: {source['not_measured']}.")


def reality(comparison):
    seconds = sum(run["seconds"] for run in REPORT["runs"]) / len(REPORT["runs"])
    yield "## Checked against a lake\n"
    yield prose(f"""{REPORT["days"]} daily runs of the program in moto, whose days are those of tests/it/year.rs:
        `python3 benches/plan/daily.py BINARY TARGET {REPORT["days"]} benches/plan/daily.json`. `make test` fails
        where a total is more than {RATIO} times the other. What the test of these days itself asserts, at most two
        files of a week that is over, is what the simulation says, too.""")
    yield comparison.shown()
    yield prose(f"""On days when no interaction has a link or an attachment nothing is committed there; the simulation
        has one commit a day. The ledger is committed by time, too, and these runs took {seconds:.0f} s on a busy
        machine; the simulation's take one. Reads are counted by row group, roughly.""")
    yield prose("""Not simulated: rows that come out of order within a slice and begin files of their own, retries,
        commits of other tools, growth of use within the five years.""")


def figures():
    machine = "; ".join(f"{name}: {of}" for name, of in MEASURED["machine"].items())
    rows, demo = [], MEASURED["rows_source"]
    for name, of in MEASURED["figure"].items():
        source = f"{of['file']}; `{of['command']}`; {of['date']}, {of['machine']}"
        rows.append([f"`{name}`", of["value"], of["unit"], of["law"], source])
    for name, of in MEASURED["rows"].items():
        source = of.get("row_bytes_source", f"{demo['command']}; {demo['date']}, {demo['machine']}")
        values = f"{of['value']:,}; {of['row_bytes']}"
        rows.append([f"`{name}`", values, "rows of the demo; bytes a row", "per row", source])
    pending = []
    for name, of in MEASURED["pending"].items():
        replaced = f"`{of['replaces']}`" if "replaces" in of else ""
        value = f"{of['value']} ({of['date']}, {of['machine']})" if "value" in of else "pending"
        pending.append([f"`{name}`", value, of["unit"], replaced, of["bound"], f"`{of['command']}`"])
    few, many = (incremental(rows, 1_000) for rows in (1e6, 1e8))
    yield "## Figures\n"
    yield prose(f"Machines: {machine}.")
    yield table(["figure", "value", "unit", "law", "source"], rows)
    yield prose("""At the sizes of the plan; a value that is there is used in place of the one that it replaces.
        [growth.py](growth.py) says at its head how it is called, and enters what it measured.""")
    yield table(["figure", "value", "unit", "replaces", "bound", "command"], pending)
    yield prose(f"""The model says of `incremental_100m` that its bound is missed: 1,000 new keys are taken for known
        ones in a tenth of all row groups, so that {short(many)} keys are read on 100,000,000 rows
        ({hours(many * figure("key_cpu") / 1e6)} of CPU) and {short(few)} on 1,000,000.""")


def rules():
    yield "## Rules\n"
    yield "Read from the sources each time this page is written; durations in seconds.\n"
    yield table(["rule", "value", "where"], [[f"`{name}`", f"{rule(name):,}", origin(name)] for name in WHERE])


def written(comparison):
    of = Case()
    tables, ledger, week, ends = five_years(of)
    sections = [head(), breaks(of, ends), sizes(of, tables, ledger, week), requests(ends), services(of)]
    sections += [daily_run(of, ends), again(of), queries(of), reality(comparison), figures(), rules()]
    return "\n".join(part for section in sections for part in section)


def main(*options):
    comparison = Comparison(REPORT)
    problems, page = list(comparison.deviations()), written(comparison)
    if "--check" not in options:
        PAGE.write_text(page)
    elif PAGE.read_text() != page:
        problems.append("benches/plan/README.md is stale: `make plan`")
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    if not set(sys.argv[1:]) <= {"--check"}:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
