"""Random lakes, and what DuckDB answers every shipped query about them, for the other engine to compare.

usage: random_lakes.py VIEWS_SQL TABLES_JSON QUERIES_DIR COUNT SEED OUTPUT_DIR

The first lake is empty. The others hold what is rare and easily wrong: rows without times, Clear after Up, ratings without
responses, an interaction in both stores, agents, unknown codes, and times around midnight in several zones.
"""

import datetime
import json
import pathlib
import random
import sys

from made_lakes import Lake, shipped, write

views, tables, queries = (pathlib.Path(argument) for argument in sys.argv[1:4])
count, seed, output = int(sys.argv[4]), int(sys.argv[5]), pathlib.Path(sys.argv[6])
lake = Lake(views.read_text(), json.loads(tables.read_text()))
ZONES = ["UTC", "Europe/Berlin", "America/Chicago", "Asia/Kolkata", "Pacific/Auckland", "Asia/Kathmandu"]
KINDS = [*range(100230301, 100230329), 100239999]
SCENARIOS = [100230201, 100230203, 100230205, 100230218, 100230220, 100230321, 100239999]
# Of midnights in the zones above, in UTC.
MIDNIGHTS = [datetime.time(hour, minute) for hour, minute in [(0, 0), (22, 0), (5, 0), (18, 30), (12, 0), (18, 15)]]
APPS = ["BizChat", "Teams", "Word", "Outlook", "Excel"]


