"""``ObserverSuite``: what every observer must bear, and what a run tells it."""

from __future__ import annotations

import re
import threading
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings

from orcapod.databases import MemoryDatabase
from orcapod.datagrams import Packet, Tag
from orcapod.executors import LocalExecutor
from orcapod.functions import PythonPacketFunction
from orcapod.observers import CompositeObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.pipeline import Pipeline
from orcapod.pods import FunctionPod
from orcapod.protocols import (
    ExecutionObserver,
    NoOpObserver,
    PacketExecutionLoggerProtocol,
    RecordPath,
)
from orcapod.sources import DictSource
from orcapod.testing.row_plans import RowPlan, row_plans

__all__ = ["KeptEvents", "ObserverSuite", "RecordingObserver"]

KeptEvents = Counter[tuple[str, str, int, str]]
"""How often it is kept that something happened: run id, label of the node, tag ``i`` of the packet, and what."""

_ROWS = 40
_THREADS = 6
_ORCHESTRATORS: Mapping[str, Callable[..., SyncPipelineOrchestrator | AsyncPipelineOrchestrator]] = {
    "sync": SyncPipelineOrchestrator,
    "async": AsyncPipelineOrchestrator,
}


class RecordingObserver(NoOpObserver):
    """Observer that keeps what it is told, in that order.

    Attributes:
        events: for each packet event, the node's label, the packet's tag ``i`` and the event: ``start``,
            ``logger``, ``logged``, ``computed``, ``cached`` or ``failed``; of others, label, None and the event.
        rows: what was told last of the rows of each node, by label: taken, given, and incomplete.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, int | None, str]] = []
        self.runs: list[str] = []
        self.rows: dict[str, tuple[Sequence[int], int, int]] = {}
        self._label = ""

    def contextualize(self, node_hash: str, node_label: str, *, node_path: RecordPath = ()) -> RecordingObserver:
        view = RecordingObserver()
        view.events, view.runs, view.rows, view._label = self.events, self.runs, self.rows, node_label
        return view

    def on_run_start(self, run_id: str) -> None:
        self.runs.append(run_id)
        self.events.append(("", None, "run start"))

    def on_run_end(self, run_id: str) -> None:
        self.events.append(("", None, "run end"))

    def on_node_start(self, node_label: str, node_hash: str) -> None:
        self.events.append((node_label, None, "node start"))

    def on_node_end(self, node_label: str, node_hash: str) -> None:
        self.events.append((node_label, None, "node end"))

    def on_node_rows(self, node_label: str, taken: Sequence[int], given: int, incomplete: int) -> None:
        assert node_label == self._label, "rows are told to the view of their node"
        self.rows[node_label] = taken, given, incomplete

    def on_packet_start(self, node_label: str, tag: Tag, packet: Packet) -> None:
        assert node_label == self._label, "packets are told to the view of their node"
        self._note(tag, "start")

    def on_packet_end(self, node_label: str, tag: Tag, packet: Packet, result: Packet | None, *, cached: bool) -> None:
        self._note(tag, "cached" if cached else "computed")

    def on_packet_crash(self, node_label: str, tag: Tag, packet: Packet, error: BaseException) -> None:
        self._note(tag, "failed")

    def create_packet_logger(
        self, tag: Tag, packet: Packet, *, pipeline_path: RecordPath = ()
    ) -> PacketExecutionLoggerProtocol:
        self._note(tag, "logger")
        return _NotingLogger(partial(self._note, tag, "logged"))

    def check(self) -> None:
        """Check that all was told, and in the order that the protocol says."""
        outer = [event for _, _, event in self.events if event in ("run start", "run end")]
        assert outer == ["run start", "run end"] * len(self.runs)
        assert self.events[-1] == ("", None, "run end"), "nothing is told once a run has ended"
        packets: dict[tuple[str, Any], list[str]] = {}
        open_nodes: set[str] = set()
        for label, at, event in self.events:
            match event:
                case "node start":
                    open_nodes.add(label)
                case "node end":
                    open_nodes.remove(label)
                case "run start" | "run end":
                    assert not open_nodes, f"nodes that were never ended: {open_nodes}"
                case _:
                    assert label in open_nodes, f"{event} of a packet of {label}, which is not under way"
                    packets.setdefault((label, at), []).append(event)
        one = r"(start( logger logged)+ (computed|failed)|cached)"
        for packet, told in packets.items():
            assert re.fullmatch(rf"{one}( {one})*", " ".join(told)), f"{packet} was told {told}"

    def kept(self, states: Collection[str]) -> KeptEvents:
        """Return what an observer keeps of the last run that keeps these events."""
        since = max(at for at, event in enumerate(self.events) if event[2] == "run start")
        return Counter(
            (self.runs[-1], label, at, event)
            for label, at, event in self.events[since:]
            if event in states and at is not None
        )

    def _note(self, tag: Tag, event: str) -> None:
        number: Any = tag["i"]
        self.events.append((self._label, number if isinstance(number, int) else number[0], event))


class _NotingLogger:
    def __init__(self, note: Callable[[], None]) -> None:
        self._note = note

    def record(self, **kwargs: object) -> None:
        self._note()


@pytest.mark.filterwarnings("ignore:.* none agree", "ignore:.*share no tag")  # rows are drawn at random
class ObserverSuite:
    """What every observer must bear. Subclass it in a test file, and give your observer.

    Like this::

        class TestMyObserver(ObserverSuite):
            @pytest.fixture
            def observer(self):
                return MyObserver()

    Attributes:
        states: the events of packets of which it keeps something that ``kept`` finds: any of ``computed``,
            ``cached``, ``failed``, and ``logged``, which is every try that has ended.
    """

    states: ClassVar[Collection[str]] = ()

    @pytest.fixture
    @abstractmethod
    def observer(self) -> ExecutionObserver:
        """Return a fresh observer."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `observer` that gives the observer to test")

    def kept(self) -> KeptEvents:
        """Return what the observer has kept, as somebody else finds it; nothing unless a subclass says otherwise."""
        return Counter()

    # By itself.

    def test_it_and_its_views_are_observers(self, observer: ExecutionObserver) -> None:
        """A view is asked for with the node's hash and label; its path may be left out."""
        assert isinstance(observer, ExecutionObserver)
        observer.on_run_start("run")
        assert isinstance(observer.contextualize("hash", "label", node_path=("p",)), ExecutionObserver)
        assert isinstance(observer.contextualize("hash", "label"), ExecutionObserver)
        observer.on_run_end("run")

    def test_views_are_told_apart(self, observer: ExecutionObserver) -> None:
        """One packet in two nodes, and the same nodes in two runs, one of which begins while the other lasts."""
        witness = _Told()
        rows = _rows()
        for run_id in ("one", "two"):
            observer.on_run_start(run_id)
            for label in ("a", "b"):
                witness.add(observer, run_id, label)
        for view, run_id, label in witness.views:
            for tag, packet in rows:
                witness.tell(view, run_id, label, tag, packet)
        for run_id in ("two", "one"):
            observer.on_run_end(run_id)
        assert self.kept() == witness.kept(self.states)

    def test_what_is_told_from_several_threads_is_neither_lost_nor_doubled(self, observer: ExecutionObserver) -> None:
        """While another one flushes."""
        witness, rows, ended = _Told(), _rows(), threading.Event()
        errors: list[BaseException] = []
        observer.on_run_start("run")
        for number in range(_THREADS):
            witness.add(observer, "run", f"n{number // 2}")

        def guarded(work: Callable[[], None]) -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  # raised in the test's own thread
                errors.append(error)

        def tell(number: int) -> None:
            view, run_id, label = witness.views[number]
            for tag, packet in rows[number % 2 :: 2]:
                witness.tell(view, run_id, label, tag, packet)

        def flush() -> None:
            while not ended.is_set():
                observer.flush()

        flushing = threading.Thread(target=guarded, args=(flush,))
        telling = [threading.Thread(target=guarded, args=(partial(tell, number),)) for number in range(_THREADS)]
        for thread in (flushing, *telling):
            thread.start()
        for thread in telling:
            thread.join()
        ended.set()
        flushing.join()
        observer.on_run_end("run")
        assert errors == []
        assert self.kept() == witness.kept(self.states)

    def test_what_was_told_is_there_after_a_flush(self, observer: ExecutionObserver) -> None:
        """Though the run has not ended; and a second flush adds nothing."""
        witness = _Told()
        observer.on_run_start("run")
        witness.add(observer, "run", "n")
        for tag, packet in _rows():
            witness.tell(*witness.views[0], tag, packet)
        for _ in range(2):
            observer.flush()
            assert self.kept() == witness.kept(self.states)
        observer.on_run_end("run")
        assert self.kept() == witness.kept(self.states)

    # In runs.

    @pytest.mark.parametrize("orchestrator", _ORCHESTRATORS)
    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=4)
    @given(plan=row_plans())
    def test_a_run_tells_of_every_packet_in_order(
        self, observer: ExecutionObserver, tmp_path_factory: pytest.TempPathFactory, orchestrator: str, plan: RowPlan
    ) -> None:
        """Whatever fails, is tried again or found; and it is the same for a second run, which finds it all."""
        marks: Path = tmp_path_factory.mktemp("marks")
        pipeline = Pipeline("p", MemoryDatabase())
        with pipeline:
            nodes = plan.build(marks)
        for _ in range(2):
            witness = RecordingObserver()
            result = pipeline.run(_ORCHESTRATORS[orchestrator](), observer=CompositeObserver(witness, observer))
            witness.check()
            told = Counter((label, event) for label, _, event in witness.events)
            for label in nodes:
                counts = {state: told[label, state] for state in ("computed", "cached", "failed")}
                *moved, incomplete = witness.rows[label]
                assert counts | {"incomplete": incomplete} == {"incomplete": 0} | result.counts(label), label
                assert tuple(moved) == result.rows(label)
            assert self._kept_in(result.run_id) == witness.kept(self.states)

    @pytest.mark.parametrize("workers", [None, 3])
    @pytest.mark.parametrize("orchestrator", _ORCHESTRATORS)
    def test_the_end_of_a_run_that_fails_fast_is_told_and_what_became_of_every_packet(
        self, observer: ExecutionObserver, orchestrator: str, workers: int | None
    ) -> None:
        """Also of those that were begun and are given up."""
        witness = RecordingObserver()
        with pytest.raises(ValueError, match="not 7"):
            _pipeline(_fails).run(
                _ORCHESTRATORS[orchestrator](),
                error_policy="fail_fast",
                execution_engine=LocalExecutor(workers),
                observer=CompositeObserver(witness, observer),
            )
        witness.check()
        assert self._kept_in(witness.runs[-1]) == witness.kept(self.states)

    def test_the_end_of_a_run_that_is_interrupted_is_told(self, observer: ExecutionObserver) -> None:
        """And of the packet that was being computed, that it has no result."""
        witness = RecordingObserver()
        with pytest.raises(KeyboardInterrupt):
            _pipeline(_interrupts).run(observer=CompositeObserver(witness, observer))
        witness.check()
        assert ("node", 7, "failed") in witness.events
        assert self._kept_in(witness.runs[-1]) == witness.kept(self.states)

    def _kept_in(self, run_id: str) -> KeptEvents:
        return Counter({event: count for event, count in self.kept().items() if event[0] == run_id})


