"""``compare``: what two runs gave, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.errors import ConfigError
from orcapod.hashing import hash_rows
from orcapod.ledger.store import GivenRows, Store
from orcapod.types import encode

__all__ = ["compare"]


def compare(store: Store, before: str, after: str, *, rtol: float = 0.0) -> Mapping[str, pa.Table]:
    """Return for each function node that two runs of a pipeline have in common, what became of its rows.

    Rows are held against each other by their tags; where several have the same, in the order in which they are.

    Args:
        store: where the runs are.
        before: the name of one run, or the beginning of it.
        after: that of the other.
        rtol: numbers that differ by no more than this part of the larger one are ``equal``.

    Returns:
        for each node a table of the tags and ``change``: ``equal``, ``changed``, ``new`` or ``gone``.

    Raises:
        UnknownRunError: there is no such run.
        ConfigError: they are runs of two pipelines.
    """
    check = Checks("compare")
    check.instance("store", store, Store, "a Store", "give op.open_store('lab.db')")
    if not isinstance(rtol, int | float) or not 0 <= rtol < 1:
        raise check.wrong("rtol", rtol, "a number from 0 to less than 1")
    one, other = store.run(before), store.run(after)
    if one.pipeline != other.pipeline:
        raise ConfigError(
            f"compare: found a run of {'/'.join(one.pipeline)} and one of {'/'.join(other.pipeline)}, expected two of "
            "one pipeline"
        )
    name = "/".join(one.pipeline)
    return {
        label: _compared(store.given_rows(name, label, one.run_id), store.given_rows(name, label, other.run_id), rtol)
        for label in one.functions
        if label in other.functions
    }


def _compared(before: GivenRows, after: GivenRows, rtol: float) -> pa.Table:
    """Return the tags of all rows of two runs, those of the later one first, and what became of each."""
    earlier, later = _keys(before), _keys(after)
    at = pc.index_in(later, value_set=earlier)
    rows, others = pc.indices_nonzero(at.is_valid()), at.drop_null()
    changes = ["new"] * len(later)
    for row, is_equal in zip(rows.to_pylist(), _are_equal(before, after, others, rows, rtol), strict=True):
        changes[row] = "equal" if is_equal else "changed"
    gone = before.table.filter(pc.invert(pc.is_in(earlier, value_set=later)))
    parts = [each.select(given.tags) for each, given in ((after.table, after), (gone, before)) if given.tags]
    told = pa.array([*changes, *["gone"] * gone.num_rows], pa.large_string())
    if not parts:
        return pa.table({"change": told})
    return pa.concat_tables(parts, promote_options="permissive").append_column("change", told)


def _keys(given: GivenRows) -> pa.Array[Any]:
    """Return what tells each row from the others: its tags, and how many rows before it have the same."""
    if given.tags:
        hashes = [each for batch in given.table.select(given.tags).to_batches() for each in hash_rows(batch)]
    else:
        hashes = [b""] * given.table.num_rows
    seen: Counter[bytes] = Counter()
    keys = []
    for each in hashes:
        keys.append(each + seen[each].to_bytes(8, "big"))
        seen[each] += 1
    return pa.array(keys, pa.large_binary())


def _are_equal(before: GivenRows, after: GivenRows, earlier: Any, later: Any, rtol: float) -> list[bool]:
    """Say which rows of two runs, given by their positions, have equal outputs."""
    if not len(later):
        return []
    if set(before.outputs) != set(after.outputs):
        return [False] * len(later)
    one, other = before.table.take(earlier), after.table.take(later)
    equal: Any = pc.equal(one.column("record_id"), other.column("record_id"))
    if pc.all(equal).as_py():
        return [True] * len(later)
    columns = [_same(one.column(name), other.column(name), rtol) for name in after.outputs]
    same: list[bool] = pc.or_(equal, reduce(pc.and_, columns)).to_pylist()
    return same


def _same(one: Any, other: Any, rtol: float) -> Any:
    """Say where two columns have the same values, or numbers that are close enough."""
    if one.type != other.type:
        return pa.chunked_array([pa.array([False] * len(one))])
    both_null = pc.and_(one.is_null(), other.is_null())
    if pat.is_floating(one.type):
        close = pc.less_equal(
            pc.abs(pc.subtract(one, other)), pc.multiply(pc.max_element_wise(pc.abs(one), pc.abs(other)), rtol)
        )
        close = pc.or_(pc.or_(close, pc.equal(one, other)), pc.and_(pc.is_nan(one), pc.is_nan(other)))
    elif pat.is_nested(one.type):
        close = pc.equal(encode(one.combine_chunks()), encode(other.combine_chunks()))
    else:
        close = pc.equal(one, other)
    return pc.or_(both_null, pc.fill_null(close, False))
