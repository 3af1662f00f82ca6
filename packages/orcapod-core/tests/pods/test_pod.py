"""A function pod applied to streams: refused while it is built, or right row by row."""

import asyncio
import threading
import time
import warnings
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import SchemaError
from orcapod.executors import LocalExecutor
from orcapod.sources import ArrowTableSource, DataFrameSource, DictSource, Source
from orcapod.types import AwareDatetime


def rows(*values: Any, column: str = "x", source_id: str = "s", **types: Any) -> Source:
    return DictSource(
        [{"i": i, column: value} for i, value in enumerate(values)],
        tag_columns=["i"],
        source_id=source_id,
        data_schema=types,
    )


@op.function_pod("y")
def increment(x: int) -> int:
    return x + 1


@op.function_pod("y")
def half(x: float) -> float:
    return x / 2


@op.function_pod("y")
def maybe(x: int | None) -> int | None:
    return x


@op.function_pod("total")
def add(x: int, z: int) -> int:
    return x + z


# While it is built


def test_a_missing_column_is_named_with_those_found() -> None:
    with pytest.raises(SchemaError, match=r"increment: no packet column for parameter 'x'; found \['z'\]"):
        increment.pod(rows(1, column="z"))


@pytest.mark.parametrize(("column", "more"), [("X", ""), (" x", " It has spaces around it")])
def test_a_column_that_is_called_almost_so_is_named(column: str, more: str) -> None:
    with pytest.raises(SchemaError) as caught:
        increment.pod(rows(1, column=column))
    assert str(caught.value).endswith(f"found [{column!r}]; did you mean {column!r}?{more}")


def test_a_parameter_that_is_only_a_tag_is_refused_with_the_reason() -> None:
    @op.function_pod("y")
    def f(i: int) -> int:
        return i

    with pytest.raises(SchemaError, match="f: no packet column for parameter 'i'; it is a tag"):
        f.pod(rows(1))


def test_an_ill_typed_column_is_refused_with_both_types() -> None:
    with pytest.raises(SchemaError, match="'x' is int, found a column of str; .*data_schema={'x': int}.*the first"):
        increment.pod(rows("a"))
    with pytest.raises(SchemaError, match=r"'x' is int \| None, .*; .*data_schema={'x': int \| None}.*the first"):
        maybe.pod(rows("a"))
    with pytest.raises(SchemaError, match="increment: parameter 'x' is int, found a column of float"):
        increment.pod(rows(1.0))
    with pytest.raises(SchemaError, match="increment: parameter 'x' is int, found a column of bool"):
        increment.pod(rows(True))


@pytest.mark.parametrize("is_optional", [False, True])
def test_an_instant_for_a_wall_clock_is_refused_with_advice(is_optional: bool) -> None:
    """And the other way round: there is no exact conversion of either."""
    wall, instant = datetime.fromisoformat("2026-03-29T02:00"), datetime(2026, 3, 29, 2, tzinfo=UTC)

    @op.function_pod("y")
    def hour(x: datetime) -> int:
        return x.hour

    @op.function_pod("y")
    def hour_there(x: AwareDatetime) -> int:
        return x.hour

    values = [None] if is_optional else []
    with pytest.raises(SchemaError, match=r"'x' is datetime, found .* datetime\[UTC\].*annotate it .*AwareDatetime"):
        hour.pod(rows(instant, *values))
    with pytest.raises(SchemaError, match=r"'x' is datetime\[UTC\], found .* datetime.* no time zone; .* one"):
        hour_there.pod(rows(wall, *values))


def test_a_group_for_one_value_is_refused_with_advice() -> None:
    with pytest.raises(SchemaError, match=r"'x' is int, found a column of list\[int\]; take list\[int\], or .*explode"):
        increment.pod(rows(1, 2).batch())


def test_a_column_with_nulls_is_refused_with_advice() -> None:
    with pytest.raises(SchemaError, match=r"'x' is int, found a column of int \| None; .*drop_nulls"):
        increment.pod(rows(1, None))
    assert increment.pod(rows(1, None).drop_nulls(["x"])).as_table().to_pylist() == [{"i": 0, "y": 2}]


