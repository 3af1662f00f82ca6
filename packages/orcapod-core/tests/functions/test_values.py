"""Values are checked against declared types before they are stored (promise 10)."""

import importlib.util
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.datagrams import Packet, Tag
from orcapod.errors import ValueTypeError
from orcapod.observers import CompositeObserver, LoggingObserver, NoOpObserver, StatusObserver
from orcapod.records import result_path
from orcapod.sources import DictSource


def giving(value: Any, declared: Any, keys: Any = "y") -> op.FunctionPod:
    """A pod of a function that declares one thing and returns another."""
    return op.FunctionPod(
        op.PythonPacketFunction(
            lambda x: value() if callable(value) else value,
            keys,
            name="sloppy",
            identity="version",
            input_schema={"x": int},
            output_schema=declared if isinstance(declared, dict) else {keys: declared},
        )
    )


def source(*values: Any) -> DictSource:
    return DictSource([{"i": i, "x": x} for i, x in enumerate(values)], tag_columns=["i"], source_id="s")


NOON = datetime.fromisoformat("2026-01-01T12:00")
"""Without a time zone: a wall clock's."""


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class LoudList(list[int]):
    pass


WRONG: list[tuple[Any, Any, list[str]]] = [
    (None, int, ["int", "None"]),
    ("3", int, ["int", "'3'", "str"]),
    (True, int, ["int", "True", "bool"]),
    (1.5, int, ["int", "1.5", "float"]),
    (1.0, int, ["int", "1.0", "float"]),
    (2**63, int, ["int", "64 bits"]),
    (2**53 + 1, float, ["float", "exact"]),
    (True, float, ["float", "True"]),
    ("1.0", float, ["float", "str"]),
    (1, str, ["str", "int"]),
    (b"a", str, ["str", "bytes"]),
    ("a", bytes, ["bytes", "str"]),
    ("\ud800", str, ["str", "Unicode"]),
    (1, bool, ["bool", "int"]),
    (date(2026, 1, 1), datetime, ["datetime", "date"]),
    (datetime.fromisoformat("2026-01-01"), date, ["date", "datetime"]),
    (datetime(2026, 1, 1, tzinfo=UTC), datetime, ["datetime", "time zone"]),
    ([1, "a"], list[int], ["list[int]", "'a'"]),
    ([1, None], list[int], ["list[int]", "None"]),
    ((1, 2), list[int], ["list[int]", "tuple"]),
    ([1, 2], tuple[int, int], ["tuple[int, int]", "list"]),
    ((1, 2, 3), tuple[int, int], ["tuple[int, int]"]),
    ({"a": "b"}, dict[str, int], ["dict[str, int]", "'b'"]),
    ({1: 1}, dict[str, int], ["dict[str, int]"]),
    ("a", int | None, ["int", "'a'"]),
    (object(), int, ["int", "object"]),
]


@pytest.mark.parametrize(("value", "declared", "words"), WRONG, ids=lambda part: repr(part)[:30])
def test_a_wrong_value_is_a_failed_packet_with_a_message_that_names_everything(
    value: Any, declared: Any, words: list[str]
) -> None:
    database, logs = MemoryDatabase(), LoggingObserver(MemoryDatabase())
    pod = giving(value, declared)
    pipeline = op.Pipeline("p", database)
    with pipeline:
        pod(source(1))
    result = pipeline.run(observer=logs)
    assert result.counts("sloppy") == {"computed": 0, "cached": 0, "failed": 1}
    (error,) = result.errors
    assert isinstance(error.exception, ValueTypeError)
    message = str(error.exception)
    assert all(word in message for word in ["sloppy", "'y'", "expected", "found", *words]), message
    assert database.get_records(result_path(pod.packet_function.uri)).num_rows == 0
    assert pipeline["sloppy"].as_table().num_rows == 0
    (row,) = logs.get_logs().to_pylist()
    assert row["__success"] is False
    assert "sloppy" in row["__traceback"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((1,), ["2 outputs", "found 1 values"]),
        ((1, 2, 3), ["2 outputs", "found 3 values"]),
        (5, ["2 outputs", "found int"]),
        (None, ["2 outputs", "found NoneType"]),
        ("ab", ["2 outputs", "found str"]),
        ({"a": 1, "b": 2}, ["2 outputs", "found dict"]),
        ((1, "b"), ["'b'", "expected int", "found 'b'"]),
    ],
)
def test_a_wrong_number_of_outputs_is_a_failed_packet(value: Any, words: list[str]) -> None:
    pod = giving(value, {"a": int, "b": int}, ["a", "b"])
    with pytest.raises(ValueTypeError) as caught:
        pod(source(1)).as_table()
    assert all(word in str(caught.value) for word in ["sloppy", *words]), str(caught.value)


