"""What a store does not take at once is kept and given again, told of, and ends the run when it goes on."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import DatabaseError, RecordSchemaError
from orcapod.nodes import Flusher
from orcapod.nodes import flusher as flusher_module
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.protocols import flush_all
from orcapod.sources import DictSource

_LONG = 60.0
TRANSIENT = DatabaseError("no room", is_transient=True)

driven = pytest.mark.parametrize("driver", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])


Hook = Callable[[str, bool], None]
"""Called with what is done, and whether the flusher does it; may raise."""


def _is_flusher() -> bool:
    return threading.current_thread().name == "orcapod-flusher"


def pipeline_on(hook: Hook, function: Callable[..., Any], rows: int = 4) -> op.Pipeline:
    """Return a pipeline on a store whose every write asks a hook first."""

    class FailingDatabase(MemoryDatabase):
        def add_records(self, path: Any, table: pa.Table, *, on_conflict: Any = "skip") -> int:
            hook(path[0] if path[0].startswith("_") else "records", _is_flusher())
            return super().add_records(path, table, on_conflict=on_conflict)

        def flush(self) -> None:
            hook("flush", _is_flusher())
            super().flush()

    pipeline = op.Pipeline("p", FailingDatabase())
    with pipeline:
        op.function_pod("y", identity="version")(function).pod(
            DictSource([{"i": i, "x": i} for i in range(rows)], ["i"], source_id="s"), label="n"
        )
    return pipeline


def told(found: list[warnings.WarningMessage]) -> list[str]:
    return [str(each.message) for each in found if "could not be stored" in str(each.message)]


@pytest.mark.parametrize(
    ("driver", "what"),
    [
        (SyncPipelineOrchestrator(), "_result"),
        (SyncPipelineOrchestrator(), "flush"),
        (AsyncPipelineOrchestrator(), "flush"),
    ],
)
@pytest.mark.parametrize("error", [TRANSIENT, OSError("no room"), ValueError("a stranger's")])
def test_failures_that_are_overcome_end_nothing_and_are_told_once(driver: Any, what: str, error: Exception) -> None:
    """Whatever the flusher is told by a store, it tries again; the run goes on meanwhile."""
    failures: list[str] = []
    stored = threading.Event()

    def hook(done: str, by_flusher: bool) -> None:
        if by_flusher and done == what:
            if len(failures) < 5:
                failures.append(done)
                raise error
            stored.set()

    def waiting(x: int) -> int:
        assert x != 2 or stored.wait(_LONG), "nothing was stored while this packet was computed"
        return x

    pipeline = pipeline_on(hook, waiting)
    with pytest.warns(UserWarning, match=f"twice in a row: {error}.*after 30 seconds") as found:
        result = pipeline.run(driver, flush_interval=0.01)
    assert len(told(list(found))) == 1
    assert result.counts("n") == {"computed": 4, "cached": 0, "failed": 0}
    assert sorted(pipeline["n"].as_table()["y"].to_pylist()) == [0, 1, 2, 3]
    assert pipeline.run(driver).counts("n")["cached"] == 4


@driven
def test_one_failure_is_not_told(driver: Any) -> None:
    failures: list[str] = []
    stored = threading.Event()

    def hook(done: str, by_flusher: bool) -> None:
        if by_flusher and done == "flush":
            if not failures:
                failures.append(done)
                raise TRANSIENT
            stored.set()

    def waiting(x: int) -> int:
        assert x != 2 or stored.wait(_LONG)
        return x

    assert pipeline_on(hook, waiting).run(driver, flush_interval=0.01).ok
    assert failures


@driven
@pytest.mark.parametrize("what", ["_code", "_result", "records", "flush", "_environments", "_runs"])
def test_the_run_waits_for_a_store_that_recovers(driver: Any, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is nothing else to do: at the end of rows, of a node, or of the run."""
    monkeypatch.setattr(flusher_module, "_LONGEST_PAUSE", 0.01)
    failures: list[str] = []

    def hook(done: str, by_flusher: bool) -> None:
        if not by_flusher and done == what and len(failures) < 3:
            failures.append(done)
            raise TRANSIENT

    pipeline = pipeline_on(hook, same)
    with pytest.warns(UserWarning, match="twice in a row: no room"):
        assert pipeline.run(driver, flush_interval=60).ok
    assert len(failures) == 3
    assert sorted(pipeline["n"].as_table()["y"].to_pylist()) == [0, 1, 2, 3]


def same(x: int) -> int:
    return x