def test_ints_that_pandas_made_floats_of_are_refused_with_advice_that_helps() -> None:
    frame = pd.DataFrame({"i": [0, 1], "x": [1, None]})
    for pod in (increment, maybe):
        with pytest.raises(SchemaError, match=r"of float \| None; .*data_schema={'x': int \| None}.*'Int64'"):
            pod.pod(DataFrameSource(frame, ["i"]))
    advised = [
        DataFrameSource(frame, ["i"], data_schema={"x": int | None}),
        DataFrameSource(frame.astype({"x": "Int64"}), ["i"]),
    ]
    for source in advised:
        assert maybe.pod(source).as_table()["y"].to_pylist() == [1, None]


def test_an_output_that_is_called_like_a_tag_is_refused() -> None:
    @op.function_pod("i")
    def f(x: int) -> int:
        return x

    with pytest.raises(SchemaError, match="f: output 'i' has the name of a tag"):
        f.pod(rows(1))


@pytest.mark.parametrize("thing", [None, 3, [1], {"x": 1}, pa.table({"x": [1]}), increment])
def test_what_is_no_stream_is_refused(thing: Any) -> None:
    with pytest.raises(SchemaError, match="increment.pod takes streams, found"):
        increment.pod(thing)


def test_a_pod_wants_at_least_one_stream() -> None:
    with pytest.raises(SchemaError, match="at least one stream"):
        increment.pod()


def test_building_computes_nothing_and_looks_at_no_row() -> None:
    calls = []

    @op.function_pod("y")
    def f(x: int) -> int:
        calls.append(x)
        return x

    stream = f.pod(rows(1, 2))
    assert stream.output_schema() == (op.Schema({"i": int}), op.Schema({"y": int}))
    assert stream.keys() == (("i",), ("y",))
    stream.pipeline_hash(), stream.content_hash(), repr(stream)
    assert not calls


# What comes out


def test_ints_are_floats_where_floats_are_wanted() -> None:
    made = half.pod(rows(1, 2)).as_table()
    assert made.to_pylist() == [{"i": 0, "y": 0.5}, {"i": 1, "y": 1.0}]
    seen = []

    @op.function_pod("y")
    def f(x: float, values: list[float]) -> float:
        seen.append((type(x), [type(value) for value in values]))
        return x

    source = DictSource([{"i": 0, "x": 1, "values": [1, 2]}], tag_columns=["i"], source_id="s")
    f.pod(source).as_table()
    assert seen == [(float, [float, float])]


def test_an_int_without_an_exact_float_is_an_error_that_names_function_and_column() -> None:
    with pytest.raises(op.errors.ValueTypeError, match="half.*'?x'?"):
        half.pod(rows(2**53 + 1)).as_table()


def test_an_optional_parameter_takes_columns_with_and_without_nulls() -> None:
    @op.function_pod("y")
    def f(x: int | None) -> int:
        return -1 if x is None else x

    assert f.pod(rows(3, None)).as_table()["y"].to_pylist() == [3, -1]
    assert f.pod(rows(3, 4)).as_table()["y"].to_pylist() == [3, 4]


def test_a_parameter_with_a_default_need_not_have_a_column() -> None:
    @op.function_pod("y")
    def f(x: int, k: int = 10) -> int:
        return x + k

    both = DictSource([{"i": 0, "x": 1, "k": 2}], tag_columns=["i"], source_id="s")
    assert f.pod(rows(1)).as_table()["y"].to_pylist() == [11]
    assert f.pod(both).as_table()["y"].to_pylist() == [3]
    with pytest.raises(SchemaError, match="'k' is int, found a column of str"):
        f.pod(DictSource([{"i": 0, "x": 1, "k": "a"}], tag_columns=["i"], source_id="s"))


def test_a_function_without_parameters_is_called_for_every_distinct_packet() -> None:
    @op.function_pod("y")
    def f() -> int:
        return 7

    assert f.pod(rows(1, 2, 3)).as_table().to_pylist() == [{"i": i, "y": 7} for i in range(3)]
    no_packets = DictSource([{"i": 0}, {"i": 1}], tag_columns=["i"], source_id="s")
    assert f.pod(no_packets).as_table().num_rows == 2


def test_several_streams_are_joined_first() -> None:
    left, right = rows(1, 2, 3), rows(10, 20, column="z", source_id="t")
    assert add.pod(left, right).as_table().to_pylist() == [{"i": 0, "total": 11}, {"i": 1, "total": 22}]
    assert add.pod(left, right).content_hash() == add.pod(right, left).content_hash()


