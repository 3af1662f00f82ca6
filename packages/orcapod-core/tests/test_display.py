"""What a notebook shows: everything escaped, nothing computed."""

from __future__ import annotations

import os
from datetime import date
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.display import duration, html_table, shortened, sizes, tags_text
from orcapod.execution import PacketErrors, failure_kinds
from orcapod.sources import ArrowTableSource, DictSource

EVIL = "<script>alert('&')</script>"


def test_tags_are_told_as_a_command_reads_them() -> None:
    told = {"n": 12345, "x": 0.1 + 0.2, "on": True, "day": date(2026, 1, 31), "no": None, "text": "null", "site": "a"}
    told |= {"of": ["a", None], "many": [*range(20)]}
    assert tags_text(told) == (
        'n=12345, x=0.30000000000000004, on=true, day=2026-01-31, no=null, text="null", site=a, of=["a", null], '
        "many=[0, 1, 2, 3, 4, 5, 6, 7, …]"
    )
    assert tags_text({"a\n": "\x1b[2J" + "long" * 100}).startswith("a\\n=\\x1b[2Jlong")
    assert len(tags_text({"a": "long" * 100})) == 82


class Reader(HTMLParser):
    """The tags of a page, and the text of its cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@op.function_pod("y", identity="version")
def fail(x: str) -> int:
    raise ValueError(f"no number: {x}")


def pipeline() -> op.Pipeline:
    made = op.Pipeline(EVIL, MemoryDatabase())
    with made:
        fail.pod(DictSource([{"k": EVIL, "x": EVIL}], ["k"], source_id="s", label=EVIL), label=EVIL)
    return made


def shown() -> dict[str, Any]:
    made = pipeline()
    source = DictSource([{"k": EVIL, EVIL: EVIL}], ["k"], source_id="s", label=EVIL)
    return {
        "schema": source.schema.packets,
        "source": source,
        "operator": source.select_packet_columns([EVIL], label=EVIL),
        "pod": fail.pod(source.map_packets({EVIL: "x"}), label=EVIL),
        "pipeline": made,
        "node": made.nodes[f"{EVIL}_1"] if f"{EVIL}_1" in made.nodes else made.nodes[EVIL],
        "result": made.run(),
    }


SHOWN = shown()


@pytest.mark.parametrize("what", [each for each in SHOWN if each != "pipeline"])  # it is drawn
def test_names_and_values_are_text_and_never_markup(what: str) -> None:
    page = Reader(SHOWN[what]._repr_html_())
    assert page.tags <= {"table", "caption", "b", "thead", "tbody", "tr", "th", "td"}
    assert any("alert(" in text for text in page.texts)


@pytest.mark.parametrize("what", SHOWN)
def test_a_repr_is_short(what: str) -> None:
    assert len(repr(SHOWN[what]).splitlines()) <= 5


CONTROLS = "ok\u202e\x1b[31m\r\nf 0"


def controlled() -> op.Pipeline:
    @op.function_pod("y", identity="version")
    def fail(x: int) -> int:
        name = os.fsdecode(b"caf\xe9.txt")  # as os.listdir gives it
        error = ValueError(f"no file {name} \x1b[31m\u202e")
        error.add_note("second line")
        raise error

    made = op.Pipeline("p", MemoryDatabase())
    with made:
        rows = [{CONTROLS: "\u202e", "x": 1}, {CONTROLS: "b", "x": 2}]
        fail.pod(DictSource(rows, [CONTROLS], source_id="s", label=f"{CONTROLS}1"), label=CONTROLS)
    return made


@pytest.mark.parametrize(
    "told",
    [
        lambda made: made,
        lambda made: made.nodes[CONTROLS],
        lambda made: made.nodes[CONTROLS].schema.tags,
        lambda made: made.explain(),
        lambda made: made.explain()[CONTROLS],
        lambda made: made.run(),
        lambda made: made.run().errors[0],
        lambda made: made.run().reasons,
        lambda made: failure_kinds(made.run().errors.to_table())[0],
    ],
)
def test_nothing_that_is_printed_moves_a_cursor_turns_text_or_cannot_be_encoded(told: Any) -> None:
    what = told(controlled())
    pages = [what._repr_html_()] if hasattr(what, "_repr_html_") and not isinstance(what, op.Pipeline) else []
    for text in [str(what), *pages]:
        text.encode()
        assert all(line.isprintable() for line in text.split("\n"))
        assert not any(line.startswith("f 0") for line in text.split("\n"))


def test_failures_are_a_table_whatever_their_messages_say() -> None:
    result = controlled().run()
    assert "caf\udce9" in result.errors[0].message
    told = result.errors.to_table()
    assert [text.split()[3] for text in told["message"].to_pylist()] == ["caf\\udce9.txt"] * 2
    assert told["node"].to_pylist() == [CONTROLS] * 2
    assert "second line" in str(result.errors[0]).splitlines()[1]


def test_a_source_shows_its_first_rows() -> None:
    table = pa.table({"k": range(1000), "x": [[i] * 100 for i in range(1000)]})
    page = ArrowTableSource(table, ["k"], source_id="s")._repr_html_()
    assert "the first 5 of 1,000 rows" in page
    assert page.count("<tr>") == 1 + 2 + 1 + 5
    assert len(page) < 3000


def test_showing_computes_nothing() -> None:
    calls = []

    @op.function_pod("y", identity="version")
    def count(x: int) -> int:
        calls.append(x)
        return x

    stream = count.pod(DictSource([{"k": 1, "x": 1}], ["k"]))
    made = op.Pipeline("p", MemoryDatabase())
    with made:
        count.pod(DictSource([{"k": 1, "x": 1}], ["k"]))
    for each in (stream, made["count"]):
        assert each._repr_html_()
        assert repr(each)
    assert made._repr_svg_()
    assert repr(made)
    assert calls == []


@op.function_pod("z", identity="version")
def lose(x: str) -> str:
    raise OSError(f"the disk of {x} \x1b[2J<b>is</b> away")


def test_a_result_shows_counts_and_each_kind_of_failure_once() -> None:
    made = op.Pipeline("p", MemoryDatabase())
    with made:
        source = DictSource([{"k": i, "x": f"x{i}"} for i in range(12)], ["k"], source_id="s")
        fail.pod(source)
        lose.pod(DictSource([{"k": i, "x": f"x{i}"} for i in (3, 4)], ["k"], source_id="t"))
    result = made.run()
    page = Reader(result._repr_html_()).texts
    assert page[page.index("fail") :][:4] == ["fail", "0", "0", "12"]
    line, at = (each.pod.packet_function.function.__code__.co_firstlineno + 2 for each in (fail, lose))
    assert page[page.index("14 failed") :] == [
        *("14 failed", "packets", "node", "exception", "where", "one of them"),
        *("12", "fail", "ValueError: no number: x0", f"test_display.py, line {line}, in fail", "{'k': 0}"),
        *("2", "lose", "OSError: the disk of x3 \\x1b[2J<b>is</b> away"),
        *(
            f"test_display.py, line {at}, in lose",
            "{'k': 3}",
        ),
    ]
    shown = repr(result).splitlines()
    assert shown[-4] == "  12 × ValueError: no number: x0 (fail)"
    assert shown[-3].startswith("    File ")
    assert shown[-3].endswith(f'test_display.py", line {line}, in fail')
    assert shown[-2] == "  2 × OSError: the disk of x3 \\x1b[2J<b>is</b> away (lose)"
    assert shown[-1].endswith(", in lose>")


def test_a_result_shows_what_the_cache_saved_in_all() -> None:
    counts = {label: {"computed": 0, "cached": 1, "failed": 0} for label in "ab"}
    result = op.RunResult("r", PacketErrors(), counts, saved={"a": 4000.0, "b": 3600.0})
    assert repr(result).splitlines()[-1] == "  the cache saved 2.1 h in all>"
    assert "Run r: the cache saved 2.1 h" in Reader(result._repr_html_()).texts
    less = op.RunResult("r", PacketErrors(), counts, saved={"a": 0.4, "b": 0.3})
    assert "saved 0" not in repr(less)


def test_long_values_are_shortened() -> None:
    for value in ("a" * 1000, list(range(1000)), dict.fromkeys(range(100), "b" * 100), b"c" * 1000):
        assert len(shortened(value)) <= 80
    assert len(html_table("a" * 1000, ["b"], [["c" * 1000]])) < 500


@pytest.mark.parametrize(
    ("amounts", "shown"),
    [
        ((1_100_000_000, 1_000_000_000), ("1.1 GB", "1.0 GB")),
        ((1_073_741_824, 1_073_676_288), ("1.07374 GB", "1.07368 GB")),
        ((1_000_000_001, 1_000_000_000), ("1.000000001 GB", "1.000000000 GB")),
        ((70_000, 2_000_000, 70_000), ("0.1 MB", "2.0 MB", "0.1 MB")),
        ((3, 0), ("3 bytes", "0 bytes")),
    ],
)
def test_amounts_that_differ_look_different(amounts: tuple[int, ...], shown: tuple[str, ...]) -> None:
    assert sizes(*amounts) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0 ms"),
        (0.0023, "2.3 ms"),
        (0.25, "250 ms"),
        (1.0, "1 s"),
        (99.0, "99 s"),
        (150.0, "2.5 min"),
        (5000.0, "83 min"),
        (9000.0, "2.5 h"),
        (864_000.0, "10 days"),
    ],
)
def test_a_time_is_shown_in_the_unit_that_suits_it(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
