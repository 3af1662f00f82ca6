"""``Causes``: what differs between packets of a node that are computed and what was computed before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.compute import counted, pc
from orcapod.datagrams import source_info_name
from orcapod.errors import PipelineError, UnknownCodeError
from orcapod.hashing import CodeChanges, Fingerprint, Part, compare_parts, hash_rows
from orcapod.nodes.function import FunctionNode
from orcapod.nodes.reasons import Cause, Changed, Failed, InputChange, Lost, New, Reason, Requested, Unknown
from orcapod.records import RECORD_ID, NodeHistory, ResultOrigin, is_computed, record_ids
from orcapod.types import Schema, encode

__all__ = ["Causes", "ExplainedRows", "entry_columns", "in_order", "tags_in"]

_EXAMPLES = 3
_ORDER: tuple[type[Cause], ...] = (Changed, Lost, Requested, Failed, New, Unknown)
_VALUES = ("global", "closure", "default", "attribute", "depends_on", "state")
"""Kinds of parts that are values, of which one may be new at every start."""


class ExplainedRows(ABC):
    """Rows whose results are missing, or were."""

    packet_hashes: pa.Array[Any]
    """The packet of each."""

    @abstractmethod
    def entries(self, rows: pa.Array[Any]) -> pa.Table:
        """Return tags and source infos of the rows for which an array says so, as records have them."""


_Row = tuple[int | None, bool, tuple[bool, ...]]
"""What a row differs in from that of the same tags that there was: what had made its result, as a position in the
history, None if the store does not tell; whether it is the very same packet; which columns come from other records."""

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

    def reasons(self, rows: ExplainedRows, failed: Mapping[tuple[str | None, ...], str]) -> list[Reason]:
        """Return why these rows are computed.

        Args:
            rows: the rows.
            failed: the tags, as text, of those that are known to have failed, and the run in which they did.
        """
        count = len(rows.packet_hashes)
        if not count:
            return []
        keys: list[_Key] = self._history.of_packets(rows.packet_hashes).to_pylist()
        unmet = [row for row, key in enumerate(keys) if key is None]
        if unmet:
            for row, differing in zip(unmet, self._of_tags(rows, unmet), strict=True):
                keys[row] = differing
        if failed:
            tags = _texts(rows.entries(pa.repeat(True, count)), self._tags)
            keys = [failed.get(tag, key) for tag, key in zip(tags, keys, strict=True)]
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
        mine = rows.entries(_mask(numbers, len(rows.packet_hashes)))
        at = pc.index_in(_tag_keys(mine, self._tags), value_set=_tag_keys(last, self._tags))
        if at.null_count == len(at):
            return [None] * len(numbers)
        before = last.take(at)
        origins = self._history.of_records(before.column(RECORD_ID).combine_chunks()).to_pylist()
        hashes: list[Any] = rows.packet_hashes.take(pa.array(numbers, pa.int64())).to_pylist()
        cache = self._node.lookup(self._code).spec.cache
        ids = cache.newest(record_ids(self._node.uri, self._code.hash, hashes))
        same = [a == b for a, b in zip(before.column(RECORD_ID).to_pylist(), ids, strict=True)]
        others = [_differing(before, mine, source_info_name(name)) for name in self._columns]
        patterns = zip(*others, strict=True) if others else [()] * len(numbers)
        found: list[_Row | None] = list(zip(origins, same, patterns, strict=True))
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
            case _, True, _:
                return self._same
            case origin, _, others:
                inputs = self._input_change(others, rows, numbers)
                is_all = count == len(rows.packet_hashes)
                past = None if origin is None else self._history.origins[origin]
                return self._changed(past, inputs, self._always_new(inputs) if is_all else "")

    def _changed(self, past: ResultOrigin | None, inputs: InputChange | None, advice: str = "") -> Changed:
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
            f"ignores={list(names)} if it does not matter"
        )

    def _always_new(self, inputs: InputChange) -> str:
        """Return what is to be said of inputs that are new in each of the last runs."""
        runs = self._history.runs
        if len(runs) < 2 or any(
            run.totals.counts.get("cached", 0) or run.node.code != self._present.code for run in runs
        ):
            return ""
        return (
            f"{', '.join(inputs.columns)}: no packet of the last {len(runs)} runs was found again; is there a clock, a "
            "random name or a temporary path in it?"
        )

    def _input_change(self, others: Sequence[bool], rows: ExplainedRows, numbers: Sequence[int]) -> InputChange:
        if names := tuple(name for name, is_other in zip(self._columns, others, strict=True) if is_other):
            return InputChange(names, is_exact=len(names) == 1, other_records=True)
        sources = rows.entries(_mask(numbers[:1], len(rows.packet_hashes)))
        # What a function has computed has a record for each value; a row of a source keeps its name.
        of_sources = tuple(
            name for name in self._columns if not is_computed(sources.column(source_info_name(name)).to_pylist()[0])
        )
        columns = of_sources or tuple(self._columns)
        return InputChange(columns, is_exact=len(columns) == 1, other_records=False)

    def _examples(self, rows: ExplainedRows, numbers: Sequence[int]) -> list[dict[str, Any]]:
        return tags_in(rows.entries(_mask(numbers, len(rows.packet_hashes))), self._tags)

    @cached_property
    def failed(self) -> Mapping[tuple[str | None, ...], str]:
        """The tags, as text, of packets of which is kept that they failed in the last run, of the same code."""
        if not self._history.runs:
            return {}
        last = self._history.runs[0]
        if not last.totals.counts.get("failed") or (last.node.path, last.node.code) != (
            self._node.path,
            self._present.code,
        ):
            return {}
        try:
            errors = self._node.errors()
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


def tags_in(entries: pa.Table, tags: Schema) -> list[dict[str, Any]]:
    """Return the tags of rows as Python values."""
    columns = [dtype.to_python(entries.column(name).combine_chunks()) for name, dtype in tags.types.items()]
    return [dict(zip(tags, values, strict=True)) for values in zip(*columns, strict=True)] if columns else []


def _texts(entries: pa.Table, tags: Schema) -> list[tuple[str | None, ...]]:
    """Return the tags of rows as logs have them."""
    columns = [dtype.to_python(entries.column(name).combine_chunks()) for name, dtype in tags.types.items()]
    texts = [[None if value is None else str(value) for value in values] for values in columns]
    return list(zip(*texts, strict=True)) if texts else [()] * entries.num_rows


def _mask(numbers: Sequence[int], length: int) -> Any:
    return pc.is_in(counted(0, length), value_set=pa.array(numbers, pa.int64()))


def _tag_keys(entries: pa.Table, tags: Schema) -> pa.Array[Any]:
    """Return what tells rows apart by their tags."""
    if not tags:
        return pa.repeat(pa.scalar(b"", pa.large_binary()), entries.num_rows)
    if len(tags) == 1 and not pat.is_nested(entries.schema.field(next(iter(tags))).type):
        return entries.column(next(iter(tags))).combine_chunks()
    batches = entries.select(list(tags)).combine_chunks().to_batches()
    return pa.array([each for batch in batches for each in hash_rows(batch, tags)], pa.large_binary())


def _differing(before: pa.Table, after: pa.Table, column: str) -> list[bool]:
    """Say in which rows a column of text, or lists of text, is another one."""
    if column not in before.column_names or before.schema.field(column).type != after.schema.field(column).type:
        return [True] * after.num_rows
    one, other = (table.column(column).combine_chunks() for table in (before, after))
    if pat.is_nested(one.type):
        one, other = encode(one), encode(other)
    differs: list[bool] = pc.fill_null(pc.not_equal(one, other), False).to_pylist()
    return differs


def _shown(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)
