"""What a function raises fails its packet, whatever it is; only an interrupt of the user ends the run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import RecordTooLargeError
from orcapod.executors import LocalExecutor
from orcapod.functions import NodeConfig, PythonPacketFunction
from orcapod.observers import LoggingObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.pods import FunctionPod
from orcapod.sources import DictSource


class PanicError(BaseException):
    """As libraries in other languages raise them."""


ERRORS: dict[str, Callable[[], BaseException]] = {
    "panic": lambda: PanicError("index out of bounds"),
    "cancelled": lambda: asyncio.CancelledError("given up"),
    "generator": lambda: GeneratorExit("left over"),
    "exit": lambda: SystemExit(3),
    "stop": lambda: StopIteration("exhausted"),
}


def raising(kind: str) -> Callable[..., int]:
    def plain(x: int) -> int:
        if x == 0:
            raise ERRORS[kind]()
        return x

    return plain


def awaited(kind: str) -> Callable[..., Any]:
    async def coroutine(x: int) -> int:
        await asyncio.sleep(0)
        if x == 0:
            raise ERRORS[kind]()
        return x

    return coroutine


@pytest.mark.parametrize(
    ("make", "kind"),
    # Of a StopIteration in a coroutine Python itself makes a RuntimeError.
    [(make, kind) for make in (raising, awaited) for kind in ERRORS if (make, kind) != (awaited, "stop")],
)
@pytest.mark.parametrize("executor", [LocalExecutor(), LocalExecutor(workers=2)])
@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
def test_it_fails_its_packet_and_no_other(make: Any, kind: str, executor: LocalExecutor, orchestrator: Any) -> None:
    pipeline = op.Pipeline("p")
    pod = FunctionPod(PythonPacketFunction(make(kind), "y", identity="version"))
    with pipeline:
        pod(DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s"), label="n")
    logs = LoggingObserver(pipeline.log_database)
    result = pipeline.run(orchestrator, execution_engine=executor, observer=logs)
    assert result.counts("n") == {"computed": 2, "cached": 0, "failed": 1}
    (error,) = result.errors
    assert type(error.exception) is type(ERRORS[kind]())
    assert error.exception.args == ERRORS[kind]().args
    assert sorted(logs.get_logs().column("__success").to_pylist()) == [False, True, True]


async def _awaited_run(kind: str) -> Any:
    pipeline = op.Pipeline("p")
    with pipeline:
        FunctionPod(PythonPacketFunction(awaited(kind), "y", identity="version"))(
            DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s"), label="n"
        )
    return await pipeline.run_async()


def test_a_cancelled_error_of_a_function_is_not_taken_for_that_of_the_callers_task() -> None:
    result = asyncio.run(_awaited_run("cancelled"))
    assert result.counts("n") == {"computed": 2, "cached": 0, "failed": 1}


def test_what_the_programs_own_handler_of_a_signal_raises_ends_the_run() -> None:
    """As batch systems send SIGTERM, and programs make an exit of it."""

    def leave(*_: object) -> None:
        raise SystemExit(15)

    def terminated(x: int) -> int:
        if x == 1:
            signal.raise_signal(signal.SIGTERM)
        return x

    before = signal.signal(signal.SIGTERM, leave)
    try:
        pipeline = op.Pipeline("p")
        with pipeline:
            FunctionPod(PythonPacketFunction(terminated, "y", identity="version"))(
                DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s"), label="n"
            )
        with pytest.raises(SystemExit) as caught:
            pipeline.run()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.code == 15
    assert pipeline["n"].as_table().column("y").to_pylist() == [0]


class SmallDatabase(MemoryDatabase):
    """A store whose records have ten thousand bytes at most."""

    max_record_bytes = 10_000


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
@pytest.mark.parametrize("output", [bytes, str, list[int], list[str], dict[str, bytes]])
def test_a_value_that_the_store_can_never_hold_fails_its_packet_by_name(orchestrator: Any, output: Any) -> None:
    def large(x: int) -> Any:
        size = 20_000 if x == 1 else 10
        values: dict[Any, Any] = {
            bytes: b"x" * size,
            str: "x" * size,
            list[int]: [1] * size,
            list[str]: ["xxxx"] * (size // 4),
            dict[str, bytes]: {"a": b"x" * size},
        }
        return values[output]

    function = PythonPacketFunction(large, "a", identity="version", output_schema={"a": output})
    pipeline = op.Pipeline("p", SmallDatabase())
    with pipeline:
        FunctionPod(function)(DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s"), label="load")
    for attempt in range(2):
        result = pipeline.run(orchestrator)
        (error,) = result.errors
        assert isinstance(error.exception, RecordTooLargeError)
        assert (error.exception.column, error.exception.limit < 10_000) == ("a", True)
        assert "load(i=1): " in str(error)
        assert "output 'a' has " in str(error)
        assert result.counts("load")["computed"] == (0 if attempt else 2)


@pytest.mark.parametrize("config", [NodeConfig(), NodeConfig(retries=1)])
def test_an_interrupt_that_the_function_swallows_ends_the_run_all_the_same(config: NodeConfig) -> None:
    called: list[int] = []

    def stubborn(x: int) -> int:
        called.append(x)
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException as error:
            if x == 0:
                raise ValueError("something went wrong") from error
        return x

    pipeline = op.Pipeline("p")
    with pipeline:
        FunctionPod(PythonPacketFunction(stubborn, "y", identity="version"), node_config=config)(
            DictSource([{"i": i, "x": i} for i in range(30)], ["i"], source_id="s"), label="n"
        )
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    assert called == [0]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
