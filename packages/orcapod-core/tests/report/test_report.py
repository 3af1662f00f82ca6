"""The report of a run shows all that its store tells of it, in one file that holds nothing but text."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from html import unescape
from pathlib import Path

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import ConfigError, UnknownRunError
from orcapod.observers import CompositeObserver, LoggingObserver, NoOpObserver, StatusObserver
from orcapod.sources import DictSource

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> \x1b[31m\u202e\x00"
LIMIT = 10


@op.function_pod("y")
def checked(x: int) -> int:
    print(f"looked at {x}", HOSTILE)
    if x % 10 == 3:
        raise ValueError(f"{x} is no good: {HOSTILE}")
    return limited(x)


def limited(x: int) -> int:
    return min(x, LIMIT)


@op.function_pod("total")
def summed(y: list[int]) -> int:
    return sum(y)


def ran(database: object, rows: int = 20, *, first: int = 0, logs: bool = True, **told: object) -> op.RunResult:
    with op.Pipeline("study", database) as made:
        source = DictSource(
            [{"who": f"w{x}", "x": x + (first if x % 2 else 0)} for x in range(rows)], ["who"], source_id=HOSTILE[:40]
        )
        each = checked.pod(source, label="checked <b>")
        summed.pod(each.batch(5, incomplete="keep"), label="summed")
    observer = LoggingObserver(made.log_database) if logs else NoOpObserver()
    result = made.run(observer=observer, progress=False, **told)  # type: ignore[arg-type]
    if not isinstance(database, MemoryDatabase):
        made.database.close()
    return result


def text_of(page: str) -> str:
    body = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def written(store: object, path: Path, run: str | None = None) -> str:
    assert op.write_report(store, path, run) == path  # type: ignore[arg-type]
    return path.read_text("utf-8")


def test_it_shows_what_ran_what_failed_and_why_it_differs(tmp_path: Path) -> None:
    database = MemoryDatabase()
    before = ran(database, note="first")
    result = ran(database, first=100, note="after the scales were mended", tags={"site": "Dream"})
    told = text_of(written(database, tmp_path / "run.html"))
    with op.open_store(database) as store:
        run = store.run(result.run_id)
        for expected in (
            *("study", result.run_id, "after the scales were mended", "site", "Dream", "some packets failed"),
            *("SyncPipelineOrchestrator", f"{run.started:%Y-%m-%d %H:%M:%S} UTC"),
            *(f"{run.count('computed')} computed", f"{run.count('cached')} cached", f"{run.count('failed')} failed"),
            "checked <b> 20 18 8 10 2",  # the row of a node: rows in and out, computed, cached, failed
            "2 × ValueError: 103 is no good",
            *(f'File "{Path(__file__).name}"', "in checked", "who=w3", "who=w13", "looked at 113"),
            *("def checked(x: int)", "def limited(x: int)", "LIMIT", "10"),
            *(f"Compared with run {before.run_id}", "first", "value in source: x"),
            *("CPython", "pyarrow"),
        ):
            assert str(expected) in told.replace(f"{Path(__file__).parent}/", ""), expected
        changed = op.compare(store, before.run_id, result.run_id)["checked <b>"]["change"].to_pylist().count("changed")
        assert f"changed {changed} value in source: x" in told


def test_it_says_which_run_did_not_go_through_all_rows(tmp_path: Path) -> None:
    database = MemoryDatabase()
    ran(database)
    part = ran(database, until=["checked <b>"], where={"who": "w1"})
    told = text_of(written(database, tmp_path / "run.html", part.run_id))
    assert f"Run {part.run_id} did not go through all rows of checked <b>, summed: these are" in told


def test_tags_that_are_called_as_what_is_told_of_them_confuse_nothing(tmp_path: Path) -> None:
    database = MemoryDatabase()
    for count in (2, 3):
        with op.Pipeline("study", database) as made:
            rows = [{"change": "gone", "why": f"w{x}", "node": x, "x": x} for x in range(count)]
            limited_pod = op.FunctionPod(op.PythonPacketFunction(limited, "y"))
            limited_pod(DictSource(rows, ["change", "why", "node"], source_id="s"), label="f")
        made.run(progress=False)
    told = text_of(written(database, tmp_path / "run.html"))
    assert "f equal 2 f new 1" in told
    assert "gone" not in told


def test_whatever_text_there_is_nothing_of_it_is_anything_else(tmp_path: Path) -> None:
    database = MemoryDatabase()
    ran(database, note=HOSTILE, tags={HOSTILE: HOSTILE})
    page = written(database, tmp_path / "run.html")
    assert page.count("<script>") == page.count("</script>") == 1
    assert "<img" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "\\x1b" not in page.partition('<section id="code"')[0]  # colours are left out, other controls are seen
    assert "\\u202e\\x00" in page
    assert text_of(page).count("<img src=x onerror=alert(1)>") > 4


@pytest.mark.parametrize("observer", [None, StatusObserver])
def test_what_was_not_kept_is_said_to_be_missing(tmp_path: Path, observer: type[StatusObserver] | None) -> None:
    with op.Pipeline("study", tmp_path / "lab.db") as made:
        checked.pod(DictSource([{"who": x, "x": x} for x in range(9)], ["who"], source_id="s"), label="checked")
    made.run(observer=CompositeObserver(*([observer(made.log_database)] if observer else [])), progress=False)
    made.database.close()
    told = text_of(written(tmp_path / "lab.db", tmp_path / "run.html"))
    if observer is None:
        assert "Of 1 packet that failed, neither a log nor a status is in this store: 1 of checked" in told
        assert "By the results alone" in told
    else:
        assert "1 packet failed, in one way" in told
        assert "who=3" in told
        assert "By the statuses" in told
    assert "LoggingObserver(pipeline.log_database)" in told or observer


def test_without_failures_it_says_so(tmp_path: Path) -> None:
    database = MemoryDatabase()
    ran(database, rows=3)
    told = text_of(written(database, tmp_path / "run.html"))
    assert "No packet failed" in told
    assert "Outcome succeeded" in told


KILLED = """\
import os, sys
import orcapod as op
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource

