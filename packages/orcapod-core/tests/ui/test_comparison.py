"""Two runs are compared in the browser: what only one has, why rows are gone, and where each row is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource
from orcapod.ui import app


class Page:
    """What a page says and leads to."""

    def __init__(self, store: op.ledger.Store, page: str, /, **query: object) -> None:
        client = TestClient(app(store, "a-token"), base_url="http://127.0.0.1")
        client.get("/?token=a-token")
        answer = client.get(f"{page}?{urlencode(query)}" if query else page)
        self.status, self.source = answer.status_code, answer.text
        self.text = unescape(re.sub("<[^>]+>", "", answer.text))
        self.links = [unescape(link) for link in re.findall('<a href="([^"]*)"', answer.text)]


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[op.ledger.Store, list[str]]]:
    """Yield a store of two runs, the later one with a node more and a failure more, and one of another pipeline."""
    database = MemoryDatabase()

    @op.function_pod(output_keys="y")
    def half(x: int) -> float:
        if x < 0:
            raise ValueError("below")
        return x / 2

    def run(name: str, rows: list[dict[str, object]], labels: list[str]) -> str:
        with op.Pipeline(name, database) as pipeline:
            for label in labels:
                half.pod(DictSource(rows, ["k", "o"], source_id="s"), label=label)
        return pipeline.run(observer=LoggingObserver(pipeline.log_database)).run_id

    def rows(*xs: int) -> list[dict[str, object]]:
        return [{"k": f"k{at} of\t<b>", "o": [None, at][at % 2], "x": x} for at, x in enumerate(xs)]

    runs = [
        run("pair", rows(1, 2, 3), ["half", "old"]),
        run("pair", rows(1, 5, -1), ["half", "more", "other"]),
        run("single", rows(1, 2), ["half"]),
    ]
    with op.open_store(database) as store:
        yield store, runs


def test_a_comparison_tells_of_failures_and_of_nodes_that_one_run_has(pair: tuple[op.ledger.Store, list[str]]) -> None:
    store, (before, after, _) = pair
    page = Page(store, "/compare", before=before, after=after)
    assert "Only the earlier run has old." in page.text
    assert "Only the later run has more, other." in page.text
    rows = Page(store, "/compare", before=before, after=after, node="half")
    assert "1 packet of half failed in the later run; that may be why rows are gone" in rows.text
    assert "/logs?" + urlencode({"run": after, "node": "half", "outcome": "failed"}) in rows.links
    assert "failed in the" not in Page(store, "/compare", before=before, after=before, node="half").text


def test_a_comparison_with_a_part_of_a_run_says_so() -> None:
    @op.function_pod(output_keys="y")
    def half(x: int) -> float:
        return x / 2

    with op.Pipeline("pair", MemoryDatabase()) as pipeline:
        half.pod(DictSource([{"k": k, "x": k} for k in range(3)], ["k"], source_id="s"), label="half")
    runs = [pipeline.run().run_id, pipeline.run(where={"k": 1}).run_id]
    with op.open_store(pipeline.database) as store:
        page = Page(store, "/compare", before=runs[0], after=runs[1])
    assert f"Run {runs[1]} did not go through all rows of half: these are those of the last run that did" in page.text
    assert f"Run {runs[0]} did not" not in page.text


def test_rows_that_differ_lead_to_themselves_in_each_run(pair: tuple[op.ledger.Store, list[str]]) -> None:
    store, (before, after, _) = pair
    page = Page(store, "/compare", before=before, after=after, node="half")
    ways = [link for link in page.links if link.startswith("/node?")]
    assert [(before in way, after in way) for way in ways] == [(True, False), (False, True), (True, False)]
    for way in ways:
        assert "1 of " in Page(store, way).text, way


def test_runs_of_two_pipelines_are_not_compared_but_others_can_be_chosen(
    pair: tuple[op.ledger.Store, list[str]],
) -> None:
    store, (before, _, single) = pair
    page = Page(store, "/compare", before=before, after=single)
    assert page.status == 200
    assert "found a run of pair and one of single" in page.text
    assert page.source.count("<select") == 2
