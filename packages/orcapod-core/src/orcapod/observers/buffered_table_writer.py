"""``BufferedTableWriter``: rows about packets, logs and statuses, buffered and written by path."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of, empty_table, scalar_of, texts_of
from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.datagrams import Chunk, Tag
from orcapod.protocols import BufferingDatabaseProtocol, Database, RecordPath, checked_database, flush_all
from orcapod.types import INT, STR

__all__ = ["BufferedTableWriter", "RowContext"]

_UNBOUND = "unbound"
_TEXT = pa.large_string()
_TIME = pa.timestamp("us", "UTC")
_CONTEXT: Mapping[str, pa.DataType] = {
    "__run_id": _TEXT,
    "__node_label": _TEXT,
    "__node_hash": _TEXT,
    "__timestamp": _TIME,
}

_run_id: ContextVar[str | None] = ContextVar("orcapod_run_id", default=None)


@dataclass(frozen=True, slots=True, eq=False)
class RowContext:
    """Context of rows: what all about a node in a run have in common; compared by identity.

    Attributes:
        path: where they are stored.
        run_id: which run; None outside of one.
        node_label: what the node is called.
        node_hash: which node.
    """

    path: RecordPath
    run_id: str | None
    node_label: str | None
    node_hash: str | None


class _Part:
    """Rows about the packets of one chunk, in one context.

    Attributes:
        cells: for each row, one after the other: its number among all rows, which packet of the chunk it is
            about, when it happened (in nanoseconds since 1970), and its own columns. Thousands of objects with a
            row each would be a burden to collect, and a list for each column could be left in disorder by an interrupt.
    """

    __slots__ = ("cells", "chunk", "context")

    def __init__(self, context: RowContext, chunk: Chunk) -> None:
        self.context = context
        self.chunk = chunk
        self.cells: list[Any] = []

    @property
    def numbers(self) -> Sequence[int]:
        return self.cells[0::4]

    @property
    def packets(self) -> Sequence[int]:
        return self.cells[1::4]

    @property
    def times(self) -> Sequence[int]:
        return self.cells[2::4]

    @property
    def fields(self) -> Sequence[Mapping[str, Any]]:
        return self.cells[3::4]


class BufferedTableWriter:
    """Writer of rows about packets, in tables of one shape: key, context, fields, tags as text.

    Any thread may write while another flushes. Rows leave the buffer when the database has them: after
    a failure they are written by the next flush, under the same keys, so that none is lost or doubled. Those that
    cannot be written when their run ends are let go, since no other run is to fail of them.

    Args:
        database: where they are stored.
        room: the first part of every path.
        key: the name of the key column.
        fields: the columns that every table has, and their types; others that are written are text.
    """

    def __init__(self, database: Database, *, room: str, key: str, fields: Mapping[str, pa.DataType]) -> None:
        self._database = checked_database(database)
        self._room = room
        self._key = key
        self._fields = fields
        self._runs: list[str] = []
        self._numbers = count()
        self._parts: dict[tuple[RowContext, int], _Part] = {}
        self._latest: _Part | None = None
        self._writing = threading.Lock()
        self._taken: list[_Part] = []
        self._unwritten: list[tuple[RecordPath, pa.Table]] = []
        self._unflushed = False
        self._flushing = threading.Lock()

    def start_run(self, run_id: str) -> None:
        """Rows of contexts made from now on belong to this run."""
        self._runs.append(run_id)
        _run_id.set(run_id)

    def end_run(self, run_id: str) -> None:
        """The run is over; write what it has left, or let go of it if that fails."""
        if run_id in self._runs:
            self._runs.remove(run_id)
        try:
            self.flush()
        except BaseException as error:
            if isinstance(self._database, BufferingDatabaseProtocol):
                self._database.discard_failed(error)
            with self._flushing:
                others = [(path, table.filter(pc.field("__run_id") != run_id)) for path, table in self._unwritten]
                self._unwritten = [(path, table) for path, table in others if table.num_rows]
            raise

    def context(self, node_label: str | None, node_hash: str | None, path: RecordPath) -> RowContext:
        """Return where rows about a node go, in the run of this thread or task, or else the last one begun."""
        here = _run_id.get()
        run_id = here if here in self._runs else self._runs[-1] if self._runs else None
        below = path or tuple(part for part in (node_label, node_hash) if part) or (_UNBOUND,)
        return RowContext((self._room, *below), run_id, node_label, node_hash)

    def write(self, context: RowContext, tag: Tag, at: int, fields: Mapping[str, Any]) -> None:
        """Take a row.

        Args:
            context: which node and run.
            tag: of the packet that it is about.
            at: when it happened, in nanoseconds since 1970.
            fields: its own columns, named without the leading ``__``; not to be changed afterwards.
        """
        chunk = tag.chunk
        with self._writing:
            part = self._latest
            if part is None or part.context is not context or part.chunk is not chunk:
                self._latest = part = self._parts.setdefault((context, id(chunk)), _Part(context, chunk))
            part.cells += (next(self._numbers), tag.row, at, fields)  # all at once, or not at all

    def flush(self) -> None:
        """Return when all rows written so far survive the end of the process.

        Raises:
            Exception: a table cannot be written; all others were.
            ExceptionGroup: several cannot.
        """
        with self._flushing:
            with self._writing:
                self._taken, self._parts, self._latest = [*self._taken, *self._parts.values()], {}, None
            self._unwritten, self._taken = [*self._unwritten, *self._tables(self._taken)], []
            flush_all([*(partial(self._add, each) for each in self._unwritten), self._flush_database])

    def _add(self, unwritten: tuple[RecordPath, pa.Table]) -> None:
        self._database.add_records(*unwritten)
        self._unwritten = [each for each in self._unwritten if each is not unwritten]
        self._unflushed = True

    def _flush_database(self) -> None:
        if self._unflushed:
            self._database.flush()
            self._unflushed = False

    def read(self, *, run_id: str | None, node_label: str | None) -> pa.Table:
        """Return the rows of all nodes, or of one run or label, in the order of time; whoever wrote them."""
        check = Checks()
        wanted = {
            "__run_id": check.text_or_none("run_id", run_id),
            "__node_label": check.text_or_none("node_label", node_label),
        }
        self.flush()
        where: pc.Expression | None = None
        for name, value in wanted.items():
            if value is not None:
                found = pc.field(name) == pc.scalar(value)
                where = found if where is None else where & found
        fields = {f"__{name}": type_ for name, type_ in self._fields.items()}
        tables = [empty_table(pa.schema({self._key: _TEXT, **_CONTEXT, **fields}))]
        paths = [path for path in self._database.list_paths() if path[0] == self._room]
        tables += [self._database.get_records(path, where=where) for path in paths]
        table = pa.concat_tables(tables, promote_options="default")
        return table.take(pc.sort_indices(table, [("__timestamp", "ascending"), (self._key, "ascending")]))

    def _tables(self, parts: Iterable[_Part]) -> list[tuple[RecordPath, pa.Table]]:
        """Return the rows as tables, one for every path, keys included."""
        contexts: dict[tuple[RowContext, tuple[str, ...]], list[_Part]] = {}
        for part in parts:
            contexts.setdefault((part.context, tuple(part.chunk.schema.tags)), []).append(part)
        # Keys begin with the time, so that a store's index grows at its end; chance tells processes apart.
        # Rows of one moment are read in the order in which they were written.
        stem = f"{time.time_ns() // 1000:014x}{os.urandom(4).hex()}"
        tables: dict[RecordPath, list[pa.Table]] = {}
        for (context, names), members in contexts.items():
            keys = [f"{stem}{number:08x}" for part in members for number in part.numbers]
            columns: dict[str, pa.Array[Any]] = {self._key: array_of(keys, _TEXT), **self._columns(context, members)}
            for name in names:
                columns[name] = pa.concat_arrays([_tag_texts(part, name) for part in members])
            tables.setdefault(context.path, []).append(pa.Table.from_pydict(columns))
        return [(path, pa.concat_tables(found, promote_options="default")) for path, found in tables.items()]

    def _columns(self, context: RowContext, parts: Sequence[_Part]) -> dict[str, pa.Array[Any]]:
        """Context and fields."""
        times = array_of(list(chain.from_iterable(part.times for part in parts)), pa.int64())
        rows = [fields for part in parts for fields in part.fields]
        columns: dict[str, pa.Array[Any]] = {
            "__run_id": pa.repeat(scalar_of(context.run_id, _TEXT), len(rows)),
            "__node_label": pa.repeat(scalar_of(context.node_label, _TEXT), len(rows)),
            "__node_hash": pa.repeat(scalar_of(context.node_hash, _TEXT), len(rows)),
            "__timestamp": pc.divide(times, scalar_of(1000, pa.int64())).cast(_TIME),
        }
        for name in dict.fromkeys(chain(self._fields, *rows)):
            column = f"__{name}"
            if column == self._key or column in _CONTEXT:
                column = f"__recorded_{name}"  # somebody's field, not ours
            columns[column] = _column([fields.get(name) for fields in rows], self._fields.get(name, _TEXT))
        return columns


def _column(values: Sequence[Any], type_: pa.DataType) -> pa.Array[Any]:
    """Return whatever an executor recorded as a column of this type; text if it is another."""
    try:
        return array_of(values, type_)
    except (pa.ArrowException, UnicodeEncodeError, TypeError, ValueError):
        if type_ != _TEXT:
            return array_of([None if value is None else bool(value) for value in values], type_)
        return texts_of([None if value is None else str(value) for value in values])


def _tag_texts(part: _Part, name: str) -> pa.Array[Any]:
    """Return a tag column of the rows of a part, every value as ``str`` shows it; null stays null."""
    column = part.chunk.column(name).take(array_of(part.packets, pa.int64()))
    if column.type == STR.arrow or column.type == INT.arrow:
        return column.cast(_TEXT)
    values = part.chunk.schema.tags.types[name].to_python(column)
    return array_of([None if value is None else str(value) for value in values], _TEXT)
