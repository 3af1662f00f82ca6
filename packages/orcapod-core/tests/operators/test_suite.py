"""Our own operators keep the laws that we ask of others."""

import pyarrow.compute as pc
import pytest

from orcapod.operators import (
    Batch,
    Concat,
    DropNulls,
    DropPacketColumns,
    DropTagColumns,
    Explode,
    Filter,
    GroupBy,
    Join,
    MapPackets,
    MapTags,
    MergeJoin,
    SelectPacketColumns,
    SelectTagColumns,
    SemiJoin,
)
from orcapod.testing.operator import ANY, OperatorSuite

ONE = [({"k": int | None, "t": ANY}, {"x": ANY, "y": ANY})]


class TestSelectTagColumns(OperatorSuite):
    columns = ONE

    def make_operator(self):
        return SelectTagColumns(["t"])


class TestDropTagColumns(OperatorSuite):
    columns = ONE

    def make_operator(self):
        return DropTagColumns(["t"])


class TestSelectPacketColumns(OperatorSuite):
    columns = ONE

    def make_operator(self):
        return SelectPacketColumns(["y"])


class TestDropPacketColumns(OperatorSuite):
    columns = ONE

    def make_operator(self):
        return DropPacketColumns(["y"])


class TestMapTags(OperatorSuite):
    columns = ONE

    def make_operator(self):
        return MapTags({"k": "t", "t": "k"})


class TestMapPackets(OperatorSuite):
    columns = ONE

    def make_operator(self):
        return MapPackets({"x": "y", "y": "z"})


class TestFilter(OperatorSuite):
    columns = ONE

    def make_operator(self):
        return Filter(pc.field("k") > 0)


class TestPolarsFilter(OperatorSuite):
    columns = ONE

    def make_operator(self):
        pl = pytest.importorskip("polars")
        return Filter(pl.col("k") > 0)


class TestDropNulls(OperatorSuite):
    columns = ONE

    def make_operator(self):
        return DropNulls()


class TestJoin(OperatorSuite):
    columns = [({"k": float | None, "t": ANY}, {"x": ANY}), ({"k": float | None, "u": int}, {"y": ANY})]
    matches_keys = True

    def make_operator(self):
        return Join()


class TestJoinOfThree(OperatorSuite):
    columns = [({"k": bool | None}, {"x": ANY}), ({"j": bool, "k": bool}, {"y": ANY}), ({"j": bool | None}, {})]
    matches_keys = True

    def make_operator(self):
        return Join()


class TestJoinOfTagsAlone(OperatorSuite):
    """Inputs of equal pipeline hash."""

    columns = [({"k": bool}, {})] * 3
    matches_keys = True

    def make_operator(self):
        return Join()


class TestMergeJoin(OperatorSuite):
    columns = [({"k": bool | None}, {"x": ANY, "y": ANY}), ({"k": bool | None, "u": int}, {"x": ANY, "z": ANY})]
    matches_keys = True

    def make_operator(self):
        return MergeJoin()


class TestMergeJoinOfAlike(OperatorSuite):
    """Inputs of equal pipeline hash."""

    columns = [({"k": bool | None}, {"x": ANY, "y": int | None})] * 3
    matches_keys = True

    def make_operator(self):
        return MergeJoin()


class TestMergeJoinOfOptionalAndNot(OperatorSuite):
    """Inputs of equal pipeline hash, since nullability is no part of it."""

    columns = [({"k": bool}, {"x": int}), ({"k": bool | None}, {"x": int | None})]
    matches_keys = True

    def make_operator(self):
        return MergeJoin()


class TestMergeJoinOfCollected(OperatorSuite):
    columns = [({"k": bool, "u": int}, {"x": ANY}), ({"k": bool, "v": int}, {"x": ANY})]

    def make_operator(self):
        return MergeJoin()

    def prepared(self, streams):
        return [stream.group_by("k") for stream in streams]


