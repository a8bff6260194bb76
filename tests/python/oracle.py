"""Works out feedback, use and funnel again, from what the service says of its rows: slowly, and without any lake.

usage: oracle.py SERVICE_URL TENANT CLIENT_ID CLIENT_SECRET ZONE ANSWERS_DIR

ANSWERS_DIR holds <query>.json, what `copilot-lake query <query> --format json` printed.
"""

import collections
import datetime
import json
import pathlib
import sys
import urllib.parse
import urllib.request
import zoneinfo

url, tenant, client, secret, zone, answers = sys.argv[1:]
url, zone, answers = url.rstrip("/"), zoneinfo.ZoneInfo(zone), pathlib.Path(answers)
UP, DOWN, CLEAR, COPY, GENERATED, SEND, EDIT, MANUAL_COPY, AVAILABLE = range(100230301, 100230310)
ACCEPT, VIEW_HISTORY, EXPAND, KEEP, DISCARD, CHECK = (100230300 + n for n in (12, 13, 14, 16, 17, 26))


def token():
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret, "scope": f"{url}/.default"}
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{url}/{tenant}/oauth2/v2.0/token", data) as response:
        return json.load(response)["access_token"]


def rows(entity_set):
    headers, link = {"Authorization": f"Bearer {token()}", "Accept": "application/json"}, f"{url}/api/data/v9.2/{entity_set}"
    while link:
        with urllib.request.urlopen(urllib.request.Request(link, headers=headers)) as response:
            page = json.load(response)
        yield from page["value"]
        link = page.get("@odata.nextLink")


def instant(text):
    return text and datetime.datetime.fromisoformat(text)


def activity(row, id, verbatim):
    request = row.get("msdyn_scenariorequestid") or None
    context = json.loads(row.get("msdyn_interactioncontext") or "{}")
    scenario, agent = row.get("msdyn_scenariotype"), row.get("msdyn_aiagent")
    return {
        "request": request or id,
        "has_request": request is not None,
        "scenario": scenario,
        "kind": row.get("msdyn_interactiontype"),
        "human": agent is None and scenario not in (100230218, 100230220),
        "user": row.get("_createdby_value") or row.get("_ownerid_value"),
        "client": instant(row.get("msdyn_clienttimestamp")),
        "created": instant(row.get("createdon")),
        "version": row.get("versionnumber") or 0,
        "id": id,
        "for": (row.get("msdyn_interactionforlogicalname"), row.get("msdyn_interactionforid")),
        "verbatim": verbatim or None,
        "auto": context.get("IsAutoPrompt"),
    }


def activities():
    """Every interaction once: the newer store's, and the older one's of which the newer has no twin."""
    texts = {row["msdyn_copilotinteractiondataid"]: row.get("msdyn_verbatim") for row in rows("msdyn_copilotinteractiondatas")}
    newer = [activity(row, row["msdyn_copiloteventid"], row.get("msdyn_verbatim")) for row in rows("msdyn_copilotevents")]
    older = [
        activity(row, row["msdyn_copilotinteractionid"], texts.get(row.get("_msdyn_interactiondataid_value")))
        for row in rows("msdyn_copilotinteractions")
    ]

    def twin(of):
        return (of["request"] if of["has_request"] else None, of["scenario"], of["kind"], of["client"], of["user"])

    twins = collections.defaultdict(list)
    for row in newer:
        twins[twin(row)].append(row)
    kept = []
    for row in older:
        found = twins.get(twin(row)) if row["has_request"] or None not in twin(row)[1:] else None
        if found:
            of = found.pop(0)
            of["verbatim"] = of["verbatim"] or row["verbatim"]
        else:
            kept.append(row)
    return newer + kept


def day(time):
    return time.astimezone(zone).date()


def week(time):
    local = day(time)
    return local - datetime.timedelta(days=(local.weekday() + 1) % 7)


def rating(of_request):
    """The last of the ratings, and whether a ThumbsDown has text."""
    ratings = [row for row in of_request if row["kind"] in (UP, DOWN, CLEAR)]
    ratings.sort(key=lambda row: (row["client"] or row["created"], row["created"], row["version"], row["id"]))
    text = any(row["kind"] == DOWN and row["verbatim"] for row in ratings)
    return (ratings[-1]["kind"] if ratings else None), text


def ratio(part, whole):
    return part / whole if whole else None


