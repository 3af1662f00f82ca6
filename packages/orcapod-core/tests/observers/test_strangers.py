"""Observers of one's own, as the description writes them: they inherit from nothing."""

from __future__ import annotations

from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.observers import CompositeObserver, LoggingObserver, NoOpObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource


@op.function_pod("y", identity="version")
def f(x: int) -> int:
    return 10 // x


def built() -> op.Pipeline:
    with op.Pipeline("p") as pipeline:
        f.pod(DictSource([{"i": i, "x": i} for i in range(2)], ["i"], source_id="s"))
    return pipeline


class View:
    """Of one node, with the hooks that a node calls."""

    def __init__(self, told: list[Any], node_hash: str, node_label: str) -> None:
        self.told, self.node = told, (node_label, node_hash)

    def on_node_start(self, node_label: str, node_hash: str) -> None:
        assert (node_label, node_hash) == self.node
        self.told.append(("node_start", node_label))

    def on_node_end(self, node_label: str, node_hash: str) -> None:
        self.told.append(("node_end", node_label))

    def on_packet_start(self, node_label: str, tag: Any, packet: Any) -> None:
        self.told.append(("start", tag["i"]))

    def create_packet_logger(self, tag: Any, packet: Any, pipeline_path: tuple[str, ...] = ()) -> View:
        self.path = pipeline_path
        return self

    def record(self, **kwargs: Any) -> None:
        self.told.append(("record", kwargs["success"]))

    def on_packet_end(self, node_label: str, tag: Any, packet: Any, result: Any, cached: bool) -> None:
        self.told.append(("end", tag["i"], cached))

    def on_packet_crash(self, node_label: str, tag: Any, packet: Any, error: BaseException) -> None:
        self.told.append(("crash", tag["i"], type(error)))


class Described:
    """As in the description: ``contextualize`` takes two arguments, and there is no ``flush``."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_run_start(self, run_id: str) -> None:
        self.told.append("run_start")

    def on_run_end(self, run_id: str) -> None:
        self.told.append("run_end")

    def contextualize(self, node_hash: str, node_label: str) -> View:
        return View(self.told, node_hash, node_label)


EXPECTED = [
    "run_start",
    ("node_start", "s"),
    ("node_end", "s"),
    ("node_start", "f"),
    ("start", 0),
    ("record", False),
    ("crash", 0, ZeroDivisionError),
    ("start", 1),
    ("record", True),
    ("end", 1, False),
    ("node_end", "f"),
    "run_end",
]


def test_an_observer_of_the_description_is_told_all_on_the_view_of_each_node() -> None:
    observer = Described()
    built().run(observer=observer)  # type: ignore[arg-type]
    assert observer.told == EXPECTED


def test_so_it_is_among_others() -> None:
    observer = Described()
    logs = LoggingObserver(MemoryDatabase())
    built().run(observer=CompositeObserver(logs, observer))  # type: ignore[arg-type]
    assert observer.told == EXPECTED
    assert logs.get_logs().num_rows == 2


@pytest.mark.parametrize("kind", [SyncPipelineOrchestrator, AsyncPipelineOrchestrator])
def test_the_observer_of_an_orchestrator_is_told_and_that_of_the_run_too_each_once(kind: Any) -> None:
    of_orchestrator, of_run = Described(), Described()
    orchestrator = kind(observer=of_orchestrator)
    built().run(orchestrator)
    assert sorted(map(repr, of_orchestrator.told)) == sorted(map(repr, EXPECTED))
    built().run(orchestrator, observer=of_run)  # type: ignore[arg-type]
    assert sorted(map(repr, of_run.told)) == sorted(map(repr, EXPECTED))
    assert len(of_orchestrator.told) == 2 * len(EXPECTED)
    built().run(orchestrator, observer=of_orchestrator)  # type: ignore[arg-type]
    assert len(of_orchestrator.told) == 3 * len(EXPECTED)


def test_an_observer_need_not_have_more_than_one_hook() -> None:
    class Counter:
        ended = 0

        def on_packet_end(self, *_: Any, **__: Any) -> None:
            self.ended += 1

    counter = Counter()
    pipeline = built()
    pipeline.run(observer=counter)  # type: ignore[arg-type]
    pipeline.run(observer=counter)  # type: ignore[arg-type]
    assert counter.ended == 2


def test_node_hooks_are_told_to_the_view_also_of_an_observer_that_has_them_itself() -> None:
    told: list[str] = []

    class Named(NoOpObserver):
        def __init__(self, name: str = "whole") -> None:
            self.name = name

        def contextualize(self, node_hash: str, node_label: str, *, node_path: tuple[str, ...] = ()) -> Any:
            return Named(f"view of {node_label}")

        def on_node_start(self, node_label: str, node_hash: str) -> None:
            told.append(self.name)

    built().run(observer=Named())
    assert told == ["view of s", "view of f"]
