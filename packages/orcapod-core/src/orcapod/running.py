"""How the front desk runs a pipeline: what a run is begun with, and what is done around it, whatever way it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from orcapod import interrupts
from orcapod.checks import Checks
from orcapod.execution import FirstFailure
from orcapod.executors import open_executor
from orcapod.functions import ErrorPolicy, PipelineConfig, check_one_key, checked_flush_interval, checked_policy
from orcapod.nodes import (
    Flusher,
    FunctionNode,
    Node,
    RecordedRun,
    Run,
    RunPart,
    RunResult,
    SourceNode,
    discarding,
    labels_in_order,
    reasons_of,
)
from orcapod.observers import CompositeObserver, NoOpObserver, ProgressObserver, is_watched
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.protocols import Database, ExecutionObserver, PythonFunctionExecutorProtocol, adapted
from orcapod.records import new_run_id
from orcapod.sources import LiveSource

__all__ = ["Orchestrator", "begun", "carried_out", "checked_orchestrator", "surprises", "watching"]

Orchestrator = SyncPipelineOrchestrator | AsyncPipelineOrchestrator


def checked_orchestrator(orchestrator: Orchestrator) -> Orchestrator:
    """Return what walks the nodes.

    Raises:
        ConfigError: it is no orchestrator.
    """
    kinds: tuple[type[Orchestrator], ...] = (SyncPipelineOrchestrator, AsyncPipelineOrchestrator)
    expected = "a SyncPipelineOrchestrator or an AsyncPipelineOrchestrator"
    return Checks().instance("the orchestrator", orchestrator, kinds, expected, "give AsyncPipelineOrchestrator()")


def watching(*observers: ExecutionObserver | None, progress: bool | None) -> ExecutionObserver:
    """Return whom a run tells: the observers that were given, each once, and who draws its progress."""
    given = [observer for observer in observers if observer is not None]
    told = list({id(observer): observer for observer in given}.values())
    if is_watched() if progress is None else Checks().flag("progress", progress):
        told.append(ProgressObserver())
    match told:
        case []:
            return NoOpObserver()
        case [one]:
            return adapted(one)
        case _:
            return CompositeObserver(*told)


def surprises(nodes: Mapping[str, Node], replaced: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what those who run or explain a pipeline may not expect, and what to do about it.

    Args:
        nodes: all of its nodes, by label.
        replaced: what is still made of nodes that were replaced, by the labels of these.
    """
    for label, readers in replaced.items():
        yield (
            f"{', '.join(map(repr, readers))}: still made of {label!r}, which was replaced since; run again the cell "
            "that builds what should be made of the new one"
        )
    functions = [node for node in nodes.values() if isinstance(node, FunctionNode)]
    for function in functions:
        later = function.stream.producer.redefined()
        if later is not None and later.fingerprint() not in (each.function.fingerprint() for each in functions):
            yield (
                f"{function.label!r}: still applies {later.name!r} as it was before the function was defined anew; run "
                "again the cell that applies it"
            )
    for node in nodes.values():
        origin = node.stream.origin if isinstance(node.stream, LiveSource) else node.stream
        if isinstance(node, SourceNode) and isinstance(origin, Node) and (missing := origin.not_run()):
            yield (
                f"{node.label!r} reads what pipeline {'/'.join(origin.pipeline)!r} has computed, and nothing is there "
                f"yet of {', '.join(map(repr, missing))}; run that pipeline first"
            )


def begun(
    driver: Orchestrator,
    part: RunPart,
    config: PipelineConfig,
    engine_and_options: tuple[PythonFunctionExecutorProtocol | str | None, Mapping[str, Any] | None],
    observer: ExecutionObserver,
    error_policy: ErrorPolicy | None,
    flush_interval: float | None,
    *,
    share_work: bool,
) -> Run:
    """Return a run of a part of a pipeline whose nodes are prepared for it; nothing is computed yet.

    Raises:
        ConfigError: an argument is not what it has to be, or two functions would share a key.
    """
    engine, engine_options = engine_and_options
    interval = config.flush_interval if flush_interval is None else flush_interval
    run = Run(
        run_id=new_run_id(),
        observer=observer,
        error_policy=driver.error_policy if error_policy is None else checked_policy(error_policy),
        engine=None if engine is None else open_executor(engine),
        engine_options=Checks().mapping_or_empty("execution_engine_opts", engine_options, "{'workers': 4}"),
        flusher=Flusher(checked_flush_interval(interval)),
        config=config.node,
        labels=tuple(node.label for node in part.nodes),
        inputs={node.label: [each.label for each in node.inputs] for node in part.nodes},
        memory=config.memory_bytes,
        is_overlapping=driver.is_overlapping,
        awaits_together=driver.awaits_together,
        share_work=Checks().flag("share_work", share_work),
        ordered=labels_in_order(part.nodes) if driver.is_overlapping else frozenset(),
        selections=part.selections,
        is_whole=part.is_whole,
    )
    for node in part.nodes:
        node.prepare(run)
    check_one_key({node.label: node.function for node in part.nodes if isinstance(node, FunctionNode)}, run.code)
    return run


def carried_out(
    driver: Orchestrator, part: RunPart, run: Run, recorded: RecordedRun, *, results: Database, records: Database
) -> RunResult:
    """Run the nodes; what is finished is stored, told and recorded, whatever way that ends.

    Raises:
        Exception: with ``fail_fast``, what the first failed packet's function raised.
    """
    with ExitStack() as stack:
        stack.enter_context(interrupts.deferred(run.stop))
        stack.callback(run.loop.close)
        stack.enter_context(discarding(results, records))
        stack.enter_context(run.flusher)
        stack.enter_context(run.flusher.calling(run.observer.flush, results.flush, records.flush))
        stack.enter_context(recorded)
        failure = None
        try:
            with interrupts.interrupt_first():
                driver.run(part.nodes, run)
        except FirstFailure as first:
            failure = first.error
        if failure is not None:
            raise failure
    part.warn_of_unmet()
    return run.result(reasons_of(part.nodes, records, run))
