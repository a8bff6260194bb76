"""The readers: each gives the rows of a table as Arrow, and counts what a filter finds."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from lake import Skipped

# Filters that are counted in one query.
TOGETHER = 100


class Engine:
    """A reader over a lake. `reads`: the `log`, the `files` that are named to it, or a whole `folder`."""

    name = ""
    reads = "log"
    kinds = ("local",)
    # One of this many filters is asked, where asking is slow; none if 0. Not a multiple of 6, which is what a column has.
    thin = 1
    # Lakes that are left to others, where reading is slow.
    left_out = ()
    # Whether the names of stored views are those of the shipped views that it has.
    has_views = False

    def __init__(self, lake, definitions):
        self.lake, self.definitions = lake, definitions
        self.open()

    def open(self):
        pass


class Sql(Engine):
    """An engine that is asked in SQL."""

    def literal(self, value):
        import filter_cases

        return filter_cases.literal(value)

    def counts(self, table, filters):
        import filter_cases

        found = []
        for at in range(0, len(filters), TOGETHER):
            parts = [
                f"SELECT {number} AS n, count(*) AS c FROM {self.source(table)} WHERE "
                + filter_cases.as_sql(each["column"], *each["by"], self.literal)
                for number, each in enumerate(filters[at : at + TOGETHER])
            ]
            rows = self.ask(" UNION ALL ".join(parts)).to_pylist()
            found += [row["c"] for row in sorted(rows, key=lambda row: row["n"])]
        return found

    def rows(self, table):
        return self.ask(f"SELECT * FROM {self.source(table)}")


class Deltalake(Engine):
    name = "deltalake"
    kinds = ("local", "s3", "azure", "gcs")

    def delta(self, table):
        from deltalake import DeltaTable

        return DeltaTable(f"{self.lake.url}/{table}", storage_options=self.lake.storage_options)

    def rows(self, table):
        return self.delta(table).to_pyarrow_table()

    def counts(self, table, filters):
        import filter_cases

        dataset = self.delta(table).to_pyarrow_dataset()
        field = dataset.schema.field
        return [
            dataset.count_rows(filter=filter_cases.as_arrow(field(each["column"]), *each["by"])) for each in filters
        ]


class Pyarrow(Engine):
    name = "pyarrow"
    reads = "files"
    kinds = ("local", "s3", "azure")

    def open(self):
        from pyarrow import fs

        address = self.lake.endpoint.removeprefix("http://")
        match self.lake.kind:
            case "s3":
                self.files = fs.S3FileSystem(
                    access_key=self.lake.account,
                    secret_key=self.lake.secret,
                    endpoint_override=address,
                    scheme="http",
                    region="us-east-1",
                )
            case "azure":
                self.files = fs.AzureFileSystem(
                    self.lake.account,
                    account_key=self.lake.secret,
                    blob_storage_authority=address,
                    blob_storage_scheme="http",
                    dfs_storage_authority=address,
                    dfs_storage_scheme="http",
                )
            case _:
                self.files = fs.LocalFileSystem()

    def dataset(self, table):
        import pyarrow
        import pyarrow.dataset as ds

        weeks = ds.partitioning(pyarrow.schema([("week_start", pyarrow.date32())]), flavor="hive")
        if self.lake.is_whole:
            where = f"{self.lake.place}/{table}"
        else:
            where = [f"{self.lake.place}/{path}" for path in self.lake.paths(table)]
        return ds.dataset(where, filesystem=self.files, format="parquet", partitioning=weeks)

    def rows(self, table):
        found = self.dataset(table).to_table()
        return found if self.definitions[table].weeks else found.select(list(self.definitions[table].types))

    def counts(self, table, filters):
        import filter_cases

        dataset = self.dataset(table)
        field = dataset.schema.field
        return [
            dataset.count_rows(filter=filter_cases.as_arrow(field(each["column"]), *each["by"])) for each in filters
        ]


class PolarsDelta(Engine):
    name = "Polars scan_delta"
    kinds = ("local", "s3", "azure", "gcs")

    def frame(self, table):
        import polars

        return polars.scan_delta(f"{self.lake.url}/{table}", storage_options=self.lake.storage_options)

    def rows(self, table):
        return self.frame(table).collect().to_arrow()

    def counts(self, table, filters):
        import filter_cases

        return filter_cases.ask_polars(self.frame(table), filters)


class PolarsParquet(PolarsDelta):
    name = "Polars scan_parquet"
    reads = "files"

    def frame(self, table):
        import polars

        weeks = self.definitions[table].weeks
        if self.lake.is_whole:
            where = f"{self.lake.url}/{table}/{'week_start=*/' if weeks else ''}*.parquet"
        else:
            where = [f"{self.lake.url}/{path}" for path in self.lake.paths(table)]
        return polars.scan_parquet(where, hive_partitioning=weeks, storage_options=self.lake.storage_options)


class DuckdbViews(Sql):
    name = "DuckDB views"
    kinds = ("local", "s3", "azure")
    has_views = True

    def open(self):
        import duckdb

        self.connection = duckdb.connect()
        if self.lake.kind == "s3":
            import s3fs

            options = {"endpoint_url": self.lake.endpoint}
            files = s3fs.S3FileSystem(key=self.lake.account, secret=self.lake.secret, client_kwargs=options)
            self.connection.register_filesystem(files)
        if self.lake.kind == "azure":
            import adlfs

            connection = (
                f"DefaultEndpointsProtocol=http;AccountName={self.lake.account};AccountKey={self.lake.secret};"
                f"BlobEndpoint={self.lake.endpoint}/{self.lake.account};"
            )
            self.connection.register_filesystem(adlfs.AzureBlobFileSystem(connection_string=connection))
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute(self.lake.views["files"])

    def source(self, table):
        return f'"{table}"'

    def ask(self, sql):
        return self.connection.sql(sql).to_arrow_table()


class DuckdbGlob(DuckdbViews):
    name = "DuckDB read_parquet"
    reads = "folder"
    kinds = ("local",)
    has_views = False

    def source(self, table):
        if self.definitions[table].weeks:
            return f"read_parquet('{self.lake.url}/{table}/week_start=*/*.parquet', hive_partitioning = true)"
        return f"read_parquet('{self.lake.url}/{table}/*.parquet')"


class DuckdbDelta(DuckdbViews):
    name = "DuckDB delta_scan"
    reads = "log"
    kinds = ("local",)
    thin = 5
    has_views = False

    def open(self):
        import duckdb

        try:
            import duckdb_ext
        except ImportError:
            raise Skipped("its extension is not installed: `make python`") from None
        folder = pathlib.Path(list(duckdb_ext.__path__)[0])
        extension = folder / f"extensions/v{duckdb.__version__}/linux_amd64/delta.duckdb_extension"
        if sys.platform != "linux" or os.uname().machine != "x86_64":
            raise Skipped(f"{extension.name} is for Linux on x86-64")
        self.connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        self.connection.execute(f"LOAD '{extension}'")
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute(self.lake.views["delta"])

    def source(self, table):
        if self.definitions[table].is_view:
            return f"delta_scan('{self.lake.url}/{table}')"
        return super().source(table)

    def ask(self, sql):
        return self.connection.execute(sql).fetch_arrow_table()


class ChdbFiles(Sql):
    name = "chDB files"
    reads = "files"
    kinds = ("local", "s3", "azure")
    # Text as text; timestamps that Arrow can say are UTC.
    settings = "use_hive_partitioning = 1, output_format_arrow_string_as_string = 1, session_timezone = 'UTC'"

    def open(self):
        from chdb.session import Session

        # A process has one session.
        if not hasattr(ChdbFiles, "session"):
            ChdbFiles.session = Session()

    def literal(self, value):
        import datetime
        from decimal import Decimal

        match value:
            case Decimal():
                return f"toDecimal128('{value:f}', 12)"
            case datetime.datetime():
                return f"toDateTime64('{value:%Y-%m-%d %H:%M:%S.%f}', 6, 'UTC')"
            case datetime.date():
                return f"toDate32('{value.isoformat()}')"
            case str():
                return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return super().literal(value)

    def ask(self, sql):
        return self.session.query(f"{sql} SETTINGS {self.settings}", "ArrowTable")

    def source(self, table):
        weeks = "week_start=*/" if self.definitions[table].weeks else ""
        names = f"{weeks}*.parquet"
        if not self.lake.is_whole:
            names = "{" + ",".join(self.lake.files[table]) + "}"
        bucket, path = self.lake.place.split("/", 1)
        match self.lake.kind:
            case "s3":
                url = f"{self.lake.endpoint}/{self.lake.place}/{table}/{names}"
                return f"s3('{url}', '{self.lake.account}', '{self.lake.secret}', 'Parquet')"
            case "azure":
                url = f"{self.lake.endpoint}/{self.lake.account}"
                name = f"{path}/{table}/{names}"
                return f"azureBlobStorage('{url}', '{bucket}', '{name}', '{self.lake.account}', '{self.lake.secret}', 'Parquet')"
        return f"file('{self.lake.url}/{table}/{names}', 'Parquet')"


class ChdbDelta(ChdbFiles):
    name = "chDB deltaLake"
    reads = "log"

    def source(self, table):
        bucket, path = self.lake.place.split("/", 1)
        match self.lake.kind:
            case "s3":
                url = f"{self.lake.endpoint}/{self.lake.place}/{table}/"
                return f"deltaLake('{url}', '{self.lake.account}', '{self.lake.secret}')"
            case "azure":
                url = f"{self.lake.endpoint}/{self.lake.account}"
                return f"deltaLakeAzure('{url}', '{bucket}', '{path}/{table}', '{self.lake.account}', '{self.lake.secret}')"
        return f"deltaLakeLocal('{self.lake.url}/{table}')"


class DatafusionFolder(Sql):
    name = "DataFusion register_parquet"
    reads = "folder"

    def open(self):
        import datafusion

        self.context = datafusion.SessionContext()
        for name in self.lake.files:
            self.register(name)

    def register(self, table):
        import pyarrow

        weeks = [("week_start", pyarrow.date32())] if self.definitions[table].weeks else []
        self.context.register_parquet(table, f"{self.lake.url}/{table}/", table_partition_cols=weeks)

    def source(self, table):
        return table

    def ask(self, sql):
        return self.context.sql(sql).to_arrow_table()


class DatafusionDelta(DatafusionFolder):
    name = "DataFusion over deltalake"
    reads = "log"

    def register(self, table):
        from deltalake import DeltaTable

        self.context.register_table(table, DeltaTable(f"{self.lake.url}/{table}"))


class Pyspark(Sql):
    name = "PySpark parquet"
    reads = "files"
    thin = 11

    def open(self):
        if not shutil.which("java"):
            raise Skipped("there is no Java")
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        from pyspark.sql import SparkSession

        settings = {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.memory": "2g",
            # What a column means must not depend on where Spark runs.
            "spark.sql.session.timeZone": "America/New_York",
            "spark.sql.ansi.doubleQuotedIdentifiers": "true",
            "spark.sql.parser.escapedStringLiterals": "true",
            "spark.sql.shuffle.partitions": "2",
        }
        builder = SparkSession.builder.master("local[2]")
        for key, value in settings.items():
            builder = builder.config(key, value)
        self.spark = builder.getOrCreate()
        self.spark.sparkContext.setLogLevel("ERROR")
        for table in self.lake.files:
            folder = f"{self.lake.url}/{table}"
            reader = self.spark.read.option("basePath", folder)
            if self.lake.is_whole:
                frame = reader.parquet(folder)
            elif self.lake.files[table]:
                frame = reader.parquet(*(f"{self.lake.url}/{path}" for path in self.lake.paths(table)))
            else:
                continue
            frame.createOrReplaceTempView(table)

    def literal(self, value):
        return super().literal(value).replace("AS TIMESTAMP WITH TIME ZONE", "AS TIMESTAMP")

    def source(self, table):
        return table

    def ask(self, sql):
        return self.spark.sql(sql).toArrow()


class Own(Sql):
    name = "copilot-lake query"
    has_views = True
    kinds = ("local", "s3", "azure", "gcs")
    # A process for each; `readers.rs` asks it every filter.
    thin = 0
    left_out = ("maintained",)

    def source(self, table):
        return table

    def ask(self, sql):
        import pyarrow.parquet

        with tempfile.TemporaryDirectory() as folder:
            query, output = pathlib.Path(folder) / "query.sql", pathlib.Path(folder) / "rows.parquet"
            query.write_text(sql)
            command = [*self.lake.arguments, "query", "-q", "--file", query, "--output", output]
            told = subprocess.run(command, env=self.lake.environment, capture_output=True, text=True)
            assert told.returncode == 0, told.stderr
            return pyarrow.parquet.read_table(output)


ENGINES = [
    Own,
    Deltalake,
    Pyarrow,
    PolarsDelta,
    PolarsParquet,
    DuckdbViews,
    DuckdbGlob,
    DuckdbDelta,
    ChdbFiles,
    ChdbDelta,
    DatafusionFolder,
    DatafusionDelta,
    Pyspark,
]
