"""Promise 23: a value that comes back equals what went in, on every store and worker; all kinds of values at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before ray is imported
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # what Ray will do one day, without its warning

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.protocols import Database, PythonFunctionExecutorProtocol
from orcapod.testing import TypeSuite
from orcapod_delta import DeltaDatabase
from orcapod_postgres import PostgresDatabase
from orcapod_ray import RayExecutor


class Point(NamedTuple):
    x: float
    y: float | None


@op.logical_type
class Note:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Note({self.text!r})"

    def to_bytes(self) -> bytes:
        return self.text.encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Note:
        return cls(data.decode())


@dataclass
class Recording:
    """A value of every kind there is, some of them inside of others."""

    image: NDArray[np.float32]
    masks: dict[str, np.ndarray | None]
    table: pd.DataFrame
    series: pl.Series | None
    raw: pa.Table
    points: list[Point]
    note: Note
    gain: complex
    pattern: re.Pattern
    at: np.datetime64 | None
    took: list[np.timedelta64]


LARGE = np.random.default_rng(0).random(300_000).astype("f4")  # so much that it is kept beside a store
IMAGES = st.sampled_from([np.zeros((2, 3), "f4"), np.array([np.nan, -0.0], "f4"), np.zeros(0, "f4"), LARGE])
MASKS = st.sampled_from([{}, {"a": np.array([True, False]), "b": None}, {"é": np.array(["x"])}])
TABLES = st.sampled_from(
    [
        pd.DataFrame({"a": LARGE}),
        pd.DataFrame({"a": [1.5, None]}),
        pd.DataFrame({"a": ["x"]}, index=["i"]),
        pd.DataFrame(),
    ]
)
RECORDINGS = st.builds(
    Recording,
    image=IMAGES,
    masks=MASKS,
    table=TABLES,
    series=st.none() | st.just(pl.Series("s", [1, None])),
    raw=st.just(pa.table({"x": [[1], None]})),
    points=st.lists(st.just(Point(1.0, None)), max_size=2),
    note=st.sampled_from([Note(""), Note("a\0b")]),
    gain=st.sampled_from([0j, -0j]),
    pattern=st.just(re.compile("a+")),
    at=st.sampled_from([np.datetime64(5, "ns"), np.datetime64("2026-01", "M"), np.datetime64("NaT"), None]),
    took=st.lists(st.sampled_from([np.timedelta64(-3, "25s"), np.timedelta64("NaT", "ns")]), max_size=2),
)


PLACES = [
    pytest.param(("thread", "sqlite"), id="sqlite"),
    pytest.param(("thread", "delta"), id="delta"),
    pytest.param(("thread", "postgres"), id="postgres", marks=pytest.mark.postgres),
    pytest.param(("process", "sqlite"), id="processes"),
    pytest.param(("ray", "sqlite"), id="ray", marks=pytest.mark.ray),
]


class TestAllKinds(TypeSuite):
    annotation = Recording
    inferred = False  # the values of some fields are of more narrow types than are declared
    store = "sqlite"

    def make_values(self) -> st.SearchStrategy[Any]:
        return RECORDINGS

    def is_same(self, one: Any, other: Any) -> bool:
        return type(one) is type(other) and repr(one) == repr(other) and one.table.dtypes.equals(other.table.dtypes)

    @pytest.fixture(params=PLACES)
    def executor(self, request: pytest.FixtureRequest) -> Iterator[PythonFunctionExecutorProtocol]:
        where, self.store = request.param
        if self.store == "postgres":
            self.conninfo = request.getfixturevalue("postgres_conninfo")
        if where == "ray":
            cluster = RayExecutor(ray_init={"num_cpus": 2, "object_store_memory": 200 * 2**20})
            yield cluster
            cluster.shutdown()
        else:
            with LocalExecutor(2, where) as executor:
                yield executor

    def make_database(self, folder: Path) -> Database:
        match self.store:
            case "delta":
                return DeltaDatabase(folder / "lab")
            case "postgres":
                return PostgresDatabase(self.conninfo).at(folder.name)
            case _:
                return super().make_database(folder)