class Rows:
    """Random values; each kind of row is a method."""

    def __init__(self, number):
        self.random = random.Random(number)
        # Around a year's end, and a change of the clock.
        self.start = datetime.datetime(*self.random.choice([(2024, 12, 8), (2025, 3, 2), (2025, 10, 12)]))
        self.people = [f"user-{n}" for n in range(self.random.randint(1, 12))]
        self.requests = [f"request-{n}" for n in range(self.random.randint(1, 40))]

    def maybe(self, share, value):
        return value if self.random.random() < share else None

    def time(self, weeks=8):
        day = self.start + datetime.timedelta(days=self.random.randrange(weeks * 7))
        if self.random.random() < 0.3:
            day = datetime.datetime.combine(day.date(), self.random.choice(MIDNIGHTS))
            day += datetime.timedelta(microseconds=self.random.choice([-1, 0, 1, 999_999]))
        else:
            day += datetime.timedelta(microseconds=self.random.randrange(86_400_000_000))
        return f"{day.isoformat(sep=' ')}+00"

    def event(self):
        """A row of either store: what both have of it."""
        kind = self.random.choice([100230301, 100230302, 100230303, *[100230305] * 4, *self.random.sample(KINDS, 4)])
        request = None if kind == 100230309 else self.maybe(0.9, self.random.choice(self.requests))
        time = self.maybe(0.95, self.time())
        return {
            "createdon": time,
            "msdyn_clienttimestamp": self.maybe(0.5, time if self.random.random() < 0.5 else self.time()),
            "msdyn_interactiontype": self.maybe(0.97, kind),
            "msdyn_interactiontype_label": {100230305: "Generated", 100230302: "ThumbsDown"}.get(kind),
            "msdyn_scenariotype": self.maybe(0.97, self.random.choice(SCENARIOS)),
            "msdyn_scenariorequestid": self.random.choice([request, request, request, ""]) if request else request,
            "createdby": self.maybe(0.9, self.random.choice(self.people)),
            "versionnumber": self.random.randint(1, 3),
            "msdyn_interactionforlogicalname": "incident",
            "msdyn_interactionforid": self.random.choice(["case-1", "case-2", None]),
            "transcript_id": self.maybe(0.3, f"chat of {request}"),
            "transcript_data_id": self.maybe(0.3, f"data of {request}"),
            "context_response_status_code": self.random.choice([None, 20000, 20000, 40001]),
            "context_is_auto_prompt": self.random.choice([None, True, False]),
            "deleted_at": self.maybe(0.03, self.time()),
        }

    def verbatim(self):
        return self.random.choice([None, "", "wrong", "läuft nicht 😕", "a\nb"])

    def dynamics(self):
        events, older, texts, payloads = [], [], [], []
        for n in range(self.random.randint(0, 150)):
            row = self.event()
            in_both = self.random.random() < 0.2
            if in_both or self.random.random() < 0.7:
                id = f"event-{n}"
                events.append(
                    row
                    | {"msdyn_copiloteventid": id, "partitionid": self.random.choice(["p", "q"]), "ownerid": "owner"}
                    | {"msdyn_verbatim": self.verbatim(), "msdyn_aiagent": self.maybe(0.1, 192350003)}
                )
                if self.random.random() < 0.3:
                    payloads.append(self.payload("msdyn_copilotevent", id, events[-1]["partitionid"], row["createdon"]))
            if in_both or len(events) + len(older) <= n:
                text = self.maybe(0.5, f"text-{n}")
                older.append(row | {"msdyn_copilotinteractionid": f"older-{n}", "msdyn_interactiondataid": text})
                if text:
                    texts.append({"msdyn_copilotinteractiondataid": text, "msdyn_verbatim": self.verbatim()})
                    texts[-1]["createdon"] = row["createdon"]
                    payloads.append(self.payload("msdyn_copilotinteractiondata", text, "", row["createdon"]))
        self.insert("msdyn_copilotevent", events)
        self.insert("msdyn_copilotinteraction", older)
        self.insert("msdyn_copilotinteractiondata", texts)
        self.insert("payload", payloads)
        self.insert("msdyn_conversationinsight", [self.insight() for _ in range(self.random.randint(0, 5))])

    def payload(self, table, id, partition, time):
        """What a row of that time names."""
        status = self.random.choice(["decoded", "decoded", "empty", "undecodable", "missing"])
        return {
            "source_table": table,
            "source_id": id,
            "source_partitionid": partition,
            "column_name": "msdyn_interactiondata",
            "row_time": time,
            "status": status,
            "text": "Sehr geehrte Frau Ö." if status == "decoded" else None,
            "reason": "odd length" if status == "undecodable" else None,
            "byte_length": self.random.choice([None, 0, 17]),
        }

    def insight(self):
        return {
            "createdon": self.maybe(0.9, self.time()),
            "summary_text": self.random.choice([None, "", "Summary"]),
            "msdyn_summary": self.random.choice([None, "Older summary"]),
            "deleted_at": self.maybe(0.2, self.time()),
        }

    def transcripts(self):
        messages, sources = [], []
        for request in self.random.sample(self.requests, len(self.requests) // 2):
            for n in range(self.random.randint(1, 4)):
                key = {"transcript_data_id": f"data of {request}", "message_id": f"#{n}"}
                messages.append(
                    key
                    | {"sent_at": self.maybe(0.9, self.time()), "sequence": n, "chat_id": f"chat of {request}"}
                    | {"request_id": self.maybe(0.9, request), "role": self.random.choice(["user", "bot"])}
                    | {"is_activity_error": self.random.choice([True, False, None]), "message": self.verbatim()}
                    | {"source_count": self.random.choice([None, 0, 2])}
                )
                for position in range(self.random.choice([0, 0, 2])):
                    article = self.random.choice([None, "", "article-1", "article-2"])
                    sources.append(
                        key
                        | {"position": position, "source_id": article, "row_time": self.time()}
                        | {"title": self.random.choice([None, "", "KB"]), "source": "kb"}
                    )
        self.insert("transcript_message", messages)
        self.insert("transcript_source", sources)

    def graph(self):
        users = [
            {"user_id": person, "has_copilot_license": self.random.choice([True, True, False, None])}
            | {"department": self.random.choice([None, "", "Sales", "IT"]), "account_enabled": True}
            | {"license_assigned_at": self.maybe(0.8, self.time()), "display_name": person}
            for person in self.people[1:]
        ]
        rows, links = [], []
        for n in range(self.random.randint(0, 120)):
            app = self.random.choice(APPS)
            key = {
                "user_id": self.random.choice(self.people),
                "session_id": self.random.choice(["", "session-1", "session-2", "session-3"]),
                "interaction_id": f"interaction-{n}",
            }
            count = self.random.choice([0, 0, 1, 2])
            rows.append(
                key
                | {"request_id": self.random.choice([None, "", *self.requests]), "app": self.maybe(0.95, app)}
                | {"interaction_type": self.random.choice(["userPrompt", "userPrompt", "aiResponse", "new"])}
                | {"created_at": self.maybe(0.95, self.time(15)), "context_count": self.random.choice([None, 0, 1])}
                | {"link_count": count, "attachment_count": 0, "text": self.verbatim(), "locale": "de-de"}
                | {"body_content": self.random.choice(["a", "[AutoGenerated] a", "VisualTheming"])}
            )
            for position in range(count):
                target = self.random.choice(["https://a/?EntityRepresentationId=1", "https://a/", "https://b/?x=1", None])
                links.append(key | {"position": position, "link_url": target, "row_time": rows[-1]["created_at"]})
        self.insert("graph_user", users)
        self.insert("ai_interaction", rows)
        self.insert("ai_interaction_link", links)

    def ledger(self):
        self.insert(
            "extraction_slice",
            [
                {"run_id": f"run-{n % 3}", "source": "dataverse", "table_name": self.random.choice(["a", "ai_interaction"])}
                | {"scope": self.random.choice(["", "user-1"]), "clock": self.random.choice(["createdon", "modifiedon"])}
                | {"window_start": self.time(), "finished_at": self.maybe(0.9, self.time())}
                | {"done_until": self.maybe(0.6, self.time()), "throttled_seconds": self.random.choice([None, 1.25])}
                | {"status": self.random.choice(["done", "done", "failed", "skipped"]), "rows": self.random.randint(0, 9)}
                | {"reason": self.random.choice([None, "", "503"]), "rejected": self.random.choice([None, 0, 1])}
                for n in range(self.random.randint(0, 12))
            ],
        )

    def insert(self, table, rows):
        for row in rows:
            names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
            lake.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))

    def parameter(self, name):
        """A value of a parameter, or nothing."""
        return self.maybe(
            0.5,
            {
                "tz": self.random.choice(ZONES),
                "week_start": self.random.choice(["sunday", "monday"]),
                "from": str(self.start.date() + datetime.timedelta(days=9)),
                "to": str(self.start.date() + datetime.timedelta(days=30)),
                "with_text": self.random.choice(["yes", "no"]),
                "min_group": self.random.choice(["0", "2", "5"]),
                "idle_days": "7",
                "id": self.random.choice(["event-1", "request-1", "chat of request-2", "data of request-3", "session-1"]),
                "request": "request-1",
                "user_id": self.people[0],
            }[name],
        )


