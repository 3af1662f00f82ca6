"""A plan as a picture: every form shows every node and line once, and no label is anything but text."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import textwrap
from collections import Counter
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.display import one_line, width_of
from orcapod.errors import ConfigError, PipelineError
from orcapod.graph import Picture
from orcapod.graph.box import Box
from orcapod.sources import DictSource

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert('&')</script>",
    'a "quoted" \\ back\\',
    "]]> --> {{x}} [(y)] ::: %% end",
    "first\nsecond\r\n\x00\x1b[31m\x7f\ud800\ufffe",
    "عنوان \u202e reversed \u2066",
    "👩‍👩‍👧 日本語",
    "#quot; &lt; &amp; #35;",
    "`code` **bold** _x_ 1. item",
    "\\N \\G \\l %",
    "x" * 500,
    "",
]
kinds = st.sampled_from(["source", "function", "operator"])
labels = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(), max_size=60))


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    count = draw(st.integers(1, 12))
    boxes = []
    for number in range(count):
        parts = draw(st.lists(st.integers(0, number - 1), max_size=3)) if number else []
        box = Box(draw(labels), draw(kinds), draw(labels), tuple(parts))
        counts = draw(st.none() | st.dictionaries(st.sampled_from(["computed", "cached", "failed"]), st.integers(0, 9)))
        boxes.append(box.after(counts, draw(st.none() | st.integers(0, 9))) if draw(st.booleans()) else box)
    return Picture(draw(labels), tuple(boxes))


@given(pictures())
def test_an_svg_is_well_formed_and_shows_every_box_and_line_once(picture: Picture) -> None:
    root = ElementTree.fromstring(picture.to_svg())
    drawn = list(root.iter(f"{SVG}g"))
    assert len(drawn) == len(picture.boxes)
    lines = [path for path in root.iter(f"{SVG}path") if path.get("class") == "line"]
    assert len(lines) == sum(len(box.inputs) for box in picture.boxes)
    for group, box in zip(drawn, picture.boxes, strict=True):
        assert group.get("class", "").split()[0] == box.kind
        title = group.findtext(f"{SVG}title") or ""
        assert title.split("\n") == [one_line(box.label), one_line(box.detail), *box.counts]


@given(pictures())
def test_an_svg_asks_for_nothing_runs_nothing_and_is_as_it_was(picture: Picture) -> None:
    svg = picture.to_svg()
    names = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(svg).iter()}
    assert names <= {"svg", "title", "style", "rect", "g", "path", "text"}
    attributes = {name for element in ElementTree.fromstring(svg).iter() for name in element.attrib}
    assert attributes <= {"class", "role", "width", "height", "viewBox", "x", "y", "rx", "d"}
    assert "url(" not in picture.to_svg().split("</style>")[0]
    assert svg == Picture(picture.title, picture.boxes).to_svg()


@given(pictures())
def test_no_text_is_longer_than_a_box_gets_wide(picture: Picture) -> None:
    for group in ElementTree.fromstring(picture.to_svg()).iter(f"{SVG}g"):
        for text in group.iter(f"{SVG}text"):
            assert width_of(text.text or "") <= 34


NODE = re.compile(r'    n(\d+)(?:\[\("|\("|\{\{")([^"<>&`\\*]*(?:<br>[^"<>&`\\*]*)+)(?:"\)\]|"\)|"\}\}):::(\w+)')
LINK = re.compile(r"    n(\d+) --> n(\d+)")


@given(pictures())
def test_mermaid_has_every_node_and_line_once_and_no_mark_in_a_label(picture: Picture) -> None:
    first, *lines = picture.to_mermaid().splitlines()
    assert first == "flowchart TD"
    nodes = [match for line in lines if (match := NODE.fullmatch(line))]
    links = [match for line in lines if (match := LINK.fullmatch(line))]
    styles = [line for line in lines if line.startswith("    classDef ")]
    assert len(nodes) + len(links) + len(styles) == len(lines)
    for box, node in zip(picture.boxes, nodes, strict=True):
        shown = [re.sub(r"#(\d+);", lambda found: chr(int(found[1])), part) for part in node[2].split("<br>")]
        assert shown[:2] == [one_line(box.label), one_line(box.detail)]
    found = Counter((int(link[1]), int(link[2])) for link in links)
    assert found == Counter((part, number) for number, box in enumerate(picture.boxes) for part in box.inputs)
    assert {node[3] for node in nodes} == {line.split()[1] for line in styles}


@given(pictures())
def test_dot_has_every_node_and_line_once_and_labels_that_read_back(picture: Picture) -> None:
    first, *lines, last = picture.to_dot().splitlines()
    quoted = r'"((?:[^"\\]|\\.)*)"'
    assert re.fullmatch(rf"digraph {quoted} \{{", first)
    assert last == "}"
    nodes = [match for line in lines if (match := re.fullmatch(rf"    n(\d+) \[label={quoted}, (.*)\];", line))]
    links = [match for line in lines if (match := re.fullmatch(r"    n(\d+) -> n(\d+);", line))]
    assert len(nodes) + len(links) + 1 == len(lines)
    for box, node in zip(picture.boxes, nodes, strict=True):
        read = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], node[2])
        assert unescape(read).split("\n")[:2] == [one_line(box.label), one_line(box.detail)]
    found = Counter((int(link[1]), int(link[2])) for link in links)
    assert found == Counter((part, number) for number, box in enumerate(picture.boxes) for part in box.inputs)


@given(pictures())
def test_the_tree_tells_of_every_box_once_and_names_it_for_every_reader(picture: Picture) -> None:
    lines = str(picture).splitlines()
    read = Counter(part for box in picture.boxes for part in box.inputs)
    again = sum(count - 1 for count in read.values())
    assert len(lines) == 1 + len(picture.boxes) + again
    assert sum(line.endswith(", as above") for line in lines) >= again
    assert all(line.isprintable() or "\u200d" in line or "\u200c" in line for line in lines)


def numbers(source_id: str, rows: int = 3) -> DictSource:
    return DictSource([{"i": i, "x": i} for i in range(rows)], ["i"], source_id=source_id, label=source_id)


@op.function_pod("y", identity="version")
def invert(x: int) -> float:
    return 1 / x


def pipeline() -> op.Pipeline:
    made = op.Pipeline(("lab", "study"), MemoryDatabase())
    with made:
        one = numbers("one")
        joined = invert.pod(one).join(numbers("two").map_packets({"x": "z"}, label="renamed"), label="joined")
        invert.pod(joined.semi_join(one).map_packets({"z": "x"}, label="again"), label="twice")
    return made


def test_the_tree_of_a_pipeline() -> None:
    made = pipeline()
    expected = """\
        lab/study
        twice (function invert)
        again (MapPackets)
        semi_join (SemiJoin)
        ├─ joined (Join)
        │  ├─ invert (function)
        │  │  one (DictSource)
        │  └─ renamed (MapPackets)
        │     two (DictSource)
        └─ one, as above"""
    assert str(made.graph()) == textwrap.dedent(expected)
    expected = """\
        lab/study
        twice (function invert): 2 cached, 1 incomplete
        again (MapPackets): 2 rows
        semi_join (SemiJoin): 2 rows
        ├─ joined (Join): 2 rows
        │  ├─ invert (function): 2 computed, 1 failed
        │  │  one (DictSource): 3 rows
        │  └─ renamed (MapPackets): 3 rows
        │     two (DictSource): 3 rows
        └─ one, as above"""
    assert str(made.graph(made.run(progress=False))) == textwrap.dedent(expected)


def test_a_run_colours_every_node_by_its_worst_outcome() -> None:
    made = pipeline()
    outcomes = {box.label: box.outcome for box in made.graph(made.run(progress=False)).boxes}
    assert outcomes["invert"] == "failed"
    assert outcomes["twice"] == "incomplete"
    assert outcomes["joined"] == outcomes["one"] == "plain"
    part = made.graph(made.run(until="invert", progress=False))
    outcomes = {box.label: box.outcome for box in part.boxes}
    assert outcomes["invert"] == "failed"
    assert outcomes["twice"] == outcomes["two"] == "not run"
    whole = op.Pipeline("whole", MemoryDatabase())
    with whole:
        invert.pod(numbers("n").filter(x=99))
    assert [box.counts for box in whole.graph(whole.run(progress=False)).boxes] == [
        ("3 rows",),
        ("0 rows",),
        ("0 rows",),
    ]


def test_a_source_counts_its_bad_rows_beside_those_that_it_gave() -> None:
    made = op.Pipeline("p", MemoryDatabase())
    rows = [{"i": 0, "x": 1}, {"i": 1, "x": "no number"}]
    with made:
        for name, some in (("bad", rows), ("good", rows[:1])):
            source = DictSource(some, ["i"], data_schema={"x": int}, source_id=name, bad_rows="fail", label=name)
            invert.pod(source, label=f"of_{name}")
    boxes = {box.label: box for box in made.graph(made.run(progress=False)).boxes}
    assert (boxes["bad"].outcome, boxes["bad"].counts) == ("failed", ("1 row", "1 failed"))
    assert (boxes["good"].outcome, boxes["good"].counts) == ("plain", ("1 row",))


def test_kinds_are_told_apart_by_shape_and_outcomes_by_words_too() -> None:
    made = pipeline()
    root = ElementTree.fromstring(made.graph(run=made.run(progress=False)).to_svg())
    outlines: dict[str, set[str]] = {}
    for group in root.iter(f"{SVG}g"):
        (path,) = group.iter(f"{SVG}path")
        outlines.setdefault(group.get("class", "").split()[0], set()).add(re.sub(r"[\d. -]+", "", path.get("d", "")))
    assert all(len(forms) == 1 for forms in outlines.values())
    assert len(set.union(*outlines.values())) == 3
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "2 computed, 1 failed" in texts


def test_it_is_light_and_dark() -> None:
    svg = pipeline().graph().to_svg()
    day, night = svg.split("@media (prefers-color-scheme: dark)")
    colours = re.compile(r"\.(?:label|ground|plain \.box|computed \.box)\{[^}]*fill:(#\w+)")
    assert len(colours.findall(day)) == len(colours.findall(night)) == 4
    assert not set(colours.findall(day)) & set(colours.findall(night))


def test_labels_are_found_in_a_run_whatever_they_are() -> None:
    made = op.Pipeline("p", MemoryDatabase())
    hostile = [*(label for label in HOSTILE if label and "\ud800" not in label), "first\nsecond"]
    with made:
        for label in hostile:
            invert.pod(numbers("n"), label=label)
    assert all(box.outcome in ("failed", "plain") for box in made.graph(made.run(progress=False)).boxes)


def test_what_was_replaced_says_so() -> None:
    made = op.Pipeline("p", MemoryDatabase())
    with made:
        old = numbers("one").map_packets({"x": "w"}, label="renamed")
    with made:
        old.map_packets({"w": "v"}, label="reader")
    with made:
        numbers("one").map_packets({"x": "u"}, label="renamed")
    assert "renamed_old (MapPackets, replaced)" in str(made.graph())


def test_a_run_of_something_else_is_refused() -> None:
    other = op.Pipeline("other", MemoryDatabase())
    with other:
        invert.pod(numbers("n"), label="elsewhere")
    result = other.run(progress=False)
    with pytest.raises(PipelineError, match="found a run of the nodes .*elsewhere.*, expected one of .*invert"):
        pipeline().graph(result)
    with pytest.raises(ConfigError, match="the run 'last'.*expected a RunResult; give what pipeline.run"):
        pipeline().graph("last")  # type: ignore[arg-type]


def test_a_run_of_something_else_is_refused_though_a_label_is_shared() -> None:
    other = op.Pipeline("other", MemoryDatabase())
    with other:
        invert.pod(numbers("n"), label="elsewhere")
        invert.pod(numbers("n"), label="twice")
    with pytest.raises(PipelineError, match="found a run of the nodes .*elsewhere.*, expected one of .*renamed"):
        pipeline().graph(other.run(progress=False))


def test_a_pipeline_draws_itself_and_what_is_wide_can_be_moved() -> None:
    made = pipeline()
    assert made._repr_svg_() == made.graph().to_svg()
    assert made._repr_html_() is None
    wide = op.Pipeline("wide", MemoryDatabase())
    with wide:
        for number in range(20):
            a = numbers("s")
            for step in range(20 if number == 0 else 1):
                a = a.map_packets({"x": "x"}, label=f"m{number}_{step}")
    shown = wide._repr_html_()
    assert shown is not None
    assert shown.startswith('<div style="overflow: auto"><svg')


def test_show_opens_a_browser(tmp_path: Path) -> None:
    """A browser is whatever ``BROWSER`` names: here one that copies what it is shown."""
    copy, browser = tmp_path / "copy.svg", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\ncp "${{1#file://}}" {copy}\n')
    browser.chmod(browser.stat().st_mode | stat.S_IEXEC)
    program = "import orcapod as op; op.Pipeline('p').graph().show()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-c", program], env=environment | {"BROWSER": str(browser)}, capture_output=True, text=True
    )
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "", "")
    assert ElementTree.parse(copy).getroot().tag == f"{SVG}svg"
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        environment.pop(name, None)
    shown = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "p\n", "")


def test_show_draws_in_the_cell_of_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    displayed: list[object] = []
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", kernel)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=displayed.append))  # type: ignore[arg-type]
    picture = pipeline().graph()
    picture.show()
    assert displayed == [picture]


def test_two_hundred_nodes_are_a_page_or_two() -> None:
    made = op.Pipeline("many", MemoryDatabase())
    with made:
        ends = []
        for number in range(50):
            loaded = numbers(f"s{number}").map_packets({"x": f"x{number}"}, label=f"load_{number}")
            ends.append(loaded.map_packets({f"x{number}": f"y{number}"}, label=f"clean_{number}"))
        ends[0].join(*ends[1:])
    svg = made.graph().to_svg()
    found = re.search(r' width="([\d.]+)"', svg)
    assert found
    assert float(found[1]) < 1000
    assert len(svg) < 100_000
