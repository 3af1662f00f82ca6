"""Canonical bytes: the written rules, by a second and slower implementation of them, and back."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcapod.errors import OrcapodError, SchemaError, ValueTypeError
from orcapod.testing.arrow import arrays, column_types
from orcapod.types.codec import decode, encode, payloads

FLOATS = {2: ("<e", 0x7E00), 4: ("<f", 0x7FC00000), 8: ("<d", 0x7FF8000000000000)}


def width_of(type_: Any) -> int:
    """Bytes per value of the types whose payload has a fixed width, 0 for others."""
    if pa.types.is_dictionary(type_):
        return width_of(type_.value_type)
    if pa.types.is_boolean(type_):
        return 1
    return type_.bit_width // 8 if pa.types.is_primitive(type_) or pa.types.is_decimal(type_) else 0


def payload(scalar: Any) -> bytes:
    """The rules of ``orcapod.types.codec``, for one value."""
    type_ = scalar.type
    if not scalar.is_valid:
        return b""
    if pa.types.is_dictionary(type_):
        return payload(scalar.value)
    if isinstance(type_, pa.BaseExtensionType):
        return payload(scalar.value)
    if pa.types.is_struct(type_):
        fields = [scalar[i] for i in range(len(type_))]
        return b"".join(b"\x01" + payload(field) if field.is_valid else b"\x00" for field in fields)
    if pa.types.is_map(type_):
        entries = [(entry["key"], entry["value"]) for entry in scalar.values]
        parts = [payload(k) + (b"\x01" + payload(v) if v.is_valid else b"\x00") for k, v in entries]
        return struct.pack("<Q", len(entries)) + b"".join(parts)
    if pa.types.is_nested(type_):
        items = list(scalar.values)
        nulls = any(not item.is_valid for item in items)
        validity = bytes(item.is_valid for item in items) if nulls else b""
        inner = b"".join(payload(i) if i.is_valid else bytes(width_of(type_.value_type)) for i in items)
        return struct.pack("<QB", len(items), nulls) + validity + inner
    if pa.types.is_floating(type_):
        form, quiet = FLOATS[width_of(type_)]
        value = float(scalar.as_py())
        return quiet.to_bytes(width_of(type_), "little") if math.isnan(value) else struct.pack(form, value)
    if pa.types.is_decimal(type_):
        return int(scalar.as_py().scaleb(type_.scale)).to_bytes(width_of(type_), "little", signed=True)
    if pa.types.is_interval(type_):
        return struct.pack("<iiq", *scalar.as_py())
    if width_of(type_):
        number = scalar.value if pa.types.is_temporal(type_) else int(scalar.as_py())
        signed = not pa.types.is_unsigned_integer(type_)
        return number.to_bytes(width_of(type_), "little", signed=signed)
    value = scalar.as_py()
    raw = value.encode() if isinstance(value, str) else bytes(value)
    return struct.pack("<Q", len(raw)) + raw


def blobs(array: pa.Array[Any]) -> list[bytes | None]:
    """What a store keeps: the payload of every value, None for a null."""
    logical = [scalar.is_valid for scalar in array]
    return [value if valid else None for value, valid in zip(encode(array).to_pylist(), logical, strict=True)]


typed_arrays = column_types().flatmap(arrays)


@given(typed_arrays)
def test_payloads_follow_the_written_rules(array: pa.Array[Any]) -> None:
    assert encode(array).to_pylist() == [payload(scalar) for scalar in array]
    assert encode(array).null_count == 0
    assert bytes(payloads(array)) == b"".join(map(payload, array))


@given(typed_arrays)
def test_decode_undoes_encode(array: pa.Array[Any]) -> None:
    for given_as in (blobs(array), pa.array(blobs(array), pa.binary())):
        back = decode(given_as, array.type)
        back.validate(full=True)
        assert back.type == array.type
        assert [payload(scalar) for scalar in back] == [payload(scalar) for scalar in array]
        assert [scalar.is_valid for scalar in back] == [scalar.is_valid for scalar in array]


@given(typed_arrays, st.data())
def test_payloads_do_not_depend_on_slices_and_chunks(array: pa.Array[Any], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(array)))
    end = data.draw(st.integers(start, len(array)))
    assert encode(array[start:end]).to_pylist() == encode(array).to_pylist()[start:end]
    if len(array) and not pa.types.is_null(array.type):
        sliced = pa.array([None, *blobs(array)], pa.large_binary())[1 + start : 1 + end]
        assert encode(decode(sliced, array.type)).to_pylist() == encode(array).to_pylist()[start:end]


@pytest.mark.parametrize(
    "array", [pa.array([None, 1, None, 2]), pa.array([None, "a", None, "b"]), pa.array([None, [1], None, [2]])]
)
def test_slices_of_payloads_are_read_as_such(array: pa.Array[Any]) -> None:
    column = pa.array(blobs(array), pa.large_binary())
    for start in range(5):
        assert decode(column[start:], array.type).equals(array[start:])


@given(typed_arrays)
def test_no_payload_begins_another(array: pa.Array[Any]) -> None:
    found = {value for value in blobs(array) if value is not None}
    assert not any(a != b and b.startswith(a) for a in found for b in found)


@pytest.mark.parametrize(
    ("array", "hexes"),
    [
        (pa.array([True, False, None]), ["01", "00", ""]),
        (pa.array([1, -2], pa.int16()), ["0100", "feff"]),
        (pa.array([0.0, -0.0, math.nan], pa.float32()), ["00000000", "00000080", "0000c07f"]),
        (pa.array(["é", ""]), ["0200000000000000c3a9", "0000000000000000"]),
        (pa.array([b"ab"], pa.binary(2)), ["02000000000000006162"]),
        (
            pa.array([[1, None], [], [2]], pa.list_(pa.int8())),
            [f"{2:02x}{'00' * 7}0101000100", "00" * 9, f"01{'00' * 8}02"],
        ),
        (pa.array([["a", None]]), [f"02{'00' * 7}01010001{'00' * 7}61"]),
        (pa.array([{"a": 1, "b": None}], pa.struct([("a", pa.int8()), ("b", pa.int8())])), ["010100"]),
        (pa.array([[(1, None), (2, 3)]], pa.map_(pa.int8(), pa.int8())), [f"02{'00' * 7}0100020103"]),
        (pa.array([[None, None]], pa.list_(pa.null())), [f"02{'00' * 7}010000"]),
    ],
)
def test_payloads_are_frozen(array: pa.Array[Any], hexes: list[str]) -> None:
    """These bytes were released: rows are hashed and stored by them. Add lines, never change one."""
    assert [value.hex() for value in encode(array).to_pylist()] == hexes


def test_what_lies_under_a_null_is_never_seen() -> None:
    numbers = pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(b"\x07" * 16)])
    assert encode(numbers).to_pylist() == [b"\x07" * 8, b""]
    offsets = pa.array([0, 1, 2], pa.int32())
    inside = pa.ListArray.from_arrays(offsets, numbers)
    assert encode(inside)[1].as_py() == struct.pack("<QB", 1, 1) + b"\x00" + bytes(8)
    outside = pa.ListArray.from_arrays(offsets, pa.array([5, 6]), mask=pa.array([True, False]))
    assert encode(outside).to_pylist() == [b"", struct.pack("<QBq", 1, 0, 6)]
    pair = pa.StructArray.from_arrays([pa.array([5, 6])], ["a"], mask=pa.array([True, False]))
    assert encode(pair).to_pylist() == [b"", b"\x01" + struct.pack("<q", 6)]


def test_sliced_maps_of_fixed_size_lists() -> None:
    """Arrow's own cast of such maps to lists gives arrays that read beyond their end."""
    type_ = pa.list_(pa.map_(pa.string(), pa.list_(pa.int64(), 2)))
    array = pa.array([[[("z", [1, 2])]], None, [None, [("a", [3, 4]), ("b", None)]]], type_)
    for start in range(4):
        assert encode(array[start:]).to_pylist() == [payload(scalar) for scalar in array[start:]]