def answers_of(number):
    """Every query about one lake, each with parameters of its own."""
    lake.clear()
    rows = Rows(seed * 1000 + number)
    if number > 0:
        rows.dynamics()
        rows.transcripts()
        rows.graph()
        rows.ledger()
    lake.complete()
    folder = output / f"lake-{number}"
    folder.mkdir(parents=True)
    lake.save(folder)
    known = shipped(queries)
    used = lake.connection.execute("SELECT count(*) FROM copilot_activity").fetchone()[0]
    for name, parameters in known.items():
        for parameter in lake.parameters():
            lake.connection.execute(f'RESET VARIABLE "{parameter}"')
        for parameter, _ in parameters:
            value = rows.parameter(parameter)
            if value is not None:
                lake.connection.execute(f'SET VARIABLE "{parameter}" = $value', {"value": value})
        sql = (queries / f"{name}.sql").read_text()
        columns, found = lake.answer(sql)
        yield {
            "where": f"{name}, seed {seed}, lake {number} of {used} activities",
            "lake": str(folder),
            "parameters": lake.parameters(),
            "sql": sql,
            "columns": columns,
            "rows": found,
            "is_ordered": True,
        }


answers = [answer for number in range(count) for answer in answers_of(number)]
empty = {answer["where"].split(",")[0] for answer in answers if answer["rows"]}
if count > 3:
    assert empty == set(shipped(queries)), f"never a row: {set(shipped(queries)) - empty}"
write(output / "answers.json", answers)
print(len(answers), "answers ok")
