"""The simulation held against a small lake that daily runs of the program made (daily.py)."""

from markdown import table
from simulation import ENTRY_READS, OPEN_LISTS, OPEN_READS, Day, Ledger, Table, Work, simulate

# The first day of daily.py is a Wednesday; its rows of Dataverse are of the three weeks before.
FIRST_DAY = 3
INITIAL_WEEKS = (-3, -2, -1)
SERVICE_TABLES = (
    "msdyn_copilotevent",
    "msdyn_copilotinteraction",
    "msdyn_copilotinteractiondata",
    "msdyn_copilottranscript",
    "msdyn_copilottranscriptdata",
    "msdyn_conversationinsight",
)
HISTORY_TABLES = ("ai_interaction_attachment", "ai_interaction_context", "ai_interaction_link", "ai_interaction")
VIEWS = {"copilot_request": ("msdyn_copilotevent", "msdyn_copilotinteraction"), "m365_turn": ("ai_interaction",)}
# The rest of crates/tables: opened by a run, with a few commits each, and no day of daily.py brings them anything.
OTHERS, OTHERS_COMMITS = 9, 3
ROW_BYTES = 300
KINDS = ("reads", "writes", "lists", "deletes")
# How far totals may be apart.
RATIO = 1.5


def works(report):
    """What a day brings each table, with the weeks and the rows of a week that the first run found."""
    per_week = report["rows"] / len(INITIAL_WEEKS)

    def changed(today, week):
        return {INITIAL_WEEKS[today % len(INITIAL_WEEKS)]: 1}

    yield from ((Work(name, ROW_BYTES, 1, 1, changed), INITIAL_WEEKS, per_week) for name in SERVICE_TABLES)
    for name in HISTORY_TABLES:
        yield Work(name, ROW_BYTES, report["interactions"], 1), (*INITIAL_WEEKS, 0), 100 / 4
    for name, sources in VIEWS.items():
        of_dataverse = name == "copilot_request"
        weeks = INITIAL_WEEKS if of_dataverse else (*INITIAL_WEEKS, 0)
        rebuilt = changed if of_dataverse else lambda today, week: {}
        yield Work(name, ROW_BYTES, 1, 1, rebuilt, view_of=sources), weeks, per_week


class Comparison:
    """A simulated lake beside the one of a report: by table the files, the most that a week that is over had, entries
    and checkpoints of the log, and by kind the requests of a run to the store. Each is a pair: simulated, found."""

    def __init__(self, report):
        tables, ledger, closed, day = simulated(report)
        self.tables = {}
        for name, of in {**tables, "extraction_slice": ledger}.items():
            found = report["tables"][name]
            self.tables[name] = {
                "files": (of.files(), found["files"]),
                "closed_week": (closed.get(name, 0), found["closed_week"]),
                "entries": (of.log.entries, found["entries"]),
                "checkpoints": (len(of.log.checkpoints), found["checkpoints"]),
            }
        requests = {kind: day.requests[kind] for kind in KINDS}
        requests["reads"] += OTHERS * (OPEN_READS + ENTRY_READS * OTHERS_COMMITS)
        requests["lists"] += OTHERS * OPEN_LISTS
        later = report["runs"][len(report["runs"]) // 2 :]
        self.requests = {kind: (n, sum(run[kind] for run in later) / len(later)) for kind, n in requests.items()}

    def shown(self):
        """Both, as Markdown."""
        rows = [
            [f"`{name}`", *(f"{ours} / {theirs}" for ours, theirs in of.values())] for name, of in self.tables.items()
        ]
        most = "most of a week that is over, on any day / on the last"
        lines = [table(["simulated / found", "files", most, "log entries", "checkpoints"], rows)]
        rows = [
            [kind, f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.2f}"]
            for kind, (ours, theirs) in self.requests.items()
        ]
        titles = ["requests of a run to the store", "simulated, last day", "found, mean of the later half", "ratio"]
        lines.append(table(titles, rows))
        return "\n".join(lines)

    def deviations(self):
        """What the simulation gets wrong: totals that are far apart, weeks that are over with more or fewer files."""
        totals = {
            f"{what} of all tables": [sum(pair) for pair in zip(*(of[what] for of in self.tables.values()))]
            for what in ("files", "entries", "checkpoints")
        }
        for what, (ours, theirs) in (totals | self.requests).items():
            if not 1 / RATIO <= ours / theirs <= RATIO:
                yield f"{what}: simulated {ours:,.0f}, found {theirs:,.0f}"
        for name, of in self.tables.items():
            ours, theirs = of["closed_week"]
            if abs(ours - theirs) > 1:
                yield f"`{name}`, most files of a week that is over: simulated {ours}, found {theirs}"


def simulated(report):
    """The tables of such a lake, its ledger, the most files that a week that is over had, and the last day."""
    # Entries of the log are younger than their retention, whatever day the emulator's clock says.
    kept = {"log_days": 10**6, "removed_days": 0}
    tables = {}
    for work, weeks, rows in works(report):
        tables[work.name] = of = Table(work, **kept)
        for week in weeks:
            # The first run commits week by week.
            day = Day()
            of.add(week, int(rows * ROW_BYTES), day)
            of.log.commit(0, day)
            of.rows += rows
    ledger = Ledger(Work("extraction_slice", 65, 0, 0, partitioned=False), **kept)
    slices = {"dataverse": 2 * len(SERVICE_TABLES), "graph": report["users"], "own": 4}
    seconds = dict.fromkeys(slices, 1)
    closed = dict.fromkeys(tables, 0)
    for _, week, day in simulate(tables, ledger, slices, report["days"], seconds, FIRST_DAY):
        closed = {name: max(closed[name], of.most_of_closed_week(week)) for name, of in tables.items()}
    return tables, ledger, closed, day
