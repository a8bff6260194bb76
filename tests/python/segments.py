"""Compares m365_person_weeks and m365_segments with Microsoft's own function, on its sample data and on random people.

usage: segments.py VIEWS_SQL TABLES_JSON PACKAGES_DIR

PACKAGES_DIR holds vivainsights and pandas (segments.txt). Of vivainsights only the function is loaded: the package itself
draws, and needs much more.
"""

import json
import pathlib
import random
import sys
import types

views, tables, packages = (pathlib.Path(argument) for argument in sys.argv[1:])
sys.path.insert(0, str(packages))
for name in ("matplotlib", "matplotlib.pyplot", "seaborn", "vivainsights.create_boxplot"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["matplotlib"].pyplot = sys.modules["matplotlib.pyplot"]
sys.modules["vivainsights.create_boxplot"].create_boxplot = None
package = types.ModuleType("vivainsights")
package.__path__ = [str(packages / "vivainsights")]
sys.modules["vivainsights"] = package

import pandas
from made_lakes import Lake
from vivainsights.identify_usage_segments import identify_usage_segments


def sample():
    """Microsoft's sample: people, weeks, and what they did with Copilot."""
    data = pandas.read_csv(packages / "vivainsights/data/pq_data.csv")
    actions = [name for name in data.columns if name.startswith("Copilot_actions_taken_in_")]
    data["actions"] = data[actions].sum(axis=1).round().astype(int)
    data["MetricDate"] = pandas.to_datetime(data["MetricDate"], format="mixed").dt.date
    return [tuple(row) for row in data[["PersonId", "MetricDate", "actions"]].itertuples(index=False)]


def random_people():
    """People of every habit, some with weeks missing."""
    chance = random.Random(1)
    weeks = [(pandas.Timestamp("2025-01-06") + pandas.Timedelta(weeks=n)).date() for n in range(30)]
    rows = []
    for n in range(120):
        habit, most = chance.random(), chance.choice([1, 2, 14, 16, 40])
        for week in weeks:
            if chance.random() < habit:
                rows.append((f"person {n}", week, chance.randint(0, most)))
    return rows


def check(name, rows):
    """The segment of every person and week with twelve weeks before it, both ways."""
    first_day = {0: "monday", 6: "sunday"}[rows[0][1].weekday()]
    lake = Lake(views.read_text(), json.loads(tables.read_text()))
    frame = pandas.DataFrame(rows, columns=["person", "week", "actions"])
    frame["week"] = pandas.to_datetime(frame["week"])
    lake.connection.register("frame", frame)
    lake.connection.execute(
        "INSERT INTO graph_user (user_id, has_copilot_license) SELECT DISTINCT person, true FROM frame"
    )
    lake.connection.execute(
        "INSERT INTO ai_interaction (user_id, interaction_id, interaction_type, app, created_at)"
        " SELECT person, week || ' ' || n, 'userPrompt', 'Word', timezone('UTC', week + to_hours(CAST(n % 160 AS INTEGER)))"
        " FROM frame, range(200) AS numbers(n) WHERE n < actions"
    )
    assert frame.actions.max() < 200, frame.actions.max()
    lake.complete()
    lake.connection.execute(f"SET VARIABLE week_start = '{first_day}'")
    ours = lake.connection.execute(
        "SELECT user_id, week_start, prompts, segment FROM m365_person_weeks ORDER BY user_id, week_start"
    ).fetchall()

    dense = pandas.DataFrame(
        [(person, pandas.Timestamp(week), float(prompts)) for person, week, prompts, _ in ours],
        columns=["PersonId", "MetricDate", "prompts"],
    )
    # Of actions, not of what our query made of them.
    actions = {(person, week): actions for person, week, actions in rows}
    dense["prompts"] = [float(actions.get((row[0], row[1]), 0)) for row in ours]
    theirs = identify_usage_segments(dense, metric="prompts", version="12w")
    theirs = {(row.PersonId, row.MetricDate.date()): row.UsageSegments_12w for row in theirs.itertuples()}
    known = {(person, week): segment for person, week, _, segment in ours if segment is not None}
    assert known, f"{name}: no segment"
    for key, segment in known.items():
        assert theirs[key] == segment, f"{name}: {key} is {segment}, not {theirs[key]}"
    counted = lake.connection.execute("SELECT week_start, segment, people FROM m365_segments").fetchall()
    for week, segment, people in counted:
        expected = sum(1 for (_, of), value in known.items() if of == week and value == segment)
        assert people == expected, f"{name}: {week} {segment}: {people}, not {expected}"
    seen = sorted(set(known.values()))
    print(f"{name}: {len(known)} segments ok: {', '.join(seen)}")
    return seen


check("sample", sample())
assert len(check("random", random_people())) == 5
