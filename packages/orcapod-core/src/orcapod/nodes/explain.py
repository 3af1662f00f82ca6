"""``explain``: what a run would compute of each function node, and why. Nothing is computed, nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.datagrams import Chunk
from orcapod.errors import LabelError
from orcapod.execution import EVERYTHING, Selection, checked_where
from orcapod.nodes.causes import Causes, entry_columns, in_order
from orcapod.nodes.explained_rows import ComputedRows, MissingRows, tags_in
from orcapod.nodes.function import FunctionNode
from orcapod.nodes.node import Node
from orcapod.nodes.plan import NodePlan, Plan
from orcapod.nodes.reasons import Failed, Reason, Reasons, Unknown
from orcapod.nodes.run import Run
from orcapod.protocols import Database
from orcapod.records import PastRuns
from orcapod.streams import evaluated, inputs_first

__all__ = ["explain", "reasons_of"]

_EXAMPLES = 3


def explain(
    nodes: Mapping[str, Node], records: Database, label: str | None, tag: Mapping[str, Any] | None
) -> Plan | NodePlan:
    """Return what a run would compute; see ``Pipeline.explain``.

    Args:
        nodes: of a pipeline, by label.
        records: where it keeps its records.
        label: the function node that is explained; all if None.
        tag: which of its rows.
    """
    functions = {each.label: each for each in nodes.values() if isinstance(each, FunctionNode)}
    check = Checks("explain")
    if label is None:
        if tag is not None:
            raise check.wrong("node", label, "the label of the node whose rows have that tag", "give both")
        return _plan(list(functions.values()), records, EVERYTHING)
    if check.text("node", label) not in functions:
        raise LabelError(
            f"explain: found no function node {label!r}; there are {list(functions)}",
            node=label,
            expected=f"one of {list(functions)}",
            found=repr(label),
        )
    where = checked_where(check, "tag", tag, [functions[label].inputs[0].schema.tags])
    return _plan([functions[label]], records, Selection(where))[label]


def _plan(functions: Sequence[FunctionNode], records: Database, selection: Selection) -> Plan:
    """Return what a run would compute of function nodes, of all their rows or of some."""
    runs = PastRuns(records)
    every: list[Node] = inputs_first(functions, _inputs)
    read = {id(node) for each in every if isinstance(each, FunctionNode) for node in inputs_first(each.inputs, _inputs)}
    explained = {
        id(node): _ExplainedNode(node, runs, selection if node in functions else EVERYTHING, is_read=id(node) in read)
        for node in every
        if isinstance(node, FunctionNode)
    }
    last = [node for node in every if id(node) in explained and id(node) not in read]

    def rows(node: Node | None, inputs: list[Iterable[Chunk]]) -> Iterable[Chunk]:
        if node is None:
            return (chunk for chunks in inputs for chunk in chunks)
        return explained[id(node)].through(*inputs) if id(node) in explained else node.known(inputs)

    for _ in evaluated(None, lambda node: last if node is None else node.inputs, rows):
        pass
    plans: dict[str, NodePlan] = {}
    called: dict[tuple[object, str], list[pa.Array[Any]]] = {}
    for each in explained.values():
        above = inputs_first(each.node.inputs, _inputs)
        waits_for = [node.label for node in above if _computes(plans.get(node.label))]
        plans[each.node.label] = each.plan(waits_for, called.setdefault(each.function, []))
    return Plan({node.label: plans[node.label] for node in functions})


def reasons_of(nodes: Iterable[Node], records: Database, run: Run) -> Callable[[], Reasons]:
    """Return what finds out why a run, which has ended, computed what it did.

    Args:
        nodes: those that it went through.
        records: where their pipeline keeps its records.
        run: the run, of which nothing but that is held.
    """
    run_id = run.run_id
    computed = [
        (node, run.code[node.label], run.selection(node.label).again is not None)
        for node in nodes
        if isinstance(node, FunctionNode) and run.counts(node.label)["computed"]
    ]

    def find() -> Reasons:
        runs, found = PastRuns(records, run_id), Reasons()
        for node, code, is_requested in computed:
            history = node.history_before(runs)
            rows = ComputedRows(*history.computed(node.path, run_id, entry_columns(node)))
            found[node.label] = tuple(Causes(node, code, history, is_requested=is_requested).reasons(rows))
        return found

    return find


def _inputs(node: Node) -> Sequence[Node]:
    return node.inputs


def _computes(plan: NodePlan | None) -> bool:
    return plan is not None and bool(plan.reasons)


class _ExplainedNode:
    """Function node whose results are looked up, and all rows counted.

    Args:
        node: the node.
        runs: the runs of its pipeline.
        selection: the rows that are explained.
        is_read: whether others are made of its rows.
    """

    def __init__(self, node: FunctionNode, runs: PastRuns, selection: Selection, *, is_read: bool) -> None:
        self.node = node
        self._code = node.function.code("begins")
        self._step = node.lookup(self._code)
        self._history = node.history_before(runs)
        self._selection = selection
        self._is_read = is_read
        self._cached = self._refused = 0
        self._unknown: list[dict[str, Any]] = []
        self._unknown_count = 0
        self._missing = MissingRows(node.function.packet_columns(node.inputs[0].schema))

    def through(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Give the rows as far as they are known, and count them."""
        for pending, refused in self._step.to_look_up(self._wanted(chunks)):
            ids = pending.record_ids
            if self._is_read:
                pending.look_up()
                missing = pending.missing()
            else:
                there = self._there([*{*ids} - {b""}])
                missing = [row for row, each in enumerate(ids) if each and each not in there]
            if missing:
                self._missing.add(pending.chunk.take(missing), [pending.packet_hashes[row] for row in missing])
            self._refused += refused
            self._cached += pending.chunk.num_packets - len(missing)
            self._count_unknown(pending.chunk, pending.chunk.num_rows - pending.chunk.num_packets - refused)
            if self._is_read:
                yield pending.stored_results()

    def _there(self, record_ids: Sequence[bytes]) -> set[bytes]:
        """Return those of these records whose results are there; where one is not, all are read to say why."""
        cache = self._step.spec.cache
        if self._missing.has_rows and not cache.has_files:
            return self._history.there(record_ids)
        return cache.present(record_ids)

    def _wanted(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            left_out = set(self._selection.skipped(chunk))
            yield chunk.take([row for row in range(chunk.num_rows) if row not in left_out]) if left_out else chunk

    def _count_unknown(self, chunk: Chunk, count: int) -> None:
        if count and len(self._unknown) < _EXAMPLES:
            gone = chunk.with_batch(chunk.batch.filter(chunk.missing)).slice(0, _EXAMPLES)
            table = pa.Table.from_batches([gone.batch])
            self._unknown += tags_in(table, chunk.schema.tags)[: _EXAMPLES - len(self._unknown)]
        self._unknown_count += count

    @property
    def function(self) -> tuple[object, str]:
        """What nodes whose packets have the same results have in common."""
        return self.node.uri, str(self._code.hash)

    def plan(self, waits_for: Sequence[str], called: list[pa.Array[Any]]) -> NodePlan:
        """Return what was found.

        Args:
            waits_for: the labels of nodes above that have something to compute.
            called: the packets of nodes before with the same function, to which its own are added.
        """
        causes = Causes(self.node, self._code, self._history)
        reasons = causes.reasons(self._missing)
        if self._refused:
            reasons.append(Reason(Failed(), self._refused))
        if self._unknown_count:
            reasons.append(Reason(Unknown(tuple(waits_for)), self._unknown_count, self._unknown))
        last = self._history.runs[0] if self._history.runs else None
        failed = None if last is None else last.totals.counts.get("failed", 0)
        notes = []
        if last is not None and failed and not causes.failed and last.node.code == str(self._code.hash):
            notes.append(
                f"{failed:,} packets failed in the last run, and it is not known which; run it with "
                "observer=LoggingObserver(pipeline.log_database)"
            )
        before = _distinct(called)
        called.append(self._missing.packet_hashes)
        calls = _distinct(called) - before
        return NodePlan(self.node.label, self._cached, calls, in_order(reasons), failed, notes)


def _distinct(arrays: Sequence[pa.Array[Any]]) -> int:
    count: int = pc.count_distinct(pa.chunked_array(arrays, pa.large_binary())).as_py()
    return count
