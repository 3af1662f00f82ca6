"""Row hashes: equal rows, equal hashes, and nothing else enters."""

import json
import os
import subprocess
import sys
from typing import TypedDict

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.hashing import hash_rows
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.testing.strategies import rows, schemas, tables
from orcapod.types import Schema, column_of


def batch_of(given_rows, schema):
    columns = {name: column_of([row[name] for row in given_rows], kind) for name, kind in schema.types.items()}
    return pa.RecordBatch.from_pydict(columns)


def hash_of(value, annotation):
    schema = Schema({"x": annotation})
    (digest,) = hash_rows(batch_of([{"x": value}], schema), schema)
    return digest


@given(st.data())
def test_two_rows_have_equal_hashes_if_and_only_if_they_are_equal(data):
    schema = data.draw(schemas("a", "b"))
    given_rows = data.draw(rows(schema, most=8))
    hashes = hash_rows(batch_of(given_rows, schema), schema)
    shown = [repr(row) for row in given_rows]  # tells 0.0 from -0.0, and a dict from one filled in another order
    assert [[one == other for other in hashes] for one in hashes] == [
        [one == other for other in shown] for one in shown
    ]


@given(st.data())
def test_chunking_slicing_and_the_order_of_columns_do_not_enter(data):
    schema = data.draw(schemas("a", "b"))
    given_rows = data.draw(rows(schema))
    expected = hash_rows(batch_of(given_rows, schema), schema)
    table = data.draw(tables(schema, given_rows)).select(["b", "a"])
    found = [digest for batch in table.to_batches() for digest in hash_rows(batch, schema.select(["b", "a"]))]
    assert found == expected


@given(st.data())
def test_each_row_is_hashed_for_itself(data):
    """Promise 11: a null, or anything else, in one row changes the hash of no other."""
    schema = data.draw(schemas("a", "b"))
    given_rows = data.draw(rows(schema))
    loose = Schema({name: kind | None for name, kind in schema.items()})
    together = hash_rows(batch_of([*given_rows, {"a": None, "b": None}], loose), loose)
    alone = [hash_rows(batch_of([row], schema), schema)[0] for row in given_rows]
    assert together[:-1] == alone


def test_what_looks_alike_is_kept_apart():
    class Record(TypedDict):
        a: int

    nothing = [(None, int), (None, str), (None, list[int])]
    empty = [
        (0, int),
        ("", str),
        (b"", bytes),
        ([], list[int]),
        ((), tuple[int, ...]),
        ((), tuple[()]),
        ({}, dict[str, int]),
    ]
    zeros = [(0.0, float), (-0.0, float), (False, bool), ("0", str)]
    nested = [([0], list[int]), ([[]], list[list[int]]), ((0,), tuple[int, ...]), ((0,), tuple[int])]
    nulls = [([None], list[int | None]), ([None, None], list[int | None]), ([None, 0], list[int | None])]
    records = [({"a": 0}, dict[str, int]), ({"a": 0}, Record)]
    texts = [
        ("a", str),
        ("a\0", str),
        (b"a", bytes),
        (["a", ""], list[str]),
        (["", "a"], list[str]),
        (["a"], list[str]),
    ]
    pairs = [(value, kind | None) for value, kind in nothing] + empty + zeros + nested + nulls + records + texts
    hashes = [hash_of(value, kind) for value, kind in pairs]
    assert len(set(hashes)) == len(pairs)


def test_a_null_does_not_let_a_value_pass_for_that_of_its_neighbour():
    schema = Schema({"a": int | None, "b": int | None, "c": str | None})
    ones = int.from_bytes(b"\1" * 8, "little")  # nothing but bytes that elsewhere say: here is a value
    given_rows = [{"a": None, "b": ones, "c": ""}, {"a": ones, "b": None, "c": ""}, {"a": ones, "b": None, "c": None}]
    assert len(set(hash_rows(batch_of(given_rows, schema), schema))) == 3


def test_all_nans_are_one():
    schema = Schema({"x": float})
    bits = pa.array([0x7FF8000000000000, 0x7FF8000000000001, -1, 0x7FF0000000000001], pa.int64())
    nans = pa.Array.from_buffers(pa.float64(), 4, bits.buffers())
    assert len(set(hash_rows(pa.record_batch({"x": nans}), schema))) == 1
    lists = pa.LargeListArray.from_arrays(pa.array([0, 2, 4], pa.int64()), nans)
    assert len(set(hash_rows(pa.record_batch({"x": lists}), Schema({"x": list[float]})))) == 1


def test_nullability_is_no_part_of_it_at_any_depth():
    assert hash_of(1, int) == hash_of(1, int | None)
    assert hash_of([1], list[int]) == hash_of([1], list[int | None] | None)
    assert hash_of((1, {"a": 2}), tuple[int, dict[str, int]]) == hash_of(
        (1, {"a": 2}), tuple[int | None, dict[str, int | None]]
    )


def test_the_name_of_a_column_is_part_of_it():
    one, other = Schema({"a": int}), Schema({"b": int})
    assert hash_rows(pa.record_batch({"a": [1]}), one) != hash_rows(pa.record_batch({"b": [1]}), other)


def test_rows_without_columns_are_one_row():
    batch = pa.record_batch({"k": [1, 2]})
    assert len(set(hash_rows(batch, Schema()))) == 1
    assert len(hash_rows(batch, Schema())) == 2


def test_types_are_taken_from_the_batch_where_none_are_given():
    batch = pa.record_batch({"a": pa.array([1, 2]), "b": pa.array(["x", "y"], pa.large_string())})
    assert hash_rows(batch) == hash_rows(batch, Schema({"a": int, "b": str}))


STORED_AS = {
    "a": [pa.int64(), pa.int8(), pa.uint64(), pa.dictionary(pa.int32(), pa.int64())],
    "b": [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())],
    "c": [pa.list_(pa.float32()), pa.large_list(pa.float64())],
}


@pytest.mark.parametrize("choice", range(4))
def test_the_width_and_encoding_in_which_arrow_stores_a_value_do_not_enter(choice):
    given_rows = [{"a": 1, "b": "x", "c": [0.5]}, {"a": 2, "b": "", "c": []}]
    plain = DictSource(given_rows, [], source_id="s")
    columns = {}
    for name, storages in STORED_AS.items():
        storage = storages[choice % len(storages)]
        values = [row[name] for row in given_rows]
        if pa.types.is_dictionary(storage):
            columns[name] = pa.array(values, storage.value_type).dictionary_encode()
        else:
            columns[name] = pa.array(values, storage)
    stored = ArrowTableSource(pa.table(columns), [], source_id="s")
    hashes = [[packet.content_hash() for _, packet in source.iter_packets()] for source in (plain, stored)]
    assert hashes[0] == hashes[1]
    assert plain.content_hash() == stored.content_hash()


PROGRAM = """
import json
from orcapod.sources import DictSource
source = DictSource(
    [{"k": 1, "x": 0.5, "y": {"b": [1], "a": []}, "z": ("é", None)}, {"k": 2, "x": -0.0, "y": {}, "z": ("", 1)}], ["k"]
)
hashes = [str(packet.content_hash()) for _, packet in source.iter_packets()]
print(json.dumps([*hashes, str(source.content_hash()), str(source.pipeline_hash()), source.source_id]))
"""


def test_hashes_are_equal_in_every_process():
    found = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", PROGRAM],
                check=True,
                capture_output=True,
                env={**os.environ, "PYTHONHASHSEED": seed},
            ).stdout
        )
        for seed in ("1", "2")
    ]
    assert found[0] == found[1]
    assert len(set(found[0])) == 5
