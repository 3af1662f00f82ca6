"""Measure every operator beside the plain pyarrow operation (or polars', if installed) on the same data.

Usage: operators.py [--repeat 5] [--rows 100000] [--only Batch Explode ...]

An operator is given chunks and gives chunks, with the ids of every row and the provenance of every value; beside it
stands what one would write for the same rows of the same columns without any. Taken in turns, as in ``run.py``, in
processor time. What copies nothing takes some microseconds, whatever the rows: there, the difference counts.
"""

import argparse
import gc
import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from run import Table, in_turns

from orcapod.operators import (
    Aggregate,
    Batch,
    Concat,
    DropNulls,
    Explode,
    Filter,
    GroupBy,
    Head,
    Index,
    Join,
    MapPackets,
    MergeJoin,
    Operator,
    Pick,
    Sample,
    SelectPacketColumns,
    SemiJoin,
    Sort,
    in_turn,
    run_operator,
)
from orcapod.sources import ArrowTableSource
from orcapod.streams import Stream

Case = tuple[str, Operator, Sequence[Stream], Callable[[], object]]

_COPY_NOTHING = ("SelectPacketColumns", "MapPackets", "Concat", "Head")
_CALLS = 20


def spent(action: Callable[[], object], calls: int) -> float:
    """Processor time of one call of the action, of so many."""
    gc.collect()
    started = time.process_time()
    for _ in range(calls):
        action()
    return (time.process_time() - started) / calls


