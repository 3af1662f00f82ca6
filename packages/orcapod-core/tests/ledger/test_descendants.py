"""What was made of a row are the rows whose trees it is in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.ledger import ComputedRow, Origin, RowGroup
from orcapod.sources import DictSource


@op.function_pod(output_keys="y", identity="version")
def plus(x: int) -> int:
    return x + 1


@op.function_pod(output_keys="total", identity="version")
def total(y: list[int]) -> int:
    return sum(y)


@op.function_pod(output_keys="share", identity="version")
def share(y: int, total: int) -> float:
    return y / total


def rows_of(tree: Origin) -> Iterator[tuple[str, str, str]]:
    if isinstance(tree, ComputedRow):
        yield tree.node, repr(dict(tree.tags)), tree.record_id
    below = tree.members() if isinstance(tree, RowGroup) else tree.inputs
    for each in below:
        yield from rows_of(each)


@settings(max_examples=6)
@given(nights=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=1, max_size=2))
@example(nights=[[0, 0, 0, 0, 1], [0, 0, 1, 0, 0]])  # a total that is found was made of the first night's list
def test_a_row_is_made_of_another_if_that_is_in_its_tree(nights: list[list[int]]) -> None:
    with MemoryDatabase() as database:
        for night in nights:
            with op.Pipeline("p", database) as pipeline:
                rows = [{"k": "ab"[i % 2], "i": i, "x": x} for i, x in enumerate(night)]
                each = plus.pod(DictSource(rows, ["k", "i"], source_id="s", record_id_column="i"), label="plus")
                groups = total.pod(each.group_by("k", tags="drop"), label="total")
                share.pod(each.join(groups), label="share")
            run_id = pipeline.run(progress=False).run_id
        store = op.open_store(database)
        given_rows: dict[tuple[str, str, str], dict[str, Any]] = {}
        for label, names in {"plus": ["k", "i"], "total": ["k"], "share": ["k", "i"]}.items():
            entries = store.entries("p", label, run_id)
            for tags, record_id in zip(entries.select(names).to_pylist(), entries["__record_id"], strict=True):
                given_rows[label, repr(tags), record_id.as_py().hex()] = tags
        trees = {
            key: {*rows_of(store.trace("p", key[0], tags, run=run_id))} - {key} for key, tags in given_rows.items()
        }
        for key, tags in given_rows.items():
            found = store.descendants("p", key[0], tags, run_id)
            below = {(each.node, repr(tag)) for each in found for tag in each.tags().to_pylist()}
            assert below == {other[:2] for other, tree in trees.items() if key in tree}
            assert all(each.rows == each.tags().num_rows for each in found)
