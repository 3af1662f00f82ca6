"""Long lists of entries are kept in pieces, each once, and come back as they were."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import DamagedRecordError
from orcapod.protocols import Database
from orcapod.records import TREES, Members
from orcapod.sources import DictSource

_TEXT = pa.large_string()
_DIGITS = st.binary(min_size=32, max_size=32).map(bytes.hex)
_ELEMENTS = {
    _TEXT: st.none()
    | st.text(max_size=3)
    | _DIGITS
    | _DIGITS.map("f:1:v0:python::{}::x".format)
    | _DIGITS.map(str.upper)
    | st.tuples(_DIGITS, _DIGITS).map("".join),
    pa.int64(): st.none() | st.integers(-9, 9),
    pa.struct([("x", pa.float64()), ("tags", pa.large_list(_TEXT))]): st.none()
    | st.fixed_dictionaries({"x": st.just(-0.0) | st.just(0.0), "tags": st.lists(st.text(max_size=1), max_size=2)}),
}


@st.composite
def columns(draw: st.DrawFn) -> pa.Array[Any]:
    """Lists, and lists of lists, of any length, some of them of one and the same member."""
    type_: Any = draw(st.sampled_from(list(_ELEMENTS)))
    values: st.SearchStrategy[Any] = _ELEMENTS[type_]
    floors = draw(st.integers(1, 3))
    longest = draw(st.integers(0, floors - 1))
    for floor in range(floors):
        lists = st.lists(values, max_size=3)
        if floor == longest:
            lists |= st.tuples(st.lists(values, min_size=1, max_size=7), st.integers(1, 99)).map(
                lambda parts: (parts[0] * parts[1])[:300]
            )
        values, type_ = st.none() | lists, pa.large_list(type_)
    return pa.array(draw(st.lists(values, min_size=3, max_size=3)), type_)


@given(column=columns(), other=columns())
@settings(deadline=None, max_examples=60)
def test_whatever_is_packed_comes_back(column: pa.Array[Any], other: pa.Array[Any]) -> None:
    """Nulls, empty lists, lists of lists, negative zeros: nothing is another than it was, and nothing long is left."""
    members = Members(MemoryDatabase())
    entries = pa.table({"key": [b"a", b"b", b"c"], "column": column, "plain": [1, 2, 3], "other": other})
    at_rest = members.pack(entries)
    assert members.unpack(at_rest).equals(entries)
    assert str(members.unpack(at_rest)) == str(entries), "-0.0 is no 0.0"
    one = members.unpack(at_rest, ["other"])
    assert one.column("other").equals(entries.column("other"))
    assert at_rest.nbytes < 10_000


def named(digits: list[str]) -> pa.Table:
    return pa.table(
        {"key": [b"a"], "ids": [[f"f:1:v0:python::{each}::x" for each in digits]], "sources": [None]}, SCHEMA
    )


def test_ids_of_records_take_their_bytes_and_not_their_digits() -> None:
    database = MemoryDatabase()
    members = Members(database)
    entries = named([sha256(b"%d" % number).hexdigest() for number in range(4_000)])
    packed = members.pack(entries)
    assert stored_bytes(database) < 4_000 * 64 < entries.nbytes // 1.4
    assert members.unpack(packed).equals(entries)


def test_a_few_members_that_change_write_a_few_times_themselves() -> None:
    """Each has a piece with its neighbours, and each of the floors of keys above is written anew as far as it must."""
    database = MemoryDatabase()
    members = Members(database)
    digits = [sha256(b"%d" % number).hexdigest() for number in range(5_000)]
    members.pack(named(digits))
    before = stored_bytes(database)
    for number in range(0, 5_000, 50):
        digits[number] = sha256(b"new %d" % number).hexdigest()
    members.pack(named(digits))
    assert stored_bytes(database) - before < 100 * 32 * 20


def stored_bytes(database: Database) -> int:
    return sum(database.get_records(path).nbytes for path in database.list_paths())


@pytest.mark.parametrize("at", [0, 1, 777, 3_999, 4_000])
def test_a_member_more_costs_little_more_than_that_member(at: int) -> None:
    """Wherever it comes in; also beside 4,000 members that are all the same."""
    database = MemoryDatabase()
    members = Members(database)
    ids = [f"patient={number}" for number in range(4_000)]
    longer = [*ids[:at], "one more", *ids[at:]]
    whole = members.pack(pa.table({"key": [b"a"], "ids": [ids], "sources": [["s"] * 4_000]}, SCHEMA))
    before = stored_bytes(database)
    assert before + whole.nbytes < 150_000, "about what they have themselves"
    again = members.pack(pa.table({"key": [b"b"], "ids": [longer], "sources": [["s"] * 4_001]}, SCHEMA))
    assert stored_bytes(database) - before + again.nbytes < 10_000
    assert members.unpack(again).to_pylist() == [{"key": b"b", "ids": longer, "sources": ["s"] * 4_001}]


SCHEMA = pa.schema({"key": pa.large_binary(), "ids": pa.large_list(_TEXT), "sources": pa.large_list(_TEXT)})


def test_a_piece_that_is_damaged_or_gone_is_named() -> None:
    database = MemoryDatabase()
    members = Members(database)
    packed = members.pack(pa.table({"key": [b"a"], "ids": [list(map(str, range(100)))], "sources": [None]}, SCHEMA))
    path = ("_members", "large_string")
    pieces = database.get_records(path)
    database.delete_records(path, pieces.column(0).to_pylist()[:1])
    with pytest.raises(DamagedRecordError, match="1 pieces of lists are not there, or not as they were stored") as lost:
        members.unpack(packed)
    assert lost.value.keys == (pieces.column(0)[0].as_py(),)
    other = pa.array([["forged"]], pa.large_list(_TEXT))
    database.add_records(path, pa.table({"__piece_id": pieces.column(0)[:1], "__values": other}))
    with pytest.raises(DamagedRecordError, match="not as they were stored"):
        members.unpack(packed)
    assert members.unpack(packed, ["sources"]).column("ids").null_count == 1, "of what nobody asks, nothing is read"


def test_a_group_does_not_carry_its_members(database: Database) -> None:
    """Its tags, ids and sources come back all the same, in this process and out of the store; nested ones too."""

    @op.function_pod(output_keys="n", identity="version")
    def count(x: list[int]) -> int:
        return len(x)

    @op.function_pod(output_keys="most", identity="version")
    def most(n: list[int]) -> int:
        return max(n)

    rows = [{"who": who, "site": who % 2, "x": who} for who in range(500)]
    pipeline = op.Pipeline("study", database)
    with pipeline:
        source = DictSource(rows, ["who", "site"], source_id="patients", record_id_column="who")
        most.pod(count.pod(source.group_by("site"), label="count").batch(), label="most")
    pipeline.run().raise_for_errors()
    at_rest = pipeline.log_database.get_records(pipeline.count.path)
    assert at_rest.column("who").null_count == 2
    assert at_rest.column(TREES).null_count == 0
    assert at_rest.nbytes < 2_000
    store = op.open_store(database)
    entries = store.entries("study", "count").sort_by("site")
    assert TREES not in entries.column_names
    every = pipeline.count.as_table({"system_tags": True}).sort_by("site")
    for name in every.column_names:
        if name.startswith("_tag_") or name == "who":
            assert entries.column(name).to_pylist() == every.column(name).to_pylist(), name
    assert entries.column("_source_x")[0].as_py() == [f"patients::who={who}::x" for who in range(0, 500, 2)]
    (row,) = store.rows("study", "most").to_pylist()
    assert sorted(who for some in row["who"] for who in some) == list(range(500))
    assert pipeline.most.at(pipeline.run().run_id).column("who").to_pylist() == [row["who"]]
    assert op.verify_store(database).ok


@pytest.fixture
def database() -> Database:
    return MemoryDatabase()


def test_verify_store_names_rows_whose_lists_are_damaged_and_repair_has_them_made_again(database: Database) -> None:
    pipeline = op.Pipeline("study", database)
    rows = [{"who": who, "x": who} for who in range(200)]

    @op.function_pod(output_keys="n", identity="version")
    def count(x: list[int]) -> int:
        return len(x)

    with pipeline:
        count.pod(DictSource(rows, ["who"], source_id="patients").batch(100), label="count")
    pipeline.run().raise_for_errors()
    path = ("study", "_members", "int64")
    pieces = database.get_records(path)
    database.delete_records(path, pieces.column(0).to_pylist()[:1])
    forged = pa.array([[7]], pa.large_list(pa.int64()))
    database.add_records(path, pa.table({"__piece_id": pieces.column(0)[:1], "__values": forged}))
    with pytest.raises(DamagedRecordError):
        op.open_store(database).rows("study", "count")
    report = op.verify_store(database, repair=True)
    assert [(each.kind, each.path) for each in report.damages] == [
        ("changed", path),
        ("changed", ("study", *pipeline.count.path)),
    ]
    pipeline.run().raise_for_errors()
    assert op.verify_store(database).ok
    assert op.open_store(database).rows("study", "count").num_rows == 2
