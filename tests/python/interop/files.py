"""What the data model says of Parquet files, held against every file of a lake, and of checkpoints."""

import datetime
import pathlib

import duckdb
import pyarrow
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from lake import TYPES

ROWS, BYTES = 1_048_576, 128 << 20
# Statistics hold this many bytes of a text at most.
BOUND = 64
# By table: ids of keys, requests, sessions and users, and those by which tables are joined.
BLOOM = {
    "ai_interaction": "user_id session_id request_id",
    "ai_interaction_attachment": "user_id session_id",
    "ai_interaction_context": "user_id session_id",
    "ai_interaction_link": "user_id session_id",
    "ai_interaction_mention": "user_id session_id",
    "copilot_request": "request_key request_id user_id transcript_id",
    "graph_user": "user_id",
    "m365_turn": "user_id session_id",
    "msdyn_conversationinsight": "msdyn_conversationinsightid msdyn_conversationid createdby ownerid",
    "msdyn_copilotevent": "msdyn_copiloteventid msdyn_scenariorequestid context_oc_session_id createdby ownerid",
    "msdyn_copilotinteraction": "msdyn_copilotinteractionid msdyn_scenariorequestid context_oc_session_id "
    "msdyn_interactiondataid createdby",
    "msdyn_copilotinteractiondata": "msdyn_copilotinteractiondataid createdby ownerid",
    "msdyn_copilottranscript": "activityid regardingobjectid createdby ownerid",
    "msdyn_copilottranscriptdata": "msdyn_copilottranscriptdataid msdyn_copilottranscriptid createdby ownerid",
    "payload": "source_id",
    "rejected_record": "record_key",
    "systemuser": "systemuserid",
    "transcript_message": "transcript_data_id request_id",
    "transcript_source": "transcript_data_id",
}


def wrong(lake, definitions):
    """What is not as the data model says, for every file that the log names."""
    found, count = [], 0
    for name, definition in definitions.items():
        logged = statistics(lake, name)
        for path in lake.paths(name):
            count += 1
            path = pathlib.Path(lake.url) / path
            found += [f"{path.name} of {name}: {each}" for each in of_file(path, definition, logged[path.name])]
    found += of_checkpoints(pathlib.Path(lake.url))
    return found if count > 100 else [*found, f"only {count} files"]


def of_checkpoints(folder):
    """Every column is plain, without dictionaries, which some readers, such as Fabric, do not read there."""
    paths = sorted(folder.glob("*/_delta_log/*.checkpoint*.parquet"))
    for path in paths:
        metadata = pq.read_metadata(path)
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            for column in map(group.column, range(group.num_columns)):
                # The levels of nested columns are always RLE.
                if column.has_dictionary_page or not {"PLAIN", "RLE"}.issuperset(column.encodings):
                    yield f"{path.relative_to(folder)}: {column.path_in_schema}: {column.encodings}"
    if not paths:
        yield "no checkpoint"


def statistics(lake, name):
    actions = pyarrow.table(DeltaTable(f"{lake.url}/{name}").get_add_actions(flatten=True)).to_pylist()
    return {pathlib.Path(action["path"]).name: action for action in actions}


def of_file(path, definition, logged):
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    types = {name: TYPES[kind] for name, kind in definition.types.items() if name != "week_start"}
    if dict(zip(names, file.schema_arrow.types)) != types:
        yield f"types are {file.schema_arrow}"
        return
    if (file.metadata.metadata or {}).get(b"copilot_lake.table") != definition.name.encode():
        yield f"metadata is {file.metadata.metadata}"
    rows = file.read()
    order = [definition.time, *definition.key] if definition.time else definition.key
    yield from of_order(file, rows, order)
    if definition.weeks:
        week = datetime.datetime.combine(
            datetime.date.fromisoformat(path.parent.name.removeprefix("week_start=")), datetime.time(), datetime.UTC
        )
        bounds = pc.min_max(rows["row_time"]).as_py()
        if not week <= bounds["min"] <= bounds["max"] < week + datetime.timedelta(days=7):
            yield f"rows of {bounds} in the week of {week}"
    at = 0
    for group in map(file.metadata.row_group, range(file.num_row_groups)):
        yield from of_group(group, rows.slice(at, group.num_rows))
        at += group.num_rows
    yield from of_log(logged, rows)
    query = "SELECT DISTINCT path_in_schema FROM parquet_metadata(?) WHERE bloom_filter_offset IS NOT NULL"
    blooms = {row[0] for row in duckdb.execute(query, [str(path)]).fetchall()}
    if blooms != set(BLOOM.get(definition.name, "").split()):
        yield f"Bloom filters on {sorted(blooms)}"


def of_order(file, rows, order):
    declared = {
        tuple(file.schema_arrow.names[each.column_index] for each in group.sorting_columns)
        for group in map(file.metadata.row_group, range(file.num_row_groups))
    }
    if declared != {tuple(order)}:
        yield f"declared to be sorted by {declared}, not {order}"
    keys = rows.select(order).combine_chunks()
    if not keys.sort_by([(name, "ascending") for name in order]).equals(keys):
        yield f"not sorted by {order}"


def of_group(group, rows):
    if group.num_rows > ROWS or group.total_byte_size > BYTES:
        yield f"a row group of {group.num_rows} rows and {group.total_byte_size} bytes"
    for column in map(group.column, range(group.num_columns)):
        name, values = column.path_in_schema, rows[column.path_in_schema]
        if column.compression != "ZSTD":
            yield f"{name}: {column.compression}"
        if any(encoding.startswith("DELTA") for encoding in column.encodings):
            yield f"{name}: {column.encodings}"
        if not (column.has_column_index and column.has_offset_index):
            yield f"{name}: no page index"
        found = column.statistics
        if found is None or found.null_count != values.null_count:
            yield f"{name}: statistics {found}, {values.null_count} nulls"
        elif found.has_min_max != (values.null_count < len(values)):
            yield f"{name}: bounds are there: {found.has_min_max}"
        elif found.has_min_max and not bounds_are_true(found.min, found.max, values, BOUND):
            yield f"{name}: {found.min!r} to {found.max!r} are not the bounds"


def bounds_are_true(low, high, values, limit):
    """Whether the bounds are the least and the greatest value; of long texts, whether they lie outside of both."""
    there = pc.min_max(values).as_py()
    if isinstance(low, str) and max(len(each.encode()) for each in there.values()) >= limit:
        return low.encode() <= there["min"].encode() and there["max"].encode() <= high.encode()
    return (low, high) == (there["min"], there["max"])


def of_log(logged, rows):
    """The log's statistics: the number of rows, and bounds, of times to the millisecond."""
    if logged["num_records"] != rows.num_rows:
        yield f"the log has {logged['num_records']} rows, the file {rows.num_rows}"
    for name in rows.column_names:
        low, high, nulls = (logged.get(f"{kind}.{name}") for kind in ("min", "max", "null_count"))
        if nulls is not None and nulls != rows[name].null_count:
            yield f"the log has {nulls} nulls of {name}, the file {rows[name].null_count}"
        if low is None:
            continue
        there = pc.min_max(rows[name]).as_py()
        slack = datetime.timedelta(milliseconds=1) if isinstance(low, datetime.datetime) else None
        if low > there["min"] or (high + slack if slack else high) < there["max"]:
            yield f"the log says {name} is {low!r} to {high!r}, the file {there}"