def test_a_value_that_cannot_even_be_shown_is_a_failed_packet_and_no_success_in_the_logs() -> None:
    logs, statuses = LoggingObserver(MemoryDatabase()), StatusObserver(MemoryDatabase())
    pipeline = op.Pipeline("p")
    with pipeline:
        giving(NoRepr, int)(source(1))
    result = pipeline.run(observer=CompositeObserver(logs, statuses))
    assert result.counts("sloppy")["failed"] == 1
    assert [row["__success"] for row in logs.get_logs().to_pylist()] == [False]
    assert [row["__state"] for row in statuses.get_status().to_pylist()] == ["FAILED"]


def test_one_wrong_output_of_several_stores_none_of_them() -> None:
    database = MemoryDatabase()
    pod = giving((1, None), {"a": int, "b": int}, ["a", "b"])
    pipeline = op.Pipeline("p", database)
    with pipeline:
        pod(source(1, 2))
    assert pipeline.run().counts("sloppy")["failed"] == 2
    of_runs = [("p", name) for name in ("_environments", "_graphs", "_run_starts", "_runs")]
    assert database.list_paths() == [("_code",), *of_runs]


@pytest.mark.parametrize(
    ("value", "declared", "stored"),
    [
        (3, float, 3.0),
        (None, int | None, None),
        ([], list[int], []),
        (LoudList([1]), list[int], [1]),
        ([1, 2.5], list[float], [1.0, 2.5]),
        (bytearray(b"a"), bytes, b"a"),
        ({}, dict[str, int], {}),
        ({"a": [1]}, dict[str, list[int]], {"a": [1]}),
        ((1, "a"), tuple[int, str], (1, "a")),
        (NOON, datetime, NOON),
    ],
)
def test_exact_conversions_are_made(value: Any, declared: Any, stored: Any) -> None:
    made = next(giving(value, declared)(source(1)).iter_packets())[1]["y"]
    assert made == stored
    assert type(made) is type(stored)


@pytest.mark.skipif(importlib.util.find_spec("numpy") is None, reason="numpy is not installed")
def test_numpy_scalars_and_arrays_are_values() -> None:
    import numpy  # noqa: PLC0415  # it need not be there

    for value, declared, stored in [
        (numpy.int32(3), int, 3),
        (numpy.float64(0.5), float, 0.5),
        (numpy.float32(0.5), float, 0.5),
        (numpy.int8(3), float, 3.0),
        (numpy.bool_(True), bool, True),
        (numpy.str_("a"), str, "a"),
        (numpy.array([1, 2]), list[int], [1, 2]),
        (numpy.array([[1.0], [2.0]]), list[list[float]], [[1.0], [2.0]]),
    ]:
        made = next(giving(value, declared)(source(1)).iter_packets())[1]["y"]
        assert made == stored
        assert type(made) is type(stored)
    for value, declared in [(numpy.bool_(True), int), (numpy.float64(1.0), int), (numpy.array([1.5]), list[int])]:
        with pytest.raises(ValueTypeError, match="sloppy"):
            giving(value, declared)(source(1)).as_table()


class Foreign:
    """What numpy's, torch's and polars' scalars and arrays have in common."""

    dtype = "any"

    def __init__(self, value: Any) -> None:
        self.value = value

    def tolist(self) -> Any:
        return self.value


def test_scalars_and_arrays_of_other_libraries_are_the_values_that_they_are() -> None:
    for value, declared, stored in [(3, int, 3), (3, float, 3.0), (True, bool, True), ([1, 2], list[int], [1, 2])]:
        made = next(giving(Foreign(value), declared)(source(1)).iter_packets())[1]["y"]
        assert made == stored
        assert type(made) is type(stored)
    for value, declared in [(True, int), (1.0, int), ([1.5], list[int])]:
        with pytest.raises(ValueTypeError, match="sloppy"):
            giving(Foreign(value), declared)(source(1)).as_table()


