"""What a store must do over its lifetime: opened again, closed, and used by many threads and processes at once."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import accumulate, count
from mmap import mmap
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from orcapod.errors import DatabaseError
from orcapod.protocols import MaintainedDatabaseProtocol
from orcapod.protocols.database import Database, Key
from orcapod.types.codec import encode

__all__ = ["DatabaseLifetimeSuite", "blobs", "canonical", "keyed", "same"]

_WRITER = """
import importlib, json, sys
import pyarrow as pa
module, name, config, worker = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
database = getattr(importlib.import_module(module), name).from_config(config)
print("ready", flush=True)
sys.stdin.readline()
added = 0
for batch in range(50):
    keys = [b"k%d" % row for row in range(batch * 20, batch * 20 + 40)]
    added += database.add_records(("shared",), pa.table({"key": keys, "worker": [worker] * 40}))
    database.flush()
print(added, flush=True)
sys.stdin.readline()
"""


def canonical(table: pa.Table) -> list[tuple[bytes | None, ...]]:
    """Return the rows of a table as canonical bytes: equal for equal values, NaNs included."""
    columns = []
    for column in table.columns:
        array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        valid = [scalar.is_valid for scalar in array]
        columns.append([blob if ok else None for blob, ok in zip(encode(array).to_pylist(), valid, strict=True)])
    return list(zip(*columns, strict=True))


def keyed(keys: Sequence[Key], **columns: Any) -> pa.Table:
    """Return a table of these keys, strings or bytes, and columns."""
    key_type = pa.binary() if keys and isinstance(keys[0], bytes) else pa.string()
    return pa.table({"key": pa.array(keys, key_type), **columns})


def blobs(*sizes: int) -> pa.Array[Any]:
    """Return a column of values of these sizes, all bytes zero; untouched, they need no memory."""
    ends = pa.array([0, *accumulate(sizes)], pa.int64())
    zeros = pa.py_buffer(mmap(-1, max(1, sum(sizes))))
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(sizes), [None, ends.buffers()[1], zeros])


def same(found: pa.Table, expected: pa.Table) -> None:
    """Asserts that two tables have the same columns, of the same types, with the same values in the same order."""
    assert found.column_names == expected.column_names
    assert [field.type for field in found.schema] == [field.type for field in expected.schema]
    found.validate()  # not in full: what lies under a null may be anything, also in what went in
    assert canonical(found) == canonical(expected)


class DatabaseLifetimeSuite:
    """The first half of ``DatabaseSuite``: how a store is made, and what it is as a whole."""

    persistent: ClassVar[bool] = True
    """Whether what was flushed can be opened again by ``from_config``, also by another process."""

    _fresh = count()

    def make_database(self, folder: Path) -> Database:
        """Return an empty store; ``folder`` is an empty folder that it may use."""
        raise NotImplementedError

    def reopen(self, database: Database) -> Database:
        """Another opening of the same view of the same store."""
        opened: Database = type(database).from_config(json.loads(json.dumps(dict(database.to_config()))))
        return opened

    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[Database]:
        """Return an empty store, closed after the test."""
        folder = tmp_path / "store"
        folder.mkdir()
        database = self.make_database(folder)
        yield database
        database.close()

    def _another(self, database: Database) -> Database:
        """Return an empty view, for every example of a property."""
        return database.at(f"example {next(self._fresh)}")

    # Its size

    def test_tables_have_sizes_and_give_back_what_was_deleted(self, database: Database) -> None:
        """In each view its own; no record is touched. A store need not know how, but what it says is right."""
        view = database.at("t%", "'quoted\"")
        if not isinstance(database, MaintainedDatabaseProtocol) or not isinstance(view, MaintainedDatabaseProtocol):
            return
        view.add_records(("p",), keyed([f"k{row}" for row in range(300)], value=["text" * 10] * 300))
        database.add_records(("q",), keyed([b"k"], value=[1]))
        database.flush()
        sizes = {size.path: size for size in view.table_sizes()}
        assert set(sizes) == {("p",)}
        assert sizes["p",].rows == 300
        assert sizes["p",].bytes > 1000
        view.delete_records(("p",), [f"k{row}" for row in range(299)])
        database.reclaim()
        assert {(*size.path, size.rows) for size in database.table_sizes()} == {("t%", "'quoted\"", "p", 1), ("q", 1)}
        assert view.get_records(("p",)).column(0).to_pylist() == ["k299"]
        view.delete_records(("p",), ["k299"])
        assert [size.path for size in database.table_sizes()] == [("q",)]

    # Several at once

    @pytest.mark.parametrize("kind", [str, str.encode])
    def test_threads_add_each_key_once(self, database: Database, kind: Callable[[str], Key]) -> None:
        """Eight threads with overlapping keys: no error, no double, every row whole."""

        def add(worker: int) -> int:
            view, added = database.at("t"), 0
            for batch in range(10):
                keys = [kind(f"k{row}") for row in range(batch * 20, batch * 20 + 40)]
                added += view.add_records(("p",), keyed(keys, worker=[worker] * 40, same=[worker] * 40))
                found = view.get_records_by_ids(("p",), keys)
                assert found.num_rows == 40
                assert found["worker"].equals(found["same"])
            return added

        with ThreadPoolExecutor(8) as pool:
            added = list(pool.map(add, range(8)))
        keys = database.get_records(("t", "p"))["key"].to_pylist()
        assert sum(added) == len(keys) == len(set(keys)) == 220

    def test_nobody_reads_half_a_batch(self, database: Database) -> None:
        def write() -> None:
            for batch in range(20):
                database.add_records(("p",), keyed([f"{batch} {row}" for row in range(500)]))

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            while not writing.done():
                assert database.get_records(("p",)).num_rows % 500 == 0
            writing.result()
        assert database.get_records(("p",)).num_rows == 10_000

    def test_processes_add_each_key_once(self, database: Database) -> None:
        """Two processes on one store, with overlapping keys, both finish."""
        self._needs_persistence()
        workers = [self._start(database, worker) for worker in range(2)]
        try:
            for worker in workers:
                _tell(worker)
            added = [int(_heard(worker)) for worker in workers]
        finally:
            for worker in workers:
                _end(worker)
        with closing(self.reopen(database)) as again:
            table = again.get_records(("shared",))
        assert sum(added) == table.num_rows == len(set(table["key"].to_pylist())) == 1020

    def test_what_was_flushed_survives_a_kill(self, database: Database) -> None:
        self._needs_persistence()
        worker = self._start(database, 7)
        _tell(worker)
        assert int(_heard(worker)) == 1020
        worker.kill()
        _end(worker)
        with closing(self.reopen(database)) as again:
            assert again.get_records(("shared",))["worker"].to_pylist() == [7] * 1020
            assert again.add_records(("shared",), keyed([b"k0", b"new"], worker=[8, 8])) == 1

    # Opening and closing

    def test_it_opens_again(self, database: Database) -> None:
        """``from_config`` opens the view that ``to_config`` described, with all that was flushed."""
        self._needs_persistence()
        view = database.at("a", "b")
        table = keyed(["x", "y"], n=[[1], None], day=pa.array([1, None], pa.date32()))
        view.add_records(("p",), table)
        database.flush()
        with closing(self.reopen(view)) as again:
            same(again.get_records(("p",)), table)
            assert again.list_paths() == [("p",)]
            again.add_records(("p",), keyed(["z"], new=[1]))
            again.flush()
            assert view.get_records(("p",))["new"].to_pylist() == [None, None, 1]
        database.close()
        with closing(self.reopen(view)) as again:
            assert again.get_records(("p",)).num_rows == 3

    def test_the_configuration_is_json_without_secrets(self, database: Database) -> None:
        config = dict(database.at("a").to_config())
        text = json.dumps(config)
        assert config == json.loads(text)
        assert isinstance(config["type"], str), "the name under which open_database finds the class"
        assert not any(word in text.lower() for word in ("password", "secret", "token"))

    def test_closing(self, database: Database) -> None:
        """Closing twice is fine, flushing an empty store too; a closed store, and every view of it, says so."""
        view = database.at("a")
        database.flush()
        database.close()
        database.close()
        uses: list[Callable[[], object]] = [
            lambda: view.add_records(("p",), keyed(["a"])),
            lambda: view.get_records(("p",)),
            lambda: view.get_records_by_ids(("p",), ["a"]),
            lambda: view.delete_records(("p",), ["a"]),
            database.list_paths,
            database.flush,
        ]
        for use in uses:
            with pytest.raises(DatabaseError, match="closed"):
                use()
        view.close()

    def test_it_is_not_pickled(self, database: Database) -> None:
        """A connection is no value: it is opened again, from ``to_config``."""
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(database)

    def _needs_persistence(self) -> None:
        if not self.persistent:
            pytest.skip("this store does not outlive its process")

    def _start(self, database: Database, worker: int) -> subprocess.Popen[str]:
        """Return a process that waits with the same store open."""
        kind = type(database)
        config = json.dumps(dict(database.to_config()))
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, kind.__module__, kind.__qualname__, config, str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert _heard(process) == "ready"
        return process


def _heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _end(process: subprocess.Popen[str]) -> None:
    process.communicate(None if process.returncode is not None else "\n", timeout=60)
