"""What two runs gave is compared row by row, and it is said why it differs."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import ConfigError, UnknownRunError
from orcapod.protocols import Database
from orcapod.sources import DictSource

SCALE = {"by": 1.0}
FACTOR = 2


@op.function_pod(output_keys="y", identity="version")
def scaled(x: float) -> float:
    return SCALE["by"] * x


@op.function_pod(output_keys="y")
def doubled(x: float) -> float:
    return FACTOR * x


@op.function_pod(output_keys=("total", "names"))
def summed(y: list[float], z: list[str]) -> tuple[float, list[str]]:
    return sum(y), sorted(z)


@op.function_pod(output_keys="text")
def joined(y: float, z: str) -> str:
    return f"{y}{z}"


Rows = list[tuple[int, float]]


def study(database: Database | str | Path, rows: Rows, pod: Any = scaled, name: str = "study") -> op.Pipeline:
    data = [{"who": who, "x": x, "z": "z"} for who, x in rows]
    types = {"who": int, "x": float, "z": str}
    with op.Pipeline(name, database) as pipeline:
        pod.pod(DictSource(data, ["who"], source_id="s", data_schema=types), label="each")
    return pipeline


def runs(database: Database, *nights: Rows) -> list[str]:
    return [study(database, rows).run().run_id for rows in nights]


def changes(database: Database, before: str, after: str, label: str = "each", **options: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = op.compare(op.open_store(database), before, after, **options)[label].to_pylist()
    return rows


@op.function_pod(output_keys="data", identity="version")
def filled(x: float) -> bytes:
    return b"%d" % (SCALE["by"] * x) * 2_000_000


def test_bytes_that_lie_in_files_are_told_apart_and_given_back(tmp_path: Path) -> None:
    def night(x: float) -> str:
        with op.Pipeline("p", tmp_path / "lab.db") as pipeline:
            rows = [{"who": who, "x": at} for who, at in enumerate([5.0, x, -x])]
            filled.pod(DictSource(rows, ["who"], source_id="s"), label="each")
        run = pipeline.run().run_id
        pipeline.database.close()
        return run

    before, after = night(1.0), night(1.5)
    with op.open_store(tmp_path / "lab.db") as store:
        assert [row["change"] for row in op.compare(store, before, after)["each"].to_pylist()] == ["equal"] * 3
        assert store.rows("p", "each")["data"].to_pylist() == [text * 2_000_000 for text in (b"5", b"1", b"-1")]
    changed = night(2.0)
    with op.open_store(tmp_path / "lab.db") as store:
        told = [row["change"] for row in op.compare(store, before, changed)["each"].to_pylist()]
        assert told == ["equal", "changed", "changed"]


ROWS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, -0.0, 1.0, 1.05, 2.0, math.nan])), max_size=6)


def expected(before: Rows, after: Rows, rtol: float) -> Counter[tuple[int, str]]:
    """What became of each row, with plain Python: what is the same row of the source first, then in order."""
    old, new = list(enumerate(before)), list(enumerate(after))
    found = Counter[tuple[int, str]]()
    for row in list(new):
        twin = next((each for each in old if repr(each) == repr(row)), None)
        if twin is not None:
            old.remove(twin)
            new.remove(row)
            found[row[1][0], "equal"] += 1
    for _, (who, x) in new:
        other = next((each for each in old if each[1][0] == who), None)
        if other is None:
            found[who, "new"] += 1
            continue
        old.remove(other)
        earlier = other[1][1]
        is_equal = earlier == x or (math.isnan(earlier) and math.isnan(x))
        is_close = abs(earlier - x) <= rtol * max(abs(earlier), abs(x))
        found[who, "equal" if is_equal else "close" if is_close else "changed"] += 1
    for _, (who, _x) in old:
        found[who, "gone"] += 1
    return found


@given(before=ROWS, after=ROWS, rtol=st.sampled_from([0.0, 0.1]))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_what_became_of_each_row_is_what_plain_python_finds(before: Rows, after: Rows, rtol: float) -> None:
    database = MemoryDatabase()
    found = changes(database, *runs(database, before, after), rtol=rtol)
    assert Counter((row["who"], row["change"]) for row in found) == expected(before, after, rtol)


def test_what_is_equal_needs_no_result_to_be_read() -> None:
    database = MemoryDatabase()
    one, other = runs(database, [(1, 1.0)], [(1, 1.0), (2, 2.0)])
    (results,) = [path for path in database.list_paths() if path[0] == "_result"]
    database.delete_records(results, database.get_records(results).column(0).to_pylist())
    assert [(row["who"], row["change"]) for row in changes(database, one, other)] == [(1, "equal"), (2, "new")]


@op.function_pod(output_keys=("level", "sign"), identity="version")
def measured(x: float) -> tuple[float, int]:
    return 1000 + x, 1 if x > 0 else -1


def test_of_a_row_that_differs_it_is_said_which_outputs_do() -> None:
    with MemoryDatabase() as database:
        nights: list[Rows] = [[(1, 1.0), (2, 2.0), (3, 3.0)], [(1, 1.05), (2, -2.0), (4, 3.0)]]
        one, other = (study(database, rows, measured).run(progress=False).run_id for rows in nights)
        for rtol, first, second in (
            (0.1, ("close", ["level"]), ["sign"]),
            (0.0, ("changed", ["level"]), ["level", "sign"]),
        ):
            found = {row["who"]: (row["change"], row["outputs"]) for row in changes(database, one, other, rtol=rtol)}
            assert found == {1: first, 2: ("changed", second), 3: ("gone", None), 4: ("new", None)}


def test_it_is_said_why_a_row_has_changed() -> None:
    """A part of the code, another input, a value in the source, or that it was computed again."""
    global FACTOR
    database = MemoryDatabase()
    first = study(database, [(1, 1.0), (2, 2.0)], doubled).run().run_id
    try:
        FACTOR = 3
        edited = study(database, [(1, 1.0), (2, 2.0)], doubled).run().run_id
        both = study(database, [(1, 1.5), (2, 2.0)], doubled).run().run_id
    finally:
        FACTOR = 2
    part = f"code: global {__name__}.FACTOR"
    assert {row["why"] for row in changes(database, first, edited)} == {part}
    assert {row["who"]: row["why"] for row in changes(database, edited, both)} == {1: "value in source: x", 2: None}
    assert {row["why"] for row in changes(database, first, both)} == {f"{part}; value in source: x", part}
    try:
        SCALE["by"] = 1.0
        one = study(database, [(1, 1.0)]).run().run_id
        SCALE["by"] = 5.0
        again = study(database, [(1, 1.0)]).run(recompute="each").run_id
    finally:
        SCALE["by"] = 1.0
    (row,) = changes(database, one, again)
    assert (row["change"], row["why"]) == ("changed", "computed again")


def test_an_input_that_another_record_made_is_named() -> None:
    database, found = MemoryDatabase(), []
    for factor in (1.0, 5.0):
        with op.Pipeline("study", database) as pipeline:
            source = DictSource([{"who": 1, "x": factor, "z": "z"}], ["who"], source_id="s")
            summed.pod(scaled.pod(source, label="each").join(source).group_by("who"), label="all")
        found.append(pipeline.run().run_id)
    (row,) = changes(database, *found, label="all")
    assert (row["change"], row["why"]) == ("changed", "input: y")


@pytest.mark.parametrize("members", [3, 100])
def test_the_inputs_of_groups_of_any_size_are_told_apart(members: int) -> None:
    """Lists of many members lie in pieces elsewhere."""
    database, found, results = MemoryDatabase(), [], []
    for edited in (0.0, 5.0):
        rows = [{"who": who, "x": edited if who == 1 else 1.0, "z": "z"} for who in range(members)]
        with op.Pipeline("study", database) as pipeline:
            source = DictSource(rows, ["who"], source_id="s")
            summed.pod(scaled.pod(source, label="each").join(source).batch(), label="all")
        results.append(pipeline.run())
        found.append(results[-1].run_id)
    (row,) = changes(database, *found, label="all")
    assert (row["change"], row["why"]) == ("changed", "input: y")
    assert [str(reason.cause) for reason in results[1].reasons["all"]] == ["input y: from another record than before"]


@op.function_pod(output_keys="mean", identity="version")
def mean(x: list[float]) -> float:
    return sum(x) / len(x)


@pytest.mark.parametrize("members", [2, 100])
def test_a_group_is_the_same_with_other_members(members: int) -> None:
    database = MemoryDatabase()
    named = []
    for night in range(2):
        rows = [{"site": site, "who": who, "x": 1.0 + who} for site in "ab" for who in range(members)]
        rows += [{"site": "b", "who": -1, "x": 9.0}, {"site": "c", "who": 0, "x": 1.0}] if night else []
        with op.Pipeline("study", database) as pipeline:
            source = DictSource(rows, ["site", "who"], source_id="s", record_id_column=["site", "who"])
            mean.pod(source.group_by("site"), label="mean")
        if night:
            (reason,) = [each for each in pipeline.explain("mean").reasons if "site='b'" in str(each)]
            assert "input x" in str(reason)
        named.append(pipeline.run().run_id)
    found = {row["site"]: (row["change"], row["why"]) for row in changes(database, *named, label="mean")}
    assert found == {"a": ("equal", None), "b": ("changed", "input: x"), "c": ("new", None)}


def test_tags_that_are_lists_tell_rows_apart() -> None:
    database, found = MemoryDatabase(), []
    for rows in ([("a", [8], 1.0), ("a", [1, 3], 2.0)], [("a", [1, 3], 2.0), ("a", [8], 1.0)], [("a", [1], 2.5)]):
        data = [{"who": who, "band": band, "x": x} for who, band, x in rows]
        types = {"who": str, "band": list[int], "x": float}
        with op.Pipeline("study", database) as pipeline:
            scaled.pod(DictSource(data, ["who", "band"], source_id="s", data_schema=types), label="each")
        told = str(pipeline.explain("each"))
        found.append(pipeline.run().run_id)
    assert [(row["band"], row["change"]) for row in changes(database, *found[:2])] == [
        ([1, 3], "equal"),
        ([8], "equal"),
    ]
    changed = {str(row["band"]): row["change"] for row in changes(database, *found[1:])}
    assert changed == {"[1]": "new", "[1, 3]": "gone", "[8]": "gone"}
    assert "band=[1]): new: no such packet before, and no row with these tags when it last ran" in told


def test_a_value_that_has_changed_is_told_by_the_sources_of_its_own_row() -> None:
    """Rows of one node may be made of different things: here of a function and of a source."""
    database, found = MemoryDatabase(), []
    for x, y in ((1.0, 5.0), (2.0, 6.0)):
        with op.Pipeline("study", database) as pipeline:
            made = scaled.pod(DictSource([{"i": 1, "x": x}], ["i"], source_id="s"), label="made")
            raw = DictSource([{"i": 2, "y": y}], ["i"], source_id="raw")
            z = DictSource([{"i": i, "z": "z"} for i in (1, 2)], ["i"], source_id="z")
            joined.pod(made.concat(raw).join(z), label="each")
        found.append(pipeline.run().run_id)
    assert [row["why"] for row in changes(database, *found)] == ["input: y", "value in source: y or z"]


def test_a_tag_that_was_renamed_or_is_of_another_type_ends_no_comparison() -> None:
    database, found = MemoryDatabase(), []
    for row, tag in (({"who": 1, "x": 1.0}, "who"), ({"whom": 1, "x": 1.0}, "whom"), ({"whom": "a", "x": 1.0}, "whom")):
        with op.Pipeline("study", database) as pipeline:
            scaled.pod(DictSource([row], [tag], source_id="s"), label="each")
        found.append(pipeline.run().run_id)
    for before, after in ((0, 1), (1, 2), (0, 2)):
        rows = changes(database, found[before], found[after])
        assert sorted(row["change"] for row in rows) == ["gone", "new"]


def test_a_value_that_was_pruned_is_unknown_and_it_is_said_why_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    one, other = (study(path, rows).run().run_id for rows in ([(1, 1.0)], [(1, 2.0)]))
    study(path, []).prune(older_than="0d", dry_run=False)
    with op.open_store(path) as store:
        (row,) = op.compare(store, one, other)["each"].to_pylist()
        assert (row["change"], row["why"]) == ("unknown", "value in source: x")
        assert store.trace("study", "each", {"who": 1}, run=one).result.run_id == one


def test_a_result_that_is_gone_is_unknown_and_not_equal() -> None:
    database = MemoryDatabase()
    one, other = runs(database, [(1, 1.0)], [(1, 2.0)])
    (results,) = [path for path in database.list_paths() if path[0] == "_result"]
    database.delete_records(results, database.get_records(results).column(0).to_pylist())
    assert [row["change"] for row in changes(database, one, other)] == ["unknown"]


def test_of_results_in_another_store_it_is_said_where_they_are_and_what_gives_them() -> None:
    database, results, made = MemoryDatabase(), MemoryDatabase(), []
    for x in (1.0, 2.0):
        with op.Pipeline("study", database, results) as pipeline:
            scaled.pod(DictSource([{"who": 1, "x": x}, {"who": 2, "x": 5.0}], ["who"], source_id="s"), label="each")
        made.append(pipeline.run().run_id)
    unknown, same = sorted(changes(database, *made), key=lambda row: row["who"])
    assert (same["change"], same["why"], unknown["change"]) == ("equal", None, "unknown")
    told = (
        r"not in this store: .*another \(result_database=\), or were removed; each\.at\(run_id\) of the pipeline gives"
    )
    assert re.match(told, unknown["why"])
    assert pipeline.each.at(made[0]).column("y").to_pylist() == [1.0, 5.0]


def test_a_tag_called_change_keeps_its_name() -> None:
    database, found = MemoryDatabase(), []
    for x in (1.0, 2.0):
        with op.Pipeline("p", database) as pipeline:
            scaled.pod(DictSource([{"change": "mine", "x": x}], ["change"]), label="each")
        found.append(pipeline.run().run_id)
    (row,) = changes(database, *found)
    assert (row["change"], row["_change"]) == ("mine", "changed")


def test_wrong_runs_are_refused() -> None:
    database = MemoryDatabase()
    (one,) = runs(database, [(1, 1.0)])
    other = study(database, [(1, 1.0)], name="other").run().run_id
    store = op.open_store(database)
    with pytest.raises(ConfigError, match="a run of study and one of other, expected two of one pipeline"):
        op.compare(store, one, other)
    with pytest.raises(UnknownRunError):
        op.compare(store, one, "x")
    with pytest.raises(ConfigError, match="rtol"):
        op.compare(store, one, one, rtol=1.5)