class _Told:
    """What views were told by hand."""

    def __init__(self) -> None:
        self.views: list[tuple[ExecutionObserver, str, str]] = []
        self._events: list[tuple[str, str, int, str]] = []

    def add(self, observer: ExecutionObserver, run_id: str, label: str) -> None:
        self.views.append((observer.contextualize(f"hash of {label}", label, node_path=(label,)), run_id, label))

    def tell(self, view: ExecutionObserver, run_id: str, label: str, tag: Tag, packet: Packet) -> None:
        """Tell a view of one packet, as a run does; every third was found, every fifth has failed."""
        number: Any = tag["i"]
        if number % 3 == 0:
            view.on_packet_end(label, tag, packet, packet, cached=True)
            self._events.append((run_id, label, number, "cached"))
            return
        view.on_packet_start(label, tag, packet)
        logger = view.create_packet_logger(tag, packet)
        failed = number % 5 == 0
        if logger is not None:
            logger.record(stdout=f"{number}", stderr="", python_logs="", traceback=None, success=not failed)
        self._events.append((run_id, label, number, "logged"))
        if failed:
            view.on_packet_crash(label, tag, packet, ValueError(f"not {number}"))
        else:
            view.on_packet_end(label, tag, packet, packet, cached=False)
        self._events.append((run_id, label, number, "failed" if failed else "computed"))

    def kept(self, states: Collection[str]) -> KeptEvents:
        return Counter(event for event in self._events if event[3] in states)


def _rows() -> list[tuple[Tag, Packet]]:
    rows = [{"i": number, "x": number} for number in range(_ROWS)]
    return list(DictSource(rows, ["i"], source_id="s").iter_packets())


def _fails(x: int) -> int:
    if x == 7:
        raise ValueError(f"not {x}")
    return x


def _interrupts(x: int) -> int:
    if x == 7:
        raise KeyboardInterrupt
    return x


def _pipeline(function: Callable[..., int]) -> Pipeline:
    pipeline = Pipeline("p", MemoryDatabase())
    with pipeline:
        rows = [{"i": number, "x": number} for number in range(_ROWS)]
        FunctionPod(PythonPacketFunction(function, "y"))(DictSource(rows, ["i"], source_id="s"), label="node")
    return pipeline
