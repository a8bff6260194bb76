"""The plan of a lake of 200,000 users and ten billion rows in five years: what it holds, what it costs, what breaks first.

usage: plan.py [--check LAKE_REPORT]

Without arguments it writes README.md beside it, from measured.toml, the constants of the sources and the simulated days.
With a report of daily.py it prints what the simulation says of that lake beside what was found.
"""

import json
import pathlib
import sys

from check import checked
from markdown import hours, short, table
from model import CORES, GRAPH_PACE, GRAPH_PAGE, MEASURED, PAGE_ROWS, Case, case, figure, first_crossings, five_years, query_cpu, redecode
from rules import LOG_DAYS, WHERE, origin, rule
from simulation import ENTRY_READS, GROUP_READS, OPEN_READS

HERE = pathlib.Path(__file__).parent
REPORT = HERE / "daily.json"
IDENTITIES = (1, 2, 4, 8)
SHARDS = (1, 4, 16, 64)


def head(of):
    rows = [[name, short(spec["value"]), spec["unit"], spec["law"], spec["assumed"]] for name, spec in MEASURED["case"].items()]
    return f"""# A lake of {case("users"):,} users and {short(case("rows"))} rows in five years

Written by `python3 benches/plan/plan.py`; edit [measured.toml](measured.toml) or the code, not this page. Every number is one of
four kinds: a figure that was measured ([Figures](#figures)), a constant of the program ([Rules](#rules)), an assumption
(the table below), or what [simulation.py](simulation.py) and [model.py](model.py) make of these. MB and TB are powers of ten.

## The case

{table(["what", "value", "unit", "law", "assumed because"], rows)}
Rows are divided among the tables as in the demo. The older tables of Dataverse, which end in August 2025, are left out.
"""


def sizes(of, tables, ledger, week):
    rows = []
    for name, spec in of.spec.items():
        found = tables[name]
        view = " (view)" if "view_of" in spec else ""
        sizes = [short(of.rows[name]), f"{of.row_bytes(name):,.0f}", short(found.bytes()) + "B"]
        counts = [found.files(), found.most_of_closed_week(week), of.commits(name), found.log.entries]
        rows.append([f"`{name}`{view}", *sizes, *(f"{count:,}" for count in counts)])
    largest = max(tables.values(), key=lambda of: of.files())
    checkpoint = largest.files() * figure("add_bytes")
    return f"""## Sizes, files and logs after five years

{table(["table", "rows", "bytes a row", "bytes", "files", "most of a week that is over", "commits a run", "log entries"], rows)}
Together {short(sum(of.bytes() for of in tables.values()))}B in {sum(of.files() for of in tables.values()):,} files. A log keeps the entries of {LOG_DAYS} days (Delta's default) since the checkpoint before
them, and a checkpoint is written every {rule("checkpoint_commits")} commits: it names every file, so that of `{largest.work.name}` holds {short(checkpoint)}B of actions, and
{largest.work.commits // rule("checkpoint_commits") or 1} or more are written a day. The ledger has {short(ledger.rows)} rows in {ledger.files():,} files, {short(ledger.bytes())}B, and {ledger.log.entries:,} log entries;
a run reads the newest files of it only ({figure("ledger_open_seconds")} s for {case("users"):,} users).
"""


def requests(of, ends):
    kinds = ("reads", "writes", "lists", "deletes")
    rows = []
    for today, end in shown(ends):
        counts = end["day"].requests
        rows.append([f"{today:,}", *(short(counts[kind]) for kind in kinds), f"{end['day'].commits:,}", f"{end['files']:,}"])
    return f"""## Requests to the store, a day

{table(["day", *kinds, "commits", "files in the lake"], rows)}
Writes follow the commits of a run and stay as they are. Reads grow with the files of the lake: a new key is looked for in every file
of its table, {GROUP_READS} reads a row group, in each commit that the run's filter cannot clear, and its log is opened with {OPEN_READS} reads and {ENTRY_READS} for each commit since
the checkpoint.
"""


def shown(ends):
    marks = (1, 28, 91, 364, 728, 1_092, 1_456, case("days"))
    return [(today, ends[today]) for today in marks if today in ends]


