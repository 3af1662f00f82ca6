"""Classes with fields as values: structs at rest, themselves in functions."""

from __future__ import annotations

import subprocess
import sys
from collections import namedtuple
from dataclasses import InitVar, dataclass, field, make_dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import numpy as np
import pydantic
import pytest
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import InputValidationError, SchemaError, ValueTypeError
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.testing import TypeSuite
from orcapod.types import AwareDatetime, column_of, registry, type_of_values

T = TypeVar("T")


class PAIR(TypedDict):
    start: int
    stop: int


class Side(Enum):
    LEFT = 1
    RIGHT = 2


@dataclass(frozen=True)
class Window:
    start: int
    stop: int


class Point(NamedTuple):
    x: float
    name: str | None = None


@dataclass
class Box(Generic[T]):
    item: T
    others: list[T] = field(default_factory=list)


class IntBox(Box[int]):
    pass


@attrs.define
class Probe:
    windows: list[Window]
    _gain: float = 1.0


@attrs.frozen(slots=False)
class Site:
    side: Side


class Settings(pydantic.BaseModel):
    rate: float
    window: Window | None = None
    names: dict[str, int] = {}


class Wrapped(pydantic.BaseModel, Generic[T]):
    inner: T


@dataclass(slots=True)
class Everything:
    window: Window
    point: Point
    box: Box[float | None]
    probe: Probe | None
    settings: list[Settings]
    wrapped: Wrapped[int]
    area: int = field(init=False)

    def __post_init__(self) -> None:
        self.area = 1


WINDOWS = st.builds(Window, st.integers(0, 2), st.integers(0, 2))
POINTS = st.builds(Point, st.sampled_from([0.0, -1.0, 1.5]), st.none() | st.sampled_from(["a", "é"]))
PROBES = st.builds(Probe, st.lists(WINDOWS, max_size=2), st.sampled_from([1.0, 2.0]))
SETTINGS = st.builds(Settings, rate=st.sampled_from([1.0, 2.0]), window=st.none() | WINDOWS)


class TestDataclass(TypeSuite):
    annotation = Window

    def make_values(self) -> st.SearchStrategy[Any]:
        return WINDOWS


class TestNamedTuple(TypeSuite):
    annotation = Point

    def make_values(self) -> st.SearchStrategy[Any]:
        return POINTS

    def is_same(self, one: Any, other: Any) -> bool:
        return type(one) is type(other) and repr(one) == repr(other)


class TestGeneric(TypeSuite):
    annotation = Box[int]
    inferred = False  # a value does not say what its class was subscripted with

    def make_values(self) -> st.SearchStrategy[Any]:
        return st.builds(Box, st.integers(0, 1), st.lists(st.integers(0, 1), max_size=2))


class TestAttrs(TypeSuite):
    annotation = Probe

    def make_values(self) -> st.SearchStrategy[Any]:
        return PROBES


class TestPydantic(TypeSuite):
    annotation = Settings

    def make_values(self) -> st.SearchStrategy[Any]:
        return SETTINGS


class TestNested(TypeSuite):
    annotation = Everything

    def make_values(self) -> st.SearchStrategy[Any]:
        box = st.builds(Box, st.none() | st.just(1.5))
        wrapped = st.just(Wrapped[int](inner=1))
        return st.builds(
            Everything, WINDOWS, POINTS, box, st.none() | PROBES, st.lists(SETTINGS, max_size=1), wrapped
        )  # fmt: skip

    def is_same(self, one: Any, other: Any) -> bool:
        return type(one) is type(other) and repr(one) == repr(other)


def back(value: Any, annotation: Any = None) -> Any:
    dtype = registry.resolve(annotation or type(value))
    return dtype.to_python(column_of([value], dtype))[0]


def test_it_is_rebuilt_as_it_was_without_being_made_again() -> None:
    made = []

    @dataclass
    class Doubled:
        x: int
        total: int = field(init=False)
        factor: InitVar[int] = 2

        def __post_init__(self, factor: int) -> None:
            made.append(self)
            self.x *= factor
            self.total = self.x

        @cached_property
        def half(self) -> int:
            return self.x // 2

    value = Doubled(3)
    assert value.half == 3
    assert back(value) == value
    assert vars(back(value)) == {"x": 6, "total": 6}
    assert len(made) == 1


