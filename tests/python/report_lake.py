"""A small lake whose rows, times of the ledger included, are the same each time: what a page about it must look like.

usage: report_lake.py VIEWS_SQL TABLES_JSON OUTPUT_DIR

OUTPUT_DIR/both holds three weeks of both services, OUTPUT_DIR/graph one week of Microsoft 365 alone, OUTPUT_DIR/none no row of
either. Texts hold what could break a page.
"""

import datetime
import json
import pathlib
import sys

from made_lakes import Lake

views, tables, output = (pathlib.Path(argument) for argument in sys.argv[1:4])
lake = Lake(views.read_text(), json.loads(tables.read_text()))
SUNDAY = datetime.datetime(2025, 10, 5, 9, 30)
SCENARIOS = {100230201: "Ask a question", 100230203: "Write an email", 100230205: "Case <summary> & more"}
ODD = "</script><b>wrong</b> & \u202egnorw\u202c \u2028next line"


def insert(table, rows):
    for row in rows:
        names, values = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
        lake.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", list(row.values()))


def at(week, hours, minutes=0):
    return f"{SUNDAY + datetime.timedelta(weeks=week, hours=hours, minutes=minutes)}+00"


def event(request, kind, scenario, week, hours, minutes=0, **more):
    return {
        "msdyn_copiloteventid": f"{request} {kind}",
        "partitionid": "p",
        "createdon": at(week, hours, minutes),
        "msdyn_scenariorequestid": request,
        "msdyn_interactiontype": 100230300 + kind,
        "msdyn_scenariotype": scenario,
        "msdyn_scenariotype_label": SCENARIOS[scenario],
        "createdby": f"user-{(week * 5 + hours) % 7}",
        "msdyn_interactionforlogicalname": "incident",
        "msdyn_interactionforid": f"case-{hours}",
        **more,
    }


def dynamics():
    events, messages, sources = [], [], []
    for week in range(3):
        for number in range(12 + 6 * week):
            scenario = list(SCENARIOS)[0 if number % 4 < 2 else number % 4 - 1]
            request = f"request-{week}-{number}"
            transcript = f"data of {request}"
            of = (scenario, week, number * 4)
            events.append(event(request, 5, *of, transcript_data_id=transcript))
            events += [event(request, 14, *of, 1)] if number % 3 == 0 else []
            events += [event(request, 4, *of, 2)] if number % 2 == 0 else []
            if number % 3 < 2:
                down = number % 3 == 1
                text = {"msdyn_verbatim": ODD if number % 2 else "Article is outdated"} if down else {}
                events.append(event(request, 2 if down else 1, *of, 3, **text))
            key = {"transcript_data_id": transcript, "request_id": request, "chat_id": f"chat of {request}"}
            for place, (role, words) in enumerate([("user", "How is it descaled?"), ("bot", f"Like this. {ODD}")]):
                messages.append(
                    {**key, "message_id": f"#{place}", "sequence": place, "role": role, "message": words}
                    | {"sent_at": at(week, number * 4, place)}
                )
            article = number % 5
            source = {"transcript_data_id": transcript, "message_id": "#1", "position": 0, "source": "internal_kb"}
            title = f"KB-{20410 + article} <Descaling> {ODD if article == 1 else ''}".strip()
            sources.append({**source, "source_id": f"article-{article}", "title": title, "row_time": at(week, number * 4, 1)})
    insert("msdyn_copilotevent", events)
    insert("transcript_message", messages)
    insert("transcript_source", sources)
    payload = {"source_table": "msdyn_copilotevent", "column_name": "msdyn_interactiondata", "row_time": at(0, 0)}
    statuses = [("decoded", None), ("decoded", None), ("undecodable", "odd length")]
    insert(
        "payload",
        [{**payload, "source_id": f"{n}", "status": status, "reason": why} for n, (status, why) in enumerate(statuses)],
    )


def graph(weeks):
    insert(
        "graph_user",
        [{"user_id": f"person-{n}", "has_copilot_license": n < 8, "account_enabled": True} for n in range(9)],
    )
    rows = []
    for week in range(weeks):
        for number in range(20 + 10 * week):
            turn = f"turn-{week}-{number}"
            key = {"user_id": f"person-{number % 6}", "session_id": f"session-{week}-{number // 3}", "request_id": turn}
            app = ["BizChat", "Teams", "Word", "Excel", "Outlook", "Loop", "OneNote", "PowerPoint"][number % 8]
            for place, kind in enumerate(["userPrompt", "aiResponse"]):
                rows.append(
                    {**key, "interaction_id": f"{week} {number} {place}", "app": app, "interaction_type": kind}
                    | {"created_at": at(week, number * 2, place), "text": ODD, "body_content": ODD}
                )
    insert("ai_interaction", rows)


def ledger(tables_of, last):
    """Every table was read into the last week, and one of them failed once."""
    run = {"run_id": "run-1", "started_at": at(last, 48), "finished_at": at(last, 49)}
    insert("extraction_run", [run])
    slice = {"run_id": "run-1", "scope": "", "clock": "createdon", "window_start": at(0, 0), "rows": 100, "rejected": 1}
    done = {**slice, "status": "done", "done_until": at(last, 48), "finished_at": at(last, 48), "throttled_seconds": 1.5}
    failed = {**done, "status": "failed", "reason": "503 <busy>", "finished_at": at(last, 47), "done_until": None}
    rows = [{**done, "source": source, "table_name": table} for source, table in tables_of]
    insert("extraction_slice", [*rows, {**failed, "source": tables_of[0][0], "table_name": tables_of[0][1]}])


def save(name, *parts):
    lake.clear()
    for part, *arguments in parts:
        part(*arguments)
    lake.complete()
    (output / name).mkdir(parents=True)
    lake.save(output / name)


EVENTS, INTERACTIONS = ("dataverse", "msdyn_copilotevent"), ("graph", "ai_interaction")
save("both", (dynamics,), (graph, 3), (ledger, [EVENTS, INTERACTIONS], 2))
save("graph", (graph, 1), (ledger, [INTERACTIONS], 0))
save("none", (ledger, [EVENTS], 0))
