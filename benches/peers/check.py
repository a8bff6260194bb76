"""Whether a peer's files say what the lake says, and how many bytes each column takes.

usage: check.py LAKE events|payloads OUT       prints OUT's rows, and columns that it lacks; fails unless all values are the lake's
       check.py LAKE sizes OUT                 prints bytes by column, as JSON
"""

import json
import pathlib
import sys

import duckdb
from columns import INTEGER, MESSAGE_COLUMNS, PAYLOAD_COLUMNS, SOURCE_COLUMNS, TIME, WIRES, stored

MESSAGE = "message_id, sequence, role, request_id, epoch_us({}), customer_intent, message"


def files(folder):
    """All rows below a folder; of a table of the lake, without what its log consists of."""
    weeks = "week_start=*/" if any(folder.glob("week_start=*")) else "**/"
    return f"read_parquet('{folder}/{weeks}*.parquet', hive_partitioning = true, union_by_name = true)"


def connect():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def digest(connection, values, rows, keys=None):
    """Rows, and two sums over the hashes of their values."""
    where = f" WHERE {keys}" if keys else ""
    sql = f"SELECT count(*), bit_xor(h), sum(h % 1000000007) FROM (SELECT hash({values}) AS h FROM {rows}{where})"
    return connection.execute(sql).fetchone()


def compare(connection, what, of_lake, of_peer):
    expected, found = digest(connection, *of_lake), digest(connection, *of_peer)
    assert found[0] > 0 and expected == found, f"{what}: {found}, and the lake has {expected}"
    return found[0]


def values(columns, name):
    types = {INTEGER: '"{}"::BIGINT', TIME: 'epoch_us("{}"::TIMESTAMPTZ)'}
    return ", ".join(types.get(kind, '"{}"').format(name(wire)) for wire, kind in columns.items())


def check_events(connection, lake, out):
    lake, peer = files(lake / "msdyn_copilotevent"), files(out)
    names = {row[0] for row in connection.execute(f"DESCRIBE FROM {peer}").fetchall()}
    # dlt writes names in its own way.
    named = (lambda wire: wire) if "_ownerid_value" in names else (lambda wire: wire.lstrip("_"))
    keys = f"msdyn_copiloteventid IN (SELECT msdyn_copiloteventid FROM {peer})"
    columns = WIRES if set(map(named, WIRES)) <= names else {w: k for w, k in WIRES.items() if named(w) in names}
    with_week = lambda name: values(columns, name) + ", week_start::DATE"  # noqa: E731
    if "week_start" not in names:
        with_week = lambda name: values(columns, name)  # noqa: E731
    rows = compare(connection, "events", (with_week(stored), lake, keys), (with_week(named), peer))
    return rows, sorted(set(WIRES) - set(columns))


def check_payloads(connection, lake, out):
    if (out / "source").exists():
        return check_same_work(connection, lake, out)
    peer = files(out / "payload")
    ids = f"IN (SELECT id FROM {peer})"
    rows = compare(
        connection, "payloads", ("source_id, text, week_start::DATE", files(lake / "payload"), f"source_id {ids}"),
        ("id, text, week_start::DATE", peer),
    )
    of_lake = f"transcript_data_id, {MESSAGE.format('sent_at::TIMESTAMPTZ')}", files(lake / "transcript_message"), f"transcript_data_id {ids}"
    compare(connection, "messages", of_lake, (f"id, {MESSAGE.format('sent_at::TIMESTAMPTZ')}", files(out / "message")))
    return rows, []


def check_same_work(connection, lake, out):
    """All tables, with all columns that have values."""
    counts = []
    for name, table, columns in (
        ("payload", "payload", PAYLOAD_COLUMNS), ("message", "transcript_message", MESSAGE_COLUMNS),
        ("source", "transcript_source", SOURCE_COLUMNS),
    ):
        values = ", ".join(f"epoch_us({column})" if column.endswith("_at") or column == "row_time" else column for column in columns)
        values += ", week_start::DATE"
        peer, chat = files(out / name), "source_id" if name == "payload" else "transcript_data_id"
        read = f"{chat} IN (SELECT source_id FROM {files(out / 'payload')})"
        counts.append(compare(connection, name, (values, files(lake / table), read), (values, peer)))
    return counts[0], []


def sizes(connection, folder):
    """Bytes of each column as compressed, and of all Bloom filters."""
    weeks = "week_start=*/" if any(folder.glob("week_start=*")) else "**/"
    of = f"parquet_metadata('{folder}/{weeks}*.parquet')"
    columns = connection.execute(f"SELECT path_in_schema, sum(total_compressed_size) FROM {of} GROUP BY ALL").fetchall()
    bloom = connection.execute(f"SELECT coalesce(sum(bloom_filter_length), 0) FROM {of}").fetchone()[0]
    return {name: int(size) for name, size in columns} | {"Bloom filters": int(bloom)}


def main(lake, what, out):
    lake, out = pathlib.Path(lake), pathlib.Path(out)
    connection = connect()
    if what == "sizes":
        print(json.dumps(sizes(connection, out)))
    else:
        print(json.dumps((check_events if what == "events" else check_payloads)(connection, lake, out)))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
