"""What nobody uses means nothing: a column that no node takes changes no key, no table and no name of a column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.sources import DictSource
from orcapod.streams import Stream
from orcapod.testing.strategies import ALL_COLUMNS


@op.function_pod("bmi", identity="version")
def bmi(weight: float, height: float) -> float:
    return weight / height**2


@op.function_pod("mean", identity="version")
def mean(weight: list[float]) -> float:
    return sum(weight) / len(weight)


@op.function_pod("heavier", identity="version")
def heavier(weight: float, by: float = 1.0) -> float:
    return weight + by


def patients(**more: Any) -> Stream:
    rows = [{"id": i, "sex": "fm"[i % 2], "weight": 60.0 + i, **more} for i in range(4)]
    return DictSource(rows, ["id", "sex"], source_id="patients")


def heights(**more: Any) -> Stream:
    return DictSource([{"id": i, "height": 1.5 + i / 10, **more} for i in range(4)], ["id"], source_id="heights")


PLANS: dict[str, Callable[[Stream, Stream], object]] = {
    "a function alone": lambda one, _: heavier.pod(one),
    "a join of two sources": lambda one, other: bmi.pod(one, other),
    "a function behind a function": lambda one, _: mean.pod(
        heavier.pod(one).map_packets({"heavier": "weight"}).group_by("sex")
    ),
    "a filter, and columns named": lambda one, other: bmi.pod(
        one.filter(sex="f").select_packet_columns(["weight"]),
        other.map_packets({"height": "tall"}).map_packets({"tall": "height"}),
    ),
    "rows that have a match": lambda one, other: heavier.pod(one.semi_join(other)),
    "groups": lambda one, _: mean.pod(one.group_by("sex")),
    "batches, exploded": lambda one, _: heavier.pod(
        one.select_packet_columns(["weight"]).batch(2).explode(["id", "sex", "weight"])
    ),
}


def stored(plan: Callable[[Stream, Stream], object], one: Stream, other: Stream) -> dict[str, Any]:
    """Return the paths of a store after a run, with the columns and keys of each, and what readers are shown."""
    database = MemoryDatabase()
    pipeline = op.Pipeline("clinic", database)
    with pipeline:
        plan(one, other)
    pipeline.run().raise_for_errors()
    found: dict[str, Any] = {
        "/".join(path): (database.get_records(path).column_names, sorted(database.get_records(path)[0].to_pylist()))
        for path in database.list_paths()
        if path[-1] not in ("_run_starts", "_runs", "_states", "_environments")
    }
    return found | {
        label: node.as_table(ALL_COLUMNS).column_names for label, node in pipeline.items() if hasattr(node, "uri")
    }


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("more", [{"note": "x"}, {"a": 1, "z": [True]}, {"height_cm": 3.0}])
def test_a_column_that_no_node_takes_changes_nothing(plan: str, more: dict[str, Any]) -> None:
    expected = stored(PLANS[plan], patients(), heights())
    assert stored(PLANS[plan], patients(**more), heights()) == expected
    assert stored(PLANS[plan], patients(), heights(**more)) == expected
    renamed = {f"other_{name}": value for name, value in more.items()}
    assert stored(PLANS[plan], patients(**more), heights(**renamed)) == expected


def test_a_column_that_a_node_takes_is_part_of_what_its_table_is_named_after() -> None:
    """One that fills a parameter with a default is taken where it is there."""
    plain, filled = heavier.pod(patients()), heavier.pod(patients(by=2.0))
    assert plain.pipeline_hash() != filled.pipeline_hash()
    assert filled.pipeline_hash() == heavier.pod(patients(by=2.0, note="")).pipeline_hash()


def test_rows_of_which_other_records_are_kept_are_in_another_table() -> None:
    """What was nested whole keeps its ids whole until all of it is unnested."""
    rows = patients().batch(2).explode(["id", "sex", "weight"])
    others = patients(note="x").batch(2).explode(["id", "sex", "weight"])
    assert heavier.pod(rows).pipeline_hash() != heavier.pod(others).pipeline_hash()


def test_other_tags_are_other_tables() -> None:
    rows = [{"id": 1, "sex": "f", "weight": 60.0}]
    tags = (["id"], ["sex"], ["id", "sex"])
    assert len({heavier.pod(DictSource(rows, names, source_id="p")).pipeline_hash() for names in tags}) == len(tags)
