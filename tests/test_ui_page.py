"""The page of a store in a real browser, from a real server, and over every store."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.testclient import TestClient

import orcapod as op
from orcapod.observers import LoggingObserver
from orcapod.protocols import Database
from orcapod.sources import DictSource
from orcapod.ui import app
from orcapod_delta import DeltaDatabase
from orcapod_postgres import PostgresDatabase

EVIL = """</pre></script><script>document.title="owned"</script><img src="x" onerror="document.title='owned'">"""
MEAN = f"mean {EVIL}"


@op.function_pod(output_keys="bmi", identity="version")
def bmi(weight: float) -> float:
    print("weighed", weight, EVIL)
    if weight < 0:
        raise ValueError(f"a weight of {weight} {EVIL}")
    return weight / 4


@op.function_pod(output_keys="mean", identity="version")
def mean(bmi: list[float]) -> float:
    return sum(bmi) / len(bmi)


def study(database: Database | Path, patients: int) -> str:
    """Run a study of so many patients, of whom p13 fails; return the run's name."""
    rows = [{"patient": f"p{at}", "weight": -1.0 if at == 13 else 50.0 + at} for at in range(patients)]
    with op.Pipeline("study", database) as pipeline:
        source = DictSource(rows, ["patient"], source_id="patients", record_id_column="patient")
        each = bmi.pod(source, label="bmi")
        mean.pod(each.batch(incomplete="keep"), label=MEAN)
    run = pipeline.run(observer=LoggingObserver(pipeline.log_database), note=EVIL, progress=False)
    if isinstance(database, Path):
        pipeline.database.close()
    return run.run_id


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lab") / "lab.db"
    study(path, 30)
    study(path, 60)
    return path


class Server:
    """The page of a store, served by a process of its own, which ends with the block."""

    def __init__(self, store: Path) -> None:
        program = [sys.executable, "-m", "orcapod.ui", "--store", str(store), "--no-browser"]
        self.process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def at(self, page: str, **query: object) -> str:
        """The address of a page, with the token."""
        start, _, token = self.url.partition("/?")
        return f"{start}/{page}?{token}&{urlencode(query)}"

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def server(lab: Path) -> Iterator[Server]:
    with Server(lab) as served:
        yield served


@pytest.fixture(scope="module")
def runs(lab: Path) -> list[str]:
    with op.open_store(lab) as store:
        return [str(run) for run in store.runs()["run_id"].to_pylist()]


Visit = Callable[..., Page]


def test_a_person_goes_from_the_runs_to_a_value_and_unfolds_what_it_was_made_of(visit: Visit, server: Server) -> None:
    page = visit(server.url)
    assert "token" not in page.url
    page.locator("#runs a").first.click()
    page.locator("#nodes").get_by_role("link", name="mean").click()
    page.get_by_role("link", name="trace").click()
    tree = page.locator("#tree")
    expect(tree).to_contain_text("bmi of 59 rows by Batch")
    assert "patients::patient=p0" not in tree.inner_text()
    tree.locator("summary").first.press("Enter")
    expect(tree).to_contain_text("patients::patient=p0")
    tree.get_by_role("link", name="39 more").click()
    expect(tree).to_contain_text("patients::patient=p40")
    expect(tree.get_by_role("link", name="19 more")).to_be_visible()
    tree.get_by_role("link", name="19 more").press("Enter")
    expect(tree).to_contain_text("patients::patient=p59")
    group = tree.locator("details > ul")
    assert group.first.locator("xpath=./li").count() == 59, "members of a group stand side by side"
    assert "patient=p41" in page.evaluate("document.activeElement.innerText"), "the reader goes on at the first new one"
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text(MEAN)
    page.go_back()
    expect(page.locator("#nodes")).to_be_visible()


