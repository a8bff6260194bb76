"""The texts that are written for a dialect: a script for the lake, and a file per shipped query."""

import dataclasses
import pathlib

import sqlglot
from rewrites import PARAMETERS, columns, inline, rewrite_parameters, rewritten
from sqlglot import exp

LOCATION = "${copilot_lake}"


@dataclasses.dataclass
class Dialect:
    """An engine: how a view begins, what makes a table of the lake there, and what to know."""

    view: str
    table: str
    tried: str
    first: str = ""


DIALECTS = {
    "spark": Dialect(
        view="CREATE OR REPLACE TEMPORARY VIEW",
        table="CREATE OR REPLACE TEMPORARY VIEW {table} AS SELECT * FROM delta.`{location}/{table}`",
        tried="Spark SQL: Spark, Databricks, Fabric. Run by `make interop` on Spark 4 and Sail, whose rows are DuckDB's.",
    ),
    "trino": Dialect(
        view="CREATE OR REPLACE VIEW",
        table="CALL delta.system.register_table(\n"
        "  schema_name => 'copilot', table_name => '{table}', table_location => '{location}/{table}')",
        tried="Trino. Generated and parsed only: it was never run.",
        first="-- The catalog `delta` has the connector delta_lake with delta.register-table-procedure.enabled. It reads times to\n"
        "-- the millisecond.\nCREATE SCHEMA IF NOT EXISTS delta.copilot;\nUSE delta.copilot;\n",
    ),
    "snowflake": Dialect(
        view="CREATE OR REPLACE VIEW",
        table="CREATE OR REPLACE ICEBERG TABLE {table}\n"
        "  EXTERNAL_VOLUME = 'copilot_lake' CATALOG = 'copilot_lake' BASE_LOCATION = '{table}' AUTO_REFRESH = TRUE",
        tried="Snowflake. Generated and parsed only: it was never run.",
        first="-- The external volume `copilot_lake` leads to the lake; the catalog integration `copilot_lake` has\n"
        "-- CATALOG_SOURCE = OBJECT_STORE and TABLE_FORMAT = DELTA.\n",
    ),
}


def pretty(tree: exp.Expression, dialect: str) -> str:
    options = {"pretty": True, "max_text_width": 110, "comments": False}
    text = tree.sql(dialect, unsupported_level=sqlglot.ErrorLevel.RAISE, **options)
    # That a reader of the dialect takes it, and as the same.
    again = sqlglot.parse_one(text, read=dialect).sql(dialect, **options)
    assert again == text, f"{dialect} reads it as another text:\n{text}\n{again}"
    return text


def header(text: str) -> str:
    """The comment that a shipped text begins with."""
    lines = text.splitlines(keepends=True)
    return "".join(lines[: next(number for number, line in enumerate(lines) if not line.startswith("--"))])


class Shipped:
    """The shipped texts: views and queries over the tables of the lake."""

    def __init__(self, folder: pathlib.Path, tables: dict):
        """`tables` are the definitions of `copilot-lake tables`."""
        self.texts = {path.stem: path.read_text() for path in sorted(folder.glob("*.sql"))}
        views = {path.stem: path.read_text() for path in sorted((folder / "views").glob("*.sql"))}
        # What is both is a table that holds what the view answers: here it is the view.
        self.schema = {name: dict(table.types) for name, table in tables.items() if name not in views}
        self.tables = list(self.schema)
        self.queries, self.views = list(self.texts), []
        self.texts |= views
        self.trees = {name: sqlglot.parse_one(text, read="duckdb") for name, text in self.texts.items()}
        for name in views:
            self.know(name)
        for name in self.queries:
            for read in self.reads(name) & set(self.queries):
                inline(self.trees[name], read, self.trees[read])
        self.parameters = sorted(set().union(*(rewrite_parameters(tree.copy()) for tree in self.trees.values())))

    def reads(self, name: str) -> set[str]:
        """The tables, views and queries that a text reads."""
        tree = self.trees[name]
        return {table.name for table in tree.find_all(exp.Table)} - {cte.alias for cte in tree.find_all(exp.CTE)}

    def know(self, view: str) -> None:
        """Puts a view after those that it reads, and its columns into the schema."""
        if view not in self.views:
            for name in sorted(self.reads(view) - set(self.tables)):
                self.know(name)
            self.schema[view] = columns(self.trees[view], self.schema)
            self.views.append(view)

    def sql(self, name: str, dialect: str) -> str:
        return pretty(rewritten(self.trees[name], self.schema, dialect), dialect)

    def files(self, dialect: str) -> dict[str, str]:
        """The texts of a dialect by the names of their files."""
        found = {"lake.sql": self.script(dialect)}
        for name in self.queries:
            origin = f"-- {DIALECTS[dialect].tried}\n-- Generated from queries/{name}.sql by `make dialects`: edit that one.\n"
            how = f"-- Parameters are columns of the view {PARAMETERS}, which lake.sql makes.\n"
            found[f"{name}.sql"] = f"{header(self.texts[name])}{origin}{how}{self.sql(name, dialect)}\n"
        return found

    def script(self, dialect: str) -> str:
        of = DIALECTS[dialect]
        names = [exp.to_identifier(name, quoted=name in ("from", "to")) for name in self.parameters]
        nothing = exp.select(*(exp.alias_(exp.cast(exp.null(), "TEXT"), name) for name in names))
        parts = [
            f"-- The lake's tables, and the shipped views of them.\n-- {of.tried}\n"
            "-- Generated from queries/views by `make dialects`: edit those.\n" + of.first,
            "-- The parameters of the queries, which are texts; null is the default that a query's header names. To set some,\n"
            f"-- make this view again, with all of its columns.\n{of.view} {PARAMETERS} AS\n{pretty(nothing, dialect)};\n",
            f"-- {LOCATION} stands for the lake's location.\n" if LOCATION in self.table(dialect, "t") else "",
        ]
        parts += [f"{self.table(dialect, name)};\n" for name in self.tables if name not in self.views]
        for name in self.views:
            parts.append(f"\n{header(self.texts[name])}{of.view} {name} AS\n{self.sql(name, dialect)};\n")
        return "".join(parts)

    def table(self, dialect: str, table: str) -> str:
        return DIALECTS[dialect].table.format(table=table, location=LOCATION)
