"""``orcapod reproduce``: calls the function of one packet again, and compares what it gives with what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
import pyarrow as pa

from orcapod.arrow import rows_of
from orcapod.checks import Checks
from orcapod.cli.calling import call_again, debug
from orcapod.cli.exits import DIFFERS, FAILED, FINE
from orcapod.cli.names import find_run
from orcapod.cli.options import output_option
from orcapod.cli.output import Output
from orcapod.cli.tags import tag_values
from orcapod.cli.target import check_nodes, load_pipeline, run_user_code, user_traceback
from orcapod.datagrams import Chunk, Tag
from orcapod.display import shown, tags_text
from orcapod.execution import checked_where
from orcapod.hashing import hash_rows
from orcapod.ledger import RunSummary, Store, open_store
from orcapod.ledger.node_entries import NodeEntries, keys_of
from orcapod.nodes import FunctionNode
from orcapod.records import RECORD_ID, result_path

__all__ = ["reproduce_command"]

_UNKNOWN_INPUT = "whether the input is that of the run is not known: none is kept of a packet that failed"
_EACH_TIME = (
    "of the same input, the same code gave another value: it depends on something else, such as chance or a clock"
)


@click.command("reproduce")
@click.argument("run")
@click.argument("node")
@click.argument("packet", nargs=-1, required=True, metavar="TAG=VALUE...")
@click.argument("target")
@click.option("--pdb", "debugs", is_flag=True, help="Open the debugger where it fails.")
@output_option
def reproduce_command(run: str, node: str, packet: Sequence[str], target: str, output: Output, debugs: bool) -> int:
    """Call the function of one packet of NODE here, and compare what it gives with what RUN has stored.

    The packet is named by its tags; TARGET is the pipeline: file.py:NAME. Nothing is written.
    """
    pipeline = load_pipeline(target, output)
    check_nodes(pipeline, [node])
    found = pipeline[node]
    if not isinstance(found, FunctionNode):
        raise click.UsageError(f"{node!r} is no function: it computes nothing; name a node that does")
    store = open_store(pipeline.database)
    name = "/".join(pipeline.name)
    begun, _ = store.node(name, node, find_run(store, run, name).run_id)
    with run_user_code(output):
        row = _row(found, packet)
        (arguments,) = found.function.arguments(row)
        if debugs:
            return FAILED if debug(found.function, arguments) else FINE
        made, failure = _called(found, arguments)
    tags = dict(Tag(row, 0))
    record_id = _record_id(store, begun, found, tags)
    stored = None if record_id is None else _stored(found, record_id)
    differing = [] if made is None or stored is None else _differing(found, made, stored)
    told = {
        "run_id": begun.run_id,
        "node": node,
        "tag": tags,
        "arguments": arguments,
        "output": made and _values(found, made),
        "stored": stored and _values(found, stored),
        "differing": differing,
        "traceback": failure,
        "traceback_in_run": _failure_in(store, begun, node, tags),
        "is_input_the_same": None if record_id is None else _is_made_of(found, record_id, row),
        "is_code_the_same": begun.functions[node].record.code == str(found.function.fingerprint()),
    }
    if output.is_json:
        output.json(told)
    else:
        _show(told, output)
    return FAILED if failure else DIFFERS if differing else FINE


def _row(node: FunctionNode, packet: Sequence[str]) -> Chunk:
    """Return the one row of a node's input that has these tags."""
    tags = node.inputs[0].schema.tags
    where = checked_where(Checks("reproduce"), "the packet", tag_values(packet, [tags], "the packet"), [tags])
    rows = [chunk.slice(row, 1) for chunk in node.inputs[0].chunks() for row in sorted(where.rows(chunk))]
    if len(rows) != 1:
        some = "; ".join(tags_text(Tag(row, 0)) for row in rows[:3])
        advice = f", such as {some}; give the tags that tell them apart" if rows else ""
        raise click.UsageError(f"{node.label!r} takes {len(rows)} rows with {' '.join(packet)}, expected one{advice}")
    return rows[0]


_Outputs = Mapping[str, Any]
"""The outputs of one packet by name, each a column of one row."""


