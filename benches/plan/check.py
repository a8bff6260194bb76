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


def checked(report):
    """Both, as Markdown."""
    tables, ledger, closed, day = simulated(report)
    rows = []
    for name, of in {**tables, "extraction_slice": ledger}.items():
        found = report["tables"][name]
        pairs = [(of.files(), found["files"]), (closed.get(name, 0), found["closed_week"])]
        pairs.append((of.log.entries, found["entries"]))
        pairs.append((len(of.log.checkpoints), found["checkpoints"]))
        rows.append([f"`{name}`", *(f"{ours} / {theirs}" for ours, theirs in pairs)])
    most = "most of a week that is over, on any day / on the last"
    titles = ["simulated / found", "files", most, "log entries", "checkpoints"]
    lines = [table(titles, rows)]
    later = report["runs"][len(report["runs"]) // 2 :]
    requests = {kind: day.requests[kind] for kind in ("reads", "writes", "lists", "deletes")}
    requests["reads"] += OTHERS * (OPEN_READS + ENTRY_READS * OTHERS_COMMITS)
    requests["lists"] += OTHERS * OPEN_LISTS
    found = {kind: sum(run[kind] for run in later) / len(later) for kind in requests}
    pairs = [[kind, f"{n:,.0f}", f"{found[kind]:,.0f}", f"{n / found[kind]:.2f}"] for kind, n in requests.items()]
    titles = ["requests of a run to the store", "simulated, last day", "found, mean of the later half", "ratio"]
    lines.append(table(titles, pairs))
    return "\n".join(lines)
