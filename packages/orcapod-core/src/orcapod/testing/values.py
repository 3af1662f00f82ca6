"""``TypeSuite``: what every type of values must do, so that its values can be stored, found again and computed with.

Subclass it in a test file, and say which type it is, and what its values are:

    class TestSpectrum(TypeSuite):
        annotation = Spectrum

        def make_values(self):
            return st.builds(Spectrum, st.lists(st.floats(allow_nan=False)))

Needs the extra ``testing`` of orcapod-core.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from functools import cache
from itertools import combinations
from pathlib import Path
from types import GenericAlias
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.errors import ValueTypeError
from orcapod.executors import LocalExecutor
from orcapod.functions import PythonPacketFunction
from orcapod.hashing import hash_rows
from orcapod.pipeline import Pipeline
from orcapod.pods import FunctionPod
from orcapod.protocols import Database, PythonFunctionExecutorProtocol
from orcapod.sources import DictSource
from orcapod.types import LogicalType, Schema, column_of, conform, encode, registry, type_of_values
from orcapod.types.containers import record_type

__all__ = ["TypeSuite"]

_PROPERTY = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=12)


class TypeSuite(ABC):
    """What every type of values must do. Subclasses say which type it is, and give values of it.

    Attributes:
        annotation: the type, as one annotates it.
        inferred: whether a source of its values finds the type by itself.
    """

    annotation: ClassVar[Any]
    inferred: ClassVar[bool] = True

    @abstractmethod
    def make_values(self) -> st.SearchStrategy[Any]:
        """Return a strategy for values of the type, some of them equal."""

    def make_equal(self, value: Any) -> Iterable[Any]:
        """Return values that are the same as this one, whatever they look like in memory."""
        return [deepcopy(value)]

    def is_same(self, one: Any, other: Any) -> bool:
        """Say whether two values are the same, so that a function may be given either."""
        return type(one) is type(other) and bool(one == other)

    def make_database(self, folder: Path) -> Database:
        """Return an empty store."""
        return SQLiteDatabase(folder / "lab.db")

    @pytest.fixture(params=["thread", "process"])
    def executor(self, request: pytest.FixtureRequest) -> Iterator[PythonFunctionExecutorProtocol]:
        """Where a function is given the values, and returns them."""
        if request.param == "process":
            yield _process_pool()
        else:
            with LocalExecutor(workers=1) as executor:
                yield executor

    @property
    def dtype(self) -> LogicalType:
        """The logical type."""
        return registry.resolve(self.annotation)

    # As it is declared

    def test_it_says_what_it_is(self) -> None:
        """Its annotation leads back to it, it has a name, and any store can hold its Arrow type."""
        dtype = self.dtype
        assert registry.resolve(dtype.annotation) == dtype
        assert dtype.takes(dtype)
        assert dtype.name
        assert dtype.hash_name
        encode(column_of([], dtype))

    def test_what_is_no_such_value_is_refused(self) -> None:
        with pytest.raises(ValueTypeError):
            self.dtype.to_storage(object())
        with pytest.raises(ValueTypeError, match="None"):
            column_of([None], self.dtype)

    # Round trips

    @_PROPERTY
    @given(data=st.data())
    def test_values_come_back_as_they_were(self, data: st.DataObject) -> None:
        """Also beside null, out of a slice, and from a column of none."""
        dtype = registry.resolve(self.annotation | None)
        values = data.draw(st.lists(st.none() | self.make_values(), max_size=4))
        column = column_of([None, *values, None], dtype).slice(1, len(values))
        assert column.type == dtype.arrow == self.dtype.arrow
        self._check_same(dtype.to_python(column), values)
        self._check_same(dtype.to_python(conform(column, dtype)), values)

    @_PROPERTY
    @given(data=st.data())
    def test_they_come_back_from_inside_of_others(self, data: st.DataObject) -> None:
        values = data.draw(st.lists(st.none() | self.make_values(), max_size=3))
        for annotation, held, release in _containers(self.annotation, values):
            dtype = registry.resolve(annotation)
            (back,) = dtype.to_python(column_of([held], dtype))
            self._check_same(release(back), values)

    @_PROPERTY
    @given(data=st.data())
    def test_a_source_finds_the_type(self, data: st.DataObject) -> None:
        if self.inferred:
            values = data.draw(st.lists(self.make_values(), min_size=1, max_size=3))
            assert self.dtype.takes(type_of_values(values))
            assert registry.resolve(list[self.annotation]).takes(type_of_values([values]))  # type: ignore[name-defined]

    # Identity

    @_PROPERTY
    @given(data=st.data())
    def test_the_same_values_have_one_hash_and_others_another(self, data: st.DataObject) -> None:
        values = data.draw(st.lists(self.make_values(), min_size=1, max_size=2))
        values += [equal for value in values for equal in self.make_equal(value)]
        values += self.dtype.to_python(column_of(values, self.dtype))
        hashes = _hashes(values, self.annotation)
        inside = _hashes([[value] for value in values], GenericAlias(list, (self.annotation,)))
        for (i, one), (j, other) in combinations(enumerate(values), 2):
            same = self.is_same(one, other)
            assert (hashes[i] == hashes[j]) == same, f"{one!r} and {other!r}"
            assert (inside[i] == inside[j]) == same, f"{one!r} and {other!r}, in lists"

    @_PROPERTY
    @given(data=st.data())
    def test_the_hash_of_a_value_does_not_depend_on_its_neighbours(self, data: st.DataObject) -> None:
        values = data.draw(st.lists(st.none() | self.make_values(), min_size=1, max_size=4))
        annotation = self.annotation | None
        assert _hashes(values, annotation) == [_hashes([value], annotation)[0] for value in values]

    # Through a pipeline

    @settings(parent=_PROPERTY, max_examples=3)
    @given(data=st.data())
    def test_they_go_through_functions_and_stores(
        self, data: st.DataObject, executor: PythonFunctionExecutorProtocol, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """A function is given them and gives them, the store gives them back, and nothing is computed twice."""
        values = data.draw(st.lists(self.make_values(), min_size=1, max_size=4))
        rows = [{"i": i, "x": value, "xs": [value, None]} for i, value in enumerate(values)]
        listed = list[self.annotation | None]  # type: ignore[name-defined]
        declared = {"x": self.annotation, "xs": listed}

        def same(x: Any, xs: Any) -> Any:
            return xs[0], [None, x]

        function = PythonPacketFunction(
            same,
            ["y", "ys"],
            identity="version",
            input_schema=declared,
            output_schema={"y": self.annotation, "ys": listed},
        )
        folder = tmp_path_factory.mktemp("values")
        for database in (MemoryDatabase(), self.make_database(folder)):
            with database:
                for count in (len(set(_hashes(values, self.annotation))), 0):
                    with Pipeline("values", database) as pipeline:
                        FunctionPod(function)(
                            DictSource(rows, ["i"], source_id="s", data_schema=declared), label="same"
                        )
                    result = pipeline.run(execution_engine=executor)
                    result.raise_for_errors()
                    assert result.counts("same")["computed"] == count
                    found = [packet for _, packet in pipeline["same"].iter_packets()]
                    self._check_same([packet["y"] for packet in found], values)
                    self._check_same([packet["ys"][1] for packet in found], values)

    def _check_same(self, found: Sequence[Any], expected: Sequence[Any]) -> None:
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert one is other is None or self.is_same(one, other), f"found {one!r}, expected {other!r}"


@cache
def _process_pool() -> LocalExecutor:
    """Return the one pool of all types: a process takes longer to start than most types take to be proved."""
    return LocalExecutor(workers=1, kind="process")


def _hashes(values: Sequence[Any], annotation: Any) -> list[bytes]:
    schema = Schema({"x": annotation})
    return hash_rows(pa.RecordBatch.from_pydict({"x": column_of(values, schema.types["x"])}), schema)


def _containers(annotation: Any, values: list[Any]) -> list[tuple[Any, Any, Any]]:
    """Return annotations of what holds values of a type, what holds these, and how they are got out of it."""
    item = annotation | None
    record = record_type({"a": registry.resolve(item), "b": registry.resolve(GenericAlias(list, (item,)))}).annotation
    named = {str(i): value for i, value in enumerate(values)}
    return [
        (GenericAlias(list, (item,)), values, lambda back: back),
        (GenericAlias(tuple, (item, ...)), tuple(values), lambda back: back),
        (GenericAlias(tuple, (int, *[item] * len(values))), (0, *values), lambda back: back[1:]),
        (GenericAlias(dict, (str, item)), named, lambda back: list(back.values())),
        (record, {"a": None, "b": values}, lambda back: back["b"]),
        (
            GenericAlias(list, (record,)),
            [{"a": value, "b": []} for value in values],
            lambda back: [x["a"] for x in back],
        ),
    ]