@op.function_pod("y")
def f(x: int) -> int:
    print("at", x)
    if x == 1:
        raise ValueError("one is none")
    if x == 3:
        pipeline.database.flush()
        logs.flush()
        os._exit(9)
    return x

with op.Pipeline("killed", sys.argv[1]) as pipeline:
    f.pod(DictSource([{"i": i, "x": i} for i in range(9)], ["i"], source_id="s"), label="f")
logs = LoggingObserver(pipeline.log_database)
pipeline.run(observer=logs, progress=False)
"""


def test_of_a_run_that_was_killed_it_shows_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == 9
    told = text_of(written(path, tmp_path / "run.html"))
    for expected in ("has not ended, or was killed", "1 × ValueError: one is none", "i=1", "it is not known yet"):
        assert expected in told, expected
    assert "0 computed" not in told
    ran(path, rows=3)  # the last to end
    assert "Outcome succeeded" in text_of(written(path, tmp_path / "run.html"))


def test_a_run_is_named_and_the_last_to_end_is_taken_if_none_is(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    first, last = ran(path), ran(path, rows=21)
    assert f"Run {last.run_id}" in text_of(written(path, tmp_path / "run.html"))
    with op.open_store(path) as store:
        assert f"Run {first.run_id}" in text_of(written(store, tmp_path / "run.html", first.run_id[:-2]))
        assert store.runs().num_rows == 2  # it is still open
    with pytest.raises(UnknownRunError, match="found 0 runs whose name begins with 'nope'"):
        op.write_report(path, tmp_path / "run.html", "nope")
    with pytest.raises(UnknownRunError, match="found no run"):
        op.write_report(MemoryDatabase(), tmp_path / "run.html")


def test_a_report_is_never_written_over_its_store(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    ran(path, rows=3)
    for name in ("lab.db", "lab.db-wal", "../" + tmp_path.name + "/lab.db"):
        with pytest.raises(ConfigError, match=r"the path of a file that is not of the store; give another name"):
            op.write_report(path, tmp_path / name)
    assert "Outcome" in text_of(written(path, tmp_path / "lab.db.html"))


@pytest.mark.parametrize("there", ["folder", "nothing"])
def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path, there: str) -> None:
    database = MemoryDatabase()
    ran(database, rows=3)
    target = tmp_path / "run.html"
    if there == "folder":
        target.mkdir()
    else:
        target /= "run.html"
    with pytest.raises(ConfigError, match=r"run\.html', expected the path of a file that can be written"):
        op.write_report(database, target)
    assert [path.name for path in tmp_path.iterdir()] == ["run.html"] * (there == "folder")
    (tmp_path / "old.html").write_text("old")
    with (tmp_path / "old.html").open() as reader:
        assert written(database, tmp_path / "old.html").endswith("</html>")
        assert reader.read() == "old"  # whoever is reading it reads on
    assert len(list(tmp_path.iterdir())) == 1 + (there == "folder")


def test_a_part_that_cannot_be_read_is_named_and_the_others_are_there(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    ran(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("""UPDATE "_code" SET "__parts" = '{' WHERE "__parts" IS NOT NULL""")
    told = text_of(written(path, tmp_path / "run.html"))
    assert "Code This cannot be told: " in told
    assert "2 × ValueError: 3 is no good" in told
    assert "CPython" in told


@op.function_pod("y")
def talkative(x: int) -> int:
    if x % 10 == 3:
        print(f"output {x} " + "<&>" * 700 + f" end {x}")
        raise ValueError(f"{x} is no good")
    return x


@op.function_pod("y")
def repeating(x: int) -> int:
    if x % 10 == 3:
        print("output" * 400)
        raise ValueError("always the same")
    return x


@op.function_pod("y")
def complaining(x: int) -> int:
    word = "".join(chr(0x4E00 + int(digit)) for digit in f"{x:o}") * 60
    print(f"<{word}>" * 20)
    raise ValueError(word)


def test_no_number_of_kinds_and_no_length_of_texts_makes_a_report_larger(tmp_path: Path) -> None:
    with op.Pipeline("large", MemoryDatabase()) as made:
        rows = [{"who": f"{x} {'長' * 400}", "x": x} for x in range(2500)]
        complaining.pod(DictSource(rows, ["who"], source_id="s"), label="f")
    made.run(observer=LoggingObserver(made.log_database), progress=False)
    page = written(made.database, tmp_path / "run.html")
    assert (tmp_path / "run.html").stat().st_size < 3_000_000
    assert "2,500 packets failed, in 2,500 ways" in page
    assert "2,000 more kinds are not listed" in page


@pytest.mark.parametrize("pod", [talkative, repeating])
def test_ten_thousand_packets_of_which_a_thousand_fail_are_less_than_three_megabytes(
    tmp_path: Path, pod: op.FunctionPod
) -> None:
    with op.Pipeline("large", MemoryDatabase()) as made:
        rows = [{"who": f"subject {x}", "x": x} for x in range(10_000)]
        pod.pod(DictSource(rows, ["who"], source_id="s"), label="f")
    result = made.run(observer=LoggingObserver(made.log_database), progress=False)
    page = written(made.database, tmp_path / "run.html")
    assert (tmp_path / "run.html").stat().st_size < 3_000_000
    assert f"orcapod logs {result.run_id} --failed" in page
    for x in range(3, 10_000, 10):
        assert f"who=subject {x}" in page
        assert pod is repeating or f"output {x} " in page
        assert pod is repeating or f" end {x}" in page
    if pod is repeating:
        assert page.count("output" * 400) == 1
        assert len(page) < 100_000
