"""``compare``: what two runs gave, row by row, and why it differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.datagrams import RECORD_TAG, SOURCE_INFO, SOURCE_TAG, free_name, telling_tags
from orcapod.errors import ConfigError, UnknownCodeError
from orcapod.hashing import compare_parts, hash_rows
from orcapod.ledger.closeness import close
from orcapod.ledger.run_summary import RunSummary
from orcapod.ledger.store import Store
from orcapod.ledger.stored_results import has_values, provenance_at, results_at
from orcapod.protocols import RecordPath
from orcapod.records import RECORD_ID, large_bytes
from orcapod.types import encode

__all__ = ["compare"]

_COMPUTED = "::[0-9a-f]{64}::"
"""What the provenance of a computed value has, and of one of a source has not."""


def compare(store: Store, before: str, after: str, *, rtol: float = 0.0) -> Mapping[str, pa.Table]:
    """Return for each function node that two runs of a pipeline have in common, what became of its rows.

    Rows are held against each other by their tags; where several have the same, in the order in which they are. Where a
    run did not go through all rows of a node, those of the last run that did are compared.

    Args:
        store: where the runs are.
        before: the name of one run, or the beginning of it.
        after: that of the other.
        rtol: numbers that differ by no more than this part of the larger one are ``close``, in lists and records, too;
            arrays and frames are equal or they are not.

    Returns:
        for each node a table of the tags, those of the later run first, and of ``change``: ``equal``, ``close``,
        ``changed``, ``new`` or ``gone`` (``unknown`` where a result is no longer in the store), ``why`` it is
        changed: which parts of the code, or which inputs; and ``outputs``, those that differ of a row that is close,
        and those that are not even close of one that is changed. Where a tag bears one of these names, it begins with
        ``_``.

    Raises:
        UnknownRunError: there is no such run, or it has not ended.
        ConfigError: they are runs of two pipelines.
    """
    check = Checks("compare")
    check.instance("store", store, Store, "a Store", "give op.open_store('lab.db')")
    if not isinstance(rtol, int | float) or not 0 <= rtol < 1:
        raise check.wrong("rtol", rtol, "a number from 0 to less than 1")
    one, other = store.ended_run(before), store.ended_run(after)
    if one.pipeline != other.pipeline:
        raise ConfigError(
            f"compare: found a run of {'/'.join(one.pipeline)} and one of {'/'.join(other.pipeline)}, expected two of "
            "one pipeline"
        )
    return {
        label: _NodeComparison(store, one, other, label, rtol=rtol).table()
        for label in one.functions
        if label in other.functions
    }


class _NodeComparison:
    """Comparison of what a node gave in two runs; of rows that both have as they are, nothing more is read."""

    def __init__(self, store: Store, before: RunSummary, after: RunSummary, label: str, *, rtol: float) -> None:
        self._store = store
        self._label = label
        self._rtol = rtol
        self._runs = before, after
        self._paths = [run.functions[label].record.path for run in self._runs]
        self._before, self._after = store.entries_in(label, *self._runs, wanted=_is_no_provenance)
        self._outputs: Sequence[str] = ()

    def table(self) -> pa.Table:
        """Return the tags of all rows, what became of each, and why."""
        tags = {*_visible(self._after), *_visible(self._before)}
        earlier, later = (_numbered(_keys(entries)) for entries in (self._before, self._after))
        differs = pc.invert(pc.is_in(later, value_set=earlier))
        before = self._before.filter(pc.invert(pc.is_in(earlier, value_set=later)))
        after = self._after.filter(differs)
        there, wanted = (
            _numbered(self._tag_hashes(path, entries))
            for path, entries in zip(self._paths, (before, after), strict=True)
        )
        at = pc.index_in(wanted, value_set=there)
        gone = before.filter(pc.invert(pc.is_in(there, value_set=wanted)))
        changes, reasons, outputs = self._changes(before.take(at.drop_null()), after.filter(at.is_valid()))
        changes = _placed(_placed(changes, at.is_valid(), "new"), differs, "equal")
        reasons, outputs = (_placed(_placed(each, at.is_valid(), None), differs, None) for each in (reasons, outputs))
        shown = [entries.select(_visible(entries)) for entries in (self._after, gone) if entries.num_columns]
        rows = _concatenated(shown) if shown else pa.table({})
        columns: dict[str, Any] = dict(zip(rows.column_names, rows.columns, strict=True))
        columns[free_name("change", tags)] = pa.concat_arrays([changes, _repeated("gone", gone.num_rows)])
        columns[free_name("why", tags)] = pa.concat_arrays([reasons, _repeated(None, gone.num_rows)])
        outputs = pa.concat_arrays([outputs, _repeated(None, gone.num_rows)])
        columns[free_name("outputs", tags)] = _named(self._outputs, outputs)
        return pa.table(columns)

    def _tag_hashes(self, path: RecordPath, entries: pa.Table) -> pa.Array[Any]:
        """Return what tells the tags of rows, and what they are called, from those of others."""
        tags: list[str] = []
        if entries.num_rows:
            there = self._store.database.at(*self._runs[0].pipeline).get_records_by_ids(path, []).schema
            tags = sorted(telling_tags(there, _visible(entries)))
        if not tags:
            return pa.array([b""] * entries.num_rows, pa.binary())
        return pa.array([each for batch in entries.select(tags).to_batches() for each in hash_rows(batch)])

    def _changes(self, before: pa.Table, after: pa.Table) -> tuple[pa.Array[Any], pa.Array[Any], pa.Array[Any]]:
        """Return what became of rows with the same tags, why, and which outputs differ, as ``_named`` reads it."""
        if not after.num_rows:
            return (_repeated(None, 0),) * 3
        one, other = (
            _by_content(results_at(self._store.database, path, entries.column(RECORD_ID)))
            for path, entries in zip(self._paths, (before, after), strict=True)
        )
        is_equal = is_close = pc.equal(before.column(RECORD_ID), after.column(RECORD_ID))
        moved = _repeated(None, after.num_rows)
        if (outputs := _visible(one)) and set(outputs) == set(_visible(other)):
            found = [_same(one.column(name), other.column(name), self._rtol) for name in outputs]
            is_equal = pc.or_(is_equal, reduce(pc.and_, (equal for equal, _ in found)))
            is_close = pc.or_(is_close, reduce(pc.and_, (close for _, close in found)))
            self._outputs = outputs
            moved = _joined(pc.invert(pc.if_else(is_close, equal, close)) for equal, close in found)
        is_known = pc.and_(has_values(one), has_values(other))
        differing = pc.if_else(is_known, pc.if_else(is_close, "close", "changed"), "unknown")
        changes = _combined(pc.if_else(pc.and_(is_known, is_equal), "equal", differing))
        differs = pc.not_equal(changes, "equal")
        moved = pc.if_else(pc.is_in(changes, value_set=pa.array(["close", "changed"])), moved, None)
        rows = [table.filter(differs) for table in (before, after, one, other)]
        if "__code" not in one.column_names or "__code" not in other.column_names:
            elsewhere = (
                "not in this store: the results are in another (result_database=), or were removed; "
                f"{self._label}.at(run_id) of the pipeline gives them"
            )
            return changes, pc.if_else(differs, elsewhere, None), moved
        reasons = _placed(self._reasons(*rows), differs, None) if rows[0].num_rows else _repeated(None, len(changes))
        return changes, reasons, moved

    def _reasons(self, before: pa.Table, after: pa.Table, one: pa.Table, other: pa.Table) -> pa.Array[Any]:
        """Return why the records of these rows differ; there are few different reasons, so that each is made once."""
        before, after = (
            provenance_at(self._store.database.at(*run.pipeline), path, entries.column(0))
            for run, path, entries in zip(self._runs, self._paths, (before, after), strict=True)
        )
        names = [name for name in after.column_names if name.startswith(SOURCE_INFO) and name in before.column_names]
        facts: list[Any] = [one.column("__code"), other.column("__code")]
        facts.append(pc.not_equal(one.column("__packet_hash"), other.column("__packet_hash")))
        facts += [pc.not_equal(_comparable(before.column(name)), _comparable(after.column(name))) for name in names]
        is_moved = reduce(pc.or_, facts[3:], pa.repeat(False, after.num_rows))
        is_unexplained = pc.and_(facts[2], pc.invert(is_moved))
        facts += [_are_of_source(after.column(name), is_unexplained) for name in names]
        encoded = _joined(facts).dictionary_encode()
        columns = [name.removeprefix(SOURCE_INFO) for name in names]
        reasons = [self._reason(text.split("|"), columns) for text in encoded.dictionary.to_pylist()]
        given: pa.Array[Any] = pa.array(reasons, pa.string()).take(encoded.indices)
        return given

    def _reason(self, facts: Sequence[str], columns: Sequence[str]) -> str:
        before, after, is_other_packet, *flags = facts
        moved, of_sources = (_flagged(columns, each) for each in (flags[: len(columns)], flags[len(columns) :]))
        reasons = []
        if before != after:
            reasons.append(f"code: {self._edited(before, after)}")
        if is_other_packet == "true":
            reasons.append(
                f"input: {', '.join(moved)}" if moved else f"value in source: {' or '.join(of_sources or columns)}"
            )
        return "; ".join(reasons) or "computed again"

    def _edited(self, before: str, after: str) -> str:
        """Return the parts of code that differ."""
        try:
            changes = compare_parts(self._store.code(before), self._store.code(after))
        except (ConfigError, UnknownCodeError):  # of a record of which nothing is left
            return f"{before or 'unknown'} is {after or 'unknown'} now"
        parts = [change.after or change.before for change in changes]
        return ", ".join(f"{part.kind} {part.name}" for part in parts if part is not None)


def _is_no_provenance(column: str) -> bool:
    """Say whether a column of entries is none that says what they are made of, which are most of the bytes."""
    return not column.startswith((SOURCE_INFO, SOURCE_TAG, RECORD_TAG))


def _visible(table: pa.Table) -> list[str]:
    """Return the columns that are the user's."""
    return [name for name in table.column_names if not name.startswith("_")]