def cases(rows: int) -> Iterator[Case]:
    """An operator, its inputs, and the same without orcapod."""
    numbers = range(rows)
    left = pa.table(
        {
            "key": numbers,
            "group": [i * 7 % 1000 for i in numbers],
            "x": [i * 0.5 for i in numbers],
            "s": [f"s{i}" for i in numbers],
        }
    )
    right = pa.table(
        {"key": range(rows - 1, -1, -1), "x": [i * 0.25 for i in numbers], "z": [f"z{i}" for i in numbers]}
    )
    half = right.slice(0, rows // 2)
    holes = left.set_column(2, "x", pa.array([None if i % 10 == 0 else i * 0.5 for i in numbers]))
    a = ArrowTableSource(left, ["key", "group"], source_id="a")
    b = ArrowTableSource(right, ["key"], source_id="b")
    c = ArrowTableSource(left, ["key", "group"], source_id="c")
    sparse = ArrowTableSource(holes, ["key", "group"], source_id="sparse")
    some = ArrowTableSource(half, ["key"], source_id="some")
    lists = left.group_by("group").aggregate([(name, "list") for name in ("key", "x", "s")])
    names = ["group", "key", "x", "s"]

    def listed(size: int) -> pa.Table:
        ends = pa.array(range(0, rows + 1, size), pa.int64())
        whole = left.combine_chunks()
        return pa.table([pa.LargeListArray.from_arrays(ends, column.chunk(0)) for column in whole.columns], names)

    def exploded() -> pa.Table:
        flat = [pc.list_flatten(lists.column(f"{name}_list")) for name in names[1:]]
        parents = pc.list_parent_indices(lists.column("key_list"))
        return pa.table([lists.column("group").take(parents), *flat], names)

    yield "SelectPacketColumns", SelectPacketColumns(["s"]), [a], lambda: left.select(["key", "group", "s"])
    yield "MapPackets", MapPackets({"x": "y"}), [a], lambda: left.rename_columns(["key", "group", "y", "s"])
    yield "Concat", Concat(), [a, c], lambda: pa.concat_tables([left, left])
    yield "Concat, copied", Concat(), [a, c], lambda: pa.concat_tables([left, left]).combine_chunks()
    yield "Batch", Batch(10), [a], lambda: listed(10)
    yield "Filter", Filter(pc.field("x") > rows / 4), [a], lambda: left.filter(pc.field("x") > rows / 4)
    yield "DropNulls", DropNulls(["x"]), [sparse], holes.drop_null
    yield (
        "GroupBy",
        GroupBy("group"),
        [a],
        lambda: left.group_by("group", use_threads=False).aggregate([(name, "list") for name in ("key", "x", "s")]),
    )
    grouped = a.group_by("group")
    yield "Explode", Explode(["key", "x", "s"]), [grouped], exploded
    yield "SemiJoin", SemiJoin(), [a, some], lambda: left.join(half.select(["key"]), "key", join_type="left semi")
    yield "Head", Head(50_000), [a], lambda: left.slice(0, 50_000)
    yield "Sort", Sort("x", descending=True), [a], lambda: left.sort_by([("x", "descending")])
    yield (
        "Sort by two",
        Sort("group", "s"),
        [a],
        lambda: left.sort_by([("group", "ascending"), ("s", "ascending")]),
    )
    yield (
        "Aggregate",
        Aggregate("group", n="count", total=("x", "sum"), mean=("x", "mean"), last=("s", "max")),
        [a],
        lambda: left.group_by("group", use_threads=False).aggregate(
            [([], "count_all"), ("x", "sum"), ("x", "mean"), ("s", "max")]
        ),
    )
    wide = listed(10).append_column(
        "d", pa.array([[("a", 1), ("b", 2)]] * (rows // 10), pa.map_(pa.string(), pa.int64()))
    )
    deep = ArrowTableSource(pa.concat_tables([wide] * 10), ["group"], source_id="deep")
    lists_of_ten = pa.concat_tables([wide] * 10)
    yield "Index", Index("x", 3), [deep], lambda: taken(lists_of_ten, "x", lambda column: pc.list_element(column, 3))
    yield (
        "Pick",
        Pick("d", "b"),
        [deep],
        lambda: taken(lists_of_ten, "d", lambda column: pc.map_lookup(column, pa.scalar("b"), "first")),
    )
    yield "Sample, a share", Sample(fraction=0.1), [a], lambda: hashed(left, 0.1)
    yield "Sample, a number", Sample(n=1000), [a], lambda: hashed(left, 0.01)
    renamed = b.map_packets({"x": "y"})
    plain = right.rename_columns(["key", "y", "z"])
    yield "Join", Join(), [a, renamed], lambda: left.join(plain, "key", join_type="inner")
    yield "MergeJoin", MergeJoin(), [a, b], lambda: left.join(plain, "key", join_type="inner")
    if importlib.util.find_spec("polars"):
        yield from with_polars(rows, left, a)


def taken(table: pa.Table, name: str, function: Callable[[pa.ChunkedArray], object]) -> pa.Table:
    """The table with something made of one column."""
    return table.set_column(table.column_names.index(name), name, function(table.column(name)))


def hashed(table: pa.Table, share: float) -> pa.Table:
    """Some rows, by a hash of each that is the same in every process."""
    rows = zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True)
    bound = int(share * 2**64)
    chosen = [int.from_bytes(sha256(repr(row).encode()).digest()[:8]) < bound for row in rows]
    return table.filter(pa.array(chosen))


def with_polars(rows: int, table: pa.Table, stream: Stream) -> Iterator[Case]:
    """The same beside polars."""
    import polars as pl  # noqa: PLC0415  # the other operators can be measured without it

    frame: Any = pl.from_arrow(table)
    wanted = pl.col("x") > rows / 4
    lists = frame.group_by("group", maintain_order=True).agg(pl.all())
    nested = stream.group_by("group")
    yield "Filter, polars", Filter(wanted), [stream], lambda: frame.filter(wanted)
    yield (
        "GroupBy, polars",
        GroupBy("group"),
        [stream],
        lambda: frame.group_by("group", maintain_order=True).agg(pl.all()),
    )
    yield "Sort, polars", Sort("x", descending=True), [stream], lambda: frame.sort("x", descending=True)
    yield (
        "Aggregate, polars",
        Aggregate("group", n="count", total=("x", "sum"), mean=("x", "mean"), last=("s", "max")),
        [stream],
        lambda: frame.group_by("group", maintain_order=True).agg(
            pl.len(), pl.col("x").sum().alias("total"), pl.col("x").mean().alias("mean"), pl.col("s").max()
        ),
    )
    yield "Sample, polars", Sample(fraction=0.1), [stream], lambda: frame.filter(frame.hash_rows() % 10 == 0)
    yield "Explode, polars", Explode(["key", "x", "s"]), [nested], lambda: lists.explode(["key", "x", "s"])


def main() -> None:
    """Take the measures asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="how often each measure is taken (default 5)")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", help="the beginnings of names of measures")
    options = parser.parse_args()
    table = Table()
    table.head()
    for name, operator, inputs, beside in cases(options.rows):
        if options.only and not name.startswith(tuple(options.only)):
            continue
        chunks = [list(stream.chunks()) for stream in inputs]

        def ours(operator=operator, inputs=inputs, chunks=chunks) -> list[object]:
            return list(run_operator(operator.push_operator(inputs), in_turn(chunks)))

        calls = _CALLS if name in _COPY_NOTHING else 1
        figures = in_turns(
            options.repeat,
            lambda ours=ours, calls=calls: spent(ours, calls),
            lambda beside=beside, calls=calls: spent(beside, calls),
        )
        if name in _COPY_NOTHING:
            more = (min(figures[0]) - min(figures[1])) * 1e6
            print(f"{name}, {options.rows:,} rows: {more:.0f} µs more, at most 50" + " MISSED" * (more > 50))
        else:
            table.line(f"{name}, {options.rows:,} rows, ms", *figures, at_most=5, unit=1e3)


if __name__ == "__main__":
    main()
