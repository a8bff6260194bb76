"""What the readers are told of a lake, and what they must find there."""

import dataclasses
import pathlib
import re
import subprocess

import pyarrow
import pyarrow.feather

# The words of `copilot-lake tables`, as Arrow has them.
TYPES = {
    "string": pyarrow.string(),
    "int": pyarrow.int32(),
    "bigint": pyarrow.int64(),
    "boolean": pyarrow.bool_(),
    "timestamp": pyarrow.timestamp("us", "UTC"),
    "date": pyarrow.date32(),
    "decimal(38, 12)": pyarrow.decimal128(38, 12),
}


class Skipped(Exception):
    """A reader or a lake that cannot be had on this machine."""


@dataclasses.dataclass
class Definition:
    """A table of the data model."""

    name: str
    key: list
    types: dict
    time: str | None
    # Whether a shipped view bears its name: it is what the view answered when it was stored.
    is_view: bool

    @property
    def weeks(self):
        return "week_start" in self.types


@dataclasses.dataclass
class Lake:
    """A lake in some state. `url` is a path where `kind` is local, else `<scheme>://<bucket>/<path>`."""

    name: str
    kind: str
    url: str
    # Whether the files of a folder are the table: not while files lie there that the log no longer names.
    is_whole: bool
    # One of this many filters is asked.
    thin: int = 1
    # Which readers: those of the log, of files that are named, of a whole folder.
    readers: tuple = ("log", "files")
    # Where the store listens, its name and its secret.
    endpoint: str = ""
    account: str = ""
    secret: str = ""
    # The files that the log names, by table, relative to the table's folder.
    files: dict = dataclasses.field(default_factory=dict)
    # Rows that each filter finds, by table.
    filters: dict = dataclasses.field(default_factory=dict)
    reference: str = ""
    # How the binary is called, and what it says for DuckDB.
    arguments: list = dataclasses.field(default_factory=list)
    environment: dict = dataclasses.field(default_factory=dict)
    views: dict = dataclasses.field(default_factory=dict)

    @property
    def storage_options(self):
        """As the crate object_store names them, for deltalake and Polars."""
        match self.kind:
            case "s3":
                return {
                    "aws_endpoint": self.endpoint,
                    "aws_region": "us-east-1",
                    "aws_access_key_id": self.account,
                    "aws_secret_access_key": self.secret,
                    "aws_allow_http": "true",
                }
            case "azure":
                return {
                    "azure_storage_account_name": self.account,
                    "azure_storage_account_key": self.secret,
                    "azure_storage_endpoint": f"{self.endpoint}/{self.account}",
                    "allow_http": "true",
                }
            case "gcs":
                return {
                    "google_base_url": self.endpoint,
                    "google_service_account_key": self.secret,
                    "allow_http": "true",
                }
        return None

    @property
    def place(self):
        """The bucket or container, and the path in it."""
        return self.url.split("://", 1)[-1]

    def paths(self, table):
        """Every file that the log names, below `url`."""
        return [f"{table}/{file}" for file in self.files[table]]

    def expected(self, table):
        return pyarrow.feather.read_table(pathlib.Path(self.reference) / f"{table}.arrow")


def is_shipped(binary, name):
    """Whether a view or query of that name is shipped."""
    return subprocess.run([binary, "query", "--show", name], capture_output=True).returncode == 0


def definitions(binary):
    """The tables of the data model, as the binary describes them."""
    listed = subprocess.run([binary, "tables"], check=True, capture_output=True, text=True).stdout
    tables = {}
    # The views that are not stored follow after a blank line.
    for name in re.findall(r"^(\w+) ", listed.split("\n\n")[0], re.MULTILINE):
        text = subprocess.run([binary, "tables", name], check=True, capture_output=True, text=True).stdout
        key = re.search(r"^key: +(.+)$", text, re.MULTILINE)[1].split(", ")
        time = re.search(r"^weeks: +none; sorted by (\w+)$", text, re.MULTILINE)
        # Codes and joins follow after a blank line.
        columns = text.split("COLUMN", 1)[1].split("\n\n")[0].splitlines()[1:]
        types = {}
        for line in columns:
            column, kind = re.match(rf"(\w+) +({'|'.join(map(re.escape, TYPES))}) ", line).groups()
            types[column] = kind
        time = "row_time" if "week_start" in types else time and time[1]
        tables[name] = Definition(name, key, types, time, is_shipped(binary, name))
    assert len(tables) > 15, tables
    return tables


def plain(kind):
    """A type without what differs between readers and means the same: how text is laid out, and the name of UTC."""
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    if pyarrow.types.is_large_string(kind) or kind == pyarrow.string_view():
        return pyarrow.string()
    if pyarrow.types.is_timestamp(kind) and kind.tz in ("Etc/UTC", "+00:00"):
        return pyarrow.timestamp(kind.unit, "UTC")
    return kind


def wrong_types(definition, schema):
    """Columns that are missing, unknown, or not of the data model's type."""
    found = {field.name: plain(field.type) for field in schema}
    wanted = {name: TYPES[kind] for name, kind in definition.types.items()}
    strange = [f"{name} is {found.get(name)}, not {kind}" for name, kind in wanted.items() if found.get(name) != kind]
    return strange + [f"{name} is no column of the data model" for name in found if name not in wanted]


def canonical(definition, table):
    """The rows in the order of their key, with the types of the data model."""
    types = [(name, TYPES[kind]) for name, kind in definition.types.items()]
    arrays = []
    for name, kind in types:
        column = table.column(name)
        if pyarrow.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        arrays.append(column.cast(kind))
    table = pyarrow.table(arrays, schema=pyarrow.schema(types))
    return table.sort_by([(name, "ascending") for name in definition.key]).combine_chunks()


def difference(definition, found, expected):
    """Why the rows are not the same, or nothing. A key is there once, so that rows in its order can be compared."""
    if found.num_rows != expected.num_rows:
        return f"{found.num_rows} rows of {expected.num_rows}"
    found = canonical(definition, found)
    for name in definition.types:
        left, right = found.column(name), expected.column(name)
        if not left.equals(right):
            left, right = left.to_pylist(), right.to_pylist()
            at = next(number for number in range(len(left)) if left[number] != right[number])
            key = [found.column(part)[at].as_py() for part in definition.key]
            return f"{name} of {key} is {left[at]!r}, not {right[at]!r}"
    return None
