"""The case of the plan, what was measured, and what follows from both: costs, and when a part breaks."""

import math
import pathlib
import tomllib

from rules import rule
from simulation import Ledger, Table, Work, false_positives, graph_commits, simulate

MEASURED = tomllib.loads((pathlib.Path(__file__).parent / "measured.toml").read_text())
DAY_SECONDS = 86_400
# Defaults of `graph.requests_per_second` and `dataverse.page_size`, and the rows of a page of Graph: design/cli.md.
GRAPH_PACE, PAGE_ROWS, GRAPH_PAGE = 24, 5_000, 100
# reference/lake.md: a table of Direct Lake on F64.
DIRECT_LAKE = {"files": 5_000, "rows": 1.5e9}
CORES = 2
# Bytes of a payload as it is sent: reference/limits.md, "Machine and data".
PAYLOAD_BASE64 = 7_937


def figure(name):
    """A figure, measured at the largest size."""
    larger = [of for of in MEASURED["pending"].values() if of.get("replaces") == name and "value" in of]
    return (larger or [MEASURED["figure"][name]])[-1]["value"]


def case(name):
    return MEASURED["case"][name]["value"]


class Case:
    """The rows and the work of a day, from the case and the proportions of the demo."""

    def __init__(self):
        shares = {"graph": case("graph_share"), "dataverse": 1 - case("graph_share")}
        self.spec = MEASURED["rows"]
        stored = [of for of in self.spec.values() if "view_of" not in of]
        of_service = {per: sum(of["value"] for of in stored if of["per"] == per) for per in shares}
        self.rows = {
            name: case("rows") * shares[of["per"]] * of["value"] / of_service[of["per"]]
            for name, of in self.spec.items()
        }
        self.daily = {name: rows / case("days") for name, rows in self.rows.items()}
        self.graph_requests = case("users") * figure("histories_requests")
        self.payload_seconds = self.daily["payload"] * rule("payload_execution") / rule("execution_per_second")
        self.seconds = {"graph": self.graph_requests / GRAPH_PACE, "dataverse": self.payload_seconds}

    def row_bytes(self, name):
        return self.spec[name]["row_bytes"] + (case("text_bytes") if name == "ai_interaction" else 0)

    def commits(self, name):
        """Of a daily run: a slice a day of Dataverse, histories and payloads by time and size."""
        if name.startswith("ai_interaction"):
            return graph_commits(self.daily["ai_interaction"], self.seconds["graph"])
        if name in ("payload", "transcript_message", "transcript_source"):
            by_size = self.daily["payload"] * PAYLOAD_BASE64 / rule("payload_bytes")
            return math.ceil(max(by_size, self.payload_seconds / rule("payload_seconds")))
        return 1

    def tables(self):
        def work(name):
            changed = self.daily[name] * case("changed_share") / 2
            return Work(
                name,
                self.row_bytes(name),
                self.daily[name],
                self.commits(name),
                lambda today, week: {week: changed, week - 1: changed},
                view_of=tuple(self.spec[name].get("view_of", ())),
            )

        return {name: Table(work(name)) for name in self.spec}

    def ledger(self):
        return Ledger(Work("extraction_slice", figure("ledger_row_bytes"), 0, 0, partitioned=False))

    def slices(self):
        dataverse = 2 * sum(1 for of in self.spec if of.startswith("msdyn"))
        return {"graph": case("users") * case("runs_ledger_graph"), "dataverse": dataverse}


def cpu_of_day(of, day, events):
    """CPU-s of a daily run, by what takes it."""
    million = 1e6
    rows = of.daily
    return {
        "new rows of Dataverse": rows["msdyn_copilotevent"] * figure("events_cpu") / million,
        "payloads, at the cost of `replay`": rows["payload"] * figure("replay_payloads_cpu") / million,
        "interactions, two days of them": 2 * rows["ai_interaction"] * figure("histories_cpu") / million,
        "files that are written again": day.bytes_rewritten / (227 << 20) * figure("rewrite_cpu"),
        "keys that are looked for": day.rows_looked_through * figure("key_cpu") / million,
        "views, of two weeks": 14 * rows["msdyn_copilotevent"] * figure("views_cpu") / million,
        "what links weeks of views": events * figure("views_links_cpu") / million,
    }


def first_crossings(of, ends):
    """When each part passes its bound, the earliest first: (day, part, bound, what then)."""
    found = []
    for part, bound, then, is_passed in PARTS:
        day = next((today for today, end in ends.items() if is_passed(of, end)), None)
        found.append((day, part, bound, then))
    return sorted(found, key=lambda of: of[0] or math.inf)


