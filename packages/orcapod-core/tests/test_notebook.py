"""What a cell with a ``with pipeline:`` block does when it is run again, edited or not."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.sources import DictSource

Notebook = Callable[[str], None]


@pytest.fixture
def pipeline() -> op.Pipeline:
    return op.Pipeline("p")


@pytest.fixture
def cell(pipeline: op.Pipeline) -> Iterator[Notebook]:
    """Runs the code of a cell."""
    module = ModuleType("notebook_of_a_test")
    sys.modules[module.__name__] = module
    source = DictSource([{"i": i, "x": i} for i in range(2)], ["i"], source_id="s")
    vars(module).update(op=op, p=pipeline, source=source, DictSource=DictSource)
    names: list[str] = []

    def run(code: str) -> None:
        names.append(f"<cell {len(names)}>")
        linecache.cache[names[-1]] = (len(code), None, code.splitlines(keepends=True), names[-1])
        exec(compile(code, names[-1], "exec"), vars(module))

    yield run
    del sys.modules[module.__name__]
    for name in names:
        linecache.cache.pop(name, None)


def f(adds: int, label: str = "") -> str:
    given = f", label={label!r}" if label else ""
    return f"@op.function_pod('y')\ndef f(x: int) -> int:\n    return x + {adds}\nwith p: made = f.pod(source{given})\n"


def g(factor: int, of: str = "made", label: str = "") -> str:
    given = f", label={label!r}" if label else ""
    return f"@op.function_pod('z')\ndef g(y: int) -> int:\n    return {factor} * y\nwith p: last = g.pod({of}{given})\n"


@pytest.mark.parametrize("label", ["f", "other", ""])
def test_an_edited_cell_run_again_adds_no_node_and_computes_nothing_old(
    cell: Notebook, pipeline: op.Pipeline, label: str
) -> None:
    cell(f(1, label))
    pipeline.run()
    cell(f(10, label))
    assert list(pipeline) == ["s", label or "f"]
    assert pipeline.run().node_counts == {label or "f": {"computed": 2, "cached": 0, "failed": 0}}
    assert pipeline[label or "f"].as_table()["y"].to_pylist() == [10, 11]
    cell(f(1, label))
    assert pipeline.run().node_counts == {label or "f": {"computed": 0, "cached": 2, "failed": 0}}
    assert pipeline[label or "f"].as_table()["y"].to_pylist() == [1, 2]


def test_a_cell_run_again_as_it_was_keeps_its_node(cell: Notebook, pipeline: op.Pipeline) -> None:
    cell(f(1, "f"))
    node, own = pipeline.f, LocalExecutor()
    node.executor = own
    cell(f(1, "f"))
    assert pipeline.f is node
    assert pipeline.f.executor is own


@pytest.mark.parametrize(("label", "old"), [("f", "f_old"), ("", "f_old")])
@pytest.mark.parametrize("of", ["made", "p.f"])
def test_what_was_built_on_the_old_node_keeps_reading_it_until_its_cell_is_run_again(
    cell: Notebook, pipeline: op.Pipeline, label: str, old: str, of: str
) -> None:
    cell(f(1, label))
    cell(g(2, of))
    cell(f(10, label))
    assert set(pipeline) == {"s", "f", old, "g"}
    assert [part.label for part in pipeline.g.inputs] == [old]
    with pytest.warns(UserWarning, match="'g': still made of 'f_old', which was replaced since; run again") as caught:
        pipeline.run()
    assert caught[0].filename == __file__
    assert pipeline.f.as_table()["y"].to_pylist() == [10, 11]
    assert pipeline.g.as_table()["z"].to_pylist() == [2, 4]
    cell(g(2, of))
    assert list(pipeline) == ["s", "f", "g"]
    pipeline.run()
    assert pipeline.g.as_table()["z"].to_pylist() == [20, 22]


def only_f(adds: int) -> str:
    return f(adds).rpartition("with p")[0]


def test_a_function_defined_anew_and_not_applied_again_is_told_of(cell: Notebook, pipeline: op.Pipeline) -> None:
    """What it gave before is still given, which nobody expects who has edited it."""
    cell(f(1))
    pipeline.run()
    cell(only_f(10))
    for ask in (pipeline.explain, pipeline.run):
        with pytest.warns(UserWarning, match="'f': still applies 'f' as it was before .* defined anew; run") as caught:
            ask()
        assert caught[0].filename == __file__
    cell("with p: made = f.pod(source)")
    assert pipeline.run().counts("f") == {"computed": 2, "cached": 0, "failed": 0}
    assert pipeline.f.as_table()["y"].to_pylist() == [10, 11]


def test_a_function_defined_again_as_it_was_is_no_other(cell: Notebook, pipeline: op.Pipeline) -> None:
    cell(f(1))
    cell(only_f(1))
    assert pipeline.run().ok
    cell("del f")
    assert pipeline.run().ok
    cell("f = 3")
    assert pipeline.run().ok


def test_functions_of_one_name_that_are_all_applied_are_meant(cell: Notebook, pipeline: op.Pipeline) -> None:
    cell(f(1, "one"))
    cell(f(2, "two"))
    assert pipeline.run().ok
    assert pipeline.one.as_table()["y"].to_pylist() == [1, 2]


def test_a_whole_cell_of_several_steps_takes_the_place_of_what_it_was(cell: Notebook, pipeline: op.Pipeline) -> None:
    def whole(adds: int, factor: int) -> str:
        return f(adds) + g(factor, "made.map_packets({'y': 'w'}).map_packets({'w': 'y'}, label='back')")

    cell(whole(1, 2))
    before = list(pipeline)
    cell(whole(10, 2))
    assert list(pipeline) == before == ["s", "f", "map_packets", "back", "g"]
    cell(whole(10, 3))
    assert list(pipeline) == before
    pipeline.run()
    assert pipeline.g.as_table()["z"].to_pylist() == [30, 33]


def test_an_operator_under_a_label_given_again_takes_its_place(cell: Notebook, pipeline: op.Pipeline) -> None:
    cell("with p: op.operators.Filter(i=0)(source, label='some')")
    cell("with p: op.operators.Filter(i=1)(source, label='some')")
    assert list(pipeline) == ["s", "some"]
    assert pipeline.some.as_table()["x"].to_pylist() == [1]


def test_other_data_in_the_cell_leaves_no_old_source_behind(cell: Notebook, pipeline: op.Pipeline) -> None:
    for rows in (1, 3):
        cell(f"source = DictSource([{{'i': i, 'x': i}} for i in range({rows})], ['i'], source_id='s')\n" + f(1, "f"))
        assert list(pipeline) == ["s", "f"]
        pipeline.run()
        assert pipeline.f.as_table().num_rows == rows


def test_one_block_may_give_a_label_twice_and_so_numbers_them(cell: Notebook, pipeline: op.Pipeline) -> None:
    twice = (
        "with p:\n    op.operators.Filter(i=0)(source, label='a')\n    op.operators.Filter(i={})(source, label='a')\n"
    )
    cell(twice.format(1))
    assert list(pipeline) == ["s", "a_1", "a_2"]
    cell(twice.format(2))
    assert list(pipeline) == ["s", "a_1", "a_2"]


def test_functions_of_one_definition_are_as_many_as_were_made(cell: Notebook, pipeline: op.Pipeline) -> None:
    cell(
        "def made_by(n):\n"
        "    @op.function_pod('y')\n    def f(x: int) -> int:\n        return x + n\n    return f\n"
        "for n in (1, 2, 3):\n    with p: made_by(n).pod(source).map_packets({'y': 'w'})\n"
    )
    pipeline.run()
    assert sorted(pipeline) == ["f_1", "f_2", "f_3", "map_packets_1", "map_packets_2", "map_packets_3", "s"]
    values = [pipeline[f"map_packets_{n}"].as_table()["w"].to_pylist() for n in (1, 2, 3)]
    assert sorted(values) == [[1, 2], [2, 3], [3, 4]]


def test_one_function_on_other_data_in_a_later_block_is_another_node(cell: Notebook, pipeline: op.Pipeline) -> None:
    cell(f(1))
    cell("with p: f.pod(DictSource([{'i': 7, 'x': 7}], ['i'], source_id='other'))")
    assert set(pipeline) == {"s", "other", "f_1", "f_2"}


def test_what_was_replaced_and_is_needed_no_more_does_not_come_back(cell: Notebook, pipeline: op.Pipeline) -> None:
    for adds in range(5):
        cell(f(adds, "f"))
        cell(g(2, "p.f", "g"))
        assert list(pipeline) == ["s", "f", "g"]
        pipeline.run()
        assert pipeline.g.as_table()["z"].to_pylist() == [2 * adds, 2 + 2 * adds]
