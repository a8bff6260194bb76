"""A lake day by day: what daily runs commit, which files that leaves, and what the log, the ledger and the store see.

The rules are those of the writer and the pipeline, their constants are read from the sources (rules.py). Files have
sizes and no rows, a day is the same as the day before, and nothing is random: what is simulated is what repeats.
"""

import collections
import dataclasses
import functools
import math
from collections.abc import Callable

from rules import LOG_DAYS, rule

# Reads of a table's log when it is opened, beside those of commits since the checkpoint, and how often each of these is
# read: crates/writer/src/tests/requests.rs. Lists of a table that is opened.
OPEN_READS, ENTRY_READS, OPEN_LISTS = 4, 5, 1
# Reads of a row group of which some columns are needed, its footer and filters included.
GROUP_READS = 4
# Commits of `extraction_run`, each of a file: crates/pipeline/src/ledger.
RUN_COMMITS = 3


@dataclasses.dataclass
class Work:
    """What a daily run brings to a table."""

    name: str
    # The bytes of a row in the lake.
    row_bytes: float
    # New rows.
    rows: float
    # Commits among which they are divided.
    commits: int
    # Changed rows by week, of a day and its week.
    changed: Callable = lambda today, week: {}
    partitioned: bool = True
    # The tables that a view is made from: rebuilt for the weeks in which one of them changed.
    view_of: tuple = ()


@dataclasses.dataclass
class Day:
    """What a day's run did to the store, and what it left."""

    commits: int = 0
    bytes_written: int = 0
    rows_looked_through: float = 0
    requests: collections.Counter = dataclasses.field(default_factory=collections.Counter)


class Log:
    """A table's log: entries and checkpoints, cleaned up as delta-rs does when it writes a checkpoint."""

    def __init__(self, log_days=LOG_DAYS):
        self.version, self.log_days = 0, log_days
        # The first entry that is kept, and the checkpoints that are, each with its day and version.
        self.first, self.checkpoints = 0, collections.deque()

    def commit(self, today, day, commits=1):
        before, every = self.version, rule("checkpoint_commits")
        self.version += commits
        day.commits += commits
        day.requests["writes"] += commits
        for version in range(before - before % every + every, self.version + 1, every):
            day.requests["writes"] += 2
            day.requests["lists"] += 1
            self.checkpoints.append((today, version))
            self.clean_up(today - self.log_days, day)

    def clean_up(self, cutoff, day):
        """What is older than the newest checkpoint from before the retention goes."""
        while len(self.checkpoints) > 1 and self.checkpoints[1][0] < cutoff:
            self.checkpoints.popleft()
            day.requests["deletes"] += 1
        if self.checkpoints[0][0] < cutoff:
            day.requests["deletes"] += self.checkpoints[0][1] - self.first
            self.first = self.checkpoints[0][1]

    @property
    def since_checkpoint(self):
        return self.version % rule("checkpoint_commits")

    @property
    def entries(self):
        return self.version - self.first


