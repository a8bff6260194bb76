"""One reader over every lake that it can read, in a process of its own.

usage: worker.py ENGINE JOB

JOB  a pickle of the tables and the lakes. Prints a line of JSON per lake: whether the rows and types are equal, and each filter
     finds its rows.
"""

import json
import pathlib
import pickle
import sys
import time

sys.path.insert(1, str(pathlib.Path(__file__).parent.parent))

import engines  # noqa: E402
from lake import Skipped, difference, wrong_types  # noqa: E402


def read(engine, lake, definitions):
    """What is wrong, and how many tables, rows and filters were compared."""
    wrong, tables, rows, filters = [], 0, 0, 0
    for name, definition in definitions.items():
        # What reads files finds nothing where there is none.
        if engine.reads != "log" and not lake.files[name] or engine.has_views and definition.is_view:
            continue
        found = engine.rows(name)
        tables, rows = tables + 1, rows + found.num_rows
        strange = wrong_types(definition, found.schema)
        differs = None if strange else difference(definition, found, lake.expected(name))
        wrong += [f"{name}: {each}" for each in strange] + ([f"{name}: {differs}"] if differs else [])
        asked = lake.filters[name][:: max(engine.thin, lake.thin)] if found.num_rows and engine.thin else []
        if asked and not strange:
            filters += len(asked)
            for each, count in zip(asked, engine.counts(name, asked), strict=True):
                if count != each["rows"]:
                    column, (operator, operand) = each["column"], each["by"]
                    told = f"{name}: {column} {operator} {str(operand)[:200]!r}: {count} rows of {each['rows']}"
                    wrong.append(told)
    return wrong, {"tables": tables, "rows": rows, "filters": filters}


def main(name, job):
    with open(job, "rb") as file:
        definitions, lakes = pickle.load(file)
    engine = next(engine for engine in engines.ENGINES if engine.name == name)
    for lake in lakes:
        if lake.kind not in engine.kinds or engine.reads not in lake.readers or lake.name in engine.left_out:
            continue
        begun = time.monotonic()
        outcome = {"lake": lake.name, "skipped": None, "wrong": []}
        try:
            outcome["wrong"], compared = read(engine(lake, definitions), lake, definitions)
            outcome |= compared
        except (Skipped, ImportError) as error:
            outcome["skipped"] = str(error)
        except Exception as error:
            outcome["wrong"] = [f"{type(error).__name__}: {error}"]
        print(json.dumps(outcome | {"seconds": time.monotonic() - begun}), flush=True)


main(*sys.argv[1:])
