"""``orcapod compare``: what differs between two runs, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click
import pyarrow as pa

from orcapod.arrow import rows_of
from orcapod.cli.exits import DIFFERS, FINE
from orcapod.cli.names import find_run, node_option, pipeline_option, run_argument
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output, text_of
from orcapod.cli.suggestion import unknown
from orcapod.compute import pc
from orcapod.display import one_line, shown, tags_text
from orcapod.ledger import RunSummary, Store, compare, open_store
from orcapod.ledger.node_rows import values_of

__all__ = ["compare_command"]

_CHANGES = ("equal", "close", "changed", "new", "gone", "unknown")
_STYLES = {"close": "yellow", "changed": "red", "new": "green", "gone": "red", "unknown": "yellow"}
_WHYS = 3  # reasons of a node that a person is shown


@click.command("compare")
@run_argument("before")
@run_argument("after")
@store_option
@output_option
@pipeline_option
@node_option
@click.option(
    "--rtol", type=click.FloatRange(0, 1, max_open=True), default=0.0, help="Part by which numbers are close."
)
@click.option(
    "--rows", "most", type=click.IntRange(0), default=10, show_default=True, help="Rows listed, of each node."
)
def compare_command(
    before: str, after: str, store: str, output: Output, pipeline: str | None, node: str | None, rtol: float, most: int
) -> int:
    """Say what became of each node and output from one RUN to another, and why; with a difference the exit code is 3.

    Rows are held against each other by their tags. Of what became of nothing, nothing is said. Where a run did not go
    through all rows of a node, those of the last run that did are compared, and that is said.
    """
    with open_store(store) as ledger:
        runs = [find_run(ledger, name, pipeline) for name in (before, after)]
        found = compare(ledger, *(run.run_id for run in runs), rtol=rtol)
        if node is not None:
            found = {label: table for label, table in found.items() if label == node}
        rows = [row for label, table in found.items() for row in _rows(label, table, most)]
        for row in rows:
            row |= _values(ledger, runs, row)
    alone = _alone(*runs)
    if node is not None:
        if node not in found and node not in alone:
            raise unknown("function node", node, (label for run in runs for label in run.functions))
        alone = {label: change for label, change in alone.items() if label == node}
    for note in filter(None, (run.partial_note(found) for run in runs)):
        click.echo(one_line(note), err=True)
    columns = [line for label, table in found.items() for line in _columns(label, table)]
    differs = bool(alone) or any(line["equal"] < line["rows"] - line["close"] for line in columns)
    if output.is_json:
        names = {
            "before": runs[0].run_id,
            "after": runs[1].run_id,
            "partial": {"before": runs[0].partial(found), "after": runs[1].partial(found)},
        }
        output.json({**names, "differs": differs, "nodes": alone, "columns": columns, "rows": rows})
    else:
        _show(output, columns, rows, alone)
    return DIFFERS if differs else FINE


def _alone(before: RunSummary, after: RunSummary) -> dict[str, str]:
    """Return the function nodes that one of two runs has alone."""
    gone = {label: "gone" for label in before.functions if label not in after.functions}
    return gone | {label: "new" for label in after.functions if label not in before.functions}


def _columns(label: str, table: pa.Table) -> list[dict[str, Any]]:
    """Return what became of each output of a node; one line for the node where no output differs."""
    at = _positions(table)
    counts = _counted(table.column(at["change"]))
    whys = _counted(table.column(at["why"]))
    line: dict[str, Any] = {"node": label, "column": None, "rows": table.num_rows}
    line |= {change: counts[change] for change in _CHANGES} | {"why": dict(whys.most_common())}
    told = table.filter(table.column(at["outputs"]).is_valid())
    differing = Counter[Any]()
    for change, names in zip(
        told.column(at["change"]).to_pylist(), told.column(at["outputs"]).to_pylist(), strict=True
    ):
        differing.update((name, change) for name in names or ())
    named = dict.fromkeys(name for name, _ in differing)
    lines = []
    for name in named or [None]:
        moved = {change: differing[name, change] if name else counts[change] for change in ("close", "changed")}
        same = counts["equal"] + counts["close"] + counts["changed"] - sum(moved.values())
        lines.append({**line, "column": name, **moved, "equal": same})
    return lines


def _counted(column: Any) -> Counter[Any]:
    """Return how often there is each text."""
    return Counter({each["values"]: each["counts"] for each in pc.value_counts(pc.drop_null(column)).to_pylist()})


def _rows(label: str, table: pa.Table, most: int) -> list[dict[str, Any]]:
    """Return the first rows of a node that differ."""
    at = _positions(table)
    differing = table.filter(pc.not_equal(table.column(at["change"]), "equal")).slice(0, most)
    told = {*at.values()}
    rows = []
    for row in rows_of(differing):
        tags = {name: value for name, value in row.items() if name not in told}
        rows.append({"node": label, "tags": tags, **{name: row[column] for name, column in at.items()}})
    return rows


def _values(store: Store, runs: Sequence[RunSummary], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what those outputs of a row were before that differ, and what they are after; None where none does."""
    wanted = row["outputs"] or ()
    pairs = [
        values_of(store.database, run, run.functions[row["node"]], row["tags"]) if wanted else None for run in runs
    ]
    told = [None if pair is None else {name: pair.get(name) for name in wanted} for pair in pairs]
    return dict(zip(("before", "after"), told, strict=True))


def _positions(table: pa.Table) -> Mapping[str, str]:
    """Return what the columns behind the tags are called: not the same where a tag is called so."""
    return dict(zip(("change", "why", "outputs"), table.column_names[-3:], strict=True))


def _show(
    output: Output, columns: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], alone: Mapping[str, str]
) -> None:
    for label, change in alone.items():
        output.line(f"node {label} is {change}", _STYLES[change])
    changes = [change for change in _CHANGES if change == "equal" or any(line[change] for line in columns)]
    lines = [
        {
            "node": line["node"],
            "output": line["column"],
            **{change: line[change] for change in changes},
            "why": "; ".join(f"{why} ({count:,})" for why, count in Counter(line["why"]).most_common(_WHYS)),
        }
        for line in columns
    ]
    output.table(lines, nothing="no node is in both runs")
    if rows:
        output.line()
        listed = [
            {
                "node": row["node"],
                "row": tags_text(row["tags"]),
                "change": row["change"],
                "values": _moved(row),
                "why": row["why"],
            }
            for row in rows
        ]
        output.table(listed, styles=_STYLES)


def _moved(row: Mapping[str, Any]) -> str:
    """Return which outputs of a row differ, and from what to what, where that is known."""
    before, after = row["before"], row["after"]
    if before is None or after is None:
        return ", ".join(row["outputs"] or ())
    return ", ".join(f"{name}: {_pair(before[name], after[name])}" for name in row["outputs"])


def _pair(before: object, after: object) -> str:
    """Return two values, in short if that tells them apart, or if they hold bytes."""
    short = text_of(before), text_of(after)
    if short[0] == short[1] and _holds_bytes(before):
        return f"{short[0]}, other elements"
    return " → ".join(short if short[0] != short[1] else (shown(before), shown(after)))


def _holds_bytes(value: object) -> bool:
    match value:
        case Mapping():
            return any(map(_holds_bytes, value.values()))
        case list() | tuple():
            return any(map(_holds_bytes, value))
        case _:
            return isinstance(value, bytes)
