"""The pages tell what the ledger tells, escape all of it, lead to each other, and write nothing."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from time import monotonic
from urllib.parse import urlencode

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.observers import LoggingObserver
from orcapod.protocols import Database
from orcapod.sources import DictSource
from orcapod.ui import app

EVIL = """</script><script>alert(1)</script><img src=x onerror="alert(2)">'"&amp;"""
MEAN = f"mean {EVIL}"
PATIENTS = 130


def night(store: Path | Database, patients: int, factor: float, note: str = "") -> str:
    """Run a study of so many patients, of whom each 17th fails; return the run's name."""

    @op.function_pod(output_keys=["bmi", "curve"])
    def bmi(weight: float) -> tuple[float, np.ndarray]:
        print("weighed", weight, EVIL)
        if weight < 0:
            raise ValueError(f"a weight of {weight} {EVIL}")
        return weight / factor, np.arange(weight)

    @op.function_pod(output_keys="mean")
    def mean(bmi: list[float]) -> float:
        return sum(bmi) / len(bmi)

    rows = [
        {"patient": f"p{at:03}", "site": "ab"[at % 2], "weight": 50.0 + at if at % 17 else -1.0}
        for at in range(1, patients + 1)
    ]
    with op.Pipeline("study/clinic", store) as pipeline:
        source = DictSource(rows, ["patient", "site"], source_id="patients", record_id_column="patient")
        each = bmi.pod(source, label="bmi").select_packet_columns(["bmi"])
        mean.pod(each.group_by("site", tags="drop", incomplete="keep"), label=MEAN)
    run = pipeline.run(observer=LoggingObserver(pipeline.log_database), note=note, tags={"who": EVIL} if note else {})
    if not isinstance(store, Database):
        pipeline.database.close()
    return run.run_id


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three runs, which no test writes to."""
    path = tmp_path_factory.mktemp("ui") / "lab.db"
    night(path, PATIENTS - 30, 4.0, f"first {EVIL}")
    night(path, PATIENTS, 4.0, "more patients")
    night(path, PATIENTS, 5.0)
    return path


class Page(HTMLParser):
    """What a page says and leads to."""

    def __init__(self, client: TestClient, page: str, /, **query: object) -> None:
        super().__init__()
        address = f"{page}?{urlencode(query)}" if query else page
        answer = client.get(address)
        self.status, self.source = answer.status_code, answer.text
        self.tags: list[str] = []
        self.links: list[str] = []
        self.fields: dict[str, str | None] = {}
        self.text = ""
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        assert not any(name.startswith("on") for name in found), "a page has no handlers"
        if tag == "a":
            self.links.append(found["href"] or "")
        if tag == "input":
            self.fields[found.get("name") or ""] = found.get("value")

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] not in (["style"], ["script"]):
            self.text += data


def entered(store: op.ledger.Store) -> TestClient:
    client = TestClient(app(store, "a-token"), base_url="http://127.0.0.1:8765")
    assert client.get("/?token=a-token").status_code == 200
    return client


@pytest.fixture
def client(lab: Path) -> Iterator[TestClient]:
    with op.open_store(lab) as store:
        yield entered(store)


@pytest.fixture(scope="module")
def runs(lab: Path) -> list[str]:
    with op.open_store(lab) as store:
        return [str(run) for run in store.runs()["run_id"].to_pylist()]


def test_runs_are_listed_and_found_by_what_is_typed(client: TestClient, runs: list[str]) -> None:
    page = Page(client, "/")
    assert [link for link in page.links if link.startswith("/run?")] == [f"/run?run={run}" for run in reversed(runs)]
    assert f"first {EVIL}, who={EVIL}" in page.text
    found = Page(client, "/", q="MORE patients")
    assert [link for link in found.links if link.startswith("/run?")] == [f"/run?run={runs[1]}"]
    assert found.fields == {"q": "MORE patients"}
    assert Page(client, "/", q="outcome=failed").text.count("…") == 3


def test_runs_are_found_by_what_their_list_shows(client: TestClient, runs: list[str]) -> None:
    """By the name in short, the outcome in words, the date, the note, and a tag as it is written there."""
    name = f"{runs[1][:8]}…{runs[1][-4:]}"
    assert name in Page(client, "/").text
    for words, count in (
        (name, 1),
        (f"run={name}", 1),
        (runs[1], 1),
        ("FAILED", 3),
        ("succeeded", 0),
        ('"more pat"', 1),
    ):
        assert f"{count} of 3 runs" in Page(client, "/", q=words).text, words
    assert "2 of 3 runs" in Page(client, "/", q=f'"who={EVIL.split(chr(34))[0]}"').text
    with op.open_store(MemoryDatabase()) as empty:
        assert "0 of 0 runs" in Page(entered(empty), "/", q="2026").text
    started = Page(client, "/run", run=runs[0]).source.split("<time ")[1].split(">")[1].split("<")[0]
    assert "of 3 runs" in (page := Page(client, "/", q=f'"{started}"')).text
    assert f"/run?run={runs[0]}" in page.links


def test_a_run_shows_its_nodes_with_their_numbers(client: TestClient, runs: list[str]) -> None:
    page = Page(client, "/run", run=runs[1])
    for told in ("more patients", "SyncPipelineOrchestrator", "28 computed", "95 cached", "7 failed", MEAN):
        assert told in page.text
    assert f"/node?{urlencode({'run': runs[1], 'node': MEAN})}" in page.links


def test_a_node_whose_rows_are_not_stored_leads_to_those_that_are(client: TestClient, runs: list[str]) -> None:
    """However many operators are between."""
    operators = [each for each in Page(client, "/run", run=runs[1]).links if "node=" in each]
    told = {way.partition("node=")[2]: Page(client, way) for way in operators}
    between = [page for page in told.values() if "Only rows of functions are stored" in page.text]
    assert len(between) == len(told) - 2, "all but the two functions"
    places = ["/node?" + urlencode({"run": runs[1], "node": label}) for label in ("bmi", MEAN)]
    assert all(places[0] in page.links for page in between)
    assert sum(places[1] in page.links for page in between) == len(between) - 1, "the source's are read by bmi alone"


def test_rows_are_shown_some_at_a_time_and_found_by_value(client: TestClient, runs: list[str]) -> None:
    first = Page(client, "/node", run=runs[1], node="bmi")
    assert "123 of 123 rows" in first.text
    assert "float64 array of 51 elements" in first.text
    assert first.source.count("/trace?") == 50
    last = Page(client, "/node", run=runs[1], node="bmi", page=2)
    assert last.source.count("/trace?") == 23
    assert {"/node?" + urlencode({"run": runs[1], "node": "bmi", "page": 2})} <= {*first.links}

    def found(q: str) -> str:
        return Page(client, "/node", run=runs[1], node="bmi", q=q).text

    assert "1 of 123 rows" in found("patient=p001")
    assert "0 of 123 rows" in found("patient=p00")
    assert "9 of 123 rows" in found("P00")
    assert "4 of 123 rows" in found("p00 site=a")
    assert "1 of 123 rows" in found("bmi=12.75")
    assert "0 of 123 rows" in found(EVIL)


def test_a_row_leads_to_all_that_it_was_made_of(client: TestClient, runs: list[str]) -> None:
    rows = Page(client, "/node", run=runs[2], node=MEAN)
    (way, _) = [link for link in rows.links if link.startswith("/trace?")]
    page = Page(client, way)
    assert "site=b" in page.text
    assert "of 61 rows by SelectPacketColumns and GroupBy" in page.text
    (members,) = [link for link in page.links if "&at=" in link]
    group = Page(client, members)
    assert group.text.count("weight of patients::patient=") == 20
    (more,) = [link for link in group.links if "&start=20" in link]
    assert "41 more" in group.text
    assert "patients::patient=p043" in Page(client, more).text
    member = Page(client, f"{members}.0.1")
    assert "What the function wrote" in member.text
    assert "weighed 53.0" in member.text


def test_output_is_found_by_node_tag_outcome_and_text(client: TestClient, runs: list[str]) -> None:
    def told(**query: object) -> str:
        return Page(client, "/logs", run=runs[2], **query).text

    assert "132 of 132 packets" in told()
    assert "130 of 130 packets" in told(node="bmi")
    assert "7 of 7 packets" in told(outcome="failed")
    assert "125 of 125 packets" in told(outcome="fine")
    assert "1 of 132 packets" in (one := told(q="patient=p017 site=b"))
    assert f"ValueError: a weight of -1.0 {EVIL}" in one
    assert f"weighed -1.0 {EVIL}" in one
    assert "1 of 130 packets" in told(node="bmi", q='p017 "a weight of"')
    assert "0 of 7 packets" in told(outcome="failed", q="patient=p01")


def test_two_runs_are_compared_row_by_row_and_why(client: TestClient, runs: list[str]) -> None:
    page = Page(client, "/compare")
    assert page.tags.count("option") == 2 * 4
    before, after = runs[0], runs[1]
    proposed = Page(client, "/compare", after=after).source.partition('name="after"')[0]
    assert f'value="{before}" selected' in proposed
    counted = Page(client, "/compare", before=before, after=after)
    assert "95" in counted.text
    new = Page(client, "/compare", before=before, after=after, node="bmi", change="new")
    assert "bmi: 28 rows new" in new.text
    edited = Page(client, "/compare", before=runs[1], after=runs[2], node="bmi")
    assert "code: closure" in edited.text
    assert "bmi: 123 rows that are not equal" in edited.text
    assert [link for link in edited.links if "page=2" in link]


def test_code_is_shown_as_it_was(client: TestClient, runs: list[str]) -> None:
    (way,) = [link for link in Page(client, "/node", run=runs[0], node="bmi").links if link.startswith("/code?")]
    assert "return (weight / factor, np.arange(weight))" in Page(client, way).text


def test_every_link_leads_to_a_page_and_nothing_in_one_is_more_than_text(client: TestClient) -> None:
    waiting, seen = ["/"], set[str]()
    for address in waiting:
        kind = address.partition("?")[0]
        if address in seen or sum(each.startswith(f"{kind}?") for each in seen) > 12:
            continue
        seen.add(address)
        page = Page(client, address)
        assert page.status == 200, address
        assert page.tags.count("script") == 2, address
        assert "img" not in page.tags
        waiting += page.links
    assert {each.partition("?")[0] for each in seen} >= {"/", "/run", "/node", "/trace", "/logs", "/compare", "/code"}


@pytest.mark.parametrize(
    ("address", "status", "told"),
    [
        ("/nowhere", 404, "no page /nowhere"),
        ("/run", 400, "without run="),
        ("/run?" + urlencode({"run": EVIL}), 404, EVIL.replace("'", "\\'")),
        ("/run?run=ffff", 404, "found 0 runs whose name begins with 'ffff'"),
        ("/node?run={run}&node=bmj", 404, "had no node 'bmj'; it had ['patients', 'bmi'"),
        ("/node?run={run}&node=bmi&page=x", 400, "found page=x, expected a number"),
        ("/node?run={run}&node=bmi&page=99999999999999999999", 400, "expected a number"),
        ("/trace?run={run}&node=bmi&row=00", 404, "found no row '00'"),
        ("/trace?run={run}&node=bmi&row=<b>", 404, "found no row '<b>'"),
        ("/logs?run={run}&node=bmj", 404, "had no node 'bmj'"),
        ("/logs?run={run}&outcome=odd", 400, "expected failed or fine"),
        ("/compare?before={run}&after=ffff", 404, "found 0 runs"),
        ("/compare?before={run}&after={run}&node=x", 400, "found node=x, expected one that both runs have"),
        ("/code?code=odd", 400, "method:hex"),
        ("/code?code=code-v1:00", 404, "code-v1:00"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(
    client: TestClient, runs: list[str], address: str, status: int, told: str
) -> None:
    page = Page(client, address.format(run=runs[0]))
    assert page.status == status
    assert told in page.text
    assert "Traceback" not in page.text
    assert "/" in page.links


def test_a_store_that_cannot_tell_says_why_and_no_more(lab: Path) -> None:
    store = op.open_store(lab)
    client = entered(store)
    store.close()
    page = Page(client, "/")
    assert page.status == 500
    assert "lab.db" in page.text
    assert "closed" in page.text
    assert "Traceback" not in page.text


@given(data=st.data())
@settings(suppress_health_check=[*HealthCheck])  # one store for all
def test_whatever_an_address_says_a_page_answers(client: TestClient, runs: list[str], data: st.DataObject) -> None:
    texts = st.text(max_size=12) | st.sampled_from(
        [*runs, runs[0][:8], "bmi", "patients", MEAN, EVIL, "0.0.1", '"', "="]
    )
    names = st.sampled_from(["run", "node", "row", "at", "start", "page", "q", "outcome", "before", "after", "change"])
    page = data.draw(st.sampled_from(["/", "/run", "/node", "/trace", "/logs", "/compare", "/code"]))
    query = data.draw(st.dictionaries(names | st.sampled_from(["part", "code"]), texts, max_size=5))
    try:
        address = urlencode({"run": runs[0], **query})
    except UnicodeEncodeError:
        return  # no browser can ask so
    assert Page(client, f"{page}?{address}").status in (200, 400, 404)


def test_a_place_that_no_trace_has_is_not_found(client: TestClient, runs: list[str]) -> None:
    rows = Page(client, "/node", run=runs[0], node=MEAN)
    way = next(link for link in rows.links if link.startswith("/trace?"))
    for at, status in (
        ("0.9999.0", 404),
        ("0.0.9999", 404),
        ("0.0", 404),
        ("7", 404),
        ("0.0.0.5.5", 404),
        ("-1", 400),
        ("0..1", 400),
    ):
        assert Page(client, f"{way}&at={at}").status == status
    assert Page(client, f"{way}&at=0&start=9999").status == 200


def test_browsing_leaves_every_file_as_it_was(lab: Path, tmp_path: Path) -> None:
    path = shutil.copy(lab, tmp_path / "lab.db")

    def files() -> dict[str, bytes]:
        return {str(each): hashlib.sha256(each.read_bytes()).digest() for each in tmp_path.rglob("*") if each.is_file()}

    before = files()
    with op.open_store(path) as store:
        client = entered(store)
        for link in Page(client, "/").links:
            for further in Page(client, link).links:
                Page(client, further)
    assert files() == before


def test_many_visitors_at_a_time_see_the_same(lab: Path, runs: list[str]) -> None:
    with op.open_store(lab) as store:
        client = entered(store)
        addresses = ["/", f"/run?run={runs[0]}", f"/node?run={runs[0]}&node=bmi", f"/logs?run={runs[1]}"] * 6
        with ThreadPoolExecutor(8) as pool:
            answers = [*pool.map(lambda address: client.get(address).text, addresses)]
        assert answers[:4] * 6 == answers


def test_a_store_without_runs_says_so() -> None:
    page = Page(entered(op.open_store(MemoryDatabase())), "/")
    assert page.status == 200
    assert "0 of 0 runs" in page.text


def test_rows_in_which_nothing_can_be_looked_for_are_shown_and_not_found() -> None:
    database = MemoryDatabase()

    @op.function_pod(output_keys="y")
    def ones(x: int) -> np.ndarray:
        return np.ones((x, 3), np.int8)

    with op.Pipeline("bare", database) as pipeline:
        ones.pod(DictSource([{"x": 2}], [], source_id="s"), label="ones")
    run = pipeline.run().run_id
    client = entered(op.open_store(database))
    assert "int8 array of 2 × 3 elements" in Page(client, "/node", run=run, node="ones").text
    assert "0 of 1 rows" in Page(client, "/node", run=run, node="ones", q="int8").text


@dataclass
class Spec:
    path: str
    digest: str
    size: int


@dataclass
class Scan:
    dtype: str
    shape: list[int]
    identity: str


@dataclass
class Blob:
    data: bytes
    size: int
    identity: str


VALUES = {
    "short": (bytes, b"abc", ["b'abc'"], None),
    "medium": (bytes, b"z" * 2000, ["2.0 kB of bytes"], None),
    "large": (bytes, b"z" * 2_000_000, ["2.0 MB of bytes"], None),
    "line": (str, "found", ["found"], None),
    "report": (str, "it was " * 100 + "<b>bad</b>", ["it was it was"], "it was " * 100 + "<b>bad</b>"),
    "novel": (str, "it was " * 9000, ["it was"], "characters are left out"),
    "flags": (list[int], [1, 2], ["[1, 2]"], None),
    "many": (list[int], [*range(60)], ["[0, 1, 2, 3, ...]"], "57, 58, 59]"),
    "table": (dict[str, list[float]], {f"key{at}": [at / 2] for at in range(9)}, ["key0"], "('key8', [4.0])"),
    "endless": (list[int], [7] * 300_000, ["[7, 7, 7, 7, ...]"], "7, 7, 7, 7"),
    "spec": (Spec, Spec("/x", "none", 7), ["/x", "none", "7"], None),
    "scan": (Scan, Scan("hello", [1, 7], "I"), ["hello", "[1, 7]", "I"], None),
    "blob": (Blob, Blob(b"abc", 7, "me"), ["abc", "7", "me"], None),
}


@pytest.fixture(scope="module")
def valued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[op.ledger.Store]:
    """A store with values of all kinds."""

    def give(x: int) -> tuple[object, ...]:
        return tuple(value for _, value, _, _ in VALUES.values())

    give.__annotations__["return"] = tuple[tuple(dtype for dtype, *_ in VALUES.values())]
    path = tmp_path_factory.mktemp("valued") / "lab.db"
    with op.Pipeline("valued", path) as pipeline:
        source = DictSource([{"i": 1, "x": 2}], ["i"], source_id="s")
        op.function_pod(output_keys=[*VALUES], identity="version")(give).pod(source, label="give it")
    pipeline.run()
    pipeline.database.close()
    with op.open_store(path) as store:
        yield store


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_in_one_line_of_a_table_and_whole_on_the_page_of_its_row(valued: op.ledger.Store, name: str) -> None:
    _, _, brief, whole = VALUES[name]
    client, run = entered(valued), valued.runs()["run_id"][0].as_py()
    node = Page(client, "/node", run=run, node="give it")
    row = Page(client, next(link for link in node.links if link.startswith("/trace")))
    for page in (node, row):
        assert all(escape(each, quote=False) in page.source for each in brief)
    block = row.source.partition(f"<h3>{name}</h3>")[2].partition("</pre>")[0]
    assert bool(block) == (whole is not None)
    if whole is not None:
        assert escape(whole, quote=False) in block
        assert len(block) < 30_000
    assert f"orcapod export 'give it' rows.json --run {run}" in row.text


def test_a_time_is_written_and_found_alike_among_rows_and_output() -> None:
    database, noon = MemoryDatabase(), datetime(2026, 1, 1, 12, tzinfo=UTC)

    @op.function_pod(output_keys="y")
    def twice(x: int) -> int:
        return 2 * x

    with op.Pipeline("times", database) as pipeline:
        twice.pod(DictSource([{"t": noon, "x": 2}, {"t": noon + timedelta(1), "x": 3}], ["t"]), label="twice")
    run = pipeline.run(observer=LoggingObserver(pipeline.log_database)).run_id
    client = entered(op.open_store(database))
    for page, told in (("/node", "1 of 2 rows"), ("/logs", "1 of 2 packets")):
        assert "2026-01-01 12:00:00+00:00" in Page(client, page, run=run, node="twice").text
        assert told in Page(client, page, run=run, node="twice", q='t="2026-01-01 12:00:00+00:00"').text


def test_values_that_are_not_in_the_store_are_said_to_be_missing() -> None:
    @op.function_pod(output_keys="y")
    def twice(x: int) -> int:
        return 2 * x

    def run(database: Database, results: Database | None = None, x: int = 2) -> op.Pipeline:
        with op.Pipeline("bare", database, results) as pipeline:
            twice.pod(DictSource([{"i": 1, "x": x}], ["i"], source_id="s"), label="twice")
        pipeline.run()
        return pipeline

    def rows(database: Database) -> str:
        store = op.open_store(database)
        return Page(entered(store), "/node", run=store.runs()["run_id"][0].as_py(), node="twice").text

    elsewhere, pruned = MemoryDatabase(), MemoryDatabase()
    run(elsewhere, MemoryDatabase())
    assert "The values are in another store" in rows(elsewhere)
    run(pruned)
    run(pruned, x=3).prune(older_than=timedelta(microseconds=1), dry_run=False)
    assert "Values that were pruned are not shown" in rows(pruned)


def test_a_long_note_is_folded_at_the_head_of_a_run_and_cut_in_the_list() -> None:
    database, note = MemoryDatabase(), "word " * 600 + "the end"

    @op.function_pod(output_keys="y")
    def twice(x: int) -> int:
        return 2 * x

    with op.Pipeline("long", database) as pipeline:
        twice.pod(DictSource([{"i": 1, "x": 2}], ["i"], source_id="s"), label="twice")
    run = pipeline.run(note=note).run_id
    client = entered(op.open_store(database))
    page = Page(client, "/run", run=run)
    assert f"{note}</details>" in page.source or f"{note}</p></details>" in page.source
    assert "the end" not in Page(client, "/").text
    assert "word word" in Page(client, "/").text
    assert "1 of 1 runs" in Page(client, "/", q="end").text


def test_what_was_kept_of_no_run_is_said() -> None:
    database = MemoryDatabase()

    @op.function_pod(output_keys="y")
    def twice(x: int) -> int:
        return 2 * x

    with op.Pipeline("silent", database) as pipeline:
        twice.pod(DictSource([{"i": 1, "x": 2}], ["i"], source_id="s"), label="twice")
    run = pipeline.run().run_id
    assert "Nothing was kept of this run" in Page(entered(op.open_store(database)), "/logs", run=run).text


WRITER = """
    import sys
    import orcapod as op
    from orcapod.observers import LoggingObserver
    from orcapod.sources import DictSource

    @op.function_pod(output_keys="y")
    def step(x: int) -> int:
        if x == 3:
            raise ValueError("three")
        if x == 6:
            print("waiting", flush=True)  # it is captured
            sys.__stdout__.write("ready\\n"); sys.__stdout__.flush()
            sys.stdin.readline()
        return x

    with op.Pipeline("live", sys.argv[1]) as pipeline:
        step.pod(DictSource([{"i": i, "x": i} for i in range(9)], ["i"], source_id="s"), label="step")
    pipeline.run(observer=LoggingObserver(pipeline.log_database))
"""


def test_a_run_is_seen_while_another_process_makes_it_and_until_it_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    program = [sys.executable, "-c", textwrap.dedent(WRITER), str(path)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        with op.open_store(path) as store:
            client = entered(store)
            (run,) = store.runs()["run_id"].to_pylist()
            deadline = monotonic() + 60  # what is done is there within a second
            while "step51" not in (page := Page(client, "/run", run=run)).text and monotonic() < deadline:
                pass
            assert "step51" in page.text  # five computed, one failed
            assert "has not ended, or was killed" in page.text
            assert 'id="now" data-live' in page.source
            assert "51live" in Page(client, "/").text
            assert "not known which rows it gave" in Page(client, "/node", run=run, node="step").text
            writer.communicate("\n", timeout=60)
            page = Page(client, "/run", run=run)
            assert "8 computed, 1 failed" in page.text
            assert 'id="now" data-live' not in page.source
