"""What functions wrote is told in the order of time, each entry once, and only of what is asked for."""

from __future__ import annotations

import sys

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.ledger import Store
from orcapod.ledger.log_reader import LogReader
from orcapod.observers import LoggingObserver
from orcapod.protocols import Database
from orcapod.sources import DictSource


@op.function_pod(output_keys="y", identity="version")
def told(x: int) -> int:
    print("out", x)
    print("err", x, file=sys.stderr)
    if x < 0:
        raise ValueError(f"found {x}")
    return x


@op.function_pod(output_keys="z", identity="version")
def after(y: int) -> int:
    print("after", y)
    return y


def run(database: Database, xs: list[int]) -> str:
    pipeline = op.Pipeline("p", database)
    with pipeline:
        rows = told.pod(DictSource([{"i": i, "x": x} for i, x in enumerate(xs)], ["i"], source_id="s"), label="told")
        after.pod(rows, label="after")
    return pipeline.run(progress=False, observer=LoggingObserver(pipeline.log_database)).run_id


@pytest.fixture
def store() -> Store:
    return op.open_store(MemoryDatabase())


def reader(store: Store, run_id: str, **asked: object) -> LogReader:
    return LogReader(store.database.at("p"), run_id, **asked)  # type: ignore[arg-type]  # what each test gives


def test_entries_are_those_of_the_run_in_the_order_of_time(store: Store) -> None:
    run(store.database, [7])
    run_id = run(store.database, [1, -2, *range(3, 500)])
    entries = [*reader(store, run_id).entries()]
    logs = store.logs(run_id)
    assert [entry.timestamp for entry in entries] == sorted(logs.column("__timestamp").to_pylist())
    assert sorted(entry.stdout or "" for entry in entries) == sorted(logs.column("__stdout").to_pylist())
    failed = next(entry for entry in entries if not entry.success)
    assert (failed.node, failed.tags, failed.stderr) == ("told", {"i": "1"}, "err -2\n")
    assert failed.traceback is not None
    assert failed.traceback.endswith("ValueError: found -2\n")


def test_only_what_is_asked_for_is_given(store: Store) -> None:
    run_id = run(store.database, [1, -2, 3])
    assert {entry.node for entry in reader(store, run_id, node="after").entries()} == {"after"}
    assert [entry.stdout for entry in reader(store, run_id, tags={"i": "2"}).entries()] == ["out 3\n", "after 3\n"]
    assert [entry.tags for entry in reader(store, run_id, failed=True).entries()] == [{"i": "1"}]
    assert all(entry.success for entry in reader(store, run_id, failed=False).entries())
    assert [*reader(store, run_id, tags={"who": "2"}).entries()] == []
    assert reader(store, run_id).tags() == {"i"}


def test_each_entry_is_given_once_however_often_it_is_asked(store: Store) -> None:
    run_id = run(store.database, [1])
    log = reader(store, run_id)
    before = [*log.entries()]
    (path,) = (path for path in store.database.list_paths() if path[:2] == ("p", "_log") and "told" in path)
    row = store.database.get_records(path)
    one_more = row.set_column(0, "__log_id", [["later"]]).set_column(
        row.schema.get_field_index("__stdout"), "__stdout", [["one more"]]
    )
    store.database.add_records(path, one_more.cast(row.schema))
    assert len(before) == 2
    assert [entry.stdout for entry in log.entries()] == ["one more"]
    assert [*log.entries()] == []