def _keys(entries: pa.Table) -> Any:
    return _combined(entries.column(0)) if entries.num_columns else pa.array([], pa.large_binary())


def _concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables below each other; where a tag has changed its type, as text."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        texts = [
            pa.table({name: [str(value) for value in table.column(name).to_pylist()] for name in table.column_names})
            for table in tables
        ]
        return pa.concat_tables(texts, promote_options="permissive")


def _numbered(keys: pa.Array[Any]) -> pa.Array[Any]:
    """Return keys that are all different: those that come again with how many were before."""
    if pc.count_distinct(keys).as_py() == len(keys):
        return keys
    seen: Counter[bytes] = Counter()
    found: list[Any] = keys.to_pylist()
    for at, key in enumerate(found):
        found[at] = key + b"%d" % seen[key] if seen[key] else key
        seen[key] += 1
    numbered: pa.Array[Any] = pa.array(found, keys.type)
    return numbered


def _placed(values: pa.Array[Any], mask: Any, other: str | None) -> pa.Array[Any]:
    """Return values at the places where a mask holds, and another everywhere else."""
    placed: pa.Array[Any] = pc.replace_with_mask(_repeated(other, len(mask)), _combined(mask), values)
    return placed


def _repeated(text: str | None, length: int) -> pa.Array[Any]:
    repeated: pa.Array[Any] = pa.array([text] * length, pa.string())
    return repeated


