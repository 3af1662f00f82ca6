"""``RecordedRun``: a run whose start and end are told, and of which is kept what it did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from orcapod.errors import DatabaseError
from orcapod.nodes.function import FunctionNode
from orcapod.nodes.node import Node
from orcapod.nodes.run import Run
from orcapod.protocols import Database, RecordPath, flush_all
from orcapod.records import Environment, GraphRecords, NodeTotals, RunLedger, RunRecord, RunStart, States, states_in

__all__ = ["RecordedRun"]


class RecordedRun:
    """Run that tells the observer when it starts and ends, and keeps what is left of it, whatever way it ends.

    Args:
        run: the run.
        nodes: those of the pipeline, also beyond the part that the run goes through.
        pipeline: the name of the pipeline.
        database: where it is kept.
        orchestrator: the class that drives it.
    """

    def __init__(
        self, run: Run, nodes: Iterable[Node], pipeline: RecordPath, database: Database, *, orchestrator: str
    ) -> None:
        self._run = run
        self._nodes = list(nodes)
        self._database = database
        self._ledger = RunLedger(database)
        self._looking = ThreadPoolExecutor(1)
        self._environment = self._looking.submit(Environment.here)
        self._start = RunStart(
            run_id=run.run_id,
            pipeline="/".join(pipeline),
            started=datetime.now(UTC),
            orchestrator=orchestrator,
            graph_id=GraphRecords(database).store([node.record(run) for node in self._nodes]),
            note=run.note,
            tags=run.tags,
        )

    def __enter__(self) -> None:
        try:
            self._run.flusher.with_retries(partial(self._ledger.begin, self._start))
            self._run.observer.on_run_start(self._run.run_id)
        except BaseException as error:
            self.__exit__(type(error))
            raise

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        run, result = self._run, self._run.result()
        if kind is not None:
            run.flusher.stop_retrying()
        if kind is None:
            outcome = "SUCCESS" if result.ok else "FAILED"
        else:
            outcome = "FAILED" if issubclass(kind, Exception | SystemExit) else "INTERRUPTED"

        def store() -> None:
            is_complete, known = kind is None and run.is_complete, states_in(self._database)
            nodes = {node.label: self._totals(node, known, is_complete=is_complete) for node in self._nodes}
            refusals = list(self._refused_views()) if is_complete else []
            record = RunRecord(
                start=self._start,
                ended=datetime.now(UTC),
                outcome="FAILED" if refusals else outcome,
                nodes=nodes,
            )
            self._ledger.add(record, self._environment.result())
            for refusal in refusals:
                raise refusal

        try:
            flush_all([partial(run.flusher.with_retries, store), run.flusher.flush])
        finally:
            self._looking.shutdown()
            run.observer.on_run_end(run.run_id)
            run.observer.flush()

    def _refused_views(self) -> Iterator[DatabaseError]:
        """Have the store show what nodes gave; give why it does not for good, which makes no row less true."""
        for node in self._nodes:
            if isinstance(node, FunctionNode) and node.label in self._run.steps:
                try:
                    node.place_view()
                except DatabaseError as error:
                    if error.is_transient:
                        raise
                    yield error

    def _totals(self, node: Node, known: States, *, is_complete: bool) -> NodeTotals:
        state = node.state(self._run, known, is_complete=is_complete) if isinstance(node, FunctionNode) else None
        is_complete = is_complete and state is not None and node.label in self._run.steps
        return self._run.totals(node.label, state=state, is_complete=is_complete)
