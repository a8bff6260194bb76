"""Lakes in every state that readers meet: after three runs, compacted by us, compacted by another tool, and in stores."""

import contextlib
import json
import pathlib
import shutil
import subprocess
import sys

import pyarrow.feather
from deltalake import DeltaTable
from lake import Lake, Skipped, canonical
from processes import AZURITE, BUCKET, GOOGLE, MOTO, advance, azurite, emulator, gcs, moto

sys.path.insert(1, str(pathlib.Path(__file__).parent.parent))

from filter_cases import expected, filters_of  # noqa: E402

# Events and weeks of a local lake, which are the demo's; a store of a test is slower.
LOCAL, STORED = (60_000, 13), (3_000, 3)
# Tables that a run and the maintenance of a lake write to even if no row of a service changed.
OF_RUNS = ("extraction_run", "extraction_slice")


def run(lake, *arguments, code=0):
    done = subprocess.run([*lake.arguments, *arguments], env=lake.environment, capture_output=True, text=True)
    if done.returncode != code:
        raise RuntimeError(f"{lake.name}: {arguments}: {done.returncode}: {done.stderr}")
    return done.stdout


def of(lake, binary, configuration):
    """The same lake with a configuration of its own."""
    text = pathlib.Path(configuration).read_text()
    options = {key: value for key, value in (lake.storage_options or {}).items() if not key.endswith("allow_http")}
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in options.items())
    lines = f'{text}\n[lake]\nurl = "{lake.url}"\n[lake.options]\n{lines}'
    path = pathlib.Path(configuration).with_name(f"{lake.name.replace(' ', '-')}.toml")
    path.write_text(lines)
    lake.arguments = [str(binary), "--config", str(path), "-q"]
    return lake


def three_runs(url, lakes):
    for number in range(3):
        if number:
            advance(url)
        for lake in lakes:
            run(lake, "extract")


def optimize(lake):
    """What another tool does: small files are put together, and their rows in another order."""
    replaced = {}
    for table in (path.parent for path in pathlib.Path(lake.url).glob("*/_delta_log")):
        replaced[table.name] = DeltaTable(str(table)).optimize.compact()["numFilesRemoved"]
    ordered = DeltaTable(f"{lake.url}/payload").optimize.z_order(["file_id"])["numFilesRemoved"]
    # How many files a run leaves depends on how long it takes.
    assert sum(removed > 1 for removed in replaced.values()) > 2 and ordered > 10, f"{replaced}, {ordered} were replaced"


def drop_old_entries(lake):
    """What is left of a log after a month: its last checkpoint and the entries since then."""
    hints = list(pathlib.Path(lake.url).glob("*/_delta_log/_last_checkpoint"))
    for hint in hints:
        version = json.loads(hint.read_text())["version"]
        for entry in hint.parent.glob("*.json"):
            if int(entry.stem) < version:
                entry.unlink()
    assert len(hints) > 5, f"only {len(hints)} checkpoints"


