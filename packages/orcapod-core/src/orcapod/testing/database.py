"""``DatabaseSuite``: what every store of records must do, one test per sentence of the protocol.

Subclass it in a test file and say how to make a store:

    class TestMyDatabase(DatabaseSuite):
        def make_database(self, folder):
            return MyDatabase(folder / "store")

Needs the extra ``testing`` of orcapod-core.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test

from orcapod.errors import DatabaseError, DuplicateKeyError, RecordSchemaError, RecordTooLargeError
from orcapod.protocols.database import Database, RecordPath
from orcapod.protocols.finding import FindingDatabaseProtocol, find_records
from orcapod.protocols.scanning import ScanningDatabaseProtocol
from orcapod.testing.arrow import tables
from orcapod.testing.database_lifetime import DatabaseLifetimeSuite, blobs, canonical, keyed, same
from orcapod.testing.database_machine import DatabaseMachine

__all__ = ["DatabaseSuite", "blobs", "canonical", "keyed", "same"]

_PROPERTY = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)
_TESTED_BYTES = 1_100_000_000
_NAMES = [
    "a",
    "A",
    "a b",
    'quo"te',
    "it's",
    "select",
    "_row",
    "rowid",
    "naïve ☃",
    "a.b",
    "a/b",
    "%s?:x$1",
    "x" * 200,
    "\0",
]


def _values(table: pa.Table, column: str) -> list[Any]:
    return table[column].to_pylist()


class DatabaseSuite(DatabaseLifetimeSuite):
    """What every store must do. Subclasses say how to make an empty one."""

    # Adding, and finding again

    def test_it_is_a_database(self, database: Database) -> None:
        """It has every method of the protocol, and is a context manager that gives itself."""
        assert isinstance(database, Database)
        database.check_writable()
        with database as entered:
            assert entered is database

    @_PROPERTY
    @given(table=tables())
    def test_any_type_comes_back_as_it_went_in(self, database: Database, table: pa.Table) -> None:
        store = self._another(database)
        assert store.add_records(("p",), table) == table.num_rows
        if table.num_rows:
            same(store.get_records(("p",)), table)
            by_ids = store.get_records_by_ids(("p",), _values(table, "key"))
            in_order = table.take(pc.sort_indices(table["key"]))
            same(by_ids.take(pc.sort_indices(by_ids["key"])), in_order)
            if isinstance(store, ScanningDatabaseProtocol):
                scanned = pa.concat_tables(store.scan_records(("p",)))
                same(scanned.take(pc.sort_indices(scanned["key"])), in_order)

    def test_values_at_the_edge(self, database: Database) -> None:
        """NaN is not null, -0.0 not 0.0, NUL ends no text, and the widest numbers fit."""
        table = pa.table(
            {
                "key": ["a", "b\0c", "b\0d", "", "☃"],
                "real": [float("nan"), None, -0.0, float("inf"), 0.0],
                "small": pa.array([float("nan"), 1e-45, None, -0.0, 3.5], pa.float32()),
                "text": ["", "\0", None, "NaN", "a\0b"],
                "raw": [b"", b"\0", None, b"NaN", bytes(range(256))],
                "big": pa.array([2**64 - 1, 0, None, 2**63, 1], pa.uint64()),
                "long": pa.array([2**63 - 1, -(2**63), None, 0, 1], pa.int64()),
                "flag": [True, False, None, True, False],
                "words": pa.array(["x", "x", None, "y", "x"]).dictionary_encode(),
                "ids": pa.ExtensionArray.from_storage(
                    pa.uuid(), pa.array([bytes(16), None, *[b"u" * 16] * 3], pa.binary(16))
                ),
                "nested": [[{"a": [1.5, None]}], [], None, [None], [{"a": None}]],
            }
        )
        database.add_records(("p",), table)
        same(database.get_records(("p",)), table)
        found = database.get_records_by_ids(("p",), ["b\0d", "", "b"])
        assert sorted(_values(found, "key")) == ["", "b\0d"]

    def test_columns_of_one_value(self, database: Database) -> None:
        """What is the same in all rows of a long table, as half of a log is, comes back like anything else."""
        count = 300
        values: list[Any] = [
            "it's",
            "a\0b",
            "",
            "ü" * 3000,
            "\\'?",
            True,
            False,
            -(2**63),
            2**63 - 1,
            2**53 + 1,
            0,
            1.5,
            b"'",
        ]
        columns: dict[str, Any] = {f"c{number}": pa.array([value] * count) for number, value in enumerate(values)}
        columns |= {
            "nothing": pa.nulls(count, pa.string()),
            "time": pa.array([2**60 + 1] * count).cast(pa.timestamp("ns")),
            "word": pa.array(["it's"] * count).dictionary_encode(),
            "ends": pa.array(["a", *["b"] * (count - 2), "a"]),
            "gaps": pa.array(["a", *[None] * (count - 2), "a"]),
        }
        table = keyed([f"k{row:03}" for row in range(count)], **columns)
        assert database.add_records(("p",), pa.concat_tables([table[:0], table[:150], table[150:]])) == count
        same(database.get_records(("p",)), table)

    @pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.binary(2)])
    def test_keys_are_strings_or_bytes(self, database: Database, type_: pa.DataType) -> None:
        texts = pa.types.is_string(type_) or pa.types.is_large_string(type_)
        one, two, other = ("aa", "bb", b"aa") if texts else (b"aa", b"\xff\0", "aa")
        assert database.add_records(("p",), pa.table({"k": pa.array([one, two], type_)})) == 2
        assert database.add_records(("p",), pa.table({"k": pa.array([two], type_)})) == 0
        assert database.get_records_by_ids(("p",), [two, other]).to_pylist() == [{"k": two}]
        assert database.get_records(("p",)).schema.field("k").type == type_

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (pa.table({}), "no columns"),
            (pa.table({"n": [1]}), "'n'.*int64"),
            (pa.table({"key": ["a", None]}), "null"),
            (pa.Table.from_arrays([pa.array(["a"]), pa.array([1]), pa.array([2])], ["key", "x", "x"]), "'x'"),
        ],
    )
    def test_what_has_no_key_is_refused(self, database: Database, table: pa.Table, message: str) -> None:
        """The key is the first column, strings or bytes, never null; and every column has its own name."""
        with pytest.raises(RecordSchemaError, match=message):
            database.add_records(("p",), table)
        assert database.list_paths() == []

    def test_the_first_writer_wins(self, database: Database) -> None:
        """A key, once there, keeps its row; the number of rows added is given back."""
        assert database.add_records(("p",), keyed(["a", "b"], x=[1, 2])) == 2
        assert database.add_records(("p",), keyed(["b", "c"], x=[20, 30])) == 1
        assert database.get_records(("p",)).to_pylist() == keyed(["a", "b", "c"], x=[1, 2, 30]).to_pylist()

    def test_within_a_table_the_first_row_wins(self, database: Database) -> None:
        assert database.add_records(("p",), keyed(["b", "a", "b"], x=[1, 2, 3])) == 2
        assert database.get_records(("p",)).to_pylist() == keyed(["b", "a"], x=[1, 2]).to_pylist()

    def test_raise_adds_all_or_nothing(self, database: Database) -> None:
        """With ``on_conflict="raise"`` one key that is there, or twice in the table, stops all rows."""
        database.add_records(("p",), keyed(["a"], x=[1]), on_conflict="raise")
        with pytest.raises(DuplicateKeyError, match="'a'"):
            database.add_records(("p",), keyed(["b", "a", "c"], x=[2, 3, 4]), on_conflict="raise")
        with pytest.raises(DuplicateKeyError, match="'d'"):
            database.add_records(("p",), keyed(["d", "d"], x=[2, 3], new=[1, 1]), on_conflict="raise")
        with pytest.raises(DuplicateKeyError):
            database.add_records(("unknown",), keyed(["d", "d"], x=[2, 3]), on_conflict="raise")
        assert database.get_records(("p",)).to_pylist() == [{"key": "a", "x": 1}]
        assert database.list_paths() == [("p",)]
        with pytest.raises(DatabaseError, match="replace"):
            database.add_records(("p",), keyed(["a"], x=[1]), on_conflict="replace")  # type: ignore[arg-type]

    def test_empty_tables_add_nothing(self, database: Database) -> None:
        """A path comes into being with its first records, and no column does without any."""
        assert database.add_records(("p",), keyed([], x=pa.array([], pa.int64()))) == 0
        assert database.list_paths() == []
        database.add_records(("p",), keyed(["a"], x=[1]))
        assert database.add_records(("p",), keyed([], y=pa.array([], pa.int64()))) == 0
        assert database.get_records(("p",)).column_names == ["key", "x"]

    def test_records_keep_their_order(self, database: Database) -> None:
        """``get_records`` gives rows in the order they were added, whatever their keys."""
        for keys in (["z", "b", "y"], ["a", "x"], ["c"]):
            database.add_records(("p",), keyed(keys))
        assert database.get_records(("p",))["key"].to_pylist() == ["z", "b", "y", "a", "x", "c"]

    def test_chunks_slices_and_metadata_do_not_matter(self, database: Database) -> None:
        whole = keyed([f"k{i}" for i in range(10)], x=[None if i % 3 else i for i in range(10)])
        fields: list[pa.Field[Any]] = [
            pa.field("key", pa.string(), nullable=False, metadata={"a": "b"}),
            pa.field("x", pa.int64()),
        ]
        parts = pa.concat_tables([whole[3:5], whole[8:], whole[:0], whole[:3]])
        database.add_records(("p",), parts.cast(pa.schema(fields, metadata={"a": "b"})))
        database.add_records(("p",), whole[:0])
        found = database.get_records(("p",))
        same(found, parts)
        assert found.schema.equals(whole.schema, check_metadata=True)

    # Looking up

    def test_what_is_unknown_is_not_there(self, database: Database) -> None:
        """An unknown path gives no rows; unknown and repeated keys are fine; no keys give no rows."""
        for table in (database.get_records(("p",)), database.get_records_by_ids(("p",), ["a"], ["x"])):
            assert table.num_rows == 0
        assert database.get_records(("p",), ["x"], pc.field("x") > 1).num_rows == 0
        assert database.delete_records(("p",), ["a"]) == 0
        database.add_records(("p",), keyed(["a", "b"], x=[1, 2]))
        assert database.get_records_by_ids(("p",), ["b", "c", "b"]).to_pylist() == [{"key": "b", "x": 2}]
        none = database.get_records_by_ids(("p",), [])
        assert (none.num_rows, none.column_names) == (0, ["key", "x"])

    def test_the_key_comes_with_the_columns_wanted(self, database: Database) -> None:
        table = keyed(["a", "b"], x=[1, 2], y=["u", "v"], z=[0.5, None])
        database.add_records(("p",), table)
        for columns, names in ((["z", "x"], ["key", "z", "x"]), ([], ["key"]), (["x", "key", "x"], ["key", "x"])):
            same(database.get_records(("p",), columns), table.select(names))
            same(database.get_records_by_ids(("p",), ["b"], columns), table.select(names)[1:])
        with pytest.raises(RecordSchemaError, match=r"x, y, z.*'q'"):
            database.get_records(("p",), ["q"])
        with pytest.raises(RecordSchemaError, match=r"x, y, z.*'q'"):
            database.get_records_by_ids(("p",), [], ["q"])

    def test_conditions(self, database: Database) -> None:
        """Only rows for which ``where`` holds, in order; it may name columns that are not wanted."""
        database.add_records(("p",), keyed(["c", "b", "a"], x=[1, None, 3], y=["u", "v", "w"]))
        database.add_records(("p",), keyed(["d"], x=[4], y=["u"]))

        def read(where: pc.Expression) -> list[dict[str, Any]]:
            return database.get_records(("p",), ["y"], where).to_pylist()

        assert read(pc.field("x") > 2) == [{"key": "a", "y": "w"}, {"key": "d", "y": "u"}]
        assert read((pc.field("x") == 1) | pc.field("x").is_null()) == [{"key": "c", "y": "u"}, {"key": "b", "y": "v"}]
        assert read(pc.field("key").isin(["b"]) & (pc.field("y") == "v")) == [{"key": "b", "y": "v"}]
        assert database.get_records(("p",), where=pc.field("x") > 9).schema.names == ["key", "x", "y"]
        with pytest.raises(RecordSchemaError, match="q"):
            read(pc.field("q") == 1)

    @pytest.mark.parametrize("ids", ["abc", b"abc", [1], [None]])
    def test_what_is_no_key_is_refused(self, database: Database, ids: Any) -> None:
        """A single string is no sequence of keys, and 1 is not "1"."""
        database.add_records(("p",), keyed(["a", "1"]))
        for call in (database.get_records_by_ids, database.delete_records):
            with pytest.raises(DatabaseError, match="expected a sequence of keys"):
                call(("p",), ids)

    def test_many_records(self, database: Database) -> None:
        """Bulk: a hundred thousand rows in, and as many keys looked up and deleted at once."""
        total = 100_000
        keys = [f"key {row:06}" for row in range(total)]
        table = keyed(keys, x=pa.array(range(total)), uri=pa.array(["the same for all"] * total).dictionary_encode())
        assert database.add_records(("p",), table) == total
        assert database.add_records(("p",), table[-10:]) == 0
        found = database.get_records_by_ids(("p",), keys[::-1], ["x"])
        assert sorted(_values(found, "x")) == list(range(total))
        found = database.get_records(("p",), ["x"])
        assert found["x"].to_pylist() == list(range(total))
        assert database.delete_records(("p",), [*keys[10:], "unknown"]) == total - 10
        assert database.get_records(("p",), ["x"])["x"].to_pylist() == list(range(10))

    # Schemas that grow

    def test_new_columns_are_null_in_older_rows(self, database: Database) -> None:
        """Later records may bring columns or leave some out, in any order; a known key brings none of its values."""
        database.add_records(("p",), keyed(["a"], x=[1]))
        database.add_records(("p",), keyed(["b", "a"], y=["u", "v"], n=[[1, None], []], x=[2, 3]))
        database.add_records(("p",), keyed(["c"]))
        expected = keyed(["a", "b", "c"], x=[1, 2, None], y=[None, "u", None], n=[None, [1, None], None])
        same(database.get_records(("p",)), expected)
        found = database.get_records_by_ids(("p",), ["a"], ["n", "y"])
        assert found.to_pylist() == [{"key": "a", "n": None, "y": None}]

    def test_a_column_keeps_its_type(self, database: Database) -> None:
        """The error says path, column, what was expected and what was found; nothing is added."""
        database.add_records(("p", "q"), keyed(["a"], x=[1]))
        for rows in (1, 0):
            with pytest.raises(RecordSchemaError, match=r"(?s)p/q.*'x'.*int64.*string"):
                database.add_records(("p", "q"), keyed(["b"], y=[2], x=["one"])[:rows])
        with pytest.raises(RecordSchemaError, match=r"(?s)p/q.*'key'.*'id'"):
            database.add_records(("p", "q"), pa.table({"id": ["b"], "x": [1]}))
        assert database.get_records(("p", "q")).to_pylist() == [{"key": "a", "x": 1}]

    # Large records

    def test_the_largest_record_is_one_number(self, database: Database) -> None:
        """The same for all views, also when the store is closed: nobody waits to ask for it."""
        limit = database.max_record_bytes
        assert limit is None or limit >= 1 << 20
        assert database.at("a").max_record_bytes == limit
        database.close()
        assert database.max_record_bytes == limit

    def test_a_record_that_is_too_large_is_refused_by_name(self, database: Database) -> None:
        """At once, with its path, column, size and the limit; and nothing that came with it is written."""
        limit = database.max_record_bytes
        if limit is None:
            return  # nothing is too large
        if limit > _TESTED_BYTES:
            pytest.skip(f"the largest record has {limit} bytes: more than this test likes to hold in memory")
        view = database.at("v")
        view.add_records(("p",), keyed(["a"], x=[1]))
        large = pa.concat_tables(
            [keyed(["b"], big=blobs(4)), keyed(["c"], big=blobs(limit + 1)), keyed(["d"], big=blobs(4))]
        )
        with pytest.raises(RecordTooLargeError) as caught:
            view.add_records(("p",), large)
        assert (caught.value.path, caught.value.column) == (("v", "p"), "big")
        assert caught.value.size > caught.value.limit == limit
        assert view.get_records(("p",)).to_pylist() == [{"key": "a", "x": 1}]
        assert view.add_records(("p",), pa.concat_tables([large[:1], large[2:]])) == 2

    def test_large_records_among_small_ones(self, database: Database) -> None:
        """However many bytes a table has, in whatever few of its rows: it is added as a whole."""
        sizes = [10, 10, 20 << 20, 10, 30 << 20, 30 << 20, *[10] * 500, 1]
        keys = [f"k{row:03}" for row in range(len(sizes))]
        table = keyed(keys, big=blobs(*sizes), n=pa.array(range(len(sizes))))
        assert database.add_records(("p",), table) == len(sizes)
        found = database.get_records(("p",))
        assert found["key"].to_pylist() == keys
        assert pc.binary_length(found["big"]).to_pylist() == sizes
        some = database.get_records_by_ids(("p",), keys[1:6])
        assert sorted(pc.binary_length(some["big"]).to_pylist()) == sorted(sizes[1:6])

    # Paths and names

    def test_large_records_are_scanned_a_few_at_a_time(self, database: Database) -> None:
        """A store that scans holds nothing between two tables, each of which fits into any memory."""
        if not isinstance(database, ScanningDatabaseProtocol):
            return
        assert list(database.scan_records(("p",))) == []
        sizes = ([10] * 300 + [3_000_000]) * 10
        keys = [f"{index:05}" for index in range(len(sizes))]
        values = pa.array([bytes([index % 256]) * size for index, size in enumerate(sizes)], pa.large_binary())
        database.add_records(("p",), pa.table({"key": keys, "value": values}))
        found = []
        for table in database.scan_records(("p",)):
            assert table.column_names == ["key", "value"]
            assert table.nbytes < 12_000_000
            found += _values(table, "key")
            database.delete_records(("p",), _values(table, "key")[:1])
        assert sorted(found) == keys

    def test_records_are_found_by_values_of_their_columns(self, database: Database) -> None:
        """A store that finds gives what a condition would; one that does not is asked by one."""
        at = pa.array([5, None, 7, 5, 9], pa.timestamp("us", "UTC"))
        table = keyed(["a", "b", "c", "d", "e"], text=["x", "\0", "x", None, "x"], n=[1, 2, 1, 1, 3], at=at)
        assert find_records(database, ("p",), {"n": pa.array([1])}).num_columns == 0
        database.add_records(("p",), table)
        database.add_records(("p",), keyed(["f"], text=["x"], raw=[b"\0r"], is_so=[True]))
        cases: list[tuple[dict[str, pa.Array[Any]], str]] = [
            ({"text": pa.array(["x"])}, "acef"),
            ({"text": pa.array(["\0", "no"])}, "b"),
            ({"text": pa.array(["x"]), "n": pa.array([1, 2])}, "ac"),
            ({"at": at.slice(0, 1)}, "ad"),
            ({"raw": pa.array([b"\0r"]), "is_so": pa.array([True])}, "f"),
            ({"n": pa.array(range(-2000, 2))}, "acd"),
            ({"n": pa.array([], pa.int64())}, ""),
            ({}, "abcdef"),
        ]
        for values, keys in cases:
            found = find_records(database, ("p",), values, ["n"])
            assert found.column_names == ["key", "n"]
            assert _values(found, "key") == [*keys], values
            same(find_records(database, ("p",), values).select(["key", "n"]), found)
        if isinstance(database, FindingDatabaseProtocol):
            ids = pa.array([["x", "y"], ["x"], None], pa.large_list(pa.large_string()))
            database.add_records(("q",), keyed(["a", "b", "c"], ids=ids))
            assert _values(database.find_records(("q",), {"ids": ids.slice(1, 1)}), "key") == ["b"]
        with pytest.raises(RecordSchemaError):
            find_records(database, ("p",), {"no": pa.array([1])})

    def test_views_share_what_they_wrote(self, database: Database) -> None:
        """``at`` prefixes every path; what one view of a store wrote, every view reads."""
        one, two = database.at("a"), database.at("a").at("b", "c")
        one.add_records(("b", "c", "p"), keyed(["k"], x=[1]))
        two.add_records(("p",), keyed(["l"], x=[2], y=[3]))
        database.add_records(("q",), keyed(["m"]))
        for view, path in (
            (database, ("a", "b", "c", "p")),
            (one, ("b", "c", "p")),
            (two, ("p",)),
            (database.at("a", "b"), ("c", "p")),
        ):
            assert view.get_records(path)["key"].to_pylist() == ["k", "l"]
            assert view.get_records_by_ids(path, ["l"]).to_pylist() == [{"key": "l", "x": 2, "y": 3}]
        assert database.list_paths() == [("a", "b", "c", "p"), ("q",)]
        assert one.list_paths() == [("b", "c", "p")]
        assert two.list_paths() == [("p",)]
        assert database.at("a", "b", "c", "p").list_paths() == []
        assert database.at("nowhere").list_paths() == []
        assert two.delete_records(("p",), ["k"]) == 1
        assert one.get_records(("b", "c", "p"))["key"].to_pylist() == ["l"]

    def test_paths_may_have_any_characters(self, database: Database) -> None:
        """And each keeps its own records: "a/b" + "c" is not "a" + "b/c", "a" not "A"."""
        paths: list[RecordPath] = [(name,) for name in _NAMES]
        paths += [
            ("a/b", "c"),
            ("a", "b/c"),
            ("a", "b", "c"),
            ("a", "B", "c"),
            (".",),
            ("..",),
            ("sqlite_x",),
            ("a~2",),
            (" ",),
        ]
        for number, path in enumerate(paths):
            database.add_records(path, keyed(["k"], number=[number]))
        assert database.list_paths() == sorted(paths)
        for number, path in enumerate(paths):
            assert database.get_records(path).to_pylist() == [{"key": "k", "number": number}]

    @pytest.mark.parametrize("path", [(), ("a", ""), "abc", (1,)])
    def test_paths_are_strings(self, database: Database, path: Any) -> None:
        """One or more, and none is empty."""
        with pytest.raises(DatabaseError, match="expected a path"):
            database.add_records(path, keyed(["a"]))
        with pytest.raises(DatabaseError, match="expected a path"):
            database.get_records(path)

    def test_columns_may_have_any_names(self, database: Database) -> None:
        """Quotes, spaces, reserved words, differing by case only: also when they come later."""
        names = _NAMES[:-1]
        first, later = names[::2], names[1::2]
        database.add_records(("p",), keyed(["k"], **{name: [name] for name in first}))
        database.add_records(("p",), keyed(["l"], **{name: [name] for name in later}))
        expected = {name: [name, None] for name in first} | {name: [None, name] for name in later}
        same(database.get_records(("p",)), keyed(["k", "l"], **expected))
        assert database.get_records_by_ids(("p",), ["k"], ["A", "a"]).num_rows == 1
        for key in names:
            table = pa.table({key: ["k"]})
            database.add_records(("keys", key), table)
            assert database.get_records_by_ids(("keys", key), ["k"]).equals(table)

    # Deleting

    def test_deleting(self, database: Database) -> None:
        """What is deleted is gone and may be added again; a path without records is not listed."""
        database.add_records(("p",), keyed(["a", "b", "c"], x=[1, 2, 3]))
        assert database.delete_records(("p",), ["b", "q", "b"]) == 1
        assert database.get_records_by_ids(("p",), ["a", "b"])["x"].to_pylist() == [1]
        assert database.add_records(("p",), keyed(["b"], x=[20])) == 1
        assert database.get_records(("p",))["x"].to_pylist() == [1, 3, 20]
        assert database.delete_records(("p",), ["a", "b", "c"]) == 3
        assert database.list_paths() == []
        assert database.get_records(("p",)).num_rows == 0
        assert database.delete_records(("p",), []) == 0
        assert database.add_records(("p",), keyed(["a"], x=[5])) == 1

    # All of it together

    def test_it_behaves_like_the_model(self, database: Database) -> None:
        """Any sequence of calls gives what ``MemoryDatabase`` gives."""

        class Machine(DatabaseMachine):
            make_database = staticmethod(lambda: self._another(database))

        run_state_machine_as_test(Machine, settings=settings(_PROPERTY, max_examples=15, stateful_step_count=20))
