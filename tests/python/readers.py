"""Reads a lake with DuckDB, deltalake and pyarrow, and compares it with what the service has and what DataFusion says.

usage: readers.py LAKE SERVED_JSON VIEWS_SQL QUERIES_DIR ANSWERS_DIR

SERVED_JSON  what the emulator has, as its /_emulator/served says
VIEWS_SQL    what `copilot-lake query --duckdb-views` printed
QUERIES_DIR  the shipped queries
ANSWERS_DIR  <query>.answer.json, what `copilot-lake query <query> --format json` printed
"""

import datetime
import json
import pathlib
import sys

import duckdb
import pyarrow.parquet
from deltalake import DeltaTable

lake, served, views, queries, answers = (pathlib.Path(argument) for argument in sys.argv[1:])
served = json.loads(served.read_text())
KEYS = {
    "msdyn_copilotevent": ["msdyn_copiloteventid", "partitionid"],
    "msdyn_copilotinteraction": ["msdyn_copilotinteractionid"],
    "msdyn_copilotinteractiondata": ["msdyn_copilotinteractiondataid"],
    "msdyn_copilottranscript": ["activityid"],
    "msdyn_copilottranscriptdata": ["msdyn_copilottranscriptdataid"],
    "msdyn_conversationinsight": ["msdyn_conversationinsightid"],
    "payload": ["source_table", "source_id", "source_partitionid", "column_name"],
    "transcript_message": ["transcript_data_id", "message_id"],
    "transcript_source": ["transcript_data_id", "message_id", "position"],
    "systemuser": ["systemuserid"],
    "copilot_request": ["request_key"],
    "m365_turn": ["user_id", "session_id", "request_id"],
    "calendar": ["date"],
    "extraction_run": ["run_id"],
    "extraction_slice": ["run_id", "source", "table_name", "scope", "clock", "window_start"],
    "rejected_record": ["source", "table_name", "record_key", "column_name"],
}


def connect():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def files(table):
    folder = lake / table
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("week_start=*/*.parquet"))


def glob(table):
    weeks = any(path.parent.name.startswith("week_start=") for path in files(table))
    if weeks:
        return f"read_parquet('{lake}/{table}/week_start=*/*.parquet', hive_partitioning = true)"
    return f"read_parquet('{lake}/{table}/*.parquet')"


def check_glob():
    """A plain glob has one row per key, and the rows of every week that the service has."""
    connection = connect()
    for table, keys in KEYS.items():
        if files(table):
            rows, distinct = connection.execute(
                f"SELECT count(*), count(DISTINCT ({', '.join(keys)})) FROM {glob(table)}"
            ).fetchone()
            assert rows == distinct, f"{table}: {rows} rows, {distinct} keys"
    people = served["tables"].pop("systemuser")
    rows = connection.execute(f"SELECT count(*), count(full_name) FROM {glob('systemuser')}").fetchone()
    assert 0 < rows[0] == rows[1] <= people["rows"], f"{rows} people of {people['rows']}"
    for table, expected in served["tables"].items():
        weeks = {}
        if files(table):
            found = connection.execute(f"SELECT week_start::DATE, count(*) FROM {glob(table)} GROUP BY 1").fetchall()
            weeks = {week.isoformat(): rows for week, rows in found}
        assert weeks == expected["weeks"], f"{table}: {weeks} is not {expected['weeks']}"
        payloads = connection.execute(
            f"SELECT count(*) FROM {glob('payload')} WHERE source_table = ?", [table]
        ).fetchone()[0]
        assert payloads == expected["files"], f"{table}: {payloads} payloads of {expected['files']}"


def check_delta():
    """deltalake opens every table at reader 1, writer 2, and sees the rows of the glob."""
    for table in KEYS:
        delta = DeltaTable(str(lake / table))
        protocol = delta.protocol()
        assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2), f"{table}: {protocol}"
        if not files(table):
            assert delta.to_pyarrow_table().num_rows == 0
            continue
        connection = connect()
        connection.register("log", delta.to_pyarrow_table())
        columns = ", ".join(f'"{row[0]}"' for row in connection.execute("DESCRIBE log").fetchall())
        for left, right in (("log", glob(table)), (glob(table), "log")):
            missing = connection.execute(
                f"SELECT count(*) FROM (SELECT {columns} FROM {left} EXCEPT ALL SELECT {columns} FROM {right})"
            ).fetchone()[0]
            assert missing == 0, f"{table}: {missing} rows of {left} are not in {right}"


def check_queries():
    """A shipped query gives the same rows in DuckDB, from the same text, and no interaction is told twice."""
    connection = connect()
    connection.execute(views.read_text())
    rows, distinct = connection.execute(
        "SELECT count(*), count(DISTINCT (source_table, event_id, partition_id)) FROM copilot_activity"
    ).fetchone()
    assert rows == distinct, f"copilot_activity: {rows} rows, {distinct} keys"
    for answer in sorted(answers.glob("*.answer.json")):
        name = answer.name.removesuffix(".answer.json")
        result = connection.execute((queries / f"{name}.sql").read_text())
        names = [column[0] for column in result.description]
        rows = [
            {
                name: value.isoformat() if isinstance(value, datetime.date) else value
                for name, value in zip(names, row)
                if value is not None
            }
            for row in result.fetchall()
        ]
        text = answer.read_text()
        expected = [{k: v for k, v in json.loads(line).items() if v is not None} for line in text.splitlines()]
        assert rows, f"{name} has no rows"
        assert rows == expected, f"{name}: {first_difference(rows, expected)}"


def first_difference(left, right):
    for number, (a, b) in enumerate(zip(left, right)):
        if a != b:
            return f"row {number}: {a} is not {b}"
    return f"{len(left)} rows are not {len(right)}"


def check_parquet():
    """Files are sorted as they declare, compressed, without encodings that readers in the field refuse."""
    connection = connect()
    for table, keys in KEYS.items():
        for path in files(table):
            file = pyarrow.parquet.ParquetFile(path)
            names = file.schema_arrow.names
            group = file.metadata.row_group(0)
            assert "week_start" not in names, f"{path}: the partition column is inside the file"
            sorted_by = [names[column.column_index] for column in group.sorting_columns]
            assert sorted_by[1:] == keys, f"{path}: sorted by {sorted_by}"
            order = file.read(columns=sorted_by).to_pylist()
            order = [tuple(row[name] for name in sorted_by) for row in order]
            assert order == sorted(order), f"{path}: not sorted by {sorted_by}"
            for column in (group.column(index) for index in range(group.num_columns)):
                assert column.compression == "ZSTD", f"{path}: {column.compression}"
                strange = [encoding for encoding in column.encodings if encoding.startswith("DELTA")]
                assert not strange, f"{path}: {strange}"
                assert column.has_column_index and column.has_offset_index, f"{path}: no page index"
            for field in file.schema_arrow:
                kind = str(field.type)
                assert kind in KINDS or kind.startswith("decimal"), f"{path}: {field.name} is {kind}"
            metadata = file.metadata.metadata
            assert metadata[b"copilot_lake.table"].decode() == table, f"{path}: {metadata}"
    event = files("msdyn_copilotevent")[0]
    blooms = connection.execute(
        "SELECT path_in_schema FROM parquet_metadata(?) WHERE bloom_filter_offset IS NOT NULL", [str(event)]
    ).fetchall()
    assert ("msdyn_copiloteventid",) in blooms, blooms


KINDS = {"string", "int32", "int64", "bool", "timestamp[us, tz=UTC]", "date32[day]"}

for check in (check_glob, check_delta, check_queries, check_parquet):
    check()
    print(check.__name__, "ok")
