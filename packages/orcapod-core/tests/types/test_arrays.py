"""Arrays of numpy: what goes in comes back, and what identifies them is dtype, shape and elements."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as extra
from numpy.typing import NDArray

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import InputValidationError, SchemaError, ValueTypeError
from orcapod.hashing import hash_rows
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.testing import TypeSuite
from orcapod.types import Schema, column_of, identified, registry, type_of_values

PAIR = np.ndarray[tuple[Literal[2]], np.dtype[np.float64]]


def plain_dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    return extra.scalar_dtypes()


def dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    packed = extra.array_dtypes(plain_dtypes(), min_size=1, max_size=3)
    aligned = packed.map(lambda dtype: np.dtype(dtype.descr, align=True))
    return plain_dtypes() | packed | aligned


def arrays(dtype: st.SearchStrategy[np.dtype[Any]], *, least: int = 0) -> st.SearchStrategy[Any]:
    return extra.arrays(dtype, extra.array_shapes(min_dims=least, max_dims=3, min_side=0, max_side=3))


def hash_of(array: Any, annotation: Any = np.ndarray) -> bytes:
    schema = Schema({"x": annotation})
    (digest,) = hash_rows(pa.RecordBatch.from_pydict({"x": column_of([array], schema.types["x"])}), schema)
    return digest


def shown(array: Any) -> Any:
    """What an array says, all NaNs being one."""
    return array.dtype.newbyteorder("<"), array.shape, repr(array.tolist())


def same(one: Any, other: Any) -> bool:
    return bool(shown(one) == shown(other))


class TestArrays(TypeSuite):
    annotation = np.ndarray

    def make_values(self) -> st.SearchStrategy[Any]:
        few = st.sampled_from([np.zeros(2), np.array([np.nan, -0.0]), np.zeros((2, 0)), np.array("é"), np.array(["a"])])
        return few | arrays(dtypes()).map(lambda array: array.astype(array.dtype.newbyteorder("<")))

    def make_equal(self, value: Any) -> list[Any]:
        return [value.copy(), np.stack([value, value], axis=-1)[..., 0]]

    def is_same(self, one: Any, other: Any) -> bool:
        return bool(same(one, other))


@given(arrays(dtypes(), least=1))
def test_the_layout_in_memory_is_no_part_of_an_array(array: Any) -> None:
    twice = np.concatenate([array.reshape(-1)] * 2).reshape(2, *array.shape)
    strided = np.asfortranarray(twice)[1, ...]
    swapped = array.astype(array.dtype.newbyteorder())
    assert hash_of(array) == hash_of(np.asfortranarray(array)) == hash_of(strided) == hash_of(swapped)


@given(arrays(plain_dtypes()), arrays(plain_dtypes()))
def test_two_arrays_have_one_hash_if_and_only_if_they_are_equal(one: Any, other: Any) -> None:
    assert (hash_of(one) == hash_of(other)) == same(one, other)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", np.longdouble, "c8", "c16", [("a", "i1"), ("b", "f4", 2)]])
def test_all_nans_are_one_and_negative_zero_is_another(dtype: Any) -> None:
    zeros, nans, others = np.zeros(2, dtype), np.zeros(2, dtype), np.zeros(2, dtype)
    for array, number in ((nans, np.nan), (others, -np.nan)):
        (array["b"] if array.dtype.names else array)[...] = number
    assert hash_of(nans) == hash_of(others)
    negative = np.zeros(2, dtype)
    (negative["b"] if negative.dtype.names else negative)[...] = -0.0
    assert hash_of(zeros) != hash_of(negative)


def test_what_lies_between_the_fields_of_a_record_is_nothing() -> None:
    dtype = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    one, other = (np.frombuffer(byte * dtype.itemsize, dtype).copy() for byte in (b"\0", b"\1"))
    other["a"], other["b"] = one["a"], one["b"]
    assert one.tobytes() != other.tobytes()
    assert hash_of(one) == hash_of(other)


def test_dtype_and_shape_count() -> None:
    hashes = [
        hash_of(np.zeros(shape, dtype)) for shape in [(6,), (2, 3), (3, 2), (0,), (0, 1)] for dtype in ("i4", "f4")
    ]
    assert len(set(hashes)) == len(hashes)


def test_what_is_declared_is_no_part_of_the_hash() -> None:
    array = np.zeros(2)
    assert hash_of(array) == hash_of(array, NDArray[np.float64]) == hash_of(array, PAIR)


RECORD = np.dtype((np.record, [("a", "i8"), ("b", "f8")]))
"""A dtype whose elements have their fields as attributes, too, and that is equal to the one whose have not."""

DECLARED: list[tuple[Any, Any, list[str]]] = [
    (NDArray[np.float32], np.zeros(2), ["expected ndarray[float32]", "dtype is float64", ".astype()"]),
    (NDArray[np.floating], np.zeros(2, int), ["ndarray[floating]", "dtype is int64"]),
    (PAIR, np.zeros((2, 1)), ["ndarray[float64, (2)]", "shape is (2, 1)"]),
    (np.ndarray[tuple[int, int], np.dtype[Any]], np.zeros(2), ["ndarray[Any, (*, *)]", "shape is (2,)"]),
    (np.ndarray, [1, 2], ["expected ndarray", "np.asarray()"]),
    (np.ndarray, np.float64(1), ["float64", "np.asarray()"]),
    (np.ndarray, np.array([object()]), ["objects", "take a list"]),
    (np.ndarray, np.array(["a"], np.dtypes.StringDType()), ["cannot be written down", ".astype()"]),
    (np.ndarray, np.ma.array([1]), ["more than an array"]),
    (np.ndarray, np.zeros(1, RECORD), ["np.record", "attributes", ".view("]),
    (np.ndarray, np.zeros((), RECORD), ["np.record"]),
    (np.ndarray, np.zeros(1, [("inside", RECORD)]), ["np.record"]),
    (np.ndarray, np.zeros(1, [("inside", (RECORD, (2,)))]), ["np.record"]),
]


@pytest.mark.parametrize(("annotation", "value", "words"), DECLARED, ids=range(len(DECLARED)))
def test_what_is_not_as_declared_is_refused(annotation: Any, value: Any, words: list[str]) -> None:
    with pytest.raises(ValueTypeError) as caught:
        registry.resolve(annotation).to_storage(value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("annotation", [NDArray[np.object_], NDArray[np.record], np.ma.MaskedArray, np.matrix])
def test_what_cannot_be_held_is_refused_where_it_is_declared(annotation: Any) -> None:
    def odd(x: int) -> Any: ...

    with pytest.raises(SchemaError, match=r"(?s)odd: 'y': .*; expected .*: take"):
        op.PythonPacketFunction(odd, "y", output_schema={"y": annotation})


def test_records_are_refused_with_a_way_to_keep_their_fields() -> None:
    """What the advice makes of an array of records comes back as it is."""
    array = np.zeros(2, RECORD)
    dtype = registry.resolve(np.ndarray)
    with pytest.raises(ValueTypeError, match=r"array\.view\(np\.dtype\(\(np\.void, array\.dtype\)\)\)"):
        column_of([array], type_of_values([array]))
    plain = array.view(np.dtype((np.void, array.dtype)))
    (back,) = dtype.to_python(column_of([plain], dtype))
    assert type(back[0]) is type(plain[0]) is np.void
    assert back["b"].tolist() == [0.0, 0.0]


TAKEN: list[tuple[Any, Any, bool]] = [
    (np.ndarray, NDArray[np.float32], True),
    (NDArray[np.floating], NDArray[np.float32], True),
    (NDArray[np.float32], np.ndarray, False),
    (NDArray[np.float32], NDArray[np.float64], False),
    (np.ndarray[tuple[int], np.dtype[Any]], PAIR, True),
    (PAIR, NDArray[np.float64], False),
    (list[float], PAIR, True),
    (list[int], PAIR, False),
    (list[list[float]], PAIR, False),
    (list[float], np.ndarray, False),
    (list[np.ndarray], list[NDArray[np.int8]], True),
]


@pytest.mark.parametrize(("wanted", "found", "taken"), TAKEN, ids=[f"{wanted}-{found}" for wanted, found, _ in TAKEN])
def test_a_column_is_taken_where_all_that_it_may_hold_is_wanted(wanted: Any, found: Any, taken: bool) -> None:
    assert registry.resolve(wanted).takes(registry.resolve(found)) == taken


def test_a_source_tells_the_type_of_its_arrays() -> None:
    assert type_of_values([np.zeros(2), np.zeros(3)]).name == "ndarray[float64, (*)]"
    assert type_of_values([np.zeros(2), None, np.zeros((2, 2), int)]).name == "ndarray | None"


def test_what_a_source_found_goes_to_functions_of_arrays_and_of_lists() -> None:
    source = DictSource([{"i": i, "x": np.arange(i)} for i in range(3)], ["i"])

    def total(x: NDArray[np.int64]) -> int:
        return int(x.sum())

    def listed(x: list[float]) -> float:
        assert isinstance(x, list)
        return sum(x)

    for function in (total, listed):
        pod = op.function_pod("y", identity="version")(function).pod
        assert [packet["y"] for _, packet in pod(source).iter_packets()] == [0, 0, 1]


def test_arrays_of_several_dtypes_go_into_one_stream() -> None:
    one, other = (DictSource([{"i": i, "x": np.zeros(2, dtype)}], ["i"]) for i, dtype in enumerate(["f4", "f8"]))
    assert [packet["x"].dtype for _, packet in one.concat(other).iter_packets()] == ["f4", "f8"]


def test_a_function_is_given_the_memory_of_the_column_and_cannot_change_it() -> None:
    dtype = registry.resolve(np.ndarray)
    column = column_of([np.arange(1000.0)], dtype)
    (array,) = dtype.to_python(column)
    start = column.field("data").buffers()[2].address
    assert array.__array_interface__["data"] == (start, True)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_function_that_goes_on_with_its_array_changes_no_result() -> None:
    held = np.zeros(2)

    @op.function_pod("y", identity="version")
    def same_again(i: int) -> np.ndarray:
        held[:] = i
        return held

    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        same_again.pod(DictSource([{"t": i, "i": i} for i in range(3)], ["t"]), label="same")
    pipeline.run().raise_for_errors()
    assert [packet["y"][0] for _, packet in pipeline["same"].iter_packets()] == [0, 1, 2]


def tensors() -> pa.Array[Any]:
    dtype = pa.fixed_shape_tensor(pa.float32(), (2, 3))
    return pa.ExtensionArray.from_storage(dtype, pa.array([[0, 1, 2, 3, 4, 5], None], pa.list_(pa.float32(), 6)))


@pytest.mark.parametrize(
    ("column", "declared", "expected"),
    [
        (tensors(), {}, np.arange(6, dtype="f4").reshape(2, 3)),
        (tensors(), {"x": np.ndarray | None}, np.arange(6, dtype="f4").reshape(2, 3)),
        (pa.array([[1, 2], None]), {"x": NDArray[np.int64] | None}, np.array([1, 2])),
        (pa.array([[[0.5], [1]], None]), {"x": np.ndarray | None}, np.array([[0.5], [1.0]])),
        (pa.array([[True], None]), {"x": np.ndarray | None}, np.array([True])),
    ],
    ids=range(5),
)
def test_tensors_and_lists_of_a_table_are_arrays(column: Any, declared: Any, expected: Any) -> None:
    source = ArrowTableSource(pa.table({"i": [0, 1], "x": column}), ["i"], data_schema=declared)
    found, nothing = (packet["x"] for _, packet in source.iter_packets())
    assert same(found, expected)
    assert nothing is None


@pytest.mark.parametrize(
    ("shape", "permutation"), [((2, 3), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((2, 3, 4), (1, 2, 0)), ((2, 1, 3), (0, 2, 1))]
)
def test_a_permuted_tensor_is_read_in_its_logical_order(shape: Any, permutation: Any) -> None:
    """The i-th dimension that one sees is the one of number ``permutation[i]`` in memory, says Arrow."""
    dtype = pa.fixed_shape_tensor(pa.int32(), shape, permutation=permutation)
    elements = np.arange(2 * np.prod(shape), dtype="i4").reshape(2, -1)
    column = pa.ExtensionArray.from_storage(
        dtype, pa.array([elements[0].tolist(), None, elements[1].tolist()], dtype.storage_type)
    )
    expected = [each.reshape(shape).transpose(permutation) for each in elements]
    for declared in ({}, {"x": np.ndarray | None}):
        source = ArrowTableSource(pa.table({"i": [0, 1, 2], "x": column}), ["i"], data_schema=declared)
        first, nothing, third = (packet["x"] for _, packet in source.iter_packets())
        assert same(first, expected[0])
        assert nothing is None
        assert same(third, expected[1])
    assert registry.resolve(NDArray[np.int32]).adopted(pa.chunked_array([column[2:]])).to_pylist()[0]["shape"] == [
        *expected[0].shape
    ]


@pytest.mark.parametrize("lists", [pa.list_, pa.large_list])
@given(data=st.data(), depth=st.integers(1, 3), leaf=st.sampled_from(["f4", "i8", "u1", "?", "M8[us]"]))
def test_columns_of_lists_are_the_arrays_they_spell(lists: Any, data: st.DataObject, depth: int, leaf: str) -> None:
    """In any chunks and slices, with nulls in between, and of any lengths that make an array."""
    shapes = extra.array_shapes(min_dims=depth, max_dims=depth, min_side=1, max_side=3)
    drawn = data.draw(st.lists(extra.arrays(leaf, shapes) | st.none(), min_size=1, max_size=5))
    arrow = pa.from_numpy_dtype(np.dtype(leaf))
    for _ in range(depth):
        arrow = lists(arrow)
    column = pa.array([None if each is None else each.tolist() for each in drawn], arrow)
    first, last = sorted((data.draw(st.integers(0, len(drawn))), data.draw(st.integers(0, len(drawn)))))
    cut = data.draw(st.integers(first, last))
    chunked = pa.chunked_array([column[first:cut], column[cut:last]])
    dtype = registry.resolve(np.ndarray | None)
    found = dtype.to_python(dtype.adopted(chunked))
    assert list(map(repr, found)) == list(map(repr, drawn[first:last]))


def test_lists_of_nothing_have_the_dimensions_of_their_type() -> None:
    def shapes(arrow: Any, rows: Any) -> Any:
        dtype = registry.resolve(np.ndarray)
        return [array.shape for array in dtype.to_python(dtype.adopted(pa.chunked_array([pa.array(rows, arrow)])))]

    assert shapes(pa.list_(pa.int64()), [[]]) == [(0,)]
    assert shapes(pa.list_(pa.list_(pa.int64())), [[], [[]], [[], []], [[1]]]) == [(0, 0), (1, 0), (2, 0), (1, 1)]
    assert shapes(pa.list_(pa.list_(pa.int64(), 3)), [[], [[1, 2, 3]]]) == [(0, 3), (1, 3)]


@pytest.mark.parametrize("rows", [[[[1], [1, 2]]], [[[1, None]]], [[[1], None]], [[None]]])
def test_lists_that_are_no_arrays_are_refused(rows: Any) -> None:
    whole = pa.array([[[1]], *rows], pa.list_(pa.list_(pa.int64())))
    with pytest.raises(InputValidationError, match="row 1: expected ndarray"):
        ArrowTableSource(pa.table({"x": whole}), [], data_schema={"x": np.ndarray})


@pytest.mark.parametrize(
    "stored",
    [
        {"dtype": "<f8", "shape": [2], "data": b"1234567"},
        {"dtype": "<f8", "shape": [-1], "data": b""},
        {"dtype": "|O", "shape": [1], "data": b"12345678"},
        {"dtype": "[('a', '|O')]", "shape": [1], "data": b"12345678"},
        {"dtype": "[oops", "shape": [1], "data": b""},
        {"dtype": None, "shape": [1], "data": b""},
        {"dtype": "<f8", "shape": None, "data": b""},
        {"dtype": "<f8", "shape": [0], "data": None},
    ],
)
def test_bytes_that_are_no_array_are_refused(stored: dict[str, Any]) -> None:
    dtype = registry.resolve(np.ndarray)
    for read in (lambda: dtype.from_storage(stored), lambda: dtype.to_python(dtype.from_python([stored]))):
        with pytest.raises(ValueTypeError, match="no dtype and shape of its bytes"):
            read()


def test_arrays_cost_nothing_before_somebody_uses_them() -> None:
    program = (
        "import sys, orcapod as op\n"
        "from orcapod.sources import ArrowTableSource, DictSource\n"
        "list(DictSource([{'x': [1.0], 'y': {'a'}}], []).iter_packets())\n"
        "assert 'orcapod.types.arrays' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_arrays_of_other_libraries_go_by_dlpack(tmp_path: Path) -> None:
    """Such a library is never imported: what it is called, and which function takes DLPack, is all that is known."""
    (tmp_path / "torch.py").write_text(
        "import numpy\n"
        "class Tensor:\n"
        "    def __init__(self, array): self.array = array\n"
        "    def __dlpack__(self, **options): return self.array.__dlpack__(**options)\n"
        "    def __dlpack_device__(self): return self.array.__dlpack_device__()\n"
        "def from_dlpack(array): return Tensor(numpy.from_dlpack(array))\n"
    )
    program = (
        "import numpy as np, torch\n"
        "import orcapod as op\n"
        "from orcapod.errors import ValueTypeError\n"
        "from orcapod.sources import DictSource\n"
        "from orcapod.types import registry, type_of_values\n"
        "@op.function_pod('y')\n"
        "def doubled(x: torch.Tensor) -> torch.Tensor:\n"
        "    return torch.Tensor(x.array * 2)\n"
        "source = DictSource([{'i': 1, 'x': torch.Tensor(np.arange(4.0).reshape(2, 2))}], ['i'])\n"
        "assert source.schema.packets.types['x'].name == 'torch.Tensor'\n"
        "with op.Pipeline('p', op.databases.MemoryDatabase()) as pipeline:\n"
        "    doubled.pod(source, label='doubled')\n"
        "pipeline.run().raise_for_errors()\n"
        "(_, packet), = pipeline.doubled.iter_packets()\n"
        "assert packet['y'].array.tolist() == [[0.0, 2.0], [4.0, 6.0]]\n"
        "try:\n"
        "    registry.resolve(torch.Tensor).to_storage(np.zeros(2))\n"
        "except ValueTypeError as error:\n"
        "    assert 'expected torch.Tensor' in str(error)\n"
        "else:\n"
        "    raise AssertionError('taken')\n"
    )
    (tmp_path / "script.py").write_text(program)
    subprocess.run([sys.executable, tmp_path / "script.py"], check=True)


def test_packets_of_arrays_are_equal_where_their_arrays_are() -> None:
    one, other, third = (
        packet for _, packet in DictSource([{"x": np.array(x)} for x in ([1.0, np.nan], [1.0, np.nan], [2.0])], [])
    )
    assert one == other == {"x": np.array([1.0, np.nan])}
    assert one != third
    assert one != {"x": [1.0, np.nan]}
    assert one != {"y": 1}


@pytest.mark.parametrize(
    ("array", "is_plain"),
    [
        *[(np.arange(125_000.0), True), (np.full(125_000, np.nan), True), (np.full(125_000, -np.nan), False)],
        *[(np.zeros(62_500, "c16"), False), (np.zeros((250, 500), "M8[s]"), True), (np.zeros(250_000, "V8"), True)],
        *[(np.zeros(62_500, [("a", "f8"), ("b", "f8")]), False), (np.zeros(62_500, np.longdouble), False)],
    ],
    ids=range(8),
)
def test_what_is_known_of_a_large_array_is_what_its_elements_say(
    array: Any, is_plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is identified by what was noted when it was stored, or by its elements where nothing was."""
    dtype = registry.resolve(np.ndarray)
    whole = hash_of(array)
    monkeypatch.setattr("orcapod.types.arrays._AT_ONCE", 1_000)  # which are many at a time
    assert hash_of(array) == whole
    bare, stored, smaller = (dtype.to_storage(each) for each in (array, array, array[:-1]))
    assert identified(stored) == (f"sha256:{sha256(array.tobytes()).hexdigest()}" if is_plain else None)
    assert stored["identity"] is not None
    one, other, another = dtype.identity(dtype.from_python([stored, bare, smaller])).to_pylist()
    assert one == other != another


def test_large_arrays_of_sources_know_what_identifies_them() -> None:
    """So that no function that takes them has to read them for that."""
    arrays = [np.arange(125_000.0), np.arange(2.0)]
    single = column_of(arrays, registry.resolve(np.ndarray))
    nested = column_of([arrays], registry.resolve(list[np.ndarray]))
    for column in (single.to_pylist(), *nested.to_pylist()):
        assert [array["identity"] is not None for array in column] == [True, False]


@pytest.mark.parametrize("dtype", [np.dtype([("x", "f8"), ("y", "i4")])[["y", "x"]]], ids=["out of order"])
def test_a_dtype_that_cannot_be_written_down_is_refused_with_what_to_do(dtype: Any) -> None:
    array = np.zeros(2, [("x", "f8"), ("y", "i4")])[["y", "x"]]
    assert array.dtype == dtype
    with pytest.raises(ValueTypeError, match="cannot be written down; convert it"):
        registry.resolve(np.ndarray).to_storage(array)
    with pytest.raises(InputValidationError, match="cannot be written down; convert it"):
        DictSource([{"i": 1, "x": array}], ["i"])
