"""What makes a computation the same, and nothing else does (promises 4, 5 and 6)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.pods import FunctionPod
from orcapod.sources import DictSource, Source


def named(name: str, function: Any, **options: Any) -> FunctionPod:
    return op.FunctionPod(op.PythonPacketFunction(function, "y", name=name, **options))


def one(row: dict[str, Any], tags: dict[str, Any] | None = None, source_id: str = "s", **types: Any) -> Source:
    tag = tags if tags is not None else {"i": 0}
    return DictSource([{**tag, **row}], tag_columns=list(tag), source_id=source_id, data_schema=types)


def keys(pod: FunctionPod, stream: Source) -> list[str]:
    """The record ids of what the function makes of the rows, as provenance tells them."""
    return [next(iter(packet.source_info().values())).split("::")[1] for _, packet in pod(stream).iter_packets()]


def key(pod: FunctionPod, stream: Source) -> str:
    (only,) = keys(pod, stream)
    return only


def test_two_functions_of_one_name_and_output_schema_are_two_functions() -> None:
    def plus(x: int) -> int:
        return x + 1

    def minus(x: int) -> int:
        return x - 1

    database = MemoryDatabase()
    source = one({"x": 5})
    for function, expected in [(plus, 6), (minus, 4), (plus, 6)]:
        pipeline = op.Pipeline("p", database)
        with pipeline:
            named("same", function)(source)
        pipeline.run()
        assert pipeline["same"].as_table()["y"].to_pylist() == [expected]
    together = op.Pipeline("together", database)
    with together:
        named("same", plus)(source)
        named("same", minus)(source)
    together.run()
    assert together["same_1"].as_table()["y"].to_pylist() == [6]
    assert together["same_2"].as_table()["y"].to_pylist() == [4]
    assert together["same_1"].as_table({"source": True}) != together["same_2"].as_table({"source": True})
    assert named("same", plus).packet_function.uri == named("same", minus).packet_function.uri


def test_closures_and_defaults_tell_functions_apart() -> None:
    def scaled_by(k: int) -> FunctionPod:
        def scaled(x: int) -> int:
            return x * k

        return named("scaled", scaled)

    def first(x: int, k: int = 1) -> int:
        return x + k

    def second(x: int, k: int = 2) -> int:
        return x + k

    source = one({"x": 5})
    assert key(scaled_by(2), source) != key(scaled_by(3), source)
    assert key(scaled_by(2), source) == key(scaled_by(2), source)
    assert key(named("f", first), source) != key(named("f", second), source)


def plain(x: int) -> int:
    return x


@pytest.mark.parametrize(
    "other",
    [
        named("other", plain),
        named("plain", plain, version="v1.0"),
        named("plain", plain, identity="version"),
        named("plain", plain, depends_on=["a model"]),
        named("plain", plain, output_schema={"y": float}),
        op.FunctionPod(op.PythonPacketFunction(plain, "z", name="plain")),
    ],
)
def test_name_version_identity_dependencies_and_outputs_are_part_of_a_key(other: FunctionPod) -> None:
    assert key(named("plain", plain), one({"x": 5})) != key(other, one({"x": 5}))


def test_minor_version_label_and_executor_are_no_part_of_a_key() -> None:
    same = op.FunctionPod(op.PythonPacketFunction(plain, "y", name="plain", version="v0.9"), label="shown")
    assert key(named("plain", plain), one({"x": 5})) == key(same, one({"x": 5}))


def test_with_identity_version_the_author_is_trusted() -> None:
    def a(x: int) -> int:
        return x

    def b(x: int) -> int:
        return x + 1

    def trusted(function: Any, version: str) -> FunctionPod:
        return named("f", function, identity="version", version=version)

    source = one({"x": 5})
    assert key(trusted(a, "v1.0"), source) == key(trusted(b, "v1.7"), source)
    assert key(trusted(a, "v1.0"), source) != key(trusted(a, "v2.0"), source)


@given(st.integers(-9, 9), st.text(max_size=3), st.one_of(st.none(), st.integers(0, 3)), st.text("ab", max_size=2))
def test_extra_columns_tags_and_sources_enter_no_key(x: int, extra: str, tag: int | None, source_id: str) -> None:
    expected = key(named("plain", plain), one({"x": x}))
    tags = {"extra_tag": tag, "k": extra}
    other = one({"x": x, "extra": extra, "more": [1]}, tags, "t" + source_id, extra_tag=int | None)
    assert key(named("plain", plain), other) == expected
    assert key(named("plain", plain), one({"x": x + 1})) != expected


def test_a_null_elsewhere_in_the_column_changes_no_key() -> None:
    """Promise 11, where it counts: in the key of a computation."""

    def f(x: int | None) -> int:
        return x or 0

    pod = named("f", f)
    with_null = DictSource([{"i": 0, "x": 5}, {"i": 1, "x": None}], tag_columns=["i"], source_id="s")
    assert keys(pod, with_null)[0] == key(pod, one({"x": 5}))


def test_values_count_in_the_type_that_the_function_sees() -> None:
    def f(x: float) -> float:
        return x

    assert key(named("f", f), one({"x": 1})) == key(named("f", f), one({"x": 1.0}))
    assert key(named("f", f), one({"x": 0.0})) != key(named("f", f), one({"x": -0.0}))


def test_a_default_that_is_used_and_a_column_of_that_value_are_two_inputs() -> None:
    def f(x: int, k: int = 1) -> int:
        return x + k

    assert key(named("f", f), one({"x": 5})) != key(named("f", f), one({"x": 5, "k": 1}))


def test_packets_of_different_columns_are_different_even_with_equal_values() -> None:
    def f(a: int = 0, b: int = 0) -> int:
        return a - b

    assert key(named("f", f), one({"a": 5})) != key(named("f", f), one({"b": 5}))


def test_equal_packets_from_different_sources_are_one_computation() -> None:
    calls = []

    @op.function_pod("y")
    def f(x: int) -> int:
        calls.append(x)
        return x + 1

    pipeline = op.Pipeline("p")
    with pipeline:
        f.pod(one({"x": 5}, source_id="one"), label="a")
        f.pod(one({"x": 5, "other": "b"}, {"name": "b"}, source_id="two"), label="b")
        f.pod(one({"z": 5}, source_id="three").map_packets({"z": "x"}), label="c")
    result = pipeline.run()
    assert [result.counts(label)["computed"] for label in "abc"] == [1, 0, 0]
    assert [result.counts(label)["cached"] for label in "abc"] == [0, 1, 1]
    assert calls == [5]
    assert [pipeline[label].as_table()["y"].to_pylist() for label in "abc"] == [[6]] * 3


def test_a_function_that_holds_another_ones_pod_is_the_same_before_and_after_its_use() -> None:
    def inner(x: int) -> int:
        return x + 1

    packet_function, pod = op.PythonPacketFunction(inner, "y"), named("inner", inner)

    def outer(x: int) -> int:
        return x + len(packet_function.name) + len(pod.label)

    holder = op.PythonPacketFunction(outer, "z")
    before = holder.code()
    assert packet_function.uri[0] == pod.packet_function.uri[0]
    assert packet_function.fingerprint() == pod.packet_function.fingerprint()
    assert holder.code() == before
    assert before.opaque == ()
