"""Prints the rows of a file in an object store, as Polars counts them, or `missing`; of a page, its lines.

usage: read_file.py URL OPTIONS_JSON    OPTIONS_JSON: how the store is reached, as object_store names it
"""

import json
import os
import pathlib
import sys
import tempfile

# A file that was replaced within a second is not taken for the one before.
os.environ["POLARS_FILE_CACHE_TTL"] = "0"
os.environ["POLARS_TEMP_DIR"] = tempfile.mkdtemp()

import polars  # noqa: E402

url, options = sys.argv[1], json.loads(pathlib.Path(sys.argv[2]).read_text())
scan = polars.scan_parquet if url.endswith(".parquet") else polars.scan_csv
lines = {"has_header": False, "separator": "\x01", "quote_char": None} if url.endswith(".html") else {}
try:
    print(scan(url, storage_options=options, **lines).select(polars.len()).collect().item())
except FileNotFoundError:
    print("missing")
