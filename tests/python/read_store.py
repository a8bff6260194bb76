"""Reads a lake in an object store with deltalake and Polars, and compares the rows of each table with what is expected.

usage: read_store.py LAKE_URL OPTIONS_JSON EXPECTED_JSON

OPTIONS_JSON   how the store is reached, as object_store names it
EXPECTED_JSON  rows by table
"""

import json
import pathlib
import sys

import polars
from deltalake import DeltaTable

lake, options, expected = sys.argv[1], *(json.loads(pathlib.Path(path).read_text()) for path in sys.argv[2:])
for table, rows in expected.items():
    url = f"{lake}/{table}"
    found = DeltaTable(url, storage_options=options).to_pyarrow_table().num_rows
    assert found == rows, f"{table}: deltalake has {found} rows of {rows}"
    found = polars.scan_delta(url, storage_options=options).select(polars.len()).collect().item()
    assert found == rows, f"{table}: Polars has {found} rows of {rows}"
