"""What users would write instead of `copilot-lake replay`: one peer, in a process of its own.

usage: peers.py PEER MATERIAL OUT [SAMPLE]

MATERIAL  what material.py made
OUT       where weekly Parquet files go: OUT/week_start=.../*.parquet, or OUT/{payload,message,source}/week_start=...
SAMPLE    read so many pages or payloads only
"""

import base64
import codecs
import datetime
import hashlib
import itertools
import json
import pathlib
import sys
import tempfile

from columns import CONTEXT, INTEGER, MESSAGE_COLUMNS, PAYLOAD_COLUMNS, SOURCE_COLUMNS, TIME, WIRES

SUNDAY = datetime.date(2025, 8, 3)


def duckdb_connection():
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    return connection


DUCKDB_TYPES = {TIME: "TIMESTAMP", INTEGER: "BIGINT"}
WEEK_OF_PARTITION = "strptime(left(partitionid, 8), '%Y%m%d')::DATE AS week_start"


def duckdb_copy(select, out):
    to = f"'{out}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (week_start))"
    duckdb_connection().execute(f"COPY ({select}) TO {to}")


def duckdb_columns(separator):
    return ", ".join(f'"{wire}"{separator} {DUCKDB_TYPES.get(kind, "VARCHAR")}' for wire, kind in WIRES.items())


def duckdb_rows(material):
    columns = ", ".join(f"'{wire}': '{DUCKDB_TYPES.get(kind, 'VARCHAR')}'" for wire, kind in WIRES.items())
    return f"read_json('{material}/rows.ndjson', format = 'newline_delimited', columns = {{{columns}}})"


def duckdb_pages(material, out, sample):
    pages = sorted(str(page) for page in (material / "pages").iterdir())[:sample]
    value = f"columns = {{'value': 'STRUCT({duckdb_columns('')})[]'}}, maximum_object_size = 67108864"
    rows = f"SELECT unnest(value, recursive := true) FROM read_json({pages}, format = 'unstructured', {value})"
    duckdb_copy(f"SELECT *, {WEEK_OF_PARTITION} FROM ({rows})", out)


def duckdb_ndjson(material, out, _):
    duckdb_copy(f"SELECT *, {WEEK_OF_PARTITION} FROM {duckdb_rows(material)}", out)


def duckdb_same_work(material, out, _):
    """Beside the rows: the properties of contexts, labels, the tables of owners, and the order of time and key."""
    paths = [f"'$.{path}'" for path, _ in CONTEXT.values()]
    parts = f"json_extract_string(msdyn_interactioncontext, [{', '.join(paths)}])"
    parts = ", ".join(
        f"TRY_CAST(parts[{at}] AS {kind}) AS {name}" for at, (name, (_, kind)) in enumerate(CONTEXT.items(), 1)
    ), parts
    labels = ", ".join(
        f"map_extract_value({{labels}}, {wire}) AS {wire}_label".replace("{labels}", f"MAP {{{codes(first, count)}}}")
        for wire, first, count in (
            ("msdyn_scenariotype", 100_230_200, 20), ("msdyn_interactiontype", 100_230_300, 20), ("msdyn_aiagent", 100_230_400, 8)
        )
    )
    owner = "CASE WHEN _owninguser_value IS NOT NULL THEN 'systemuser' WHEN _owningteam_value IS NOT NULL THEN 'team' END"
    more = f"{parts[0]}, {labels}, {owner} AS ownerid_table, now() AS extracted_at, createdon AS row_time"
    select = f"SELECT * EXCLUDE (parts), {more}, {WEEK_OF_PARTITION} FROM (SELECT *, {parts[1]} AS parts FROM {duckdb_rows(material)})"
    duckdb_copy(f"{select} ORDER BY week_start, row_time, msdyn_copiloteventid", out)


def codes(first, count):
    return ", ".join(f"{code}: 'label of {code}'" for code in range(first, first + count))


def polars_schema():
    import polars as pl

    return {wire: {INTEGER: pl.Int64}.get(kind, pl.String) for wire, kind in WIRES.items()}


