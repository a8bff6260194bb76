"""A shipped query in DuckDB, opening included, as a process of its own.

usage: query.py VIEWS QUERY OUT      runs QUERY, a file, over the tables and views of VIEWS, into the Parquet file OUT
       query.py --same LEFT RIGHT    fails unless two results have equal rows
"""

import pathlib
import sys

import duckdb


def run(views, query, out):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(pathlib.Path(views).read_text())
    connection.execute(f"COPY ({pathlib.Path(query).read_text()}) TO '{out}' (FORMAT parquet)")


def compare(left, right):
    # As text: the engines choose different integers for counts.
    of = "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM '{}'"
    differing = f"({of} EXCEPT ALL {of}) UNION ALL ({of} EXCEPT ALL {of})".format(left, right, right, left)
    count = duckdb.execute(f"SELECT count(*) FROM ({differing})").fetchall()[0][0]
    assert count == 0, f"{count} rows differ"


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    if sys.argv[1] == "--same":
        compare(*sys.argv[2:])
    else:
        run(*sys.argv[1:])
