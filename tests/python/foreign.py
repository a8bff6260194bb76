"""What another tool does to tables of a lake, one after the other; prints a line for each where there is something to say.

usage: foreign.py LAKE TABLE,... compact | zorder COLUMN | checkpoint | delete PREDICATE | constraint NAME EXPRESSION
       foreign.py LAKE TABLE,... vacuum         deletes whatever the newest version does not name; only while nobody writes
       foreign.py LAKE TABLE,... vacuum-removed deletes what commits have removed
       foreign.py LAKE TABLE create COLUMN      makes a table of its own there, with a day in that column
       foreign.py LAKE TABLE write STATE        writes a compacted file, as OPTIMIZE does before its commit
       foreign.py LAKE TABLE commit STATE       commits it
       foreign.py LAKE TABLE compact-opened     opens it, and compacts what it opened after a line of its input
"""

import datetime
import json
import os
import sys
import time

import pyarrow
import pyarrow.parquet
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

lake, tables, action, *rest = sys.argv[1:]
NAME = "part-00000-11111111-2222-3333-4444-555555555555-c000.zstd.parquet"


def write(folder, table, state):
    files = [os.path.basename(uri) for uri in table.file_uris()]
    rows = pyarrow.concat_tables([pyarrow.parquet.read_table(os.path.join(folder, name)) for name in files])
    pyarrow.parquet.write_table(rows, os.path.join(folder, NAME))
    with open(state, "w") as file:
        json.dump(files, file)


def commit(folder, table, state):
    with open(state) as file:
        files = json.load(file)
    now = int(time.time() * 1000)
    removed = {"dataChange": False, "deletionTimestamp": now}
    actions = [{"remove": {"path": name, **removed}} for name in files]
    # As some writers do, it says a size that is not the file's.
    added = {"path": NAME, "partitionValues": {}, "size": 10000, "modificationTime": now, "dataChange": False}
    actions.append({"add": added})
    actions.append({"commitInfo": {"operation": "OPTIMIZE", "timestamp": now}})
    path = os.path.join(folder, "_delta_log", f"{table.version() + 1:020}.json")
    with open(path, "x") as file:
        file.write("\n".join(json.dumps(action) for action in actions) + "\n")


def compact(folder):
    """Begins again where a file of the version that it read was replaced, and deleted, by the lake's own program."""
    for _ in range(9):
        try:
            return DeltaTable(folder).optimize.compact()["numFilesRemoved"]
        except DeltaError as error:
            if "not found" not in str(error):
                raise
            named = {os.path.basename(uri) for uri in DeltaTable(folder).file_uris()}
            if any(name in str(error) for name in named):
                raise
    raise SystemExit("the table changed nine times")


for name in tables.split(","):
    folder = os.path.join(lake, name)
    if action == "create":
        write_deltalake(folder, pyarrow.table({rest[0]: [datetime.date(2025, 11, 5)]}))
        continue
    table = DeltaTable(folder)
    match action:
        case "compact":
            print(compact(folder))
        case "compact-opened":
            print("opened", flush=True)
            sys.stdin.readline()
            try:
                print("replaced", table.optimize.compact()["numFilesRemoved"])
            except DeltaError as error:
                print("refused:", error)
        case "zorder":
            print(table.optimize.z_order(rest)["numFilesRemoved"])
        case "vacuum":
            # It lists what was removed from the log, whether or not it is still there.
            found = table.vacuum(0, dry_run=True, enforce_retention_duration=False, full=True)
            print(sum(os.path.exists(os.path.join(folder, file)) for file in found))
            table.vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)
        case "vacuum-removed":
            table.vacuum(0, dry_run=False, enforce_retention_duration=False)
        case "checkpoint":
            table.create_checkpoint()
        case "delete":
            print(table.delete(rest[0])["num_deleted_rows"])
        case "constraint":
            table.alter.add_constraint({rest[0]: rest[1]})
        case "write":
            write(folder, table, *rest)
        case "commit":
            commit(folder, table, *rest)
        case _:
            sys.exit(__doc__)
