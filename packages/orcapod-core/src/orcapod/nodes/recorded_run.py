"""``RecordedRun``: a run whose start and end are told, and of which is kept what it did."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from orcapod.nodes.run import Run
from orcapod.protocols import Database, RecordPath, flush_all
from orcapod.records import Environment, RunLedger, RunRecord

__all__ = ["RecordedRun"]


class RecordedRun:
    """Run that tells the observer when it starts and ends, and keeps what is left of it, whatever way it ends.

    Args:
        run: the run.
        pipeline: the name of the pipeline.
        database: where it is kept.
        orchestrator: the class that drives it.
    """

    def __init__(self, run: Run, pipeline: RecordPath, database: Database, *, orchestrator: str) -> None:
        self._run = run
        self._pipeline = pipeline
        self._database = database
        self._orchestrator = orchestrator
        self._looking = ThreadPoolExecutor(1)
        self._environment = self._looking.submit(Environment.here)
        self._started = datetime.now(UTC)

    def __enter__(self) -> None:
        try:
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
        record = RunRecord(
            run_id=run.run_id,
            pipeline="/".join(self._pipeline),
            started=self._started,
            ended=datetime.now(UTC),
            outcome=outcome,
            counts=result.node_counts,
            orchestrator=self._orchestrator,
            executors=run.executors,
        )
        try:
            ledger, environment = RunLedger(self._database), self._environment.result()
            store = partial(run.flusher.with_retries, partial(ledger.add, record, environment))
            flush_all([store, run.flusher.flush])
        finally:
            self._looking.shutdown()
            run.observer.on_run_end(run.run_id)
            run.observer.flush()
