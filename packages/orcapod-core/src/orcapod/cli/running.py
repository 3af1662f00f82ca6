"""``run_pipeline``: a run as a command makes it, with its options, its records, and its ways to end."""

from __future__ import annotations

import pdb
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, TypeVar

import click

from orcapod.cli.calling import debug
from orcapod.cli.exits import FAILED, FINE
from orcapod.cli.outcome import show_outcome
from orcapod.cli.output import Output
from orcapod.cli.tags import tag_values
from orcapod.cli.target import run_user_code, user_frames, user_traceback
from orcapod.datagrams import row_of
from orcapod.errors import DatabaseError
from orcapod.execution import failure_kinds
from orcapod.ledger import open_store
from orcapod.ledger.failures import failed_packets
from orcapod.nodes import FunctionNode, RunResult
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator
from orcapod.pipeline import Pipeline
from orcapod.protocols import NoOpObserver

__all__ = ["run_options", "run_pipeline"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS: Sequence[Callable[[Any], Any]] = (
    click.option("--where", multiple=True, metavar="TAG=VALUE", help="Only rows with this tag; again for another."),
    click.option("--fail-fast", is_flag=True, help="End with the first packet that fails."),
    click.option("--executor", metavar="NAME", help="Where functions run: local, ray, or what is installed."),
    click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="In N worker processes."),
    click.option("--async", "is_async", is_flag=True, help="All nodes at once, each row as soon as it is there."),
    click.option("--pdb", "debugs", is_flag=True, help="Call the first packet that failed again, in the debugger."),
)


def run_options(command: _Command) -> _Command:
    """Give a command the options ``how`` a pipeline is run."""
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), command)


class _RunName(NoOpObserver):
    """Observer that notes what the run is called."""

    run_id = ""

    def on_run_start(self, run_id: str) -> None:
        self.run_id = run_id


def run_pipeline(
    pipeline: Pipeline,
    output: Output,
    *,
    where: Sequence[str],
    fail_fast: bool,
    executor: str | None,
    jobs: int | None,
    is_async: bool,
    debugs: bool,
    **part: Any,
) -> int:
    """Run a pipeline, show what came of it, and return the exit code.

    What functions write, and what becomes of packets, goes to the pipeline's ``log_database``.

    Args:
        pipeline: what is run.
        output: where its outcome is shown.
        where: tags of the rows that are computed, ``subject=s1``.
        fail_fast: whether it ends with the first packet that fails.
        executor: where functions run.
        jobs: in how many processes.
        is_async: whether all nodes run at once.
        debugs: whether the first failed packet is called again in the debugger.
        part: further arguments of ``Pipeline.run``.
    """
    if pipeline.database.to_config().get("type") == "noop":
        raise click.UsageError("the store of the pipeline keeps nothing, so that nothing can be told of a run of it")
    functions = {label: node for label, node in pipeline.nodes.items() if isinstance(node, FunctionNode)}
    schemas = [node.inputs[0].schema.tags for node in functions.values()]
    name, logs = _RunName(), pipeline.log_database
    result: RunResult | None = None
    failure: BaseException | None = None
    try:
        with run_user_code(output):
            result = pipeline.run(
                AsyncPipelineOrchestrator() if is_async else None,
                execution_engine=executor,
                execution_engine_opts=_workers(executor, jobs),
                observer=CompositeObserver(LoggingObserver(logs), StatusObserver(logs), name),
                error_policy="fail_fast" if fail_fast else None,
                where=tag_values(where, schemas, "--where"),
                **part,
            )
    except BaseException as error:
        if not name.run_id or isinstance(error, DatabaseError):
            raise
        failure = error
    store = open_store(pipeline.database)
    run = store.run(name.run_id)
    failed = failed_packets(store, run) if result is None else result.errors.to_table()
    show_outcome(run, failure_kinds(failed), pipeline.database, output)
    if isinstance(failure, KeyboardInterrupt):
        raise failure
    if failure is not None:
        click.echo(user_traceback(failure), err=True)
    if debugs:
        with run_user_code(output):
            _debug(functions, result, failure)
    return FINE if result is not None and result.ok else FAILED


def _debug(functions: Mapping[str, FunctionNode], result: RunResult | None, failure: BaseException | None) -> None:
    """Open the debugger where a run has failed; or where the first packet does that has failed, called again here."""
    if failure is not None:
        pdb.post_mortem(user_frames(failure) or failure.__traceback__)
    for error in result.errors if result is not None else ():
        if error.node_label in functions:  # and is no row of a source
            function = functions[error.node_label].function
            debug(function, function.arguments(row_of(error.tag, error.packet))[0])
            return


def _workers(executor: str | None, jobs: int | None) -> dict[str, Any] | None:
    if jobs is None:
        return None
    if executor not in (None, "local"):
        raise click.UsageError(f"--jobs is for processes of this machine; {executor} has its own: leave one out")
    return {"workers": jobs, "kind": "process"}
