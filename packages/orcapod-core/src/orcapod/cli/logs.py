"""``orcapod logs``: what functions wrote in a run, and how they failed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.text import Text

from orcapod.cli.names import find_run, node_option, pipeline_option, read_tags, run_argument
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output, fact_text
from orcapod.cli.suggestion import unknown
from orcapod.display import one_line, tags_text
from orcapod.ledger import RunSummary, Store, open_store
from orcapod.ledger.log_reader import LogReader
from orcapod.ledger.progress import Heartbeats, last_sign_of_life

__all__ = ["logs_command"]

_STREAMS = {"stdout": "", "stderr": "yellow", "python_logs": "cyan", "traceback": "red"}
_QUIET = timedelta(minutes=1)  # after which it is said that nothing is heard of a run that is followed
_SILENCE = timedelta(hours=1)  # after which it is no longer waited for
_PAUSE = 0.3  # seconds, at least, before the store is asked again
_SHARE = 4  # of the time that asking takes, how many times as long a pause is


@click.command("logs")
@run_argument()
@store_option
@output_option
@pipeline_option
@node_option
@click.option("--tag", "tags", multiple=True, metavar="K=V", help="Only packets with this tag; may be given again.")
@click.option("--failed", is_flag=True, help="Only packets that failed.")
@click.option("--stderr", is_flag=True, help="Of what they wrote, only what went to stderr.")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends, or has been silent for an hour.")
def logs_command(
    run: str,
    store: str,
    output: Output,
    pipeline: str | None,
    node: str | None,
    tags: tuple[str, ...],
    *,
    failed: bool,
    stderr: bool,
    follow: bool,
) -> None:
    """Print what functions wrote in RUN, and how they failed, in the order of time.

    Logs are kept by runs that are given a LoggingObserver.
    """
    streams = ["stderr"] if stderr else [*_STREAMS]
    with open_store(store) as ledger:
        found = find_run(ledger, run, pipeline)
        reader = _reader(ledger, found, node, tags, failed=failed)
        entries = ({"run_id": found.run_id, **entry} for entry in _entries(ledger, found, reader, follow=follow))
        told = (entry for entry in entries if not stderr or entry["stderr"])
        output.stream(told, lambda entry: _show(output, entry, streams), nothing=lambda: _why_nothing(ledger, found))


def _reader(store: Store, run: RunSummary, node: str | None, given: tuple[str, ...], *, failed: bool) -> LogReader:
    database = store.database.at(*run.pipeline)
    known = LogReader(database, run.run_id).tags() if given else set()
    chosen = run.functions
    if node is not None:
        if node not in run.functions:
            raise unknown("function node", node, run.functions)
        chosen = {node: run.functions[node]}
    tags = read_tags(given, store, *((run, summary) for summary in chosen.values()))
    for name in tags:
        if name not in known:
            raise unknown("tag", name, sorted(known))
    texts = {name: None if value is None else str(value) for name, value in tags.items()}
    return LogReader(database, run.run_id, node=node, tags=texts, failed=True if failed else None)


def _entries(store: Store, run: RunSummary, reader: LogReader, *, follow: bool) -> Iterator[dict[str, Any]]:
    """Give the entries; those of a run that goes on as they come, until it has ended and all of them were given."""
    heard, patience, heartbeats = run.started, _QUIET, Heartbeats(store.database, run.run_id)
    while True:
        has_ended = store.run(run.run_id).ended is not None  # before they are read: then these are the last
        asked = time.monotonic()
        for entry in reader.entries():
            yield entry._asdict()
        if has_ended or not follow:
            return
        if heartbeats.have_ended():
            gone = "its process is gone: no heartbeat of it has come for as long as it has them"
            click.echo(f"run {run.run_id} has not ended, and {gone}; run it again to compute what is missing", err=True)
            return
        if datetime.now(UTC) - heard > patience:
            heard = last_sign_of_life(store.database, run)
            is_silent = datetime.now(UTC) - heard > _SILENCE
            if is_silent or datetime.now(UTC) - heard > patience:
                then = "; give the command again to go on" if is_silent else ", which is waited for"
                told = f"run {run.run_id} has not ended, and was last heard of at {fact_text(heard)}"
                click.echo(f"{told}: it was killed, or a packet takes long{then}", err=True)
                patience = _SILENCE
            if is_silent:
                return
        time.sleep(max(_PAUSE, _SHARE * (time.monotonic() - asked)))


def _why_nothing(store: Store, run: RunSummary) -> str:
    """Return why nothing is shown of a run."""
    if any(True for _ in LogReader(store.database.at(*run.pipeline), run.run_id).entries()):
        return "nothing; this run has logs, but none of what is asked for"
    if run.ended is None:
        return "nothing yet"
    if not run.count("computed") and not run.count("failed"):
        return "nothing; this run has computed nothing, and logs are of packets that were computed"
    return "nothing; logs are kept by runs that are given a LoggingObserver"


def _show(output: Output, entry: Mapping[str, Any], streams: list[str]) -> None:
    tags = tags_text(entry["tags"])
    head = Text(f"{fact_text(entry['timestamp'])}  ", style="dim")
    head.append(one_line(entry["node"]), style="bold not dim").append(f"  {tags}", style="not dim")
    output.print(head if entry["success"] else head.append("  FAILED", style="red not dim"))
    for stream in streams:
        for line in (entry[stream] or "").expandtabs().splitlines():
            output.line(f"  {line}", _STREAMS[stream])