def _joined(facts: Iterable[Any]) -> Any:
    """Return facts about rows as one text for each: ``true|false``."""
    return pc.binary_join_element_wise(
        *(pc.fill_null(pc.cast(_combined(fact), pa.string()), "") for fact in facts), "|"
    )


def _named(names: Sequence[str], flags: Any) -> Any:
    """Return of which names each row has a flag, given its flags as one text; there are few different ones."""
    encoded = flags.dictionary_encode()
    lists = [_flagged(names, text.split("|")) for text in encoded.dictionary.to_pylist()]
    return pa.array(lists, pa.list_(pa.string())).take(encoded.indices)


def _flagged(names: Sequence[str], flags: Sequence[str]) -> list[str]:
    return [name for name, flag in zip(names, flags, strict=True) if flag == "true"]


def _combined(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _comparable(column: Any) -> Any:
    """Return values that Arrow can compare."""
    return encode(_combined(column)) if pat.is_nested(column.type) else column


def _are_of_source(provenance: Any, wanted: Any) -> pa.Array[Any]:
    """Say of the values of a column which come straight from a source, in the rows that are wanted."""
    texts = _combined(provenance.filter(wanted))
    if pat.is_nested(texts.type):
        texts = pa.array(map(str, texts.to_pylist()), pa.large_string())
    computed = pc.fill_null(pc.match_substring_regex(texts, _COMPUTED), False)
    found: pa.Array[Any] = pc.replace_with_mask(
        pa.repeat(False, len(provenance)), _combined(wanted), pc.invert(computed)
    )
    return found


def _by_content(results: pa.Table) -> pa.Table:
    """Return results with what tells bytes that lie in files from others in their place."""
    for name, files in large_bytes(results).items():
        digests = [files[row]["file"]["digest"].encode() if row in files else None for row in range(len(results))]
        values = pc.coalesce(results.column(name), pa.array(digests, pa.large_binary()))
        results = results.set_column(results.schema.get_field_index(name), name, values)
    return results


def _same(one: Any, other: Any, rtol: float) -> tuple[Any, Any]:
    """Say where two columns have equal values, and where their numbers are close enough."""
    if one.type != other.type:
        return (pa.array([False] * len(one)),) * 2
    columns = _combined(one), _combined(other)
    equal = close(*columns, 0.0)
    return equal, close(*columns, rtol) if rtol else equal
