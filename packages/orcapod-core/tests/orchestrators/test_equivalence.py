"""Promise 7: whatever drives a pipeline, and wherever its functions run, the answer and the records are the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.executors import LocalExecutor
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource
from orcapod.streams import Stream


@op.function_pod(output_keys="x")
def plus(x: int | None) -> int | None:
    return None if x is None else x + 1


@op.function_pod(output_keys="x")
async def slowly(x: int | None) -> int | None:
    return None if x is None else -x


@op.function_pod(output_keys="x")
def picky(x: int | None) -> int:
    if x is None or x % 3 == 0:
        raise ValueError(f"not {x}")
    return x * 2


@op.function_pod(output_keys="x")
def in_turn(x: list[int | None]) -> int | None:
    """Something that depends on the order of the members."""
    return sum((at + 1) * (each or 0) for at, each in enumerate(x)) % 5


PODS = {"plus": plus, "slowly": slowly, "picky": picky}
ROWS = st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.sampled_from([None, 0, 1, 2, 3])), max_size=6)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*PODS, "filter", "join", "self-join", "fan-out", "group", "batch"]),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=5,
)


def planned(sources: list[list[tuple[str | None, int | None]]], steps: list[tuple[str, int, int]]) -> list[Stream]:
    """Streams of one tag ``k`` and one packet column ``x``, made by the steps from the sources."""
    types = {"k": str | None, "x": int | None}
    streams: list[Stream] = [
        DictSource([{"k": k, "x": x} for k, x in rows], ["k"], source_id=f"s{i}", data_schema=types)
        for i, rows in enumerate(sources)
    ]
    for kind, first, second in steps:
        one, other = streams[first % len(streams)], streams[second % len(streams)]
        match kind:
            case "filter":
                streams.append(one.filter(x=1))
            case "join":
                streams.append(one.join(other.map_packets({"x": "y"})).drop_packet_columns(["y"]))
            case "self-join":
                streams.append(one.join(one.map_packets({"x": "y"})).drop_packet_columns(["y"]))
            case "fan-out":
                streams += [PODS["plus"].pod(one), PODS["slowly"].pod(one)]
            case "group":
                streams.append(in_turn.pod(one.group_by("k")))
            case "batch":  # its tags are lists: nothing else is made of it
                in_turn.pod(one.batch(2))
            case _:
                streams.append(PODS[kind].pod(one))
    return streams


def answer(
    database: Any, sources: list[list[tuple[str | None, int | None]]], steps: list[tuple[str, int, int]], **run: Any
) -> tuple[Any, ...]:
    """Everything that a run leaves behind, as far as it does not depend on when it happened."""
    pipeline = op.Pipeline("p", database)
    with pipeline:
        planned(sources, steps)
    result = pipeline.run(**run)
    tables = {
        node.label: Counter(
            repr(row) for row in node.as_table(columns={"system_tags": True, "source": True}).to_pylist()
        )
        for node in pipeline
    }
    hashes = {node.label: (str(node.content_hash()), str(node.pipeline_hash())) for node in pipeline}
    # Of two nodes that need the same packet, either may be the one that computes it.
    counts = {label: (each["computed"] + each["cached"], each["failed"]) for label, each in result.node_counts.items()}
    computed = sum(each["computed"] for each in result.node_counts.values())
    errors = Counter(str(error) for error in result.errors)
    records = {
        path: sorted(map(repr, database.get_records(path).column(0).to_pylist()))
        for path in database.list_paths()
        if path[1] not in ("_runs", "_environments")
    }
    return tables, hashes, counts, computed, errors, records


@pytest.fixture(scope="module")
def pools() -> Iterator[dict[str, LocalExecutor]]:
    with LocalExecutor(2, "thread") as threads, LocalExecutor(2, "process") as processes:
        yield {"threads": threads, "processes": processes}


@settings(deadline=None, max_examples=25)
@given(sources=st.lists(ROWS, min_size=1, max_size=2), steps=STEPS)
def test_orchestrators_and_buffers_give_the_same_answer_and_records(sources: Any, steps: Any) -> None:
    expected = answer(MemoryDatabase(), sources, steps, orchestrator=SyncPipelineOrchestrator())
    for size in (1, 64):
        found = answer(MemoryDatabase(), sources, steps, orchestrator=AsyncPipelineOrchestrator(buffer_size=size))
        assert found == expected


@settings(deadline=None, max_examples=8)
@given(sources=st.lists(ROWS, min_size=1, max_size=2), steps=STEPS)
def test_pools_and_stores_give_the_same_answer_and_records(
    pools: dict[str, LocalExecutor], tmp_path_factory: pytest.TempPathFactory, sources: Any, steps: Any
) -> None:
    expected = answer(MemoryDatabase(), sources, steps)
    folder: Path = tmp_path_factory.mktemp("stores")
    for name, pool in pools.items():
        for orchestrator in (SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()):
            with SQLiteDatabase(folder / f"{name}-{type(orchestrator).__name__}.db") as database:
                found = answer(database, sources, steps, orchestrator=orchestrator, execution_engine=pool)
            assert found == expected, name


@pytest.mark.parametrize("size", [1, 64])
def test_rows_that_are_collected_come_in_the_same_order(size: int) -> None:
    """Batches of a join of a branch that is fast and one that is slow, with more rows than a channel holds."""

    @op.function_pod(output_keys="y", max_concurrency=8, identity="version")
    async def late(x: int) -> int:
        await asyncio.sleep(0.001 * (x % 7))
        return x

    @op.function_pod(output_keys="z", identity="version")
    def numbered(x: list[int], y: list[int]) -> list[int]:
        return [*x, *y]

    def rows(orchestrator: Any) -> list[dict[str, Any]]:
        source = DictSource([{"i": i % 97, "x": i} for i in range(500)], ["i"], source_id="s")
        pipeline = op.Pipeline("p", MemoryDatabase())
        with pipeline:
            numbered.pod(late.pod(source).join(source.filter(pc.field("x") > 3)).batch(7))
        assert pipeline.run(orchestrator).ok
        return pipeline["numbered"].as_table(columns={"system_tags": True, "source": True}).to_pylist()

    expected = rows(SyncPipelineOrchestrator())
    assert rows(AsyncPipelineOrchestrator(buffer_size=size)) == expected
