"""Values of any size go to tasks and come back as they were, the large ones by Ray's shared memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orcapod_ray import RayExecutor
from orcapod_ray.batch import packed, unpacked

pytestmark = pytest.mark.ray

LARGE = 100_000  # bytes from which on a value goes by shared memory

SIZES = st.sampled_from([0, 1, LARGE - 200, LARGE, LARGE + 1, 10 * LARGE])
ARRAYS = st.builds(
    lambda size, dtype, step: np.arange(size // 8).astype(dtype)[::step],
    SIZES,
    st.sampled_from(["u1", "<f4", ">f8", "c16", "M8[s]", "S3"]),
    st.sampled_from([1, -2]),
)
TABLES = SIZES.map(lambda size: pa.table({"a": pa.array(np.arange(size // 8)), "s": ["x"] * (size // 8)}))
BYTES = st.builds(lambda size, kind: kind(b"ab" * (size // 2)), SIZES, st.sampled_from([bytes, bytearray]))


@dataclass
class Recording:
    image: np.ndarray
    table: pa.Table
    raw: bytes


VALUES = st.recursive(
    ARRAYS | TABLES | BYTES | SIZES.map(lambda size: "é" * size),
    lambda values: st.lists(values, max_size=3) | st.builds(Recording, image=ARRAYS, table=TABLES, raw=BYTES),
    max_leaves=4,
)


def is_same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    match one:
        case np.ndarray():
            is_like = one.dtype.newbyteorder("=") == other.dtype.newbyteorder("=") and one.shape == other.shape
            return is_like and one.astype(other.dtype).tobytes() == other.tobytes()
        case list():
            return len(one) == len(other) and all(map(is_same, one, other))
        case Recording():
            return is_same(list(vars(one).values()), list(vars(other).values()))
        case _:
            return bool(one == other)


def same(x: Any) -> Any:
    return x


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=20)
@given(value=VALUES)
def test_values_of_any_size_come_back_as_they_were(cluster: RayExecutor, value: Any) -> None:
    assert is_same(cluster.execute_callable(same, {"x": value}), value)


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=20)
@given(value=VALUES)
def test_what_is_large_of_a_value_is_nowhere_copied(value: Any) -> None:
    """Bytes are the very same; they are copied once where they are read, as bytes have to be."""
    content, buffers = packed([value, b"1" * LARGE])
    assert sum(len(piece) for piece in content if isinstance(piece, bytes)) < 4 * LARGE
    assert is_same(unpacked(content, buffers), [value, b"1" * LARGE])


def writes(x: Any) -> float:
    try:
        x += 1
    except ValueError:
        return -1.0
    return float(x[0])


@pytest.mark.parametrize("size", [10, LARGE])
def test_what_a_function_writes_into_its_argument_reaches_nobody(cluster: RayExecutor, size: int) -> None:
    """What is in shared memory cannot be written to at all."""
    array = np.zeros(size)
    assert [cluster.execute_callable(writes, {"x": array}) for _ in range(2)] == [1.0 if size == 10 else -1.0] * 2
    assert not array.any()


def makes_a_class(x: float) -> Any:
    Measured.seen += 1
    return Measured(x)


class Measured:
    seen = 0

    def __init__(self, x: float) -> None:
        self.x = x


def test_a_class_is_what_it_was_after_a_task_has_sent_a_value_of_it(cluster: RayExecutor) -> None:
    init = Measured.__init__
    found = cluster.execute_callable(makes_a_class, {"x": 1.5})
    assert (type(found), found.x, Measured.seen) == (Measured, 1.5, 0)
    assert Measured.__init__ is init
