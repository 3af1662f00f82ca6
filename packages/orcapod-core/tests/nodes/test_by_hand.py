"""``node.execute`` and ``node.async_execute``: the step of a run, driven by whoever calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.errors import PipelineError, SchemaError
from orcapod.observers import LoggingObserver, StatusObserver
from orcapod.orchestrators import Channel
from orcapod.sources import DictSource

SOURCE = DictSource([{"i": i, "x": i} for i in (1, 0, 2)], ["i"], source_id="s")


@op.function_pod("y", identity="version")
def inverse(x: int) -> float:
    print("inverting", x)
    return 1 / x


@op.function_pod("z", identity="version")
async def doubled(y: float) -> float:
    await asyncio.sleep(0)
    return 2 * y


def built(database: Any = None) -> op.Pipeline:
    with op.Pipeline("p", database) as pipeline:
        made = doubled.pod(inverse.pod(SOURCE))
        made.join(SOURCE, label="both")
        made.join(made.map_packets({"z": "w"}), label="twins")
    return pipeline


def shown(rows: Any) -> list[Any]:
    return [(dict(tag), tag.system_tags(), dict(packet), packet.source_info()) for tag, packet in rows]


def test_a_node_that_is_executed_gives_and_stores_what_a_run_does(tmp_path: Path) -> None:
    ran = built()
    ran.run()
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        pipeline = built(database)
        rows = pipeline.inverse.execute(pipeline.s)
        assert shown(rows) == shown(ran.inverse)
        rows = pipeline.doubled.execute(rows)
        assert shown(rows) == shown(ran.doubled)
        assert shown(pipeline.both.execute(rows, SOURCE)) == shown(ran.both)
        assert shown(pipeline.s.execute()) == shown(SOURCE)
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        counts = built(database).run().node_counts
    assert counts["inverse"] == {"computed": 0, "cached": 2, "failed": 1}
    assert counts["doubled"] == {"computed": 0, "cached": 2, "failed": 0, "incomplete": 1}


def test_an_observer_is_told_of_the_packets_and_its_rows_are_kept() -> None:
    pipeline = built()
    logs, statuses = LoggingObserver(pipeline.log_database), StatusObserver(pipeline.log_database, cached=True)
    pipeline.inverse.execute(SOURCE, observer=logs)
    assert LoggingObserver(pipeline.log_database).get_logs()["__stdout"].to_pylist() == [
        f"inverting {x}\n" for x in (1, 0, 2)
    ]
    pipeline.inverse.execute(SOURCE, observer=statuses)
    assert sorted(statuses.get_status()["__state"].to_pylist()) == ["CACHED", "CACHED", "FAILED"]


def test_the_error_policy_holds() -> None:
    with pytest.raises(ZeroDivisionError):
        built().inverse.execute(SOURCE, error_policy="fail_fast")

    async def program() -> None:
        output: Channel[Any] = Channel(64)
        with pytest.raises(ZeroDivisionError):
            await built().inverse.async_execute(sent(SOURCE), output, error_policy="fail_fast")
        assert [dict(packet) async for _, packet in output] in ([], [{"y": 1.0}])

    asyncio.run(program())


def test_what_is_given_has_to_be_like_what_the_node_is_made_of() -> None:
    node = built().inverse
    other = DictSource([{"i": 1, "x": 1.5}], ["i"], source_id="s")
    for rows in (other, list(other)):
        with pytest.raises(SchemaError, match="'inverse' was given .*x: float.*expected .*x: int") as raised:
            node.execute(rows)
        assert raised.value.node == "inverse"
    with pytest.raises(PipelineError, match=r"given 0, expected 1 input streams; it is made of \['s'\]"):
        node.execute()
    with pytest.raises(PipelineError, match="given 2, expected 1"):
        node.execute(SOURCE, SOURCE)


def sent(rows: Any) -> AsyncIterator[Any]:
    async def iterate() -> AsyncIterator[Any]:
        for row in rows:
            yield row

    return iterate()


@pytest.mark.parametrize("size", [1, 64])
def test_nodes_between_channels_give_what_a_run_gives(size: int) -> None:
    ran, pipeline = built(), built()
    ran.run()

    async def program() -> list[Any]:
        source, inverted, one, other, joined = (Channel[Any](size) for _ in range(5))

        async def spread() -> None:
            output: Channel[Any] = Channel(size)
            feeding = asyncio.create_task(pipeline.doubled.async_execute(inverted, output))
            rows = [row async for row in output]
            await feeding
            for channel, extra in ((one, rows), (other, list(SOURCE))):
                tasks.append(asyncio.create_task(fill(channel, extra)))

        async def fill(channel: Channel[Any], rows: list[Any]) -> None:
            for row in rows:
                await channel.send(row)
            channel.close()

        tasks = [
            asyncio.create_task(pipeline.s.async_execute(source)),
            asyncio.create_task(pipeline.inverse.async_execute(source, inverted)),
            asyncio.create_task(spread()),
            asyncio.create_task(pipeline.both.async_execute(one, other, joined)),
        ]
        found = [row async for row in joined]
        await asyncio.gather(*tasks)
        return found

    assert shown(asyncio.run(asyncio.wait_for(program(), 60))) == shown(ran.both)
    assert pipeline.run().counts("doubled") == {"computed": 0, "cached": 2, "failed": 0, "incomplete": 1}


def test_an_async_function_runs_in_the_callers_loop() -> None:
    loops = []

    @op.function_pod("y", identity="version")
    async def here(x: int) -> int:
        loops.append(asyncio.get_running_loop())
        return x

    with op.Pipeline("p") as pipeline:
        here.pod(SOURCE)

    async def program() -> None:
        output: Channel[Any] = Channel(64)
        await pipeline.here.async_execute(sent(SOURCE), output)
        assert [packet["y"] async for _, packet in output] == [1, 0, 2]
        assert set(loops) == {asyncio.get_running_loop()}

    asyncio.run(asyncio.wait_for(program(), 60))


def test_a_cancelled_node_stops_and_keeps_what_it_has_computed() -> None:
    pipeline = built()

    async def program() -> None:
        source, output = Channel[Any](64), Channel[Any](64)
        working = asyncio.create_task(pipeline.inverse.async_execute(source, output))
        await source.send(next(iter(SOURCE)))
        await output.receive()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert [row async for row in output] == []

    asyncio.run(asyncio.wait_for(program(), 60))
    assert pipeline.run().counts("inverse") == {"computed": 1, "cached": 1, "failed": 1}


def test_an_input_that_breaks_ends_the_node_with_its_error() -> None:
    async def broken() -> AsyncIterator[Any]:
        yield next(iter(SOURCE))
        raise OSError("the line is dead")

    async def program() -> None:
        output: Channel[Any] = Channel(64)
        with pytest.raises(OSError, match="the line is dead"):
            await built().inverse.async_execute(broken(), output)
        other = DictSource([{"i": 1, "x": 1.5}], ["i"], source_id="s")
        with pytest.raises(SchemaError, match="x: float"):
            await built().inverse.async_execute(sent(other), Channel(64))

    asyncio.run(asyncio.wait_for(program(), 60))