def test_the_output_of_a_failing_packet_is_found_by_typing(visit: Visit, server: Server, runs: list[str]) -> None:
    page = visit(server.at("logs", run=runs[1]))
    outputs = page.locator("#outputs")
    expect(outputs).to_contain_text("32 of 32 packets")
    page.get_by_label("Find: words").press_sequentially("P13 valueerror")
    expect(outputs).to_contain_text("1 of 32 packets")
    expect(outputs).to_contain_text(f"ValueError: a weight of -1.0 {EVIL}")
    expect(page).to_have_url(re.compile(r"q=P13\+valueerror"))  # what is found of a part of it comes before
    page.get_by_label("Packets").select_option("that did not fail")
    expect(outputs).to_contain_text("0 of 31 packets")
    page.reload()
    expect(page.get_by_label("Find: words")).to_have_value("P13 valueerror")


def test_rows_are_found_by_typing(visit: Visit, server: Server, runs: list[str]) -> None:
    page = visit(server.at("node", run=runs[1], node="bmi"))
    page.get_by_label("Find rows").press_sequentially("patient=p7")
    expect(page.locator("#rows")).to_contain_text("1 of 59 rows")
    expect(page.locator("#rows tbody th").first).to_have_text("p7")


def test_names_notes_and_output_that_mean_harm_are_text_on_every_page(
    visit: Visit, server: Server, runs: list[str]
) -> None:
    run, before = runs[1], runs[0]
    for address in (
        server.at(""),
        server.at("run", run=run),
        server.at("node", run=run, node=MEAN),
        server.at("logs", run=run, q=EVIL),
        server.at("compare", before=before, after=run, node=MEAN),
    ):
        page = visit(address)
        assert EVIL in page.locator("main").inner_text()
        assert page.title() != "owned"
        assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_scrolls_sideways_on_a_phone(visit: Visit, server: Server, runs: list[str], scheme: str) -> None:
    run, before = runs[1], runs[0]
    for address in (
        server.at(""),
        server.at("run", run=run),
        server.at("node", run=run, node="bmi"),
        server.at("logs", run=run),
        server.at("compare", before=before, after=run, node="bmi", change="new"),
    ):
        page = visit(address, width=375, scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, address


def test_fields_of_a_form_and_its_button_are_in_line(visit: Visit, server: Server, runs: list[str]) -> None:
    def boxes(address: str) -> list[dict[str, float]]:
        fields = visit(address).locator("form.filter :is(select, button, input[type=search])")
        return [field.evaluate("field => field.getBoundingClientRect().toJSON()") for field in fields.all()]

    of_output, of_rows = boxes(server.at("logs", run=runs[1])), boxes(server.at("node", run=runs[1], node="bmi"))
    assert (len(of_output), len(of_rows)) == (4, 2)
    assert len({box["height"] for box in of_output + of_rows}) == 1
    assert len({box["top"] for box in of_rows}) == 1


LIVE = """
    import sys
    import orcapod as op
    from orcapod.sources import DictSource

    @op.function_pod(output_keys="y")
    def step(x: int) -> int:
        if x in (3, 6):
            sys.__stdout__.write("ready\\n")
            sys.__stdout__.flush()
            sys.stdin.readline()
        return x

    with op.Pipeline("live", sys.argv[1]) as pipeline:
        step.pod(DictSource([{"i": i, "x": i} for i in range(9)], ["i"], source_id="s"), label="step")
    pipeline.run(progress=False)
"""


def test_a_run_moves_while_somebody_looks(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    program = [sys.executable, "-c", textwrap.dedent(LIVE), str(path)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        with Server(path) as served:
            page = visit(served.url)
            page.locator("#runs a").first.click()
            computed = page.locator("#nodes tbody tr", has_text="step").locator("td").first
            expect(computed).to_have_text("3")
            writer.stdin.write("\n")
            writer.stdin.flush()
            expect(computed).to_have_text("6")
            writer.communicate("\n", timeout=60)
            expect(page.locator("#now")).to_contain_text("succeeded")
            expect(computed).to_have_text("9")
            assert page.locator("[data-live]").count() == 0


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """Yield the server of a store with a run that was killed, and the run's name; its pages are closed before it."""
    path = tmp_path / "killed.db"
    program = [sys.executable, "-c", textwrap.dedent(LIVE), str(path)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        writer.kill()
        writer.communicate()
    with op.open_store(path) as store:
        run = store.last_run().run_id
    with Server(path) as served:
        yield served, run


def test_what_a_reader_does_to_a_live_page_stays(killed: tuple[Server, str], visit: Visit, tmp_path: Path) -> None:
    """A run that begins is listed above what was there, which keeps its selection, its focus and where it was moved."""
    server, run = killed
    page = visit(server.url, width=375)
    listed = page.locator("#runs")
    listed.locator(f'a[href$="{run}"]').focus()
    page.evaluate(
        """() => {
            document.querySelector("#runs .wide").scrollLeft = 100;
            getSelection().selectAllChildren(document.querySelector("#runs tbody .badge"));
        }"""
    )
    study(tmp_path / "killed.db", 3)
    expect(listed).to_contain_text("2 of 2 runs")
    assert page.evaluate("getSelection().toString()") == "has not ended, or was killed"
    assert page.evaluate("document.activeElement.getAttribute('href')").endswith(run)
    assert page.evaluate("document.querySelector('#runs .wide').scrollLeft") == 100


def test_a_page_says_that_its_store_has_gone(browser: Browser, killed: tuple[Server, str], tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(killed[0].url)
    expect(page.locator("#runs")).to_contain_text("1 of 1 runs")
    for file in tmp_path.glob("killed.db*"):
        file.unlink()
    expect(page.locator("#state")).to_contain_text("there is no store at")
    page.close()


def test_a_page_that_does_not_change_is_asked_for_less_and_less(killed: tuple[Server, str], visit: Visit) -> None:
    """And never while nobody sees it, but at once when somebody does."""
    server, run = killed
    page = visit(server.url)
    page.clock.install()
    page.clock.pause_at(datetime.now(UTC) + timedelta(days=1))  # or it would go on meanwhile as on the wall
    asked, answered = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfinished", lambda request: answered.append(request.url))

    def pass_time(seconds: int) -> int:
        """Let time pass for the page, which no answer takes any of; return how often it asked."""
        before = len(asked)
        for _ in range(seconds):
            page.clock.run_for(1000)
            while len(answered) < len(asked):
                page.wait_for_timeout(10)
        return len(asked) - before

    def hide(is_hidden: bool) -> None:
        page.evaluate(
            """(isHidden) => {
                Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
                document.dispatchEvent(new Event("visibilitychange"));
            }""",
            is_hidden,
        )

    page.goto(server.at("run", run=run))
    assert 2 <= pass_time(30) <= 6
    hide(True)
    assert pass_time(60) == 0
    with page.expect_request("**/run?*"):
        hide(False)


def test_ctrl_c_ends_a_server_without_a_word(lab: Path) -> None:
    with Server(lab) as served:
        browser = build_opener(HTTPCookieProcessor())
        with browser.open(served.url) as answer:
            assert answer.status == 200
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(60) == 0


@pytest.fixture(params=["delta", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "delta":
        store: Database = DeltaDatabase(tmp_path / "lab")
    else:
        store = PostgresDatabase(request.getfixturevalue("postgres_conninfo")).at(tmp_path.name)
    with store:
        yield store


def test_every_store_is_looked_at_alike(database: Database) -> None:
    before, run = study(database, 15), study(database, 20)
    client = TestClient(app(op.open_store(database), "a-token"), base_url="http://127.0.0.1")
    assert "2 of 2 runs" in client.get("/?token=a-token").text

    def told(page: str, **query: object) -> str:
        answer = client.get(f"/{page}?{urlencode(query)}")
        assert answer.status_code == 200
        return answer.text

    assert "5 computed, 14 cached, 1 failed" in told("run", run=run).replace("\n", " ") or "14 cached" in told(
        "run", run=run
    )
    rows = told("node", run=run, node="bmi", q="p7")
    assert "1 of 19 rows" in rows
    way = rows.split('href="/trace?')[1].split('"')[0].replace("&amp;", "&")
    assert "patients::patient=p7" in client.get(f"/trace?{way}").text
    assert "1 of 1 packets" in told("logs", run=run, q="patient=p13", outcome="failed")
    assert "5 rows new" in told("compare", before=before, after=run, node="bmi", change="new")
    assert "2 runs" in told("")
