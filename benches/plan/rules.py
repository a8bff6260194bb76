"""The constants by which the program writes, each read from the line of the source that defines it."""

import functools
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
WRITER, PIPELINE = "crates/writer/src", "crates/pipeline/src"

# Name here: file, name there, and for a field of a value the field.
WHERE = {
    "small_bytes": (f"{WRITER}/maintenance/small_files.rs", "SMALL_BYTES"),
    "merged_bytes": (f"{WRITER}/maintenance/small_files.rs", "MERGED_BYTES"),
    "merge_memory": (f"{WRITER}/maintenance/small_files.rs", "MERGE_BYTES"),
    "merge_expansion": (f"{WRITER}/maintenance/small_files.rs", "EXPANSION"),
    "merged_files": (f"{WRITER}/maintenance/small_files.rs", "MERGED_FILES"),
    "tolerated_closed_week": (f"{WRITER}/maintenance/small_files.rs", "TOLERATED", "closed_week"),
    "tolerated_table": (f"{WRITER}/maintenance/small_files.rs", "TOLERATED", "table"),
    "file_bytes": (f"{WRITER}/parquet/writer.rs", "FILE_BYTES"),
    "single_put_bytes": (f"{WRITER}/parquet/writer.rs", "SINGLE_BYTES"),
    "part_bytes": (f"{WRITER}/storage/stored_file.rs", "PART_BYTES"),
    "row_group_bytes": (f"{WRITER}/parquet/properties.rs", "ROW_GROUP_BYTES"),
    "checkpoint_commits": (f"{WRITER}/delta/checkpoint.rs", "CHECKPOINT_COMMITS"),
    "removed_files_days": (f"{WRITER}/lake_storage.rs", "RETENTION_DAYS"),
    "lease_seconds": (f"{WRITER}/storage/lease.rs", "RENEWED_EVERY"),
    "filter_bytes": (f"{WRITER}/key_filter.rs", "FILTER_BYTES"),
    "key_false_positives": (f"{WRITER}/parquet/properties.rs", "KEY_FALSE_POSITIVE_RATE"),
    "searches": (f"{WRITER}/merge/key_scan.rs", "SEARCHES"),
    "searched_rows": (f"{WRITER}/merge/key_scan.rs", "SEARCHED_ROWS"),
    "probe_values": (f"{WRITER}/parquet/key_probe.rs", "MAX_VALUES"),
    "ledger_first_wait": (f"{PIPELINE}/ledger/commit_queue.rs", "FIRST_WAIT"),
    "ledger_last_wait": (f"{PIPELINE}/ledger/commit_queue.rs", "LAST_WAIT"),
    "ledger_rows": (f"{PIPELINE}/ledger/commit_queue.rs", "ROWS"),
    "ledger_commits": (f"{PIPELINE}/ledger/commit_queue.rs", "COMMITS"),
    "ledger_max_rows": (f"{PIPELINE}/ledger/commit_queue.rs", "SLICES", "max_rows"),
    "ledger_few_rows": (f"{PIPELINE}/ledger/commit_queue.rs", "SLICES", "few_rows"),
    "ledger_max_files": (f"{PIPELINE}/ledger/commit_queue.rs", "SLICES", "max_files"),
    "graph_first_wait": (f"{PIPELINE}/graph/pending.rs", "FIRST_COMMIT"),
    "graph_last_wait": (f"{PIPELINE}/graph/pending.rs", "LAST_COMMIT"),
    "graph_rows": (f"{PIPELINE}/graph/pending.rs", "ROWS"),
    "payload_seconds": (f"{PIPELINE}/payloads/mod.rs", "COMMITTED_AFTER"),
    "payload_bytes": (f"{PIPELINE}/payloads/mod.rs", "COMMITTED_AFTER_BYTES"),
    "calls_per_hour": (f"{PIPELINE}/dataverse/estimate.rs", "CALLS_PER_HOUR"),
    "payload_execution": (f"{PIPELINE}/dataverse/estimate.rs", "PAYLOAD_SECONDS"),
    "execution_per_second": (f"{PIPELINE}/dataverse/estimate.rs", "SECONDS_PER_SECOND"),
    "payloads_in_batch": (f"{PIPELINE}/dataverse/estimate.rs", "IN_A_BATCH"),
}
# Delta Lake's default for `delta.logRetentionDuration`, which no table sets.
LOG_DAYS = 30


@functools.cache
def rule(name):
    """The value of a constant; a duration is in seconds."""
    file, constant, *field = WHERE[name]
    text = (ROOT / file).read_text()
    found = re.search(rf"const {constant}: [^=]+ = ([^;]+);", text)
    if not found:
        raise SystemExit(f"{file} has no `{constant}` any more: rules.py has to follow it")
    value = found[1]
    if field:
        value = re.search(rf"\b{field[0]}: ([\d_]+)", value)[1]
    value = re.sub(r"Duration::from_secs\((.+)\)", r"\1", value)
    if not re.fullmatch(r"[\d_.e\s*+()<-]+", value):
        raise SystemExit(f"{file}: `{constant}` is {value!r}, which is no number")
    return eval(value)


def origin(name):
    """Where a constant is defined, as Markdown."""
    file, constant, *field = WHERE[name]
    return f"`{'.'.join([constant, *field])}` in [{file}](../../{file})"
