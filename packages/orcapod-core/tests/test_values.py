"""Values on their whole way: Arrow or Python in, Python in the function, Arrow out; exactly as they were."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.errors import ValueTypeError
from orcapod.hashing.canonical import canonical_bytes
from orcapod.sources import ArrowTableSource, DictSource, Source
from orcapod.testing.strategies import rows, schemas, tables


def through(source: Source, kind: Any, database: Any) -> tuple[op.Pipeline, list[Any]]:
    """A pipeline that hands every value on, and what its function saw."""
    seen: list[Any] = []

    def same(x: Any) -> Any:
        seen.append(x)
        return x

    function = op.PythonPacketFunction(
        same, "y", identity="version", input_schema={"x": kind}, output_schema={"y": kind}
    )
    pipeline = op.Pipeline("values", database)
    with pipeline:
        op.FunctionPod(function)(source, label="same")
    result = pipeline.run()
    result.raise_for_errors()
    return pipeline, seen


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@settings(deadline=None, max_examples=50)
@given(st.data())
def test_any_value_comes_back_from_function_and_store_as_it_was(store: str, data: st.DataObject) -> None:
    schema = data.draw(schemas("x"))
    given_rows = [{"i": i, **row} for i, row in enumerate(data.draw(rows(schema)))]
    declared = {"i": int, **schema}
    source: Source = (
        DictSource(given_rows, ["i"], source_id="s", data_schema=declared)
        if data.draw(st.booleans())
        else ArrowTableSource(data.draw(tables(declared, given_rows)), ["i"], source_id="s", data_schema=declared)
    )
    with TemporaryDirectory() as folder, _opened(store, folder) as database:
        pipeline, seen = through(source, schema["x"], database)
        expected = [canonical_bytes(row["x"]) for row in given_rows]
        assert {canonical_bytes(value) for value in seen} == set(expected)
        assert [canonical_bytes(packet["y"]) for _, packet in pipeline["same"].iter_packets()] == expected
        out = pipeline["same"].as_table().column("y")
        assert out.type == schema.types["x"].arrow
        again, seen = through(source, schema["x"], database)
        assert not seen, "nothing is computed again"
        assert [canonical_bytes(packet["y"]) for _, packet in again["same"].iter_packets()] == expected


def _opened(store: str, folder: str) -> MemoryDatabase | SQLiteDatabase:
    return MemoryDatabase() if store == "memory" else SQLiteDatabase(Path(folder) / "s.db")


@settings(deadline=None)
@given(st.data())
def test_a_type_that_nobody_declared_is_found_in_the_values(data: st.DataObject) -> None:
    schema = data.draw(schemas("x", nested=2))
    given_rows = data.draw(rows(schema, most=3))
    declared = DictSource(given_rows, [], source_id="s", data_schema=schema)
    try:
        found = DictSource(given_rows, [], source_id="s")
    except op.errors.InputValidationError:
        return  # no row, nothing but None, or nothing in any container: nobody could tell
    assert [canonical_bytes(packet["x"]) for _, packet in found.iter_packets()] == [
        canonical_bytes(packet["x"]) for _, packet in declared.iter_packets()
    ]


def test_a_refused_output_names_function_column_expected_and_found() -> None:
    @op.function_pod("mode", identity="version")
    def choose(x: int) -> set[int]:
        return {str(x)}  # type: ignore[arg-type]  # that is the point

    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        choose.pod(DictSource([{"i": 0, "x": 1}], ["i"]))
    (error,) = pipeline.run().errors
    assert isinstance(error.exception, ValueTypeError)
    assert str(error.exception) == ("choose: output 'mode': an item of set[int]: expected int, found '1' of type str")


@pytest.mark.parametrize("annotation", ["set[str]", "frozenset[float]", "dict[frozenset[str], set[UUID]]"])
def test_sets_are_the_same_whatever_the_seed_of_python(annotation: str) -> None:
    program = (
        "from uuid import UUID\n"
        "from orcapod.sources import DictSource\n"
        "values = {'set[str]': {'a', 'b', 'é', ''}, 'frozenset[float]': frozenset({0.5, 2.0, -1.0, float('inf')}),\n"
        "          'dict[frozenset[str], set[UUID]]': {frozenset('abc'): {UUID(int=i) for i in range(5)}}}\n"
        f"source = DictSource([{{'x': values[{annotation!r}]}}], [], source_id='s',\n"
        f"                    data_schema={{'x': {annotation}}})\n"
        "print(source.content_hash())\n"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(hashes) == 1