# In-place changes


def spoil(values: list[int], table: dict[str, list[int]]) -> list[int]:
    total = sum(values)
    values.append(-1)
    table.setdefault("a", []).append(-1)
    table["spoiled"] = []
    return [total, *table["a"]]


class Watching(NoOpObserver):
    """Keeps what it was shown, and looks at it only in the end."""

    def __init__(self) -> None:
        self.seen: list[tuple[Tag, Packet, Packet | None]] = []

    def on_packet_end(self, node_label: str, tag: Tag, packet: Packet, result: Packet | None, *, cached: bool) -> None:
        self.seen.append((tag, packet, result))


@given(st.lists(st.tuples(st.lists(st.integers(0, 3), max_size=3), st.integers(0, 1)), min_size=1, max_size=8))
def test_in_place_changes_to_arguments_reach_nobody_else(drawn: list[tuple[list[int], int]]) -> None:
    data = [{"i": i, "values": values, "table": {"a": [kind]}} for i, (values, kind) in enumerate(drawn)]
    types = {"values": list[int], "table": dict[str, list[int]]}
    observer, database = Watching(), MemoryDatabase()
    pipeline = op.Pipeline("p", database)
    with pipeline:
        root = DictSource(data, tag_columns=["i"], source_id="s", data_schema=types)
        spoiled = op.FunctionPod(op.PythonPacketFunction(spoil, "first"))(root)
        op.FunctionPod(op.PythonPacketFunction(spoil, "second"), label="again")(root)
        spoiled.join(root, label="both")
    pipeline.run(observer=observer)
    expected = [[sum(row["values"]), *row["table"]["a"], -1] for row in data]  # type: ignore[call-overload, misc]
    assert pipeline["spoil"].as_table()["first"].to_pylist() == expected
    assert pipeline["again"].as_table()["second"].to_pylist() == expected
    for tag, packet, result in observer.seen:
        assert dict(packet) == {"values": data[tag["i"]]["values"], "table": data[tag["i"]]["table"]}
        assert result is not None
        assert list(result.values()) == [expected[tag["i"]]]
    for tag, packet in pipeline["both"].iter_packets():
        assert packet["values"] == data[tag["i"]]["values"]
        assert packet["table"] == data[tag["i"]]["table"]


def test_the_second_of_two_equal_packets_gets_arguments_of_its_own() -> None:
    seen = []

    @op.function_pod("y", identity="version")
    def fragile(values: list[int]) -> int:
        seen.append(list(values))
        values.clear()
        raise ValueError

    pipeline = op.Pipeline("p")
    with pipeline:
        fragile.pod(DictSource([{"i": i, "values": [1, 2]} for i in range(3)], tag_columns=["i"], source_id="s"))
    assert pipeline.run().counts("fragile")["failed"] == 3
    assert seen == [[1, 2]] * 3


@pytest.mark.parametrize(
    "give",
    [
        lambda buffer, x: (buffer.append(x), buffer)[1],
        lambda buffer, x: (buffer.clear(), buffer.extend([x]), buffer)[2],
    ],
)
def test_a_buffer_that_a_function_returns_and_changes_later_changes_no_result(
    give: Callable[[list[int], int], list[int]],
) -> None:
    buffer: list[int] = []
    copies = []

    @op.function_pod("y", identity="version")
    def f(x: int) -> list[int]:
        returned = give(buffer, x)
        copies.append(list(returned))
        return returned

    pipeline = op.Pipeline("p")
    with pipeline:
        f.pod(source(1, 2, 3))
    pipeline.run()
    buffer.append(99)
    assert pipeline.f.as_table()["y"].to_pylist() == copies


def test_what_is_done_to_a_value_that_was_looked_up_changes_nothing() -> None:
    @op.function_pod("y")
    def f(x: int) -> list[int]:
        return [x]

    pipeline = op.Pipeline("p")
    with pipeline:
        f.pod(source(1))
    pipeline.run()
    for _ in range(2):
        ((_, packet),) = pipeline.f.iter_packets()
        packet["y"].append(5)
        packet.as_dict()["y"].append(6)
        assert packet["y"] == [1]