def compute(all_rows):
    requests = collections.defaultdict(list)
    for row in all_rows:
        requests[row["request"]].append(row)
    counts = collections.defaultdict(collections.Counter)
    people = collections.defaultdict(set)
    offered = collections.defaultdict(set)
    for of_request in requests.values():
        responses = [row for row in of_request if row["kind"] == GENERATED and row["human"]]
        if not responses:
            continue
        first = min(responses, key=lambda row: row["created"])
        count = counts[week(first["created"]), min(row["scenario"] for row in responses)]
        done = {row["kind"] for row in of_request if row["human"]}
        last, text = rating(of_request)
        self_started = any(row["auto"] is False for row in responses) and not any(row["auto"] for row in responses)
        used = bool(done & {COPY, SEND, EDIT, MANUAL_COPY, ACCEPT, KEEP})
        count.update(
            responses=1,
            up=last == UP,
            down=last == DOWN,
            text=last == DOWN and text,
            used_copy=bool(done & {COPY, MANUAL_COPY}),
            used_any=used,
            viewed=bool(done & {VIEW_HISTORY, EXPAND, CHECK}),
            edited=EDIT in done,
            kept=KEEP in done,
            discarded=DISCARD in done,
            self_started=self_started,
            used_self_started=self_started and used,
        )
    for row in all_rows:
        key = (week(row["created"]), row["scenario"])
        counts[key].update(events_up=row["kind"] == UP, events_down=row["kind"] == DOWN)
        if row["human"]:
            counts[key].update(generated=row["kind"] == GENERATED, copies=row["kind"] in (COPY, MANUAL_COPY), human=1)
            if row["kind"] != AVAILABLE:
                people[key].add(row["user"])
            else:
                offered[key].add((row["user"], row["for"], day(row["created"])))
    return counts, people, offered


def check(name, expected):
    found = {}
    for line in (answers / f"{name}.json").read_text().splitlines():
        row = json.loads(line)
        found[datetime.date.fromisoformat(row.pop("week_start")), row.pop("scenario", None)] = row
    assert found.keys() == expected.keys(), f"{name}: {sorted(found.keys() ^ expected.keys())[:5]}"
    for key, row in expected.items():
        for column, value in row.items():
            seen = found[key].get(column)
            same = seen is value if seen is None or value is None else abs(seen - value) < 1e-9
            assert same, f"{name}: {key} {column} is {seen}, not {value}"
    print(f"{name}: {len(expected)} rows ok")


counts, people, offered = compute(activities())
check(
    "feedback_rates",
    {
        key: {
            "responses": count["responses"],
            "rated_responses": count["up"] + count["down"],
            "up": count["up"],
            "down": count["down"],
            "net_positive_rate": ratio(count["up"], count["up"] + count["down"]),
            "feedback_rate": ratio(count["up"] + count["down"], count["responses"]),
            "rating_events_up": count["events_up"],
            "rating_events_down": count["events_down"],
            "thumbs_down_with_verbatim_rate": ratio(count["text"], count["down"]),
        }
        for key, count in counts.items()
        if count["responses"] or count["events_up"] or count["events_down"]
    },
)
check(
    "scenario_usage",
    {
        key: {
            "active_users": len(people[key] - {None}),
            "responses": count["responses"],
            "response_events": count["generated"],
            "copy_events": count["copies"],
            "used_event_ratio": ratio(count["copies"], count["generated"]),
            "responses_used_copy": count["used_copy"],
            "responses_used_any": count["used_any"],
            "used_rate": ratio(count["used_any"], count["responses"]),
            "responses_discarded": count["discarded"],
            "discard_rate": ratio(count["discarded"], count["kept"] + count["discarded"]),
        }
        for key, count in counts.items()
        if count["human"] or count["responses"]
    },
)
check(
    "scenario_funnel",
    {
        key: {
            "available": len(offered[key]),
            "generated": count["responses"],
            "viewed": count["viewed"],
            "used_copy": count["used_copy"],
            "used_any": count["used_any"],
            "edited": count["edited"],
            "rated": count["up"] + count["down"],
            "positive": count["up"],
            "positive_rate": ratio(count["up"], count["up"] + count["down"]),
            "self_started": count["self_started"],
            "used_self_started_rate": ratio(count["used_self_started"], count["self_started"]),
        }
        for key, count in counts.items()
        if count["responses"] or offered[key]
    },
)