class Table:
    """The files of a table, by week; one that is not partitioned has the week None."""

    def __init__(self, work, log_days=LOG_DAYS, removed_days=None):
        self.work, self.log = work, Log(log_days)
        self.log.commit(0, Day())
        self.weeks, self.touched = collections.defaultdict(list), set()
        self.rows, self.row_groups = 0.0, 0
        self.removed = collections.deque()
        self.removed_days = rule("removed_files_days") if removed_days is None else removed_days

    def files(self):
        return sum(map(len, self.weeks.values()))

    def bytes(self):
        return sum(map(sum, self.weeks.values()))

    def most_of_closed_week(self, week):
        return max((len(files) for of, files in self.weeks.items() if of is not None and of < week), default=0)

    def add(self, week, size, day, count=1):
        """So many times the files of so many bytes."""
        files = parts(size) * count
        self.weeks[week] += files
        self.touched.add(week)
        self.written(files, day)

    def written(self, files, day):
        self.row_groups += sum(map(groups, files))
        day.requests["writes"] += sum(map(put_requests, files))
        day.bytes_written += sum(files)

    def replaced(self, files, today, day):
        """Files that are read, written again, and removed."""
        read = sum(map(groups, files))
        self.row_groups -= read
        day.requests["reads"] += GROUP_READS * read
        self.removed.append((today, len(files)))

    def run(self, today, week, day):
        """The commits of a run, in which new rows come in equal parts and changed ones with the last."""
        work = self.work
        self.opened(day)
        rows = work.rows / work.commits
        size = math.ceil(rows * work.row_bytes)
        for first, count in alike(work.commits):
            self.look_up(rows, first, count, groups(size), day)
            if first + count == work.commits:
                for of, changed in work.changed(today, week).items():
                    self.change(of, changed, today, day)
            self.add(week if work.partitioned else None, size, day, count)
        self.log.commit(today, day, work.commits)
        self.rows += work.rows

    def opened(self, day):
        day.requests["reads"] += OPEN_READS + ENTRY_READS * self.log.since_checkpoint
        day.requests["lists"] += OPEN_LISTS

    def look_up(self, rows, first, count, added, day):
        """New keys are looked for in every file: crates/writer/src/merge/{key_scan,lookup}.rs.

        A run reads all keys once, for its filter. In each commit the filter rules keys out, and for those that are left
        the files' own filters rule row groups out, unless they are many. `first`: the number of the first of so many
        commits of as many rows, each of which adds so many row groups."""
        is_built = first == rule("searches") or (first == 0 and rows > rule("searched_rows"))
        left = rows * (false_positives(self.rows) if first >= rule("searches") or is_built else 1)
        is_many = left > rule("probe_values")
        share = 1 if is_many else 1 - math.exp(-left * rule("key_false_positives"))
        day.rows_looked_through += count * (is_built + share) * self.rows
        row_groups = count * self.row_groups + added * count * (count - 1) // 2
        day.requests["reads"] += GROUP_READS * row_groups * (is_built + (left >= 1))

    def change(self, week, rows, today, day):
        """Files that hold changed rows are written again, and the new versions lie in a file of their own."""
        sizes = self.weeks.get(week)
        if not sizes or rows <= 0:
            return
        total = sum(sizes)
        hit = [size for size in sizes if rows * size / total >= 0.5]
        if hit:
            sizes[:] = [size for size in sizes if rows * size / total < 0.5]
        else:
            hit = [max(sizes)]
            sizes.remove(hit[0])
        self.replaced(hit, today, day)
        self.written(hit, day)
        sizes += hit
        self.add(week, math.ceil(min(rows * self.work.row_bytes, total)), day)

    def merge_small_files(self, week, today, day):
        """Of the weeks that have too many, as every run does at its end."""
        for of in sorted(self.touched, key=str):
            is_closed = of is not None and of < week
            tolerated, limit = rule("tolerated_closed_week" if is_closed else "tolerated_table"), rule("small_bytes")
            small = [size for size in self.weeks[of] if size < limit]
            if len(small) <= tolerated:
                continue
            large = [size for size in self.weeks[of] if size >= limit]
            while len(small) > tolerated:
                merged = next_merged(small)
                self.replaced(merged, today, day)
                count = max(1, math.ceil(sum(merged) / rule("merged_bytes")))
                files = [math.ceil(sum(merged) / count)] * count
                self.written(files, day)
                # Merged files are of older rows than those that follow.
                small = [size for size in files if size < limit] + small[len(merged) :]
                large += [size for size in files if size >= limit]
                self.log.commit(today, day)
            self.weeks[of] = large + small
        # The present week has other limits once it is over.
        self.touched = {None, week} & self.touched

    def vacuum(self, today, day):
        while self.removed and self.removed[0][0] + self.removed_days <= today:
            day.requests["deletes"] += self.removed.popleft()[1]


class Ledger(Table):
    """`extraction_slice`: files of rows, kept apart by service, and compacted by a rule of its own."""

    def __init__(self, work, **kept):
        super().__init__(work, **kept)
        self.slices = collections.defaultdict(list)

    def files(self):
        return sum(map(len, self.slices.values()))

    def bytes(self):
        return self.rows * self.work.row_bytes

    def add_slices(self, source, rows, seconds, today, day):
        """The rows of a service's slices, which end evenly over so many seconds of a run."""
        files, together = ledger_commits(rows, seconds), rule("ledger_commits")
        for first in range(0, len(files), together):
            added = files[first : first + together]
            self.slices[source] += added
            day.requests["writes"] += len(added)
            self.log.commit(today, day, len(added))
            if len(added) == together:
                self.compact(source, today, day)
        self.rows += rows

    def compact(self, source, today, day):
        files = self.slices[source]
        start, end = neighbours(files)
        if end - start < 2:
            return
        files[start:end] = [sum(files[start:end])]
        self.log.commit(today, day)
        day.requests["reads"] += GROUP_READS * (end - start)
        day.requests["writes"] += 1
        self.removed.append((today, end - start))


