"""Another tool that compacts, reorders and vacuums the tables of a lake in turn while something else writes to them.

usage: meanwhile.py LAKE [at-once]    goes on until its standard input ends, then prints how many of its commits succeeded
                                      and how many another writer kept from it; at-once: what it removes is deleted at
                                      once, whoever reads it
"""

import itertools
import pathlib
import sys
import threading

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError



def column(table):
    """The first one that is in the files."""
    weeks = table.metadata().partition_columns
    return next(field.name for field in table.schema().fields if field.name not in weeks)


at_once = sys.argv[2:] == ["at-once"]
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
committed = lost = 0
for number in itertools.count():
    folders = [path.parent for path in sorted(pathlib.Path(sys.argv[1]).glob("*/_delta_log"))]
    for folder in folders:
        if ended.is_set():
            print(committed, lost)
            sys.exit()
        try:
            table = DeltaTable(folder)
            if number % 2:
                removed = table.optimize.z_order([column(table)])["numFilesRemoved"]
            else:
                removed = table.optimize.compact()["numFilesRemoved"]
            committed += removed > 0
            if at_once:
                table.vacuum(0, dry_run=False, enforce_retention_duration=False)
            else:
                # Of its own retention: what a run reads or has not committed yet is younger.
                table.vacuum(dry_run=False, full=True)
        except (DeltaError, OSError):
            # The run replaced what was read, and removed it.
            lost += 1
