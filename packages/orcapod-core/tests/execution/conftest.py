"""Parts of the engine, put together by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from orcapod.databases import MemoryDatabase
from orcapod.datagrams import Chunk, with_packets
from orcapod.execution import FunctionSpec, Step
from orcapod.functions import NodeConfig, PythonPacketFunction
from orcapod.protocols import Call, NoOpObserver, OnDone, Outcome
from orcapod.records import NoOpRecords, ResultCache, result_path
from orcapod.sources import DictSource


def chunk_of(values: Sequence[int]) -> Chunk:
    """Rows ``i``, the tag, and ``x``."""
    (chunk,) = DictSource([{"i": i, "x": x} for i, x in enumerate(values)], ["i"], source_id="s").chunks()
    return chunk


def values_of(chunks: Sequence[Chunk]) -> dict[int, int]:
    return {
        i: y
        for chunk in with_packets(chunks)
        for i, y in zip(chunk.column("i").to_pylist(), chunk.column("y").to_pylist(), strict=True)
    }


def spec_of(function: Callable[..., Any], database: MemoryDatabase | None = None) -> FunctionSpec:
    packet_function = PythonPacketFunction(function, "y", identity="version")
    cache = ResultCache(
        database or MemoryDatabase(), result_path(packet_function.uri), packet_function.signature.outputs, code=""
    )
    source = DictSource([{"i": 0, "x": 0}], ["i"], source_id="s")
    schema = packet_function.output_schema(source.schema)
    return FunctionSpec(packet_function, packet_function.fingerprint(), schema, cache, NoOpRecords())


def step_of(spec: FunctionSpec, **options: Any) -> Step:
    return Step(spec, None, options.pop("observer", NoOpObserver()), "n", config=NodeConfig(**options))


class HeldSession:
    """Session whose calls end when the test says so, and in the order that it says."""

    def __init__(self, on_done: OnDone, *, concurrency: int = 1) -> None:
        self.concurrency = concurrency
        self.on_done = on_done
        self.calls: list[Call] = []
        self.changed = threading.Condition()
        self.ends_on_close: list[Outcome] = []
        self.is_closed = False

    def submit(self, batch: Sequence[Call]) -> None:
        with self.changed:
            self.calls += batch
            self.changed.notify_all()

    def held(self, least: int) -> list[Call]:
        """Wait until so many calls are held, or the session is closed; return those that are."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.is_closed or len(self.calls) >= least, 60)
            return list(self.calls)

    def end(self, call: Call, function: Callable[..., Any]) -> None:
        """Make a call, and hand over what has become of it."""
        self.calls.remove(call)
        outcome = Outcome(call.key)
        try:
            outcome.value = function(**call.kwargs)
        except ValueError as error:
            outcome.error = error
        self.on_done(outcome)

    def close(self) -> None:
        for outcome in self.ends_on_close:
            self.on_done(outcome)
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()


def stored(spec: FunctionSpec) -> pa.Table:
    """All results that are stored."""
    return spec.cache._database.get_records(result_path(spec.function.uri))  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def engine() -> SimpleNamespace:
    """The parts, by name."""
    return SimpleNamespace(
        chunk_of=chunk_of, values_of=values_of, spec_of=spec_of, step_of=step_of, HeldSession=HeldSession, stored=stored
    )
