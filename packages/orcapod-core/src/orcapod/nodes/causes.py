"""``Causes``: what differs between packets of a node that are computed and what was computed before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import pyarrow as pa

from orcapod.arrow import scalar_of
from orcapod.compute import pc
from orcapod.datagrams import source_info_name
from orcapod.errors import PipelineError, UnknownCodeError
from orcapod.hashing import CodeChanges, Fingerprint, Part, compare_parts
from orcapod.nodes.explained_rows import ExplainedRows, differing, tag_keys, tags_in, texts_of_tags
from orcapod.nodes.function import FunctionNode
from orcapod.nodes.reasons import Cause, Changed, Failed, InputChange, Lost, New, Reason, Requested, Unknown
from orcapod.records import RECORD_ID, NodeHistory, PastRuns, ResultOrigin, is_computed

__all__ = ["Causes", "entry_columns", "in_order"]

_EXAMPLES = 3
_ORDER: tuple[type[Cause], ...] = (Changed, Lost, Requested, Failed, New, Unknown)
_VALUES = ("global", "closure", "default", "attribute", "depends_on", "state")
"""Kinds of parts that are values, of which one may be new at every start."""

_Row = tuple[int | None, tuple[bool, ...]]
"""What a row differs in from that of the same tags that there was: what had made its result, as a position in the
history, None if that is gone; and which of its columns come from other records."""

_Key = int | str | _Row | None
"""What rows of one cause have in common: what made their last results, as a position; or the run in which they failed;
or in what they differ from rows of the same tags; None for what is new."""


class Causes:
    """Causes for which packets of a function node are computed.

    Args:
        node: the node.
        code: what its function says now.
        history: what there was before.
        is_requested: whether packets may be computed again although their results are there.
    """

    def __init__(
        self, node: FunctionNode, code: Fingerprint, history: NodeHistory, *, is_requested: bool = False
    ) -> None:
        self._node = node
        self._code = code
        self._history = history
        self._present = ResultOrigin(node.uri, str(code.hash))
        self._same = Requested() if is_requested else Lost()
        self._columns = node.function.packet_columns(node.inputs[0].schema)
        self._tags = node.inputs[0].schema.tags
        self._changes: dict[str, CodeChanges | None] = {}

    def reasons(self, rows: ExplainedRows) -> list[Reason]:
        """Return why these rows are computed."""
        count = len(rows.packet_hashes)
        if not count:
            return []
        keys: list[_Key] = self._history.of_packets(rows.packet_hashes).to_pylist()
        unmet = [row for row, key in enumerate(keys) if key is None]
        if unmet:
            for row, differing in zip(unmet, self._of_tags(rows, unmet), strict=True):
                keys[row] = differing
        if failed := self.failed:
            tags = texts_of_tags(rows.entries(pa.repeat(scalar_of(True, pa.bool_()), count)), self._tags)
            is_same = self._history.runs[0].node.code == self._present.code
            keys = [
                failed.get(tag, key) if is_same or key is None else key for tag, key in zip(tags, keys, strict=True)
            ]
        groups, found = Counter(keys), dict[_Key, list[int]]()
        for row, key in enumerate(keys):
            if len(some := found.setdefault(key, [])) < _EXAMPLES:
                some.append(row)
        reasons = [
            Reason(self._cause(key, rows, found[key], size), size, self._examples(rows, found[key]))
            for key, size in groups.items()
        ]
        return in_order(reasons)

    def _of_tags(self, rows: ExplainedRows, numbers: Sequence[int]) -> list[_Row | None]:
        """Return how rows differ from those of the same tags; None for those of which there were none."""
        last = self._history.last_rows(entry_columns(self._node))
        if not last.num_rows or any(
            name not in last.column_names or last.schema.field(name).type != dtype.arrow
            for name, dtype in self._tags.types.items()
        ):
            return [None] * len(numbers)
        mine = rows.entries_at(numbers)
        at = pc.index_in(tag_keys(mine, self._tags), value_set=tag_keys(last, self._tags))
        if at.null_count == len(at):
            return [None] * len(numbers)
        before = last.take(at)
        origins = self._history.of_records(before.column(RECORD_ID).combine_chunks()).to_pylist()
        others = [differing(before, mine, source_info_name(name)) for name in self._columns]
        patterns = zip(*others, strict=True) if others else [()] * len(numbers)
        few: dict[_Row, _Row] = {}  # a tuple of its own for every row would keep the garbage collector busy
        found: list[_Row | None] = [few.setdefault(row, row) for row in zip(origins, patterns, strict=True)]
        if at.null_count:
            found = [row if is_there else None for row, is_there in zip(found, at.is_valid().to_pylist(), strict=True)]
        return found

    def _cause(self, key: _Key, rows: ExplainedRows, numbers: Sequence[int], count: int) -> Cause:
        match key:
            case None:
                return New()
            case str():
                return Failed(key)
            case int():
                made_by = self._history.origins[key]
                return self._same if made_by == self._present else self._changed(made_by, None)
            case None, others if not any(others):
                return Lost()
            case origin, others:
                of_sources = self._of_sources(rows, numbers[0])
                inputs = self._input_change(others, of_sources)
                suspects = [name for name in inputs.columns if name in of_sources]
                advice = self._always_new(suspects) if count == len(rows.packet_hashes) else ""
                past = None if origin is None else self._history.origins[origin]
                return self._changed(past, inputs, advice)

    def _changed(self, past: ResultOrigin | None, inputs: InputChange | None, advice: str = "") -> Changed:
        taken = self._history.taken(self._node.path) if inputs is not None else None
        if taken is not None and set(taken) != set(self._columns):
            without = self._changed(past, None)
            return replace(
                without, function=(f"takes: {', '.join(taken)} -> {', '.join(self._columns)}", *without.function)
            )
        if past is None or past == self._present:
            return Changed(inputs=inputs, advice=advice)
        changes = self._compared(past.code)
        function = self._function_changes(past)
        if changes is None:
            return Changed(function=(*function, "code: what made the last result is not kept"), inputs=inputs)
        if not changes and not function:
            function = ("code: it differs in what no part of it shows",)
        return Changed(changes, function, inputs, self._unstable(past, changes))

    def _compared(self, code: str) -> CodeChanges | None:
        if code not in self._changes:
            before = self._parts(code)
            self._changes[code] = None if before is None else compare_parts(before, self._code.parts)
        return self._changes[code]

    def _parts(self, code: str) -> Sequence[Part] | None:
        try:
            return self._history.parts(code)
        except UnknownCodeError:
            return None

    def _function_changes(self, past: ResultOrigin) -> tuple[str, ...]:
        """Return what differs in the names of two functions, the hash of their outputs aside."""
        told = []
        for what, at in (("function", 0), ("version", 2)):
            if past.uri[at] != self._node.uri[at]:
                told.append(f"{what}: {past.uri[at]} -> {self._node.uri[at]}")
        if past.uri[1] != self._node.uri[1]:
            now = self._node.function.signature.outputs.arrow
            told.append(f"outputs: {_shown(self._history.outputs(past.uri))} -> {_shown(now)}")
        return tuple(told)

    def _unstable(self, past: ResultOrigin, changes: CodeChanges) -> str:
        """Return what is to be said of a part of the code that differs in each of the last runs."""
        opaque = [change.part.name for change in changes if change.part.kind == "opaque"]
        if opaque:
            return f"another one in every process; say ignores={opaque} if that does not matter"
        codes = [run.node.code for run in self._history.runs]
        if len(codes) < 2 or codes[0] != past.code:
            return ""
        parts = [self._code.parts, *filter(None, map(self._parts, codes))]
        if len(parts) <= len(codes):
            return ""
        names = {change.part.name: None for change in changes if change.part.kind in _VALUES}
        for after, before in pairwise(parts):
            differing = {change.part.name for change in compare_parts(before, after)}
            names = {name: None for name in names if name in differing}
        if not names:
            return ""
        return (
            f"{', '.join(names)}: differs in each of the last {len(codes)} runs, as a clock or a random name does; "
            f"ignores={[name.rpartition(': ')[2] for name in names]} if it does not matter"
        )

    def _always_new(self, columns: Sequence[str]) -> str:
        """Return what is to be said of columns of sources if the packets of each of the last runs were new."""
        runs = self._history.runs
        is_new = all(not run.totals.counts.get("cached") and run.node.code == self._present.code for run in runs)
        if not columns or len(runs) < PastRuns.REMEMBERED or not is_new:
            return ""
        return (
            f"{', '.join(columns)}: no packet of the last {len(runs)} runs was found again; is there a clock, a "
            "random name or a temporary path in it?"
        )

    def _input_change(self, others: Sequence[bool], of_sources: Sequence[str]) -> InputChange:
        names = tuple(name for name, is_other in zip(self._columns, others, strict=True) if is_other)
        # What a function has computed has a record for each value; a row of a source keeps its name.
        columns = names or tuple(of_sources or self._columns)
        if names:
            how = "from another record than before"
        elif self._history.taken(self._node.path) is None:
            how = "another value in the same row of the source"
        else:
            how = "another value in the same row of the source, or a value of another type"
        return InputChange(columns, is_exact=len(columns) == 1, how=how)

    def _of_sources(self, rows: ExplainedRows, number: int) -> list[str]:
        """Return the columns whose values come from sources, by those of one row."""
        entry = rows.entries_at([number]).to_pylist()[0]
        return [name for name in self._columns if not is_computed(entry[source_info_name(name)])]

    def _examples(self, rows: ExplainedRows, numbers: Sequence[int]) -> list[dict[str, Any]]:
        return tags_in(rows.entries_at(numbers), self._tags)

    @cached_property
    def failed(self) -> Mapping[tuple[str | None, ...], str]:
        """The tags, as text, of packets of which is kept that they failed in the last run; and that run."""
        if not self._history.runs:
            return {}
        last = self._history.runs[0]
        if not last.totals.counts.get("failed") or last.node.path != self._node.path:
            return {}
        try:
            errors = self._node.errors_in((last.run_id, last.totals.counts))
        except PipelineError:  # nothing is kept of them
            return {}
        columns = [errors.column(name).to_pylist() for name in self._tags if name in errors.column_names]
        return dict.fromkeys(zip(*columns, strict=True), last.run_id) if len(columns) == len(self._tags) else {}


def entry_columns(node: FunctionNode) -> list[str]:
    """Return the columns of a node's records by which rows are compared: tags, and who made what it takes."""
    schema = node.inputs[0].schema
    return [*schema.tags, *map(source_info_name, node.function.packet_columns(schema))]


def in_order(reasons: Sequence[Reason]) -> list[Reason]:
    """Return reasons, those of what is computed again first, and of these those of most packets."""
    return sorted(reasons, key=lambda reason: (_ORDER.index(type(reason.cause)), -reason.count))


def _shown(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)