def services(of):
    payloads = 1 / (rule("payload_execution") / rule("execution_per_second"))
    calls = rule("calls_per_hour") / 3_600
    pages = of.rows["ai_interaction"] / GRAPH_PAGE + of.requests["graph"]
    work = {
        "a daily run, Graph: requests": (of.requests["graph"], GRAPH_PACE),
        "a daily run, Dataverse: pages of rows": (of.daily["msdyn_copilotevent"] / PAGE_ROWS, calls),
        "a daily run, Dataverse: payloads": (of.daily["payload"], payloads),
        "all five years at once, Graph: requests": (pages, GRAPH_PACE),
        "all five years at once, Dataverse: pages of rows": (of.rows["msdyn_copilotevent"] / PAGE_ROWS, calls),
        "all five years at once, Dataverse: payloads": (of.rows["payload"], payloads),
    }
    rows = [[what, short(count), f"{pace:g}/s", *(hours(count / pace / n) for n in IDENTITIES)] for what, (count, pace) in work.items()]
    return f"""## Hours at the services' limits

{table(["what", "how many", "pace of an identity", *(f"{n} identit{'y' if n == 1 else 'ies'}" for n in IDENTITIES)], rows)}
- Dataverse allows a user and server 6,000 requests, 1,200 s of execution in 300 s, and 52 requests at once (reference/dataverse.md, section 7). A
  payload is taken to need {rule("payload_execution") * 1e3:.0f} ms: of requests one identity could fetch {calls * rule("payloads_in_batch"):,.0f} payloads/s in batches of {rule("payloads_in_batch")} or {calls:.0f} singly, of concurrency {52 / rule("payload_execution"):,.0f}, of execution {payloads:.0f}: execution
  binds, and only more identities or more servers help, not larger batches.
- Graph allows an application and tenant 30 requests/s, of which 83 % are sustained (reference/graph.md, section 5). A run asks for each user, for two
  days, in each mailbox folder: {figure("histories_requests")} requests, whatever the users wrote.
- Identities have limits of their own and share the work, so the hours are divided; a user's history stays with the one that began it.
"""


def daily(of, ends):
    found = shown(ends)
    parts = list(found[0][1]["cpu"])
    rows = [[part, *(hours(end["cpu"][part]) for _, end in found)] for part in parts]
    rows.append(["**all**", *(f"**{hours(sum(end['cpu'].values()))}**" for _, end in found)])
    rows.append([f"on {CORES} cores", *(hours(sum(end["cpu"].values()) / CORES) for _, end in found)])
    slowest = max(of.seconds.values())
    return f"""## CPU of a daily run

{table(["what", *(f"day {today:,}" for today, _ in found)], rows)}
The services take {hours(slowest)} of a day at one identity, in which the first rows of this table are done beside waiting. The keys are what grows: with
{short(case("rows"))} rows the filter of a run (half of {rule("filter_bytes") >> 20} MiB) rules nothing out, and each of the {of.commits("payload")} commits of payloads and {of.commits("ai_interaction")} of histories opens every file of its table.
"""


def again(of):
    parts = redecode(of)
    rows = [[f"`replay` of {what}", hours(seconds)] for what, seconds in parts.items()]
    total = sum(parts.values())
    machines = [[f"{n} shard{'s' if n > 1 else ''} of {CORES} cores", hours(total / CORES / n)] for n in SHARDS]
    names = [name for name in MEASURED["queries"] if name != "opening"]
    queries = [[f"`{name}`", f"{MEASURED['queries'][name]:.2f} s", *query_cells(name, of)] for name in names]
    source = MEASURED["queries_source"]
    return f"""## Decoding everything again

{table(["CPU", "h"], [*rows, ["**all**", f"**{hours(total)}**"]])}
{table(["machines", "wall"], machines)}
Shards are whole archives, divided by a hash; a shard holds the lock only while it commits, which is not in these hours. Looking keys up is
not either: a replay into an empty lake meets it as a daily run does, once per commit.

## Queries

CPU-s of each, law: {source["law"]}, from {source["rows"]:,} activities ({source["file"]}). Wall time is half of it on {CORES} cores, if the disk gives
{short(of.rows["msdyn_copilotevent"] * of.row_bytes("msdyn_copilotevent"))}B as fast; a query reads some of the columns.

{table(["query", f"{source['rows']:,} activities", "13 weeks", "a year", "five years", f"five years on {CORES} cores"], queries)}
Not measured: {source["not_measured"]}.
"""


