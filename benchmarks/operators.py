"""Measure every operator beside the plain pyarrow operation (or polars', if installed) on the same data.

Usage: operators.py [--repeat 5] [--rows 100000] [--only Batch Explode ...]

An operator is given chunks and gives chunks, with the ids of every row and the provenance of every value; beside it
stands what one would write for the same rows of the same columns without any. Taken in turns, as in ``run.py``.
"""

import argparse
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from run import Table, in_turns, seconds

from orcapod.operators import (
    Batch,
    Concat,
    DropNulls,
    Explode,
    Filter,
    GroupBy,
    Join,
    MapPackets,
    MergeJoin,
    Operator,
    SelectPacketColumns,
    SemiJoin,
    in_turn,
    run_operator,
)
from orcapod.sources import ArrowTableSource
from orcapod.streams import Stream

Case = tuple[str, Operator, Sequence[Stream], Callable[[], object]]


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
    renamed = b.map_packets({"x": "y"})
    plain = right.rename_columns(["key", "y", "z"])
    yield "Join", Join(), [a, renamed], lambda: left.join(plain, "key", join_type="inner")
    yield "MergeJoin", MergeJoin(), [a, b], lambda: left.join(plain, "key", join_type="inner")
    if importlib.util.find_spec("polars"):
        yield from with_polars(rows, left, a)


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

        figures = in_turns(options.repeat, lambda ours=ours: seconds(ours), lambda beside=beside: seconds(beside))
        table.line(f"{name}, {options.rows:,} rows, ms", *figures, at_most=5, unit=1e3)


if __name__ == "__main__":
    main()
