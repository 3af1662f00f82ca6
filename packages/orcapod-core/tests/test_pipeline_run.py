"""``Pipeline.run``: where a pipeline is run, with which options, who is told, and what the result says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Self

import pytest

import orcapod as op
from orcapod.errors import ExecutionError, OrcapodError
from orcapod.executors import LocalExecutor
from orcapod.observers import NoOpObserver
from orcapod.sources import DictSource


def source(source_id: str = "s", rows: int = 2) -> DictSource:
    return DictSource([{"i": i, "x": i} for i in range(rows)], tag_columns=["i"], source_id=source_id)


@op.function_pod("y")
def increment(x: int) -> int:
    return x + 1


@op.function_pod("z")
def double(y: int) -> int:
    return 2 * y


class Engine:
    """A stranger's executor, which notes what it is asked."""

    executor_type_id = "stranger"

    def __init__(self, options: Mapping[str, Any] | None = None, log: list[tuple[str, Any]] | None = None) -> None:
        self.options = dict(options or {})
        self.log = log if log is not None else []
        self.supported = True

    def supports(self, function_type_id: str) -> bool:
        return self.supported and function_type_id == "python"

    def with_options(self, **options: Any) -> Engine:
        self.log.append(("options", options))
        if "bad" in options:
            raise ExecutionError("no option is called 'bad'")
        made = Engine({**self.options, **options}, self.log)
        made.supported = self.supported
        return made

    def __enter__(self) -> Self:
        self.log.append(("enter", None))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.log.append(("exit", None))

    def execute_callable(self, fn: Callable[..., Any], kwargs: Mapping[str, Any], *, logger: Any = None) -> Any:
        self.log.append(("call", (dict(kwargs), self.options)))
        return fn(**kwargs)

    async def async_execute_callable(
        self, fn: Callable[..., Any], kwargs: Mapping[str, Any], *, logger: Any = None
    ) -> Any:
        return self.execute_callable(fn, kwargs, logger=logger)

    def calls(self) -> list[Any]:
        return [what for kind, what in self.log if kind == "call"]


@pytest.fixture
def chain() -> op.Pipeline:
    with op.Pipeline("p") as pipeline:
        double.pod(increment.pod(source()))
    return pipeline


def test_an_engine_given_to_run_holds_for_that_run_only(chain: op.Pipeline) -> None:
    engine = Engine()
    assert isinstance(chain.increment.executor, LocalExecutor)
    assert chain.run(execution_engine=engine).ok
    assert [kwargs for kwargs, _ in engine.calls()] == [{"x": 0}, {"x": 1}, {"y": 1}, {"y": 2}]
    assert isinstance(chain.increment.executor, LocalExecutor)
    with chain:
        increment.pod(source("more", rows=5), label="more")
    chain.run()
    assert len(engine.calls()) == 4
    assert [kind for kind, _ in engine.log].count("enter") == [kind for kind, _ in engine.log].count("exit") > 0


def test_an_executor_set_on_a_node_belongs_to_that_node_and_holds_against_the_engine(chain: op.Pipeline) -> None:
    own, engine = Engine(), Engine()
    chain.increment.executor = own
    chain.run(execution_engine=engine)
    assert [kwargs for kwargs, _ in own.calls()] == [{"x": 0}, {"x": 1}]
    assert [kwargs for kwargs, _ in engine.calls()] == [{"y": 1}, {"y": 2}]
    assert chain.increment.executor is own
    assert chain.double.executor is not own


def test_options_reach_the_engine_for_every_function_node(chain: op.Pipeline) -> None:
    engine = Engine()
    chain.run(execution_engine=engine, execution_engine_opts={"num_cpus": 2})
    assert [what for kind, what in engine.log if kind == "options"] == [{"num_cpus": 2}] * 2
    assert {tuple(options.items()) for _, options in engine.calls()} == {(("num_cpus", 2),)}
    assert engine.options == {}


def test_with_options_is_called_for_every_function_node_even_without_options(chain: op.Pipeline) -> None:
    engine = Engine()
    chain.run(execution_engine=engine)
    assert [what for kind, what in engine.log if kind == "options"] == [{}, {}]


def test_options_without_an_engine_reach_the_executors_of_the_nodes(chain: op.Pipeline) -> None:
    first, second = Engine(), Engine()
    chain.increment.executor, chain.double.executor = first, second
    chain.run(execution_engine_opts={"num_cpus": 2})
    for engine in (first, second):
        assert {tuple(options.items()) for _, options in engine.calls()} == {(("num_cpus", 2),)}