def _called(node: FunctionNode, arguments: Mapping[str, Any]) -> tuple[_Outputs | None, str | None]:
    """Return what a function gives, or the traceback of how it fails."""
    try:
        stored = call_again(node.function, arguments)
    except Exception as error:  # noqa: BLE001  # it is what is to be seen
        return None, user_traceback(error)
    types = node.function.signature.outputs.types
    return {name: dtype.from_python([value]) for (name, dtype), value in zip(types.items(), stored, strict=True)}, None


def _record_id(store: Store, run: RunSummary, node: FunctionNode, tags: Mapping[str, Any]) -> bytes | None:
    """Return the record of what a run gave for a row; None if it gave nothing."""
    entries = NodeEntries(store.database.at(*run.pipeline), run.functions[node.label])
    if not entries.schema.names:
        return None
    given, _ = entries.with_tags(tags)
    ids: list[Any] = entries.with_keys(keys_of(given)[:1]).column(RECORD_ID).to_pylist() if given.num_rows else []
    return next(iter(ids), None)


def _stored(node: FunctionNode, record_id: bytes) -> _Outputs | None:
    """Return the outputs of a record; None if they are no longer there."""
    results = node.lookup(node.function.code()).spec.cache.lookup([record_id])
    if not results.num_rows:
        return None
    return {name: results.column(name).combine_chunks() for name in node.function.signature.outputs}


def _is_made_of(node: FunctionNode, record_id: bytes, row: Chunk) -> bool | None:
    """Say whether a record was made of the packet of a row; None if that is no longer known."""
    results, _ = node.stores()
    found = rows_of(results.get_records_by_ids(result_path(node.uri), [record_id], ["__packet_hash"]))
    return [each["__packet_hash"] for each in found] == node.function.packet_hashes(row) if found else None


def _differing(node: FunctionNode, made: _Outputs, stored: _Outputs) -> list[str]:
    """Return the outputs that are not what is stored."""
    outputs = node.function.signature.outputs

    def hashes(name: str) -> list[list[bytes]]:
        columns = made[name], stored[name]
        return [hash_rows(pa.RecordBatch.from_pydict({name: each}), outputs.select([name])) for each in columns]

    return [name for name in outputs if hashes(name)[0] != hashes(name)[1]]


def _values(node: FunctionNode, outputs: _Outputs) -> dict[str, Any]:
    types = node.function.signature.outputs.types
    return {name: types[name].to_python(column)[0] for name, column in outputs.items()}


def _failure_in(store: Store, run: RunSummary, node: str, tags: Mapping[str, Any]) -> str | None:
    """Return the traceback with which a row failed in a run, where it was kept."""
    logs = store.logs(run.run_id, node, tags, failed=True)
    return logs.column("__traceback")[-1].as_py() if logs.num_rows else None


def _show(told: Mapping[str, Any], output: Output) -> None:
    def show(heading: str, values: Mapping[str, Any]) -> None:
        output.lines(heading, "bold")
        for name, value in values.items():
            output.lines(f"  {name} = {shown(value)}")

    tags = tags_text(told["tag"])
    show(f"{told['node']}({tags}) is called with", told["arguments"])
    if told["traceback"]:
        output.lines("and fails", "bold red")
        output.lines(told["traceback"])
    else:
        show("and gives", told["output"])
    match told:
        case {"stored": None, "traceback_in_run": str(trace)} if trace.rstrip() == told["traceback"]:
            output.lines(f"as it did in run {told['run_id']}")
        case {"stored": None, "traceback_in_run": str(trace)}:
            output.lines(f"in run {told['run_id']} it failed", "bold red")
            output.lines(trace)
        case {"stored": None}:
            output.lines(f"run {told['run_id']} has stored nothing to compare it with")
        case {"differing": []} if told["output"] is not None:
            output.lines(f"as run {told['run_id']} has stored it", "green")
        case _:
            show(f"run {told['run_id']} has stored", told["stored"])
            output.lines(f"they differ in {', '.join(told['differing'])}" if told["differing"] else "", "red")
    match told["is_input_the_same"]:
        case False:
            output.lines("the input is not that of the run", "yellow")
        case None if told["traceback_in_run"] and told["traceback_in_run"].rstrip() != told["traceback"]:
            output.lines(_UNKNOWN_INPUT, "yellow")
    if not told["is_code_the_same"]:
        output.lines("the code is not that of the run", "yellow")
    elif told["is_input_the_same"] and told["differing"]:
        output.lines(_EACH_TIME, "yellow")
