"""What is handed to a pipeline is checked before anything is computed, and each refusal says the way out."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase, open_database
from orcapod.errors import ConfigError, ExecutionError, OrcapodError, PluginError, UnknownOptionError
from orcapod.executors import LocalExecutor
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource


@pytest.fixture
def calls() -> list[int]:
    return []


@pytest.fixture
def pipeline(calls: list[int]) -> op.Pipeline:
    @op.function_pod("y", identity="version")
    def f(x: int) -> int:
        calls.append(x)
        return x + 1

    with op.Pipeline("p") as pipeline:
        f.pod(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s"))
    return pipeline


def test_an_engine_may_be_called_by_its_name(pipeline: op.Pipeline, calls: list[int]) -> None:
    result = pipeline.run(execution_engine="local", execution_engine_opts={"workers": 2})
    assert result.counts("f")["computed"] == len(calls) == 1


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"execution_engine": "slurm"}, PluginError, "no executor is called 'slurm'; known here: .*local.*; "),
        ({"execution_engine": LocalExecutor}, ConfigError, r"the class LocalExecutor.*LocalExecutor\(\.\.\.\)"),
        ({"execution_engine": 4}, ConfigError, r"found 4 of type int, expected an executor; .*LocalExecutor\("),
        ({"execution_engine_opts": {"num_cpus": 1}}, UnknownOptionError, "'f': .*'capture'.*num_cpus"),
        ({"execution_engine_opts": [("workers", 1)]}, ConfigError, "execution_engine_opts"),
        ({"execution_engine_opts": {"workers": 0}}, ConfigError, "workers 0"),
        (
            {"orchestrator": AsyncPipelineOrchestrator},
            ConfigError,
            r"the class Async.*Orchestrator\(",
        ),
        ({"orchestrator": "async"}, ConfigError, "'async'"),
        ({"observer": LoggingObserver}, ConfigError, "the class LoggingObserver"),
        ({"observer": []}, ConfigError, r"CompositeObserver\(one, other\)"),
        ({"flush_interval": 0}, ConfigError, "flush_interval 0"),
        ({"flush_interval": -1.0}, ConfigError, "flush_interval"),
        ({"flush_interval": float("nan")}, ConfigError, "flush_interval"),
        ({"flush_interval": float("inf")}, ConfigError, "flush_interval"),
        ({"flush_interval": "1"}, ConfigError, "flush_interval"),
        ({"flush_interval": True}, ConfigError, "flush_interval"),
        ({"error_policy": "stop"}, ConfigError, "'continue', 'fail_fast'"),
        ({"error_policy": ""}, ConfigError, "'continue', 'fail_fast'"),
    ],
)
@pytest.mark.parametrize("awaited", [False, True])
def test_what_a_run_cannot_use_is_refused_before_anything_is_computed(
    pipeline: op.Pipeline,
    calls: list[int],
    options: dict[str, Any],
    error: type[OrcapodError],
    match: str,
    awaited: bool,
) -> None:
    run = (lambda **given: pipeline.run_async(**given).send(None)) if awaited else pipeline.run
    with pytest.raises(error, match=match) as raised:
        run(**options)
    assert isinstance(raised.value, ConfigError)
    assert calls == []
    assert pipeline.database.list_paths() == [], "no run has begun"


def test_an_option_that_only_a_later_node_does_not_know_stops_the_first_one_too(calls: list[int]) -> None:
    class Picky(LocalExecutor):
        def with_options(self, **options: Any) -> Any:
            raise ExecutionError("takes no options")

    @op.function_pod("y", identity="version")
    def f(x: int) -> int:
        calls.append(x)
        return x + 1

    with op.Pipeline("p") as pipeline:
        made = f.pod(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s"))
        f.pod(made.map_packets({"y": "x"}), label="second")
    pipeline.second.executor = Picky()
    with pytest.raises(UnknownOptionError, match="'second': takes no options") as raised:
        pipeline.run(execution_engine_opts={"workers": 2})
    assert raised.value.node == "second"
    assert calls == []


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        (5, ConfigError, "found 5 of type int, expected a database; .*URL"),
        (MemoryDatabase, ConfigError, "the class MemoryDatabase"),
        (io.BytesIO(), ConfigError, "BytesIO"),
        ("mongodb://host/db", PluginError, "no database is called 'mongodb'; known here: .*sqlite"),
        ("", OrcapodError, "memory://"),
    ],
)
@pytest.mark.parametrize("place", ["database", "result_database"])
def test_a_database_that_is_none_is_refused(given: Any, error: type[OrcapodError], match: str, place: str) -> None:
    with pytest.raises(error, match=match):
        op.Pipeline("p", **{place: given})


def test_an_observer_or_a_source_is_given_a_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a URL"):
        open_database(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the class SQLiteDatabase"):
        DictSource([{"i": 0}], ["i"], source_id="s").cached(SQLiteDatabase)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "1", None])
def test_a_configuration_has_a_flush_interval(seconds: Any) -> None:
    with pytest.raises(ConfigError, match="flush_interval"):
        op.PipelineConfig(flush_interval=seconds)


@pytest.mark.parametrize("memory", ["2 GiB", "2GiB", " 2 gib ", 2 << 30])
def test_memory_is_written_as_people_write_it(memory: Any) -> None:
    assert op.PipelineConfig(memory=memory).memory_bytes == 2 << 30


@pytest.mark.parametrize(
    ("memory", "size"), [("1.5 GB", 1_500_000_000), ("500MB", 500_000_000), ("3000 kB", 3_000_000)]
)
def test_memory_in_tens_is_another_amount(memory: str, size: int) -> None:
    assert op.PipelineConfig(memory=memory).memory_bytes == size


@pytest.mark.parametrize(
    "memory", ["", "much", "2 GiBs", "-2 GB", "1 kB", "1e9", "nan", 0, -1, 2.5, True, None, b"2 GB"]
)
def test_memory_that_makes_no_sense_is_refused(memory: Any) -> None:
    with pytest.raises(ConfigError, match=r"found memory .*, expected 1 MiB or more; .*'2 GiB'"):
        op.PipelineConfig(memory=memory)


def test_a_pipeline_is_configured_by_its_own_kind_of_configuration() -> None:
    with pytest.raises(ConfigError, match=r"PipelineConfig\(node=NodeConfig"):
        op.Pipeline("p", config=op.NodeConfig())  # type: ignore[arg-type]


@pytest.mark.parametrize("executor", [LocalExecutor, "local", 3])
def test_an_executor_of_a_node_or_pod_is_an_executor(pipeline: op.Pipeline, executor: Any) -> None:
    with pytest.raises(ConfigError, match="executor"):
        pipeline.f.executor = executor
    with pytest.raises(ConfigError, match="executor"):
        op.FunctionPod(pipeline.f.stream.producer.packet_function, executor=executor)


@pytest.mark.parametrize(
    "make",
    [SyncPipelineOrchestrator, AsyncPipelineOrchestrator, lambda observer: CompositeObserver(observer)],
)
@pytest.mark.parametrize("observer", [LoggingObserver, 3])
def test_an_observer_is_an_observer_wherever_it_is_given(make: Callable[..., Any], observer: Any) -> None:
    with pytest.raises(ConfigError, match="expected an observer"):
        make(observer=observer)


@pytest.mark.parametrize("wrong", [3, MemoryDatabase])
@pytest.mark.parametrize("observer", [LoggingObserver, StatusObserver])
def test_an_observer_that_is_given_no_database_says_so(observer: Any, wrong: Any) -> None:
    with pytest.raises(ConfigError, match="expected a database"):
        observer(wrong)
