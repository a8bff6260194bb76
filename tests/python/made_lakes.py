"""Lakes of made rows, for DuckDB in memory and for others as Delta tables.

What a test says of a row is enough: its other columns are null, keys are filled in, and the week is that of its time.
"""

import json
import pathlib
import re

import deltalake
import duckdb

# The column that decides a row's week, where a table has it.
TIMES = ("createdon", "created_at", "sent_at", "row_time")


class Lake:
    """The tables of the lake as empty tables of DuckDB, with the shipped macros, views and queries over them."""

    def __init__(self, views, tables):
        """`views` is what `query --duckdb-views` prints of an empty lake; `tables` names each table's key columns."""
        self.tables = tables
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute(views)
        self.connection.execute("CREATE SEQUENCE row_number")
        for table, keys in tables.items():
            columns = []
            for name, kind, *_ in self.connection.execute(f"DESCRIBE {table}").fetchall():
                default = "NULL"
                if name == keys[0]:
                    default = "'row ' || nextval('row_number')"
                elif name in keys:
                    default = "0" if kind == "INTEGER" else "''"
                elif name == "versionnumber":
                    default = "1"
                columns.append(f'"{name}" {kind} DEFAULT {default}')
            self.connection.execute(f"DROP VIEW {table}")
            self.connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")

    def clear(self):
        """Empties the tables and forgets every parameter."""
        for table in self.tables:
            self.connection.execute(f"DELETE FROM {table}")
        for name in self.parameters():
            self.connection.execute(f'RESET VARIABLE "{name}"')

    def parameters(self):
        """The parameters that are set, as texts."""
        rows = self.connection.execute("SELECT name, value FROM duckdb_variables()").fetchall()
        return {name: str(value) for name, value in rows if name != "copilot_lake" and not name.endswith("_files")}

    def complete(self):
        """Gives every row that has none its time and its week: 1970-01-04 without any, as the lake does."""
        for table in self.tables:
            names = [row[0] for row in self.connection.execute(f"DESCRIBE {table}").fetchall()]
            if "week_start" in names:
                time = f"coalesce({', '.join(name for name in TIMES if name in names)}, '1970-01-04 00:00:00+00')"
                self.connection.execute(f"UPDATE {table} SET row_time = {time} WHERE row_time IS NULL")
                week = "lake_week(week_of(row_time, 'UTC', 'sunday'), 'sunday')"
                self.connection.execute(f"UPDATE {table} SET week_start = {week} WHERE week_start IS NULL")

    def save(self, folder):
        """Writes the tables that have rows, as Delta tables."""
        folder = pathlib.Path(folder)
        for table in self.tables:
            rows = self.connection.sql(f"SELECT * FROM {table}").to_arrow_table()
            if rows.num_rows:
                weeks = ["week_start"] if "week_start" in rows.column_names else None
                deltalake.write_deltalake(folder / table, rows, partition_by=weeks)

    def answer(self, sql):
        """Types and rows of a query."""
        return answer(self.connection, sql)


def answer(connection, sql):
    """Types and rows of a query; every value but a float is the text that DuckDB makes of it."""
    sql = sql.strip().rstrip(";")
    columns = connection.execute(f"DESCRIBE {sql}").fetchall()
    texts = ", ".join(f'"{name}"' if kind == "DOUBLE" else f'CAST("{name}" AS VARCHAR)' for name, kind, *_ in columns)
    rows = connection.execute(f"SELECT {texts} FROM ({sql}\n)").fetchall()
    return [[name, kind] for name, kind, *_ in columns], [list(row) for row in rows]


def shipped(folder):
    """The names of the shipped queries, each with the parameters that its header names."""
    headers = {path.stem: path.read_text() for path in sorted(pathlib.Path(folder).glob("*.sql"))}
    return {name: re.findall(r"^--   (\w+) \(([^)]*)\): ", text, re.M) for name, text in headers.items()}


def write(path, answers):
    """Answers for the other engine to compare with its own."""
    pathlib.Path(path).write_text(json.dumps(answers))