def test_an_async_function_is_run_to_its_end_with_and_without_a_running_loop() -> None:
    @op.function_pod("y")
    async def f(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    async def inside() -> list[int]:
        values: list[int] = f.pod(rows(1, 2)).as_table()["y"].to_pylist()
        return values

    assert f.pod(rows(1, 2)).as_table()["y"].to_pylist() == [2, 3]
    assert asyncio.run(inside()) == [2, 3]


def test_an_object_with_an_async_call_is_an_async_function() -> None:
    class Fetch:
        async def __call__(self, x: int) -> int:
            return x + 1

    try:
        function = op.PythonPacketFunction(
            Fetch(), "y", name="fetch", identity="version", input_schema={"x": int}, output_schema={"y": int}
        )
    except SchemaError:
        return  # refused is fine; half of it is not
    assert op.FunctionPod(function)(rows(1)).as_table()["y"].to_pylist() == [2]


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 7))
def test_every_row_keeps_its_tag_and_place_for_any_chunking(values: list[int], size: int) -> None:
    table = pa.table({"i": pa.array(range(len(values)), pa.int64()), "x": pa.array(values, pa.int64())})
    pieces = [table.slice(start, size) for start in range(0, len(values), size)] or [table]
    source = ArrowTableSource(pa.concat_tables(pieces), ["i"], source_id="s", data_schema={"i": int, "x": int})
    expected = [{"i": i, "y": value + 1} for i, value in enumerate(values)]
    assert increment.pod(source).as_table().to_pylist() == expected
    assert [tag["i"] for tag, _ in increment.pod(source).iter_packets()] == list(range(len(values)))


def test_output_columns_stand_in_the_order_of_output_keys() -> None:
    @op.function_pod(["z", "a"])
    def f(x: int) -> tuple[int, str]:
        return x, str(x)

    assert f.pod(rows(1)).as_table().column_names == ["i", "z", "a"]


# Outside a pipeline


def test_a_stream_outside_a_pipeline_computes_once_and_only_what_is_asked_for() -> None:
    calls = []

    @op.function_pod("y")
    def f(x: int) -> int:
        calls.append(x)
        return x

    stream = f.pod(rows(1, 2, 3))
    first = next(iter(stream.iter_packets()))
    assert first[1]["y"] == 1
    assert [packet["y"] for _, packet in stream.iter_packets()] == [1, 2, 3]
    assert stream.as_table().num_rows == 3
    assert sorted(calls) == [1, 2, 3]


def test_a_stream_read_by_two_threads_computes_once() -> None:
    calls = []
    together = threading.Barrier(2)

    @op.function_pod("y", identity="version")
    def f(x: int) -> int:
        calls.append(x)
        return x

    stream = f.pod(rows(*range(50)))
    found: list[list[int]] = []

    def read() -> None:
        together.wait()
        found.append(stream.as_table()["y"].to_pylist())

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(50))] * 2
    assert len(calls) == 50


def test_an_exception_arrives_as_itself_every_time_and_never_as_fewer_rows() -> None:
    class LabError(Exception):
        pass

    broken = [True]

    @op.function_pod("y", identity="version")
    def f(x: int) -> int:
        if x == 3 and broken[0]:
            raise LabError(x)
        return x

    stream = f.pod(rows(1, 2, 3, 4))
    for _ in range(2):
        with pytest.raises(LabError):
            stream.as_table()
        with pytest.raises(LabError):
            list(stream.iter_packets())
    with pytest.raises(LabError):
        dict.fromkeys(packet["y"] for _, packet in stream.iter_packets())
    broken[0] = False
    assert stream.as_table()["y"].to_pylist() == [1, 2, 3, 4]


@pytest.mark.parametrize("always", [True, False])
def test_two_readers_and_an_exception_between_them_lose_no_row(always: bool) -> None:
    """More rows than a chunk holds; one reader is within them when another one meets the exception."""
    last = 4500
    broken = [True]

    @op.function_pod("y", identity="version")
    def f(x: int) -> int:
        if x == last and broken[0]:
            broken[0] = always
            raise ZeroDivisionError
        return x

    stream = f.pod(rows(*range(last + 10)))
    early = stream.iter_packets()
    assert next(early)[1]["y"] == 0
    with pytest.raises(ZeroDivisionError):
        stream.as_table()
    with pytest.raises(ZeroDivisionError):  # what was made before is shared, and so is how it ended
        list(early)
    broken[0] = False
    assert stream.as_table()["y"].to_pylist() == list(range(last + 10))


