"""``Sort``, ``Head`` and ``Sample`` against the same said in plain Python, over random rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, timedelta
from threading import Thread
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.datagrams import Chunk
from orcapod.errors import ConfigError, SchemaError
from orcapod.operators import Head, Sample, Sort
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import ArrowTableSource, DictSource, Source
from orcapod.testing.strategies import ALL_COLUMNS, bag, scattered

TYPES = {"k": int, "f": float | None, "s": str | None, "b": bool, "d": timedelta | None, "x": int}
VALUES = {
    "k": st.integers(0, 99),
    "f": st.sampled_from([None, 0.0, -0.0, math.nan, 1.5, -math.inf]),
    "s": st.sampled_from([None, "", "a", "Z", "é", "😀", "\uffff"]),
    "b": st.booleans(),
    "d": st.none() | st.integers(-2, 2).map(timedelta),
    "x": st.integers(0, 1),
}
Rows = list[dict[str, Any]]
ROWS = st.lists(st.fixed_dictionaries(VALUES).map(lambda row: {name: row[name] for name in TYPES}), max_size=10)
ORCHESTRATORS = [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator(buffer_size=1)]


def source(rows: Rows, name: str = "s") -> DictSource:
    return DictSource(rows, ["k", "f"], data_schema=TYPES, source_id=name)


def shown(rows: Rows) -> list[str]:
    return [repr(row) for row in rows]


def in_order(rows: Rows, by: list[tuple[str, bool]]) -> Rows:
    """Sorted by the last column first, each time keeping the order that there is."""
    for name, descending in reversed(by):

        def is_nan(value: Any) -> bool:
            return isinstance(value, float) and math.isnan(value)

        values = [row for row in rows if row[name] is not None and not is_nan(row[name])]
        rows = [
            *sorted(values, key=lambda row: row[name], reverse=descending),
            *[row for row in rows if is_nan(row[name])],
            *[row for row in rows if row[name] is None],
        ]
    return rows


@given(rows=ROWS, names=st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=3, unique=True), data=st.data())
def test_sort_puts_rows_in_the_order_of_python_null_behind_all(
    rows: Rows, names: list[str], data: st.DataObject
) -> None:
    descending = data.draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    made = source(rows).sort(*names, descending=descending)
    expected = shown(in_order(rows, list(zip(names, descending, strict=True))))
    assert shown(made.as_table().to_pylist()) == expected
    assert shown([row for chunk in data.draw(scattered(made)) for row in chunk.table().to_pylist()]) == expected


def test_descending_is_for_all_columns_or_for_each() -> None:
    rows = source([{"k": k, "f": f, "s": "", "b": True, "d": None, "x": 0} for k in (1, 2) for f in (1.0, 2.0)])
    both = rows.sort(["k", "f"], descending=True).as_table().select(["k", "f"]).to_pylist()
    assert both == [{"k": k, "f": f} for k in (2, 1) for f in (2.0, 1.0)]
    assert Sort("k", "f", descending=True).content_hash() == Sort("k", "f", descending=[True, True]).content_hash()
    assert len({Sort("k").content_hash(), Sort("f").content_hash(), Sort("k", descending=True).content_hash(),
                Sort("k", "f").content_hash(), Sort("f", "k").content_hash()}) == 5  # fmt: skip


@pytest.mark.parametrize(
    ("sort", "words"),
    [
        (lambda s: s.sort(), "found no column to sort by"),
        (lambda s: s.sort("k", "k"), "named twice"),
        (lambda s: s.sort("q"), "no column 'q'; found .'k', 'l'"),
        (lambda s: s.sort("l"), r"column 'l' is list\[int\], expected values that have an order: bool, int"),
        (
            lambda s: s.sort("k", descending=[True, False]),
            "found descending .*, expected True or False, or one of them",
        ),
        (lambda s: s.sort("k", "x", descending=[True]), "found descending .True., expected True or False, or one"),
        (lambda s: s.sort("k", descending=["yes"]), "found descending 'yes', expected True or False"),
        (lambda s: s.sample(), "expected one of the two; write fraction=0.1, or n=100"),
        (lambda s: s.sample(fraction=0.5, n=1), "found fraction 0.5 and n 1"),
        (lambda s: s.sample(fraction=1.5), "found fraction 1.5, expected a number from 0 to 1"),
        (lambda s: s.sample(fraction=-0.1), "found fraction -0.1"),
        (lambda s: s.sample(n=-1), "found n -1, expected an int from 0 on"),
        (lambda s: s.sample(n=1, seed=0.5), "found seed 0.5"),
    ],
)
def test_what_cannot_be_done_is_refused_while_it_is_built(sort: Any, words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        sort(DictSource([{"k": 1, "l": [1]}], ["k"]))


@given(rows=ROWS, n=st.integers(0, 12), data=st.data())
def test_head_gives_the_first_rows(rows: Rows, n: int, data: st.DataObject) -> None:
    made = source(rows).head(n)
    expected = shown(rows[:n])
    assert shown(made.as_table().to_pylist()) == expected
    assert shown([row for chunk in data.draw(scattered(made)) for row in chunk.table().to_pylist()]) == expected


def test_head_gives_five_rows_and_takes_no_other_number_than_one() -> None:
    rows = DictSource([{"k": k} for k in range(9)], ["k"])
    assert rows.head().as_table().num_rows == 5
    assert Head(3).content_hash() != Head(4).content_hash()
    with pytest.raises(ConfigError, match="found n -1, expected an int from 0 on"):
        rows.head(-1)


class Endless(Source):
    """A source that never ends."""

    def __init__(self) -> None:
        self._rows = DictSource([{"k": 1, "x": 2}] * 999, ["k"], source_id="endless")
        self.schema, self.source_id, self.label = self._rows.schema, "endless", "endless"

    def chunks(self) -> Iterator[Chunk]:
        while True:
            yield from self._rows.chunks()

    def content_hash(self) -> Any:
        return self._rows.content_hash()


def test_head_asks_for_no_more_rows_than_it_needs() -> None:
    assert Endless().map_packets({"x": "y"}).head(100_000).as_table().num_rows == 100_000
    assert list(Endless().head(0).chunks()) == []


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_what_is_before_a_head_is_computed_whole_and_in_order(orchestrator: Any) -> None:
    """In a run: what a function gives is stored, whoever reads it; and nobody waits for room that is never made."""

    @op.function_pod(output_keys="y", max_concurrency=4, identity="version")
    async def negative(x: int) -> int:
        return -x

    rows = DictSource([{"k": k, "x": k % 50} for k in range(400)], ["k"], source_id="s")
    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        made = negative.pod(rows, label="negative")
        first = made.head(3)
        low = made.sort("y").head(8)
        op.function_pod(output_keys="z", identity="version")(spread).pod(first.batch(), label="first")
        op.function_pod(output_keys="z", identity="version")(spread).pod(low.batch(), label="low")
    result = pipeline.run(orchestrator)
    assert result.ok
    assert result.counts("negative")["computed"] == 50
    assert pipeline.negative.as_table().num_rows == 400
    assert pipeline.first.as_table().column("z").to_pylist() == [[0, -1, -2]]
    assert pipeline.low.as_table().column("z").to_pylist() == [[-49] * 8]


def doubled(y: int) -> int:
    return y * 2


def test_nobody_waits_for_room_before_a_head_that_has_its_rows() -> None:
    """More chunks come than a channel holds."""
    rows = ArrowTableSource(pa.table({"k": range(400_000), "y": range(400_000)}), ["k"], source_id="s")
    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        few = rows.map_packets({"y": "x"}).map_packets({"x": "y"}).head(2)
        op.function_pod(output_keys="z", identity="version")(doubled).pod(few, label="few")
    run = Thread(target=pipeline.run, args=[AsyncPipelineOrchestrator(buffer_size=1)], daemon=True)
    run.start()
    run.join(60)
    assert not run.is_alive()
    assert pipeline.few.as_table().column("z").to_pylist() == [0, 2]


def spread(y: list[int]) -> list[int]:
    return y


@given(rows=ROWS, fraction=st.floats(0, 1), seed=st.integers(-3, 3), data=st.data())
def test_a_share_is_the_same_rows_in_any_order_among_any_others(
    rows: Rows, fraction: float, seed: int, data: st.DataObject
) -> None:
    """And part of every larger share."""
    made = source(rows).sample(fraction=fraction, seed=seed)
    chosen = shown(made.as_table().to_pylist())
    others = data.draw(st.permutations(rows))
    ways = shown(source(others, "t").sample(fraction=fraction, seed=seed).as_table().to_pylist())
    assert sorted(ways) == sorted(chosen)
    alone = [row for row in rows if source([row]).sample(fraction=fraction, seed=seed).as_table().num_rows]
    assert chosen == shown(alone)
    larger = source(rows).sample(fraction=min(1.0, fraction * 2), seed=seed).as_table().to_pylist()
    assert set(chosen) <= set(shown(larger))
    found = [row for chunk in data.draw(scattered(made)) for row in chunk.table().to_pylist()]
    assert shown(found) == chosen


@given(rows=ROWS, n=st.integers(0, 12), seed=st.integers(-3, 3), data=st.data())
def test_a_number_of_rows_is_the_same_in_any_order(rows: Rows, n: int, seed: int, data: st.DataObject) -> None:
    made = source(rows).sample(n=n, seed=seed)
    chosen = shown(made.as_table().to_pylist())
    assert len(chosen) == min(n, len(rows))
    (name,) = made.schema.system_tags.select([each for each in made.schema.system_tags if "record_id" in each])
    at = [int(each.removeprefix("row_")) for each in made.as_table(ALL_COLUMNS)[name].to_pylist()]
    assert at == sorted(at), "rows stay in order"
    others = source(data.draw(st.permutations(rows)), "t").sample(n=n, seed=seed).as_table().to_pylist()
    assert sorted(shown(others)) == sorted(chosen)
    if n:
        fewer = source(rows).sample(n=n - 1, seed=seed).as_table().to_pylist()
        assert set(shown(fewer)) <= set(chosen)
    parts = data.draw(scattered(made))
    everything = bag(made.schema.tags | made.schema.packets | made.schema.system_tags, whole(made, parts))
    assert everything == bag(
        made.schema.tags | made.schema.packets | made.schema.system_tags, whole(made, made.chunks())
    )


def whole(made: Any, chunks: Any) -> pa.Table:
    tags, packets = made.output_schema(ALL_COLUMNS)
    return pa.concat_tables([(tags | packets).arrow.empty_table(), *(each.table(ALL_COLUMNS) for each in chunks)])


def test_shares_are_fair_and_seeds_choose_other_rows() -> None:
    rows = ArrowTableSource(pa.table({"k": range(20_000)}), ["k"], source_id="s")
    for fraction in (0.0, 0.25, 1.0):
        found = rows.sample(fraction=fraction).as_table().num_rows
        assert abs(found - 20_000 * fraction) <= 500  # 8 standard deviations
    one, other = (set(rows.sample(n=5_000, seed=seed).as_table().column("k").to_pylist()) for seed in (1, 2))
    assert len(one) == len(other) == 5_000
    assert abs(len(one & other) - 1_250) <= 300
    assert len({Sample(n=1).content_hash(), Sample(n=2).content_hash(), Sample(fraction=1).content_hash(),
                Sample(n=1, seed=1).content_hash()}) == 4  # fmt: skip


@given(rows=ROWS)
def test_a_sample_of_all_is_all(rows: Rows) -> None:
    assume(rows)
    stream = source(rows)
    everything = shown(stream.as_table(ALL_COLUMNS).to_pylist())
    assert shown(stream.sample(fraction=1).as_table(ALL_COLUMNS).to_pylist()) == everything
    assert shown(stream.sample(n=len(rows)).as_table(ALL_COLUMNS).to_pylist()) == everything


def test_of_equal_rows_their_ids_tell_which_one_is_chosen() -> None:
    rows = [{"k": 1, "x": at % 2} for at in range(40)]
    stream = DictSource(rows, ["k"], source_id="s")
    ids = list(stream.schema.system_tags)

    def chosen(order: list[int]) -> set[str]:
        parts = Sample(n=9).push_operator([stream])
        (chunk,) = stream.chunks()
        for at in order:
            list(parts.push(0, chunk.slice(at, 1)))
        return {row[ids[1]] for each in parts.close(0) for row in each.table(ALL_COLUMNS).to_pylist()}

    assert chosen(list(range(40))) == chosen(list(range(39, -1, -1)))


def test_dates_and_times_are_sorted() -> None:
    rows = DictSource([{"k": k, "d": date(2020, 1, 9 - k)} for k in range(5)], ["k"])
    assert rows.sort("d").as_table().column("k").to_pylist() == [4, 3, 2, 1, 0]