class States:
    """Builds the lakes, and says what was skipped and what differs between them."""

    def __init__(self, binary, target, folder, definitions):
        self.binary, self.target, self.folder, self.definitions = binary, target, pathlib.Path(folder), definitions
        self.lakes, self.skipped, self.wrong = [], {}, []
        # For one more run against what the stores have.
        self.configuration = None

    @contextlib.contextmanager
    def built(self):
        with contextlib.ExitStack() as stack:
            url, configuration = stack.enter_context(emulator(self.binary, self.folder, *LOCAL))
            self.build_local(url, configuration)
            url, configuration = stack.enter_context(emulator(self.binary, self.folder, *STORED))
            self.configuration = configuration
            self.build_stored(stack, url, configuration)
            for lake in self.lakes:
                self.describe(lake)
            yield self

    def local(self, name, configuration, is_whole=True):
        readers = ("log", "files", "folder") if is_whole else ("log", "files")
        lake = Lake(name, "local", str(self.folder / name.replace(" ", "-")), is_whole, readers=readers)
        return of(lake, self.binary, configuration)

    def copy(self, lake, name, configuration, is_whole=True):
        copied = self.local(name, configuration, is_whole)
        shutil.copytree(lake.url, copied.url)
        return copied

    def build_local(self, url, configuration):
        first = self.local("three runs", configuration)
        three_runs(url, [first])
        self.lakes.append(first)
        try:
            self.lakes.append(self.maintained(first, configuration))
        except Skipped as reason:
            self.skipped["maintained"] = str(reason)
        optimized = self.copy(first, "optimized", configuration, is_whole=False)
        optimize(optimized)
        self.lakes.append(optimized)
        # The next run removes what the other tool replaced, which is nothing to a reader of the log.
        later = self.copy(optimized, "a later run", configuration)
        run(later, "extract")
        later.thin, later.readers = 5, ("files", "folder")
        self.lakes.append(later)

    def maintained(self, lake, configuration):
        known = subprocess.run([self.binary, "maintain", "--help"], capture_output=True, check=False)
        if known.returncode != 0:
            raise Skipped("this version has no `maintain`")
        maintained = self.copy(lake, "maintained", configuration)
        run(maintained, "maintain")
        before, after = (len(list(pathlib.Path(each.url).glob("**/*.parquet"))) for each in (lake, maintained))
        if after >= before:
            self.wrong.append(f"{maintained.name}: {after} files, {before} before")
        drop_old_entries(maintained)
        return maintained

    def build_stored(self, stack, url, configuration):
        stores = []
        for name, kind, serve, credentials, scheme in (
            ("moto", "s3", moto, MOTO, "s3"),
            ("Azurite", "azure", azurite, AZURITE, "az"),
            ("Google Cloud Storage", "gcs", gcs, GOOGLE, "gs"),
        ):
            if kind == "azure" and not shutil.which("node"):
                self.skipped[name] = "there is no `node`"
                continue
            endpoint = stack.enter_context(serve(self.target))
            where = f"{scheme}://{BUCKET}/lake"
            # Files that a run replaced stay for a week.
            lake = Lake(name, kind, where, False, 29, endpoint=endpoint, account=credentials[0], secret=credentials[1])
            stores.append(of(lake, self.binary, configuration))
        three_runs(url, stores)
        self.lakes += stores

    def describe(self, lake):
        """Reads what every reader must find, with deltalake, and holds it against the lake from which this one was made."""
        reference = self.folder / f"expected-{lake.name.replace(' ', '-')}"
        reference.mkdir()
        lake.reference = str(reference)
        lake.views = {form: run(lake, "query", f"--duckdb-views={form}") for form in ("files", "delta")}
        for name, definition in self.definitions.items():
            delta = DeltaTable(f"{lake.url}/{name}", storage_options=lake.storage_options)
            lake.files[name] = [path.as_py() for path in pyarrow.table(delta.get_add_actions())["path"]]
            rows = canonical(definition, delta.to_pyarrow_table())
            pyarrow.feather.write_feather(rows, reference / f"{name}.arrow", compression="uncompressed")
            keys = rows.select(definition.key).group_by(definition.key).aggregate([]).num_rows
            if keys != rows.num_rows:
                self.wrong.append(f"{lake.name}: {name}: {rows.num_rows} rows, {keys} keys")
            before = self.lakes[0].expected(name)
            if lake.kind == "local" and name not in OF_RUNS and not rows.equals(before):
                self.wrong.append(f"{lake.name}: {name}: other rows than after {self.lakes[0].name}")
            lake.filters[name] = list(self.filters(definition, rows))

    def older_versions(self):
        """What the page says of time travel: files that a run replaced are gone from a folder, and stay in a store."""
        for lake in self.lakes:
            if lake.name not in ("three runs", "moto", "Azurite", "Google Cloud Storage"):
                continue
            where = {"table_uri": f"{lake.url}/msdyn_copilotevent", "storage_options": lake.storage_options}
            newest = DeltaTable(**where)
            unreadable = []
            for version in range(1, newest.version() + 1):
                try:
                    DeltaTable(**where, version=version).to_pyarrow_table(columns=["row_time"])
                except (FileNotFoundError, OSError):
                    unreadable.append(version)
            if bool(unreadable) != (lake.kind == "local"):
                yield f"{lake.name}: versions {unreadable} of {newest.version()} cannot be read"

    def filters(self, definition, rows):
        """Filters on the columns by which tables are looked through, and on the first and last column of each type."""
        of_type = {}
        for name, kind in definition.types.items():
            of_type.setdefault(kind, []).append(name)
        columns = dict.fromkeys(definition.key + [definition.time])
        columns |= dict.fromkeys(name for names in of_type.values() for name in (names[0], names[-1]))
        for name in filter(None, columns):
            values = rows[name].to_pylist()
            for by in filters_of(sorted({value for value in values if value is not None})):
                yield {"column": name, "by": by, "rows": expected(values, *by)}