def test_all_nans_are_one() -> None:
    for width, (_, quiet) in FLOATS.items():
        other = (quiet + 3).to_bytes(width, "little")
        negative = (quiet | 1 << (8 * width - 1)).to_bytes(width, "little")
        type_ = {2: pa.float16(), 4: pa.float32(), 8: pa.float64()}[width]
        nans = pa.Array.from_buffers(type_, 2, [None, pa.py_buffer(other + negative)])
        assert encode(nans).to_pylist() == [quiet.to_bytes(width, "little")] * 2


def test_dresses_do_not_count() -> None:
    """Dictionary, run-end and extension encoding, views and list layouts have the payloads of the plain values."""
    words = pa.array(["a", "b", None, "a"])
    for wrapped in (words.dictionary_encode(), pc.run_end_encode(words), words.cast(pa.string_view())):
        assert encode(wrapped).to_pylist() == encode(words).to_pylist()
        assert decode(blobs(wrapped), wrapped.type).to_pylist() == words.to_pylist()
    raw = pa.array([b"0123456789abcdef", None], pa.binary(16))
    uuids = pa.ExtensionArray.from_storage(pa.uuid(), raw)
    assert encode(uuids).to_pylist() == encode(raw).to_pylist()
    assert decode(blobs(uuids), pa.uuid()).equals(uuids)
    lists = pa.array([[1, None], None, [3]])
    views = pa.array([[1, None], None, [3]], pa.list_view(pa.int64()))
    assert encode(views[1:]).to_pylist() == encode(lists[1:]).to_pylist()
    assert decode(blobs(views), views.type).to_pylist() == lists.to_pylist()
    nested = pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), uuids)
    assert decode(blobs(nested), nested.type).equals(nested)