def test_a_slow_function_hands_its_first_row_on_before_the_last_is_computed() -> None:
    """Time is the subject: chunks adapt."""
    calls = []

    @op.function_pod("y", identity="version")
    def f(x: int) -> int:
        calls.append(x)
        time.sleep(0.06)
        return x

    next(iter(f.pod(rows(*range(10))).iter_packets()))
    assert len(calls) < 5


# One packet at a time


def test_process_packet_makes_the_row_of_one_row() -> None:
    source = rows(5, 6)
    tag, packet = list(source.iter_packets())[1]
    made_tag, made = increment.pod.process_packet(tag, packet)
    assert dict(made_tag) == {"i": 1}
    assert dict(made) == {"y": 7}
    assert made_tag.system_tags() == tag.system_tags()
    (expected,) = [p for t, p in increment.pod(source).iter_packets() if t["i"] == 1]
    assert made.source_info() == expected.source_info()


def test_process_packet_takes_tag_and_packet_of_different_rows_and_streams() -> None:
    tag, _ = next(iter(rows(1, source_id="a").iter_packets()))
    _, packet = list(rows(7, 8, source_id="b").iter_packets())[1]
    made_tag, made = increment.pod.process_packet(tag, packet)
    assert dict(made_tag) == {"i": 0}
    assert dict(made) == {"y": 9}
    assert set(made_tag.system_tags().values()) == {"a", "row_0"}


def test_process_packet_raises_what_the_function_raised_and_refuses_what_does_not_fit() -> None:
    @op.function_pod("y")
    def f(x: int) -> float:
        return 1 / x

    tag, packet = next(iter(rows(0).iter_packets()))
    with pytest.raises(ZeroDivisionError):
        f.pod.process_packet(tag, packet)
    tag, packet = next(iter(rows("a").iter_packets()))
    with pytest.raises(SchemaError, match="f: parameter 'x' is int"):
        f.pod.process_packet(tag, packet)


class Recorder:
    def __init__(self) -> None:
        self.records: list[dict[str, object]] = []

    def record(self, **kwargs: object) -> None:
        self.records.append(kwargs)


def test_a_logger_without_an_executor_warns_and_one_with_it_captures() -> None:
    @op.function_pod("y")
    def f(x: int) -> int:
        print("hello")  # to be captured
        return x

    tag, packet = next(iter(rows(1).iter_packets()))
    logger = Recorder()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        f.pod.process_packet(tag, packet, logger=logger)
    expected = "A logger was passed but no executor is set — capture will not occur."
    assert [str(found.message) for found in caught] == [expected]
    op.FunctionPod(f.pod.packet_function, executor=LocalExecutor()).process_packet(tag, packet, logger=logger)
    (record,) = logger.records
    assert record["stdout"] == "hello\n"
    assert record["success"] is True


def test_a_cached_pod_computes_once_wherever_it_is_used() -> None:
    calls = []

    @op.function_pod("y")
    def f(x: int) -> int:
        calls.append(x)
        return x + 1

    database = MemoryDatabase()
    cached = op.CachedFunctionPod(f.pod, database)
    assert cached(rows(1, 2)).as_table()["y"].to_pylist() == [2, 3]
    assert cached(rows(2, 1, 3)).as_table()["y"].to_pylist() == [3, 2, 4]
    tag, packet = next(iter(rows(3, source_id="other").iter_packets()))
    assert dict(op.CachedFunctionPod(f.pod, database).process_packet(tag, packet)[1]) == {"y": 4}
    assert calls == [1, 2, 3]
    assert cached.label == "f"
    assert cached(rows(1)).content_hash() == f.pod(rows(1)).content_hash()


def test_a_cached_pod_keeps_what_was_computed_before_an_exception() -> None:
    calls = []

    @op.function_pod("y")
    def f(x: int) -> float:
        calls.append(x)
        return 1 / x

    cached = op.CachedFunctionPod(f.pod, MemoryDatabase())
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            cached(rows(1, 2, 0, 4)).as_table()
    assert calls == [1, 2, 0, 0]