def polars_typed(frame):
    import polars as pl

    times = [wire for wire, kind in WIRES.items() if kind == TIME]
    week = pl.col("partitionid").str.head(8).str.to_date("%Y%m%d").alias("week_start")
    return frame.with_columns(pl.col(times).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us"), week)


def polars_pages(material, out, sample):
    """Page by page: whole, they need ten times the memory. A week's rows wait until it is as large as a row group."""
    import polars as pl

    page_schema = {"value": pl.List(pl.Struct(polars_schema()))}
    waiting, number = {}, itertools.count()

    def write(week, frames):
        folder = out / f"week_start={week}"
        folder.mkdir(parents=True, exist_ok=True)
        pl.concat(frames).write_parquet(folder / f"{next(number)}.parquet", compression="zstd")

    for page in sorted((material / "pages").iterdir())[:sample]:
        rows = polars_typed(pl.read_json(page, schema=page_schema).explode("value").unnest("value"))
        for (week,), part in rows.partition_by("week_start", as_dict=True, include_key=False).items():
            frames = waiting.setdefault(week, [])
            frames.append(part)
            if sum(frame.height for frame in frames) >= 120_000:
                write(week, waiting.pop(week))
    for week, frames in waiting.items():
        write(week, frames)


def polars_ndjson(material, out, _):
    import polars as pl

    rows = polars_typed(pl.scan_ndjson(material / "rows.ndjson", schema=polars_schema()))
    rows.sink_parquet(pl.PartitionBy(out, key="week_start", include_key=False), compression="zstd", mkdir=True)


class WeeklyFiles:
    """A Parquet file for each week; rows wait until they are a row group."""

    def __init__(self, folder, schema, rows=100_000, order=(), **options):
        self.folder, self.schema, self.rows, self.waiting, self.files = folder, schema, rows, {}, {}
        self.order, self.options = [(name, "ascending") for name in order], options

    def add(self, week, batch):
        batches = self.waiting.setdefault(week, [])
        batches.append(batch)
        if sum(batch.num_rows for batch in batches) >= self.rows:
            self.write(week)

    def write(self, week):
        import pyarrow as pa
        import pyarrow.parquet as pq

        if week not in self.files:
            (self.folder / f"week_start={week}").mkdir(parents=True)
            path = self.folder / f"week_start={week}" / "0.parquet"
            self.files[week] = pq.ParquetWriter(path, self.schema, compression="zstd", **self.options)
        rows = pa.Table.from_batches(self.waiting.pop(week), self.schema)
        self.files[week].write_table(rows.sort_by(self.order) if self.order else rows)

    def close(self):
        for week in list(self.waiting):
            self.write(week)
        for file in self.files.values():
            file.close()


def python_pages(material, out, sample):
    import orjson
    import pyarrow as pa
    import pyarrow.compute as pc

    types = {TIME: pa.timestamp("us"), INTEGER: pa.int64()}
    schema = pa.schema([(wire, types.get(kind, pa.string())) for wire, kind in WIRES.items()])
    files = WeeklyFiles(out, schema)
    for page in sorted((material / "pages").iterdir())[:sample]:
        rows = orjson.loads(page.read_bytes())["value"]
        columns = []
        for wire, kind in WIRES.items():
            values = [row.get(wire) for row in rows]
            if kind == TIME:
                texts = pa.array([value and value[:-1] for value in values], pa.string())
                columns.append(pc.cast(texts, types[TIME]))
            else:
                columns.append(pa.array(values, schema.field(wire).type))
        batch = pa.RecordBatch.from_arrays(columns, schema=schema)
        weeks = pc.utf8_slice_codeunits(batch["partitionid"], 0, 8)
        for week in pc.unique(weeks).to_pylist():
            named = f"{week[:4]}-{week[4:6]}-{week[6:]}"
            files.add(named, batch.filter(pc.equal(weeks, week)))
    files.close()


def dlt_pages(material, out, sample):
    import dlt
    import orjson

    @dlt.resource(name="events", max_table_nesting=0, columns={"week_start": {"partition": True}})
    def events():
        for page in sorted((material / "pages").iterdir())[:sample]:
            rows = orjson.loads(page.read_bytes())["value"]
            for row in rows:
                del row["@odata.etag"]
                week = row["partitionid"]
                row["week_start"] = f"{week[:4]}-{week[4:6]}-{week[6:8]}"
            yield rows

    destination = dlt.destinations.filesystem(bucket_url=str(out), layout="{table_name}/{load_id}.{file_id}.{ext}")
    with tempfile.TemporaryDirectory() as state:
        pipeline = dlt.pipeline("peers", destination=destination, dataset_name="lake", pipelines_dir=state)
        pipeline.run(events(), loader_file_format="parquet").raise_on_failed_jobs()


def python_payloads(material, out, sample):
    import orjson
    import pyarrow as pa

    texts = pa.schema([("id", pa.string()), ("text", pa.string())])
    names = ("id", "message_id", "sequence", "role", "request_id", "sent_at", "customer_intent", "message")
    types = {"sequence": pa.int32(), "sent_at": pa.timestamp("ms")}
    messages = pa.schema([(name, types.get(name, pa.string())) for name in names])
    files = WeeklyFiles(out / "payload", texts, 5_000), WeeklyFiles(out / "message", messages, 20_000)
    week_of = {}
    with open(material / "payloads.ndjson", "rb") as lines:
        lines = itertools.islice(lines, sample)
        while part := list(itertools.islice(lines, 2_000)):
            weeks = {}
            for line in map(orjson.loads, part):
                text = codecs.decode(base64.b64decode(line["content"]), "utf-16-le")
                day = line["time"][:10]
                week = week_of.get(day)
                if week is None:
                    date = datetime.date.fromisoformat(day)
                    week = week_of[day] = date - datetime.timedelta((date - SUNDAY).days % 7)
                rows = weeks.setdefault(week, ([], []))
                rows[0].append((line["id"], text))
                for message in json.loads(text)["messages"]:
                    intent = message["context"].get("customerIntent")
                    values = (message[name] for name in ("id", "sequence", "user", "requestId", "timestamp"))
                    rows[1].append((line["id"], *values, intent, message["message"]))
            for week, rows in weeks.items():
                for file, rows_of_file in zip(files, rows):
                    arrays = [pa.array(values, of.type) for values, of in zip(zip(*rows_of_file), file.schema)]
                    file.add(week, pa.RecordBatch.from_arrays(arrays, schema=file.schema))
    for file in files:
        file.close()


def archived_payloads(material, sample):
    """The payloads of the archive, each with what its index says of it."""
    import orjson
    import zstandard

    def entries():
        decompressor = zstandard.ZstdDecompressor()
        for index in sorted((material / "payload-archive").rglob("index.jsonl.zst")):
            with open(index.parent / "bundle-0001.zst", "rb") as bundle:
                for line in decompressor.decompressobj().decompress(index.read_bytes()).splitlines():
                    line = orjson.loads(line)
                    bundle.seek(line["offset"])
                    frame = bundle.read(line["length"])
                    if hashlib.sha256(frame).hexdigest() != line["sha256"]:
                        raise ValueError(f"{index}: damaged at {line['offset']}")
                    yield line["about"], decompressor.decompress(frame)

    return itertools.islice(entries(), sample)


def same_work_files(out):
    """The tables, with the order and the Bloom filters of the lake's."""
    import pyarrow as pa

    time, number = pa.timestamp("us", "UTC"), pa.int32()
    types = {"row_time": time, "sent_at": time, "extracted_at": time, "byte_length": pa.int64(), "sequence": number}
    types |= {"position": number, "source_count": number, "is_activity_error": pa.bool_()}
    unique = {"source_id", "file_id", "byte_length", "text", "message_id", "message", "row_time"}
    for name, columns, key, filters, rows in (
        ("payload", PAYLOAD_COLUMNS, ("source_table", "source_id", "source_partitionid", "column_name"), ("source_id",), 5_000),
        ("message", MESSAGE_COLUMNS, ("transcript_data_id", "message_id"), ("transcript_data_id", "request_id"), 20_000),
        ("source", SOURCE_COLUMNS, ("transcript_data_id", "message_id", "position"), ("transcript_data_id",), 20_000),
    ):
        schema = pa.schema([(column, types.get(column, pa.string())) for column in columns])
        yield WeeklyFiles(
            out / name, schema, rows, ("row_time", *key), write_page_index=True,
            use_dictionary=[column for column in columns if column not in unique],
            bloom_filter_options={column: {"ndv": rows, "fpp": 1e-4} for column in filters},
        )


def python_payloads_same_work(material, out, sample):
    """As python_payloads, of the archive, with all columns and the cited sources, in the order of time and key."""
    import pyarrow as pa

    files = tuple(same_work_files(out))
    parse = datetime.datetime.fromisoformat
    payloads = archived_payloads(material, sample)
    while part := list(itertools.islice(payloads, 2_000)):
        weeks = {}
        for about, content in part:
            raw = base64.b64decode(content)
            text = codecs.decode(raw, "utf-16-le")
            at, read_at, key = parse(about["row_time"]), parse(about["extracted_at"]), about["source_id"]
            week = at.date() - datetime.timedelta((at.date() - SUNDAY).days % 7)
            rows = weeks.setdefault(week, ([], [], []))
            rows[0].append((
                about["source_table"], key, about["source_partitionid"], about["column"], at, about["file_id"],
                about["service_name"] or about["row_name"], len(content), "decoded", "base64+utf-16le", text, read_at,
            ))
            chat = json.loads(text)
            of_chat = tuple(chat["context"].get(name) for name in ("chatId", "sessionId", "entityId", "entityName"))
            for message in chat["messages"]:
                sources = message.get("sources")
                rows[1].append((
                    key, message["id"], at, message["timestamp"] * 1_000, message["sequence"], message["user"],
                    message["requestId"], *of_chat, message["isActivityError"], len(sources or ()),
                    message["context"].get("customerIntent"), message["message"], read_at,
                ))
                for position, source in enumerate(sources or ()):
                    cited = (source["id"], source["source"], source["title"])
                    rows[2].append((key, message["id"], position, at, *cited, read_at))
        for week, rows in weeks.items():
            for file, rows_of_file in zip(files, rows):
                if rows_of_file:
                    arrays = [pa.array(values, of.type) for values, of in zip(zip(*rows_of_file), file.schema)]
                    file.add(week, pa.RecordBatch.from_arrays(arrays, schema=file.schema))
    for file in files:
        file.close()


PEERS = {
    "duckdb-pages": duckdb_pages,
    "duckdb-ndjson": duckdb_ndjson,
    "duckdb-same-work": duckdb_same_work,
    "polars-pages": polars_pages,
    "polars-ndjson": polars_ndjson,
    "python-pages": python_pages,
    "dlt-pages": dlt_pages,
    "python-payloads": python_payloads,
    "python-payloads-same-work": python_payloads_same_work,
}

if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in PEERS:
        sys.exit(__doc__)
    name, material, out, *sample = sys.argv[1:]
    PEERS[name](pathlib.Path(material), pathlib.Path(out), int(sample[0]) if sample else None)