def test_options_that_an_executor_does_not_know_are_an_error(chain: op.Pipeline) -> None:
    with pytest.raises(ExecutionError, match="bad"):
        chain.run(execution_engine=Engine(), execution_engine_opts={"bad": 1})
    with pytest.raises(OrcapodError, match="num_cpus"):
        chain.run(execution_engine_opts={"num_cpus": 1})


def test_an_executor_that_does_not_run_python_is_refused(chain: op.Pipeline) -> None:
    engine = Engine()
    engine.supported = False
    with pytest.raises(ExecutionError, match="stranger.*python"):
        chain.run(execution_engine=engine)
    assert not engine.calls()


def test_the_executors_of_a_run_are_recorded_once_per_run(chain: op.Pipeline) -> None:
    chain.double.executor = Engine()
    chain.run()
    (run,) = chain.log_database.get_records(("_runs",)).to_pylist()
    executors = {label: node.get("executor") for label, node in json.loads(run["__nodes"]).items()}
    assert {label: name for label, name in executors.items() if name} == {"increment": "local", "double": "stranger"}
    assert run["__orchestrator"] == "SyncPipelineOrchestrator"


class Notes(NoOpObserver):
    """A stranger's observer, with a view for every node."""

    def __init__(self, notes: list[tuple[Any, ...]] | None = None, node: str = "") -> None:
        self.notes = notes if notes is not None else []
        self.node = node

    def contextualize(self, node_hash: str, node_label: str, *, node_path: tuple[str, ...] = ()) -> Notes:  # type: ignore[override]
        self.notes.append(("contextualize", node_label, node_hash, node_path))
        return Notes(self.notes, node_label)

    def on_run_start(self, run_id: str) -> None:
        self.notes.append(("run_start", run_id))

    def on_run_end(self, run_id: str) -> None:
        self.notes.append(("run_end", run_id))

    def on_packet_start(self, node_label: str, tag: Any, packet: Any) -> None:
        assert node_label == self.node
        self.notes.append(("start", node_label, dict(tag), dict(packet)))

    def create_packet_logger(self, tag: Any, packet: Any, *, pipeline_path: tuple[str, ...] = ()) -> Any:
        self.notes.append(("logger", self.node, pipeline_path))
        return self

    def record(self, **kwargs: object) -> None:
        self.notes.append(("record", kwargs["success"]))

    def on_packet_end(self, node_label: str, tag: Any, packet: Any, result: Any, *, cached: bool) -> None:
        self.notes.append(("end", node_label, dict(tag), dict(result)))


def test_a_strangers_observer_is_told_in_the_order_of_the_protocol() -> None:
    with op.Pipeline("p") as pipeline:
        increment.pod(source(rows=1))
    observer = Notes()
    result = pipeline.run(observer=observer)
    node = pipeline.increment
    assert observer.notes == [
        ("run_start", result.run_id),
        ("contextualize", "s", str(pipeline.s.pipeline_hash()), ()),
        ("contextualize", "increment", str(node.pipeline_hash()), node.path),
        ("start", "increment", {"i": 0}, {"x": 0}),
        ("logger", "increment", node.path),
        ("record", True),
        ("end", "increment", {"i": 0}, {"y": 1}),
        ("run_end", result.run_id),
    ]


def test_a_result_says_what_the_run_did(chain: op.Pipeline) -> None:
    result = chain.run()
    assert result.ok
    assert result.errors == ()
    assert result.raise_for_errors() is None
    assert repr(result).splitlines() == [
        f"<RunResult {result.run_id} ok",
        "  s: 2 rows",
        "  increment: 2 computed, 0 cached, 0 failed",
        "  double: 2 computed, 0 cached, 0 failed>",
    ]
    with pytest.raises(OrcapodError, match=r"'nope'.*\['double', 'increment'\]"):
        result.counts("nope")
    with pytest.raises(KeyError, match="'s'"):
        result.counts("s")
    counts = result.counts("double")
    counts["computed"] = 99
    assert result.counts("double")["computed"] == 2


def test_a_failed_result_says_how_many() -> None:
    @op.function_pod("y")
    def f(x: int) -> float:
        return 1 / x

    with op.Pipeline("p") as pipeline:
        f.pod(source())
    result = pipeline.run()
    assert not result.ok
    assert "1 failed" in repr(result).splitlines()[0]
    with pytest.raises(BaseExceptionGroup, match=result.run_id):
        result.raise_for_errors()


def test_a_pipeline_of_nothing_runs() -> None:
    result = op.Pipeline("p").run()
    assert result.ok
    assert result.node_counts == {}


def test_a_run_in_a_folder_that_is_gone_is_recorded(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    folder.rmdir()
    pipeline = op.Pipeline("p")
    assert pipeline.run().ok
    assert pipeline.log_database.get_records(("_runs",)).num_rows == 1