class TestMergeJoinOfEditedAndNot(OperatorSuite):
    """One input whose columns have several producing records, renamed, beside one that has them from one."""

    columns = [({"k": bool}, {"x": int}), ({"k": bool}, {"z": int}), ({"k": bool}, {"x": int, "y": int})]

    def make_operator(self):
        return MergeJoin()

    def prepared(self, streams):
        first, second, third = streams
        return [first.join(second.map_packets({"z": "y"})), third]


class TestSemiJoin(OperatorSuite):
    columns = [({"k": float | None, "t": ANY}, {"x": ANY}), ({"k": float | None}, {"x": ANY})]
    matches_keys = True

    def make_operator(self):
        return SemiJoin()


class TestSemiJoinOfTwoKeys(OperatorSuite):
    columns = [({"k": bool | None, "t": bool}, {"x": ANY}), ({"k": bool | None, "t": bool | None}, {"y": ANY})]
    matches_keys = True

    def make_operator(self):
        return SemiJoin()


class TestConcat(OperatorSuite):
    columns = [
        ({"k": int, "t": ANY}, {"x": ANY}),
        ({"k": int | None, "t": ANY}, {"x": ANY}),
        ({"t": ANY, "k": int}, {"x": ANY}),
    ]

    def make_operator(self):
        return Concat()


class TestConcatOfOtherMakers(OperatorSuite):
    """Rows that have other ids, and provenance in another form."""

    columns = [({"k": bool}, {"x": int, "y": int}), ({"k": bool}, {"y": int}), ({"k": bool}, {"x": int})]

    def make_operator(self):
        return Concat()

    def prepared(self, streams):
        both, one, other = streams
        return [one.join(other), both]


class TestBatch(OperatorSuite):
    columns = ONE

    def make_operator(self):
        return Batch(2)


class TestBatchOfAll(OperatorSuite):
    columns = ONE

    def make_operator(self):
        return Batch()


class TestBatchOfWholeOnes(OperatorSuite):
    columns = ONE

    def make_operator(self):
        return Batch(3, drop_partial=True)

    def prepared(self, streams):
        return [stream.batch(1) for stream in streams]


class TestGroupBy(OperatorSuite):
    columns = [({"k": float | None, "t": ANY}, {"x": ANY})]

    def make_operator(self):
        return GroupBy("k")


class TestGroupByTwo(OperatorSuite):
    columns = [({"k": bool | None, "t": ANY, "u": bool}, {"x": ANY})]

    def make_operator(self):
        return GroupBy(["k", "t"])


class TestExplode(OperatorSuite):
    columns = [({"k": int, "l": list[int | None]}, {"x": list[float] | None, "y": ANY})]
    made_tags = ["i"]

    def make_operator(self):
        return Explode("x", index_tag="i")


class TestExplodeOfTags(OperatorSuite):
    columns = [({"k": int, "l": list[int | None]}, {"y": ANY})]

    def make_operator(self):
        return Explode(["l"])


class TestExplodeOfCollected(OperatorSuite):
    columns = [({"k": bool, "t": ANY}, {"x": ANY, "y": ANY})]
    made_tags = ["i"]

    def make_operator(self):
        return Explode(["t", "x", "y"], index_tag="i")

    def prepared(self, streams):
        return [stream.group_by("k") for stream in streams]


class TestExplodeOfSomeOfTheCollected(OperatorSuite):
    columns = [({"k": bool, "t": ANY}, {"x": ANY, "y": ANY})]

    def make_operator(self):
        return Explode(["x"])

    def prepared(self, streams):
        return [stream.batch(2) for stream in streams]


class TestExplodeOfMerged(OperatorSuite):
    columns = [({"k": bool, "u": int}, {"x": ANY}), ({"k": bool, "v": int}, {"x": ANY})]

    def make_operator(self):
        return Explode(["x"])

    def prepared(self, streams):
        one, other = (stream.group_by("k") for stream in streams)
        return [one.merge_join(other)]


class TestGroupByWithoutTags(OperatorSuite):
    columns = ONE

    def make_operator(self):
        return GroupBy("k", tags="drop")