@functools.cache
def alike(commits):
    """The commits of a run, those put together that look keys up in the same way: the first of them, and how many."""
    starts = sorted({0, *range(rule("searches") + 2), commits - 1})
    starts = [start for start in starts if start < commits]
    return [(first, after - first) for first, after in zip(starts, [*starts[1:], commits])]


def false_positives(keys):
    """Of a run's filter of a table, in half of the memory that all tables share."""
    bits = rule("filter_bytes") / 2 * 8
    return (1 - math.exp(-8 * keys / bits)) ** 8


def parts(size):
    """The files that so many bytes are written to."""
    full, rest = divmod(size, rule("file_bytes"))
    return [rule("file_bytes")] * full + [rest] * (rest > 0)


@functools.cache
def put_requests(size):
    """What an upload takes: one request, or a beginning, parts and an end."""
    return 1 if size <= rule("single_put_bytes") else 2 + math.ceil(size / rule("part_bytes"))


@functools.cache
def groups(size):
    return max(1, math.ceil(size / rule("row_group_bytes")))


@functools.cache
def held(size):
    """The memory that a file takes while it is merged."""
    return min(max(size * rule("merge_expansion"), 64 << 10), 16 << 20)


def next_merged(small):
    """As many as memory allows, and at least two: `next_merged` in crates/writer/src/maintenance/small_files.rs."""
    memory, count, most = 0, 0, rule("merge_memory")
    for size in small[: rule("merged_files")]:
        memory += held(size)
        if memory > most:
            break
        count += 1
    return small[: max(count, 2)]


def waits(first, last, seconds):
    """When a run of so many seconds commits: the wait doubles from the first to the longest."""
    at, wait, times = first, first, []
    while at < seconds:
        times.append(at)
        wait = min(wait * 2, last)
        at += wait
    return times


@functools.cache
def ledger_commits(rows, seconds):
    """The rows of each commit: by time, or when enough wait, and the rest at the end."""
    times = waits(rule("ledger_first_wait"), rule("ledger_last_wait"), seconds)
    bounds = [0, *times, max(seconds, 1)]
    files = []
    for since, until in zip(bounds, bounds[1:]):
        left = rows * (until - since) / max(seconds, 1)
        while left > 0:
            files.append(min(left, rule("ledger_rows")))
            left -= files[-1]
    return files


def graph_commits(rows, seconds):
    """How often a run of so many seconds commits histories."""
    return len(waits(rule("graph_first_wait"), rule("graph_last_wait"), seconds)) + 1 + int(rows / rule("graph_rows"))


def neighbours(files):
    """Which files of the ledger are merged: `neighbours` in crates/writer/src/maintenance/compaction.rs."""
    most, few_rows, max_rows = rule("ledger_max_files"), rule("ledger_few_rows"), rule("ledger_max_rows")
    for end in range(len(files), 1, -1):
        total, count = 0, 0
        for rows in reversed(files[max(0, end - most) : end]):
            if count and (rows > max(total, few_rows) or total + rows > max_rows):
                break
            total, count = total + rows, count + 1
        if count > 1:
            return end - count, end
        if end < len(files) - 64:
            # Older files were left alone by earlier runs.
            break
    return 0, 0


def simulate(tables, book, slices, days, seconds, first_day=3):
    """Yields each day, its week and what was done; the tables are what that left.

    `book`: the ledger; `slices`: its rows of a day, by service; `seconds`: how long each service is read. A view comes
    after the tables that it is made from."""
    for today in range(1, days + 1):
        week, day = (first_day + today) // 7, Day()
        for table in tables.values():
            table.vacuum(today, day)
            if table.work.view_of:
                read_sources(table, tables, today, week, day)
            table.run(today, week, day)
            table.merge_small_files(week, today, day)
        book.vacuum(today, day)
        book.opened(day)
        for source, rows in slices.items():
            book.add_slices(source, rows, seconds[source], today, day)
            book.compact(source, today, day)
        # `extraction_run`: a row at the beginning, one at the end, and both in one file.
        day.commits += RUN_COMMITS
        day.requests["writes"] += 2 * RUN_COMMITS
        # The lock: its beginning, its renewals and its end.
        day.requests["writes"] += 2 + int(max(seconds.values()) / rule("lease_seconds"))
        yield today, week, day


def read_sources(view, tables, today, week, day):
    """A view of some weeks reads these weeks of what it is made from, and its own rows there."""
    weeks = {week, *view.work.changed(today, week)}
    for name in (*view.work.view_of, view.work.name):
        for of in weeks:
            day.requests["reads"] += GROUP_READS * sum(map(groups, tables[name].weeks.get(of, ())))