def query_cells(name, of):
    shares = (13 * 7 / case("days"), 365 / case("days"), 1)
    yield from (hours(query_cpu(name, of, share)) for share in shares)
    yield hours(query_cpu(name, of) / CORES)


def breaks(of, ends):
    rows = [[f"day {day:,}" if day else "not in five years", *of] for day, *of in first_crossings(of, ends)]
    return f"""## Which part breaks first, and what then

{table(["when", "part", "bound", "then"], rows)}
Days are those at the end of a week. Memory is no part of the table: a run holds 256 MiB whatever the lake has, except for its logs
(the row of the checkpoint). The emulator is: it renders its rows ahead, 1.43 KB each and 5.8 CPU-s per 1,000,000 (measured at 1,000,000), so
100,000,000 rows would take 140 GB. [growth.py](growth.py) fills such a lake from several emulators, one after the other.
"""


def sources():
    figures = []
    for name in MEASURED["figure"]:
        of = MEASURED["figure"][name]
        figures.append([f"`{name}`", of["value"], of["unit"], of["law"], f"{of['file']}; `{of['command']}`; {of['date']}, {of['machine']}"])
    for name, of in MEASURED["rows"].items():
        source = of.get("row_bytes_source") or f"{MEASURED['rows_source']['command']}, {MEASURED['rows_source']['date']}, {MEASURED['rows_source']['machine']}"
        figures.append([f"`{name}`", f"{of['value']:,}; {of['row_bytes']}", "rows in the demo; bytes of a row", "per row", source])
    pending = []
    for name, of in MEASURED["pending"].items():
        state = of.get("value", "pending")
        pending.append([f"`{name}`", state, of["unit"], f"`{of['replaces']}`" if "replaces" in of else "", of["bound"], f"`{of['command']}`"])
    machines = "; ".join(f"{name}: {of}" for name, of in MEASURED["machine"].items())
    rules = [[f"`{name}`", f"{rule(name):,}", origin(name)] for name in WHERE]
    return f"""## Figures

Machines: {machines}.

{table(["figure", "value", "unit", "law", "source"], figures)}
To be measured, and used as soon as measured.toml has the value:

{table(["figure", "value", "unit", "replaces", "bound", "command"], pending)}
## Rules

Read from the sources each time this page is written; durations in seconds.

{table(["rule", "value", "where"], rules)}
"""


def reality():
    report = json.loads(REPORT.read_text())
    return f"""## Checked against a lake

`python3 benches/plan/plan.py --check benches/plan/daily.json`: {report["days"]} daily runs of the program in moto, whose days are those of tests/it/year.rs,
made by `python3 benches/plan/daily.py BINARY TARGET {report["days"]} benches/plan/daily.json`. The test asserts the rule itself: at most two files of a week that is over.

{checked(report)}
Days on which no interaction has a link or an attachment make no commit there; the simulation has one a day. The ledger is committed by time, too, and
these runs took {sum(run["seconds"] for run in report["runs"]) / len(report["runs"]):.0f} s on a busy machine. Reads are counted roughly: so many per row group.

Not simulated: rows out of order within a slice, which begin files of their own; retries; another tool's commits; growth within the five years.
"""


def written():
    of = Case()
    tables, ledger, ends = five_years(of)
    week = (3 + case("days")) // 7
    parts = [head(of), breaks(of, ends), sizes(of, tables, ledger, week), requests(of, ends), services(of), daily(of, ends), again(of)]
    return "\n".join([*parts, reality(), sources()])


def main(*arguments):
    match arguments:
        case []:
            (HERE / "README.md").write_text(written())
        case ["--check", report]:
            print(checked(json.loads(pathlib.Path(report).read_text())))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