def incremental(rows, new):
    """Keys that so few new rows make a run read in a table: those of row groups that no filter rules out."""
    return rows * (1 - math.exp(-new * rule("key_false_positives")))


# What may break: its bound, what then, and whether it is passed at the end of a day.
PARTS = (
    (
        "the run's filter of a table's keys, in half of 32 MiB",
        "one new key in a hundred is taken for a known one",
        "nothing breaks; from here on each commit opens every file of its table",
        lambda of, end: false_positives(end["largest_table"]) > 0.01,
    ),
    (
        "a daily run, by CPU on two cores",
        "24 hours",
        "look keys up in the weeks where they can be: `partitionid`, part of the key, and the creation time "
        "of an interaction name the week for good; until then more cores",
        lambda of, end: sum(end["cpu"].values()) / CORES > DAY_SECONDS,
    ),
    (
        "requests to the store",
        "10 million a day, 116 a second",
        "as for the CPU: nearly all are files that are opened to look keys up",
        lambda of, end: sum(end["day"].requests.values()) > 1e7,
    ),
    (
        "Power BI Direct Lake on F64, over `msdyn_copilotevent`",
        f"{DIRECT_LAKE['files']:,} files, or {DIRECT_LAKE['rows']:,.0f} rows of a table",
        "import the views, or the weeks that a report shows; from F512 on 10,000 files and 12 G rows",
        lambda of, end: end["events_files"] > DIRECT_LAKE["files"] or end["events"] > DIRECT_LAKE["rows"],
    ),
    (
        "a checkpoint of the largest log",
        "64 MiB of actions, a quarter of the 256 MiB that a run may take",
        "files of 512 MiB, or fewer indexed columns",
        lambda of, end: end["most_files"] * figure("add_bytes") > 64 << 20,
    ),
    (
        "the ledger",
        "100 million rows, which `status` and the health queries read",
        "fold the slices of runs that are over a year old into one row per user; runs open the newest files only",
        lambda of, end: end["ledger_rows"] > 1e8,
    ),
    (
        "the whole archive decoded again on one machine",
        "a week on two cores",
        "`replay --shard i/n`",
        lambda of, end: sum(redecode(of, end["share"]).values()) / CORES > 7 * DAY_SECONDS,
    ),
    (
        "the slowest shipped query over all weeks",
        "10 minutes on two cores",
        "`--param from=` for the weeks that are asked about, more cores, `query --workers`, or another engine over "
        "queries/dialects",
        lambda of, end: query_cpu("week_over_week", of, end["share"]) / CORES > 600,
    ),
    (
        "Graph at the pace of one identity",
        "24 hours a day",
        "more identities, each with a pace of its own",
        lambda of, end: of.seconds["graph"] > DAY_SECONDS,
    ),
)


def redecode(of, share=1.0):
    """CPU-s of `replay` of everything so far."""
    rows = {name: rows * share for name, rows in of.rows.items()}
    return {
        "events": rows["msdyn_copilotevent"] * figure("replay_events_cpu") / 1e6,
        "payloads": rows["payload"] * figure("replay_payloads_cpu") / 1e6,
        "interactions": rows["ai_interaction"] * figure("histories_cpu") / 1e6,
    }


def query_cpu(name, of, share=1.0):
    """CPU-s of a query over the events of all weeks."""
    opening, measured = MEASURED["queries"]["opening"], MEASURED["queries"][name]
    rows = of.rows["msdyn_copilotevent"] * share
    return opening + (measured - opening) * rows / MEASURED["queries_source"]["rows"]


def five_years(of):
    """The tables, the ledger and the week at the end, and the state at the end of each week."""
    tables, ledger, ends = of.tables(), of.ledger(), {}
    for today, week, day in simulate(tables, ledger, of.slices(), case("days"), of.seconds):
        if today % 7 and today not in (1, case("days")):
            continue
        day.bytes_rewritten = max(0, day.bytes_written - sum(of.daily[name] * of.row_bytes(name) for name in tables))
        ends[today] = {
            "day": day,
            "share": today / case("days"),
            "cpu": cpu_of_day(of, day, tables["msdyn_copilotevent"].rows),
            "largest_table": max(table.rows for table in tables.values()),
            "events": tables["msdyn_copilotevent"].rows,
            "events_files": tables["msdyn_copilotevent"].files(),
            "most_files": max(table.files() for table in tables.values()),
            "ledger_rows": ledger.rows,
            "files": sum(table.files() for table in tables.values()),
        }
    return tables, ledger, week, ends