@driven
def test_what_goes_on_failing_ends_the_run_long_before_all_is_computed(
    driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though only the flusher meets it; what the run itself writes is taken."""
    monkeypatch.setattr(flusher_module, "_RETRY_SECONDS", 0.1)
    calls: list[int] = []
    failed_twice = threading.Event()

    def hook(done: str, by_flusher: bool) -> None:
        if by_flusher and done == "flush":
            raise TRANSIENT

    def waiting(x: int) -> int:
        calls.append(x)
        failed_twice.wait(0.01)
        return x

    with pytest.warns(UserWarning, match="no room"), pytest.raises(DatabaseError, match="no room"):
        pipeline_on(hook, waiting, rows=5000).run(driver, flush_interval=0.02)
    assert len(calls) < 4000


@driven
@pytest.mark.parametrize("error", [RecordSchemaError("another type"), DatabaseError("damaged"), ValueError("odd")])
def test_what_no_time_mends_is_not_waited_for(driver: Any, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flusher_module, "_RETRY_SECONDS", 1e9)

    def hook(done: str, by_flusher: bool) -> None:
        if not by_flusher and done == "_result":
            raise error

    with pytest.raises(type(error), match=str(error)):
        pipeline_on(hook, same).run(driver, flush_interval=60)


@driven
def test_a_run_that_cannot_be_written_down_is_flushed_all_the_same(driver: Any) -> None:
    events: list[str] = []

    def hook(done: str, by_flusher: bool) -> None:
        events.append(done)
        if done == "_runs":
            raise DatabaseError("damaged")

    with pytest.raises(DatabaseError, match="damaged"):
        pipeline_on(hook, same).run(driver, flush_interval=60)
    assert "flush" in events[events.index("_runs") :]


@driven
@pytest.mark.parametrize("left", [KeyboardInterrupt, SystemExit])
def test_a_run_that_is_interrupted_waits_for_no_store(
    driver: Any, left: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher_module, "_RETRY_SECONDS", 1e9)
    is_leaving = False

    class Leaving(op.observers.NoOpObserver):
        def on_packet_start(self, node_label: str, tag: Any, packet: Any) -> None:
            nonlocal is_leaving
            if packet["x"] == 2:
                is_leaving = True
                raise left

    def hook(done: str, by_flusher: bool) -> None:
        if is_leaving and not by_flusher:
            raise TRANSIENT

    with pytest.raises((left, DatabaseError)):
        pipeline_on(hook, same).run(driver, observer=Leaving(), flush_interval=60)


@driven
@pytest.mark.parametrize("death", [SystemExit, KeyboardInterrupt, MemoryError])
def test_a_flusher_that_dies_ends_the_run(driver: Any, death: type[BaseException]) -> None:
    """What is no exception of a store ends its thread, and nothing would be stored until the end of the node."""
    died = threading.Event()

    def hook(done: str, by_flusher: bool) -> None:
        if by_flusher and not died.is_set():
            died.set()
            raise death("dying")

    def waiting(x: int) -> int:
        assert died.wait(_LONG)
        return x

    pipeline = pipeline_on(hook, waiting)
    if death is MemoryError:  # an exception like others: tried again
        assert pipeline.run(driver, flush_interval=0.01).ok
        return
    with pytest.raises(death, match="dying"):
        pipeline.run(driver, flush_interval=0.01)


def test_every_store_is_tried_and_what_several_raise_is_a_group() -> None:
    called: list[str] = []

    def store(name: str, error: Exception | None = None) -> Callable[[], None]:
        def flush() -> None:
            called.append(name)
            if error is not None:
                raise error

        return flush

    one, other, twin = DatabaseError("one"), OSError("other"), DatabaseError("one")
    flusher = Flusher(60)
    with flusher, flusher.calling(store("a", one), store("b"), store("c", other), store("d", twin), store("e")):
        flusher.stop_retrying()
        with pytest.raises(ExceptionGroup) as several:
            flusher.flush()
        assert set(map(repr, several.value.exceptions)) == {repr(one), repr(other)}, "views of one store raise the same"
        assert str(several.value).startswith("2 writes failed: one; other")
        assert called == ["a", "b", "c", "d", "e"]
    with pytest.raises(DatabaseError, match="one"):
        flush_all([store("a", one), store("b")])
    flush_all([])


@pytest.mark.parametrize("seconds", ["5", 0, -1, float("nan"), float("inf"), 1e12, 86_401, 10**400, True])
@pytest.mark.parametrize("place", ["run", "run_async", "config"])
def test_an_interval_that_no_thread_could_keep_is_refused_wherever_it_is_given(seconds: Any, place: str) -> None:
    """And the refusal says what is allowed."""
    pipeline = pipeline_on(lambda done, by_flusher: None, same)
    give: dict[str, Callable[[], Any]] = {
        "run": lambda: pipeline.run(flush_interval=seconds),
        "run_async": lambda: pipeline.run_async(flush_interval=seconds).send(None),
        "config": lambda: op.PipelineConfig(flush_interval=seconds),
    }
    with pytest.raises(op.errors.ConfigError, match=r"flush_interval .*more than 0 and at most 86400"):
        give[place]()