def test_fields_of_generic_ancestors_and_marks_are_seen() -> None:
    @attrs.define
    class Seen:
        at: AwareDatetime

    class Model(pydantic.BaseModel):
        at: AwareDatetime

    assert registry.resolve(IntBox).members["others"].name == "list[int]"  # type: ignore[attr-defined]
    for python in (Seen, Model):
        assert registry.resolve(python).members["at"].name == "datetime[UTC]"  # type: ignore[attr-defined]


def test_arrays_in_a_record_are_identified_as_arrays() -> None:
    Held = make_dataclass("Held", [("x", np.ndarray)])
    dtype = registry.resolve(Held)
    one, other, third = (Held(np.array(x)) for x in ([np.nan], [-np.nan], [0.0]))
    hashes = dtype.identity(column_of([one, other, third], dtype)).to_pylist()
    assert hashes[0] == hashes[1] != hashes[2]
    assert back(third).x.tolist() == [0.0]


def test_two_classes_of_one_shape_are_two_types() -> None:
    others = [make_dataclass("Window", [("start", int), ("stop", int)]), make_dataclass("Other", [("start", int)])]
    for other in others:
        other.__module__ = "elsewhere"
        assert registry.resolve(other) != registry.resolve(Window)
        assert not registry.resolve(Window).takes(registry.resolve(other))
        with pytest.raises(ValueTypeError, match=r"expected .*Window\{start: int, stop: int\}"):
            registry.resolve(Window).to_storage(other(*range(len(other.__dataclass_fields__))))


def test_a_class_that_was_defined_again_is_the_same() -> None:
    again = make_dataclass("Window", [("start", int), ("stop", int)], frozen=True)
    again.__module__, again.__qualname__ = Window.__module__, Window.__qualname__
    assert back(again(1, 2), Window) == Window(1, 2)


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        ({"start": 1, "stop": 2}, Window, ["expected", "Window", "dict"]),
        (type("Sub", (Window,), {})(1, 2), Window, ["a Sub is more than that"]),
        (Window("a", 2), Window, ["start of", "expected int", "'a'"]),  # type: ignore[arg-type]  # that is the point
        (Site.__new__(Site), Site, ["field 'side' was never set"]),
    ],
    ids=range(4),
)
def test_what_is_no_such_record_is_refused(value: Any, annotation: Any, words: list[str]) -> None:
    with pytest.raises(ValueTypeError) as caught:
        registry.resolve(annotation).to_storage(value)
    for word in words:
        assert word in str(caught.value)


def test_what_an_object_holds_beside_its_fields_is_not_lost_in_silence() -> None:
    box = Box(1)
    box.more = 2  # type: ignore[attr-defined]
    with pytest.raises(ValueTypeError, match="'more', which is no field"):
        registry.resolve(Box[int]).to_storage(box)

    class Open(pydantic.BaseModel, extra="allow"):
        x: int

    with pytest.raises(ValueTypeError, match="'y', which is no field"):
        registry.resolve(Open).to_storage(Open(x=1, y=2))  # type: ignore[call-arg]


class Slotted:
    __slots__ = ("cache",)


@dataclass
class Sorted(Slotted):
    __slots__ = ("__order", "item")
    item: int

    def order(self) -> None:
        self.__order = 1


def test_nor_is_what_a_slot_holds_that_is_no_field() -> None:
    dtype = registry.resolve(Sorted)
    assert back(Sorted(1)) == Sorted(1)
    cached, ordered = Sorted(1), Sorted(1)
    cached.cache = 2  # type: ignore[attr-defined]
    ordered.order()
    for value, name in ((cached, "cache"), (ordered, "_Sorted__order")):
        with pytest.raises(ValueTypeError, match=f"'{name}', which is no field"):
            dtype.to_storage(value)


@attrs.define
class Squared:
    x: int

    @cached_property
    def square(self) -> int:
        return self.x**2


def test_what_attrs_keeps_in_a_slot_and_makes_again_is_no_loss() -> None:
    squared = Squared(3)
    assert (squared.square, back(squared).square) == (9, 9)


@dataclass
class Answering:
    item: int

    def __getattr__(self, name: str) -> int:
        return 0


@pydantic.dataclasses.dataclass
class Checked:
    item: int = 1
    others: list[float] = pydantic.Field(default_factory=list)


@pydantic.dataclasses.dataclass(frozen=True)
class Frozen:
    item: int


@pytest.mark.parametrize("value", [Answering(1), Checked(), Checked(2, [1.5]), Frozen(3)], ids=repr)
def test_dataclasses_that_answer_for_themselves_come_back(value: Any) -> None:
    (found,) = [back(value)]
    assert (type(found), found, vars(found)) == (type(value), value, vars(value))


