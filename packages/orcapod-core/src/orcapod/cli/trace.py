"""``orcapod trace``: what a row was made of, and what was made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from orcapod.arrow import rows_of
from orcapod.cli.names import find_node, find_run, node_argument, pipeline_option, read_tags, run_option
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output
from orcapod.cli.suggestion import typed
from orcapod.datagrams import RECORD_TAG, SOURCE_TAG
from orcapod.display import tags_text
from orcapod.ledger import Impact, Store, open_store
from orcapod.ledger.node_rows import first_entries

__all__ = ["trace_command"]

_MOST = 3  # rows of a node that a person is shown


@click.command("trace")
@node_argument
@click.argument("row", nargs=-1, metavar="K=V... [COLUMN]")
@store_option
@output_option
@pipeline_option
@run_option
@click.option(
    "--record", metavar="ID", help="Which of the rows of equal tags: of which result, or of which source row."
)
@click.option("--down", is_flag=True, help="What was made of it, in place of what it was made of.")
def trace_command(
    node: str,
    row: tuple[str, ...],
    store: str,
    output: Output,
    pipeline: str | None,
    run: str | None,
    *,
    record: str | None,
    down: bool,
) -> None:
    """Show what a row of a function node was made of: a tree, down to the rows of sources.

    K=V are tags of the row, as many as tell it from all others; COLUMN is one of its outputs. Rows of equal tags are
    told apart by --record: the id of the result, or what provenance calls a row of a source. With --down, NODE may be
    a source, too: then give what provenance calls the row, such as row_0 or patient=1.
    """
    with open_store(store) as ledger:
        if down:
            _show(output, _down(ledger, node, row, pipeline, run, record))
            return
        given = [text for text in row if "=" in text]
        columns = [text for text in row if "=" not in text]
        if len(columns) > 1:
            raise click.UsageError(f"found the columns {', '.join(columns)}, expected one; a tag is patient=1")
        try:
            begun, summary = find_node(ledger, node, pipeline=pipeline, run=run)
        except click.UsageError:
            if _source(ledger, node, pipeline, run) is None:
                raise
            advice = f"{node!r} is a source, and made of nothing; --down shows what was made of its rows"
            raise click.UsageError(advice) from None
        tags = read_tags(given, ledger, (begun, summary))
        column, name = columns[0] if columns else None, "/".join(begun.pipeline)
        tree = ledger.trace(name, node, tags, column, begun.run_id, record_id=record)
        if output.is_json:
            output.json(tree.to_dict(None))
        for line in str(tree).splitlines():
            output.line(line)


def _down(
    store: Store, node: str, row: Sequence[str], pipeline: str | None, run: str | None, record: str | None
) -> list[Impact]:
    """Return the nodes with rows that were made of a row, of a source or of a function."""
    if (source := _source(store, node, pipeline, run)) is not None:
        run_id, source_id = source
        if len(row) == 1 and (impacts := store.impact(source_id, row[0], run_id)):
            return impacts
        names = [typed(name) for name in _row_names(store, run_id, source_id)]
        if len(row) != 1:
            such = next(iter(names), "row_0")
            raise click.UsageError(f"found {len(row)} names of a row, expected one, such as {such}")
        called = f"rows of it are called {', '.join(names)}" if names else "check how the row is called, such as row_0"
        raise click.UsageError(
            f"no row is known to be made of {row[0]!r} of source {node!r}; {called}; or all that was to be made of it "
            "has failed"
        )
    begun, summary = find_node(store, node, pipeline=pipeline, run=run)
    tags = read_tags(row, store, (begun, summary))
    return store.descendants("/".join(begun.pipeline), node, tags, begun.run_id, record_id=record)


def _row_names(store: Store, run_id: str, source_id: str) -> list[str]:
    """Return what a few rows of a source are called, as the first rows of a function node tell that came of them."""
    run = store.run(run_id)
    for node in run.functions.values():
        entries = first_entries(store.database, run, node, _MOST)
        for name in entries.column_names:
            if name.startswith(SOURCE_TAG) and {*map(str, entries.column(name).to_pylist())} == {source_id}:
                names: list[Any] = entries.column(name.replace(SOURCE_TAG, RECORD_TAG, 1)).to_pylist()
                return list(dict.fromkeys(names))
    return []


def _source(store: Store, label: str, pipeline: str | None, run: str | None) -> tuple[str, str] | None:
    """Return the run and the id of a source, if that is what is called so in a run, or in the last of a pipeline."""
    if run is not None:
        names = [find_run(store, run, pipeline).run_id]
    else:
        runs = rows_of(store.runs(pipeline).select(["pipeline", "run_id", "ended"]))
        names = [*{row["pipeline"]: row["run_id"] for row in runs if row["ended"] is not None}.values()]
    for run_id in reversed(names):
        found = store.nodes(run_id).get(label)
        if found is not None and found.record.kind == "source":
            return run_id, found.record.name
    return None


def _show(output: Output, impacts: Sequence[Impact]) -> None:
    if output.is_json:
        told = [
            {"pipeline": each.pipeline, "node": each.node, "rows": each.rows, "tags": rows_of(each.tags())}
            for each in impacts
        ]
        output.json(told)
        return
    if not impacts:
        output.line("nothing was made of it")
    for each in impacts:
        rows = rows_of(each.tags().slice(0, _MOST))
        tags = "; ".join(map(tags_text, rows))
        more = ", ..." if each.rows > _MOST else ""
        output.line(f"{each.pipeline}/{each.node}: {each.rows:,} row{'s' * (each.rows != 1)}: {tags}{more}")
