"""``Concat`` of streams whose columns differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.errors import SchemaError
from orcapod.operators import Concat
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource
from orcapod.testing.strategies import ALL_COLUMNS

TYPES = {"k": int, "t": str, "x": int, "y": float | None, "z": list[int]}
VALUES = {
    "k": st.integers(0, 3), "t": st.sampled_from("ab"), "x": st.integers(0, 3), "y": st.none() | st.just(0.5),
    "z": st.just([1]),
}  # fmt: skip
COLUMNS = st.lists(st.sampled_from("ktxyz"), min_size=1, unique=True)


def source(rows: list[dict[str, Any]], columns: list[str], name: str) -> DictSource:
    tags = [column for column in columns if column in "kt"]
    return DictSource(rows, tags, data_schema={column: TYPES[column] for column in columns}, source_id=name)


@given(columns=st.lists(COLUMNS, min_size=2, max_size=3), data=st.data())
def test_what_a_stream_lacks_is_null(columns: list[list[str]], data: st.DataObject) -> None:
    """Tags and data, and who made it."""
    rows = [
        data.draw(st.lists(st.fixed_dictionaries({name: VALUES[name] for name in names}), max_size=3))
        for names in columns
    ]
    streams = [source(*each, f"s{at}") for at, each in enumerate(zip(rows, columns, strict=True))]
    made = streams[0].concat(*streams[1:], missing="null")
    everywhere = set.intersection(*map(set, columns))
    names = dict.fromkeys(name for each in columns for name in each)
    tags, packets = made.output_schema()
    assert dict(tags | packets) == {name: TYPES[name] if name in everywhere else TYPES[name] | None for name in names}
    found = made.as_table(ALL_COLUMNS).to_pylist()
    expected = [(f"s{at}::row_{row}", each) for at, part in enumerate(rows) for row, each in enumerate(part)]
    for row, (record, values) in zip(found, expected, strict=True):
        assert {name: row[name] for name in names} == {name: values.get(name) for name in names}
        for name in packets:
            assert row[f"_source_{name}"] == (f"{record}::{name}" if name in values else None)


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator(buffer_size=1)])
def test_functions_take_and_stores_keep_what_nobody_made(tmp_path: Path, orchestrator: Any) -> None:
    @op.function_pod(output_keys="n", identity="version")
    def known(x: int | None, y: list[float] | None) -> int:
        return (x is not None) + 2 * (y is not None)

    one = source([{"k": 1, "x": 2}], ["k", "x"], "one")
    rows = [{"k": 1, "t": "a", "y": 0.5}, {"k": 1, "t": "b", "y": 1.5}]
    other = source(rows, ["k", "t", "y"], "other").drop_nulls().group_by("k")
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        pipeline = op.Pipeline("p", database)
        with pipeline:
            known.pod(one.map_tags({"k": "i"}).concat(other, missing="null"), label="known")
        assert pipeline.run(orchestrator).ok
        assert sorted(pipeline.known.as_table().column("n").to_pylist()) == [1, 2]
        assert pipeline.run(orchestrator).counts("known")["computed"] == 0


def test_an_error_is_the_rule_and_names_the_way_out() -> None:
    one, other = source([], ["k", "x"], "one"), source([], ["k", "y"], "other")
    with pytest.raises(SchemaError, match=r"the packet columns differ: .*; .*concat\(\.\.\., missing='null'\)"):
        one.concat(other)
    assert Concat(missing="error").content_hash() == Concat().content_hash() != Concat(missing="null").content_hash()
    with pytest.raises(SchemaError, match="found missing 'fill', expected one of .'error', 'null'."):
        Concat(missing="fill")  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", ["error", "null"])
def test_a_column_is_a_tag_or_data(missing: Any) -> None:
    one = DictSource([{"k": 1, "x": 1}], ["k"])
    other = DictSource([{"k": 1, "x": 1}], ["x"])
    with pytest.raises(SchemaError, match="column 'k' is a tag in one stream and data in another"):
        one.concat(other, missing=missing)


def test_types_still_have_to_be_the_same() -> None:
    one, other = DictSource([{"k": 1, "x": 1}], ["k"]), DictSource([{"k": "a", "y": 1}], ["k"])
    with pytest.raises(SchemaError, match="tag column 'k' is int in one stream and str in another"):
        one.concat(other, missing="null")
