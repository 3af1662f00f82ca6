"""Types of one's own: a codec to bytes, a name of one's own, or an entry point of another package."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from dataclasses import dataclass, make_dataclass
from io import BytesIO
from pathlib import Path
from struct import pack
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import SchemaError, ValueTypeError
from orcapod.sources import DictSource
from orcapod.testing import TypeSuite
from orcapod.types import LogicalType, column_of, registry


@op.logical_type
class Spectrum:
    """Numbers that write themselves."""

    def __init__(self, peaks: list[float]) -> None:
        self.peaks = peaks

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spectrum) and self.peaks == other.peaks

    __hash__ = None  # type: ignore[assignment]

    def to_bytes(self) -> bytes:
        return json.dumps(self.peaks).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Spectrum:
        return cls(json.loads(data))


class Bag:
    """Words in any order, of a library that knows nothing of this one."""

    def __init__(self, words: list[str]) -> None:
        self.words = words


op.logical_type(
    Bag,
    name="Bag",
    to_bytes=lambda bag: "\n".join(bag.words).encode(),
    from_bytes=lambda data: Bag(data.decode().splitlines()),
    identity=lambda bag: "\n".join(sorted(bag.words)).encode(),
)


class TestCodec(TypeSuite):
    annotation = Spectrum

    def make_values(self) -> st.SearchStrategy[Any]:
        return st.builds(Spectrum, st.lists(st.sampled_from([0.0, 1.5]), max_size=2))


class TestCodecWithIdentity(TypeSuite):
    annotation = Bag

    def make_values(self) -> st.SearchStrategy[Any]:
        return st.builds(Bag, st.lists(st.sampled_from("ab"), max_size=3))

    def make_equal(self, value: Bag) -> list[Bag]:
        return [Bag(value.words[::-1])]

    def is_same(self, one: Any, other: Any) -> bool:
        return type(one) is type(other) and sorted(one.words) == sorted(other.words)


class Sampled(TypeSuite):
    values: tuple[Any, ...]

    def make_values(self) -> st.SearchStrategy[Any]:
        return st.sampled_from(self.values)

    def is_same(self, one: Any, other: Any) -> bool:
        return type(one) is type(other) and repr(one) == repr(other)


class TestComplex(Sampled):
    annotation = complex
    values = (0j, -0j, 1 + 2j, complex("nan"), complex(0.0, float("inf")))


class TestRange(Sampled):
    annotation = range
    values = (range(3), range(0), range(1, 9, -2))


class TestSlice(Sampled):
    annotation = slice
    values = (slice(None), slice(1, 2), slice(None, None, -1))


class TestPattern(Sampled):
    annotation = re.Pattern
    values = (re.compile("a"), re.compile("a", re.IGNORECASE), re.compile("(?x) é"))

    def make_equal(self, value: Any) -> list[Any]:
        return [value]


class TestZone(Sampled):
    annotation = ZoneInfo
    values = (ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"))

    def make_equal(self, value: Any) -> list[Any]:
        return [ZoneInfo(value.key)]


def test_a_zone_without_a_key_is_refused() -> None:
    """It is there in this process alone; what it is shown as names no zone."""
    one_offset = pack(">4s16x6llbb4s", b"TZif", 0, 0, 0, 0, 1, 4, 0, 0, 0, b"UTC")
    with pytest.raises(ValueTypeError, match="no key"):
        registry.resolve(ZoneInfo).to_storage(ZoneInfo.from_file(BytesIO(one_offset)))


def test_a_name_of_its_own_outlives_the_module_of_a_class() -> None:
    types = []
    for module in ("notebook", "package.study"):
        python = make_dataclass("Cut", [("x", int)])
        python.__module__ = module
        types.append(registry.resolve(op.logical_type(name="Cut")(python)))
    assert types[0] == types[1]
    assert types[0].hash_name == "Cut{x: int}"


def version(layout: int, **more: Any) -> Any:
    """A class of a library, of which each version writes another layout."""
    python = make_dataclass("Scan", [("x", int)])
    return op.logical_type(
        name="Scan",
        layout=layout,
        to_bytes=lambda scan: str(scan.x * layout).encode(),
        from_bytes=lambda data: python(int(data) // layout),
        **more,
    )(python)


def computed(python: Any, database: Any) -> int:
    def make(x: int) -> Any:
        return python(x)

    function = op.PythonPacketFunction(make, "y", identity="version", output_schema={"y": python})
    with op.Pipeline("p", database) as pipeline:
        op.FunctionPod(function)(DictSource([{"i": 1, "x": 7}], ["i"], source_id="s"), label="make")
    result = pipeline.run()
    result.raise_for_errors()
    assert [packet["y"].x for _, packet in pipeline.make.iter_packets()] == [7]
    return int(result.counts("make")["computed"])


def test_another_layout_is_computed_anew_and_the_older_one_stays() -> None:
    database = MemoryDatabase()
    assert [computed(version(layout), database) for layout in (1, 2, 1, 2)] == [1, 1, 0, 0]


def test_what_migrates_is_not_computed_again() -> None:
    database = MemoryDatabase()
    assert computed(version(1), database) == 1
    read = []

    def migrate(data: bytes, layout: int) -> Any:
        read.append(layout)
        return newer(int(data) // layout)

    newer = version(2, migrate=migrate)
    assert computed(newer, database) == 0
    assert read == [1]
    dtype = registry.resolve(newer)
    stored = [{"layout": 1, "data": b"7"}, dtype.to_storage(newer(7))]
    assert len(set(dtype.identity(dtype.from_python(stored)).to_pylist())) == 1


class Dose:
    """An amount, of a library that does not know how it is written."""

    def __init__(self, amount: int) -> None:
        self.amount = amount


class DoseType(LogicalType):
    """Doses as columns, read in a unit."""

    name = "Dose in columns"
    annotation = Dose
    arrow = pa.int64()
    is_identity = False

    def __init__(self, unit: int) -> None:
        self.unit = unit

    def to_storage(self, value: Any) -> Any:
        return value.amount

    def from_storage(self, stored: Any) -> Any:
        return Dose(stored * self.unit)


def read_by_codec(unit: int) -> None:
    op.logical_type(
        name="Dose",
        to_bytes=lambda dose: str(dose.amount).encode(),
        from_bytes=lambda data: Dose(int(data) * unit),
    )(Dose)


def read_as_column(unit: int) -> None:
    registry.register(Dose, lambda annotation: DoseType(unit))


@pytest.mark.parametrize("annotation", [Dose, Dose | None, list[Dose], dict[str, tuple[int, Dose]]])
@pytest.mark.parametrize("read_in", [read_by_codec, read_as_column])
def test_a_function_depends_on_what_reads_its_arguments(read_in: Any, annotation: Any) -> None:
    def print_of(unit: int) -> Any:
        read_in(unit)
        return op.PythonPacketFunction(
            lambda x: str(x), "y", name="f", input_schema={"x": annotation}, output_schema={"y": str}
        ).code("begins")

    one, same, other = map(print_of, (1, 1, 1000))
    assert one == same != other
    assert one.opaque == other.opaque == ()


def test_what_a_class_reads_itself_by_is_in_the_class() -> None:
    @op.logical_type
    class Fixed(Spectrum):
        @staticmethod
        def from_bytes(data: bytes) -> Spectrum:
            return Spectrum([])

    assert registry.resolve(Spectrum).readers == registry.resolve(Fixed).readers == ()


def test_a_class_that_was_defined_again_is_the_same() -> None:
    again = type("Spectrum", (), dict(vars(Spectrum)))
    assert again is not Spectrum
    dtype = registry.resolve(Spectrum)
    assert dtype.to_python(column_of([again([1.0])], dtype)) == [Spectrum([1.0])]


@pytest.mark.parametrize(
    ("written", "words"),
    [("text", ["to_bytes gave str", "expected bytes"]), (pickle.dumps([1]), ["gave a pickle", "write data"])],
)
def test_what_writes_no_bytes_or_a_pickle_is_refused(written: Any, words: list[str]) -> None:
    python = type("Odd", (), {})
    op.logical_type(python, to_bytes=lambda value: written, from_bytes=bytes)
    with pytest.raises(ValueTypeError) as caught:
        registry.resolve(python).to_storage(python())
    for word in words:
        assert word in str(caught.value)


def test_bytes_that_only_begin_as_a_pickle_does_are_bytes() -> None:
    python = type("Fine", (), {})
    op.logical_type(python, to_bytes=lambda value: b"\x80\x04 and more.", from_bytes=bytes)
    registry.resolve(python).to_storage(python())


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"layout": 1, "data": b"{"}, ["cannot be read", "JSONDecodeError"]),
        ({"layout": 3, "data": b"[]"}, ["has layout 3, expected 1", "migrate="]),
        ({"layout": 1, "data": None}, ["no layout and bytes"]),
    ],
)
def test_bytes_that_cannot_be_read_are_refused(stored: Any, words: list[str]) -> None:
    with pytest.raises(ValueTypeError) as caught:
        registry.resolve(Spectrum).from_storage(stored)
    for word in words:
        assert word in str(caught.value)


@dataclass
class Plain:
    x: int


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: op.logical_type(type("Empty", (), {})),
        lambda: op.logical_type(3),  # type: ignore[type-var]
        lambda: op.logical_type(Plain, to_bytes=bytes),
        lambda: op.logical_type(int, to_bytes=bytes, from_bytes=len),
        lambda: op.logical_type(Plain, layout=2),
        lambda: op.logical_type(Plain, name=""),
        lambda: op.logical_type(Plain, to_bytes=bytes, from_bytes=3),  # type: ignore[arg-type]
        lambda: op.logical_type(Plain, to_bytes=bytes, from_bytes=bytes, layout=0),
    ],
)
def test_what_says_nothing_of_its_bytes_is_refused(wrong: Any) -> None:
    with pytest.raises(SchemaError):
        wrong()


def test_another_package_brings_types_by_an_entry_point(tmp_path: Path) -> None:
    """Its module is imported when a class of the library is met, in an annotation or in a value, and not before."""
    (tmp_path / "thermo.py").write_text("class Celsius:\n    def __init__(self, degrees): self.degrees = degrees\n")
    (tmp_path / "thermo_types.py").write_text(
        "import orcapod as op, thermo\n"
        "op.logical_type(thermo.Celsius, to_bytes=lambda x: str(x.degrees).encode(),\n"
        "                from_bytes=lambda data: thermo.Celsius(float(data)))\n"
    )
    info = tmp_path / "thermo_types-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thermo-types\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[orcapod.types]\nthermo = thermo_types\n")
    program = (
        "import sys, thermo\n"
        "from orcapod.sources import DictSource\n"
        "list(DictSource([{'x': 1}], []).iter_packets())\n"
        "assert 'thermo_types' not in sys.modules\n"
        "(_, packet), = DictSource([{'x': [thermo.Celsius(36.6)]}], []).iter_packets()\n"
        "assert packet['x'][0].degrees == 36.6\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