@dataclass
class Options(dict[str, int]):
    item: int


@dataclass
class Failure(Exception):  # it is what a program calls one
    item: int


@pytest.mark.parametrize("python", [Options, Failure])
def test_a_dataclass_that_holds_more_than_fields_is_refused(python: type) -> None:
    with pytest.raises(SchemaError, match="too, and holds more than its fields.*make the .* one of them"):
        registry.resolve(python)


@dataclass
class Tree:
    children: list[Tree]


@dataclass
class Handle:
    file: object


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Tree, ["field 'children' of Tree", "contains itself"]),
        (Handle, ["field 'file' of Handle", "no Arrow type is known for object"]),
        (Box, ["field 'item' of Box", "~T"]),
        (namedtuple("Bare", ["x"]), ["types of its members"]),
    ],
    ids=range(4),
)
def test_what_cannot_be_held_is_refused_where_it_is_declared(annotation: Any, words: list[str]) -> None:
    def odd(x: int) -> Any: ...

    with pytest.raises(SchemaError) as caught:
        op.PythonPacketFunction(odd, "y", output_schema={"y": annotation})
    for word in ["odd: 'y'", *words]:
        assert word in str(caught.value)


class Counted(pydantic.BaseModel):
    n: int
    _seen: list[int] = pydantic.PrivateAttr(default_factory=list)
    _unit: str = "ms"
    _later: int

    def model_post_init(self, context: Any) -> None:
        self.n += 1


def test_a_model_is_not_initialised_again_and_has_its_private_defaults() -> None:
    """What a model keeps for itself is part of it; as long as that is what it began with, it comes back."""
    dtype = registry.resolve(Counted)
    model = Counted(n=1)
    back = dtype.from_storage(dtype.to_storage(model))
    assert back == model
    assert (back.n, back._seen, back._unit) == (2, [], "ms")
    assert back._seen is not model._seen
    back._later = 3
    with pytest.raises(ValueTypeError, match="it holds '_later', which is no field; make it one"):
        dtype.to_storage(back)
    model._seen.append(1)
    with pytest.raises(ValueTypeError, match="it holds '_seen'"):
        dtype.to_storage(model)


class Sampled(pydantic.BaseModel):
    rate: float = 1.0
    gain: float = 2.0


def test_which_fields_of_a_model_were_set_is_not_kept_and_which_differ_from_their_defaults_is() -> None:
    dtype = registry.resolve(Sampled)
    model = Sampled(gain=3.0)
    back = dtype.from_storage(dtype.to_storage(model))
    assert back.model_fields_set == {"rate", "gain"}
    assert back.model_dump(exclude_defaults=True) == model.model_dump(exclude_defaults=True) == {"gain": 3.0}