def test_nested_values_in_a_dictionary() -> None:
    pairs = pa.array([{"a": 1}, {"a": 2}])
    column = pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.int8()), pairs)
    assert decode(blobs(column), column.type).to_pylist() == [{"a": 2}, None, {"a": 1}]


def test_a_dictionary_that_overflows_its_index_type_is_refused() -> None:
    words = encode(pa.array([str(i) for i in range(300)]))
    with pytest.raises(SchemaError, match="300 different values.*int8"):
        decode(words, pa.dictionary(pa.int8(), pa.string()))


def test_unions_are_refused() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(SchemaError, match="union"):
        encode(union)
    with pytest.raises(SchemaError, match="union"):
        decode([b""], union.type)


@pytest.mark.parametrize(
    "type_",
    [
        pa.int64(),
        pa.string(),
        pa.list_(pa.int64()),
        pa.list_(pa.string()),
        pa.struct([("a", pa.int64())]),
        pa.map_(pa.string(), pa.int64()),
    ],
)
@settings(max_examples=30)
@given(st.binary(max_size=30))
def test_other_bytes_are_refused_or_read_but_never_crash(type_: pa.DataType, blob: bytes) -> None:
    try:
        found = decode([blob], type_)
    except (OrcapodError, pa.ArrowInvalid):
        return
    found.validate(full=True)


def test_bytes_of_another_type_are_refused() -> None:
    for type_ in (pa.int64(), pa.string(), pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.list_(pa.string())):
        with pytest.raises(ValueTypeError, match="expected"):
            decode([b"\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01"], type_)


def test_many_rows_and_empty_ones() -> None:
    """Beyond the cached offsets, and with nothing at all."""
    many = pa.array(range(70_000))
    assert encode(many)[69_999].as_py() == struct.pack("<q", 69_999)
    assert decode(encode(many), pa.int64()).equals(many)
    lists = pa.array([[]] * 3, pa.list_(pa.string()))
    assert decode(encode(lists), lists.type).equals(lists)


def test_values_without_bytes() -> None:
    """A list can hold more items than it has bytes, if they are structs without fields."""
    for column in (pa.array([[{}] * 20, None], pa.list_(pa.struct([]))), pa.array([{}, None], pa.struct([]))):
        assert decode(blobs(column), column.type).equals(column)


def test_numpy_is_not_needed() -> None:
    program = (
        "import sys; sys.modules['numpy'] = None\n"
        "import pyarrow as pa; from orcapod.types.codec import encode, decode\n"
        "a = pa.array([[1.5, None], None]); assert decode([encode(a)[0].as_py(), None], a.type).equals(a)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