def test_a_dataclass_that_was_sent_to_a_worker_and_back_is_what_it_was(tmp_path: Path) -> None:
    """Its functions are found again, and a field without a default has none: also where no source of it can be read."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, types\n"
        "import cloudpickle\n"
        "import pyarrow as pa\n"
        "from orcapod.errors import InputValidationError\n"
        "from orcapod.hashing import fingerprint_function\n"
        "from orcapod.sources import ArrowTableSource\n"
        "lab = sys.modules['lab'] = types.ModuleType('lab')\n"
        "exec('from dataclasses import dataclass\\n@dataclass\\nclass Cut:\\n    start: int\\n    stop: int\\n'\n"
        "     'def cut(x: int) -> Cut:\\n    return Cut(x, x)\\n', vars(lab))\n"
        "before = fingerprint_function(lab.cut)\n"
        "cloudpickle.register_pickle_by_value(lab)\n"
        "assert type(cloudpickle.loads(cloudpickle.dumps(lab.Cut(1, 2)))) is lab.Cut\n"
        "assert fingerprint_function(lab.cut) == before\n"
        "try:\n"
        "    ArrowTableSource(pa.table({'cut': [{'start': 1}]}), [], data_schema={'cut': lab.Cut})\n"
        "except InputValidationError as error:\n"
        "    assert 'expected a column of' in str(error), error\n"
        "else:\n"
        "    raise AssertionError('taken')\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_class_that_gained_a_field_with_a_default_reads_old_rows() -> None:
    Old = make_dataclass("Cut", [("start", int), ("window", Window)])
    Newer = make_dataclass("Span", [("start", int), ("stop", int), ("step", int, field(default=1))])
    New = make_dataclass("Cut", [("start", int), ("window", Newer), ("side", Side, field(default=Side.LEFT))])
    table = DictSource([{"i": 1, "cut": Old(1, Window(2, 3))}, {"i": 2, "cut": None}], ["i"]).as_table()
    source = ArrowTableSource(table, ["i"], data_schema={"cut": New | None})
    assert [packet["cut"] for _, packet in source.iter_packets()] == [New(1, Newer(2, 3, 1), Side.LEFT), None]
    without = make_dataclass("Cut", [("start", int), ("window", Window), ("side", Side)])
    with pytest.raises(InputValidationError, match="expected a column of"):
        ArrowTableSource(table, ["i"], data_schema={"cut": without | None})


def test_dicts_and_structs_feed_functions_of_records_and_tuples_those_of_tuples() -> None:
    def length(window: Window) -> int:
        return window.stop - window.start

    def first(point: tuple[float, str | None]) -> float:
        assert type(point) is tuple
        return point[0]

    def summed(start: int, pair: PAIR) -> int:
        return start + pair["stop"]

    rows = [{"i": 1, "window": {"start": 2, "stop": 5}, "point": Point(0.5)}]
    declared = DictSource(rows, ["i"], data_schema={"window": PAIR})
    found = op.function_pod("n", identity="version")(length).pod(declared)
    assert [packet["n"] for _, packet in found.iter_packets()] == [3]
    found = op.function_pod("n", identity="version")(first).pod(declared)
    assert [packet["n"] for _, packet in found.iter_packets()] == [0.5]
    records = DictSource([{"i": 1, "start": 1, "pair": Window(2, 5)}], ["i"])
    found = op.function_pod("n", identity="version")(summed).pod(records)
    assert [packet["n"] for _, packet in found.iter_packets()] == [6]


def test_sources_find_classes_in_values() -> None:
    assert type_of_values([Window(1, 2), None]) == registry.resolve(Window | None)
    assert type_of_values([[Point(1.0)]]) == registry.resolve(list[Point])
    assert type_of_values([namedtuple("Bare", ["x"])(1)]).name == "tuple[int, ...]"


def test_a_record_may_be_a_tag() -> None:
    windows = DictSource([{"w": Window(1, i % 2), "x": i} for i in range(3)], ["w"])
    groups = {tag["w"]: packet["x"] for tag, packet in windows.group_by("w").iter_packets()}
    assert groups == {Window(1, 0): [0, 2], Window(1, 1): [1]}


def test_classes_of_a_script_come_back_from_worker_processes(tmp_path: Path) -> None:
    program = (
        "from dataclasses import dataclass\n"
        "import orcapod as op\n"
        "from orcapod.sources import DictSource\n"
        "@dataclass(frozen=True)\n"
        "class Window:\n"
        "    start: int\n"
        "@op.function_pod('y')\n"
        "def moved(x: Window) -> Window:\n"
        "    return Window(x.start + 1)\n"
        "if __name__ == '__main__':\n"
        "    with op.Pipeline('p', op.databases.MemoryDatabase()) as pipeline:\n"
        "        moved.pod(DictSource([{'i': i, 'x': Window(i)} for i in range(3)], ['i']), label='moved')\n"
        "    pipeline.run(execution_engine=op.executors.LocalExecutor(1, 'process')).raise_for_errors()\n"
        "    assert [packet['y'] for _, packet in pipeline.moved.iter_packets()] == [Window(1), Window(2), Window(3)]\n"
    )
    (tmp_path / "script.py").write_text(program)
    subprocess.run([sys.executable, tmp_path / "script.py"], check=True)


def test_a_function_of_a_class_that_changed_is_computed_again() -> None:
    database = MemoryDatabase()

    def run(python: Any) -> int:
        def make(x: int) -> Any:
            return python(x)

        function = op.PythonPacketFunction(make, "y", identity="version", output_schema={"y": python})
        with op.Pipeline("p", database) as pipeline:
            op.FunctionPod(function)(DictSource([{"i": 1, "x": 1}], ["i"], source_id="s"), label="make")
        result = pipeline.run()
        result.raise_for_errors()
        assert [packet["y"] for _, packet in pipeline.make.iter_packets()] == [python(1)]
        return int(result.counts("make")["computed"])

    first = make_dataclass("Cut", [("x", int)])
    second = make_dataclass("Cut", [("x", int), ("y", int, field(default=0))])
    assert [run(first), run(first), run(second), run(first)] == [1, 0, 1, 0]
