"""The commands around a pipeline, each as a process: what they show, compute and store, and how they end."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

import orcapod as op

STUDY = """
import os
import time
from pathlib import Path

import orcapod as op
from orcapod.sources import DictSource

FACTOR = 2


def checked(x):
    if x < 0:
        raise ValueError(f"found {x}, expected a positive number")
    return x


@op.function_pod("y")
def scale(x: int) -> int:
    print("scaling", x)
    if x == 7 and Path("broken").exists():
        raise OSError("the \\x1b[2J disk is [red]away")
    return FACTOR * checked(x)


@op.function_pod("word", identity="version")
def guess(y: int) -> str:
    return os.urandom(8).hex()


ROWS = [{"who": who, "site": "ab"[who % 2], "x": x} for who, x in enumerate([1, 2, -3, -4, 7])]
pipeline = op.Pipeline("study", "lab.db")
with pipeline:
    people = DictSource(ROWS, ["who", "site"], source_id="people", record_id_column="who")
    guess.pod(scale.pod(people, label="scaled"), label="guessed")
"""


def line_of(text: str) -> int:
    return STUDY[: STUDY.index(text)].count("\n") + 1


def command(*args: str, cwd: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "orcapod.cli", *args]
    return subprocess.run(program, cwd=cwd, input=given, capture_output=True, text=True, timeout=60, check=False)


SEVERAL = """
import contextlib, io, json, sys
from orcapod.cli.main import main
done = []
for args in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(args)
        except SystemExit as end:
            done.append((end.code, out.getvalue(), err.getvalue()))
json.dump(done, sys.stdout)
"""


def commands(*several: Sequence[str], cwd: Path) -> list[tuple[int, str, str]]:
    """Return code, output and messages of several commands, which one process runs one after the other."""
    program = [sys.executable, "-c", SEVERAL, json.dumps(several)]
    done = subprocess.run(program, cwd=cwd, capture_output=True, text=True, timeout=60, check=True)
    return [(code, shown, told) for code, shown, told in json.loads(done.stdout)]


def counts(told: dict[str, Any], *kinds: str) -> dict[str, list[int]]:
    nodes = {node["node"]: node for node in told["nodes"] if node["kind"] == "function"}
    return {label: [node[kind] for kind in kinds or ("computed", "cached", "failed")] for label, node in nodes.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.py").write_text(STUDY)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a pipeline that has run, and the name of the run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "study.py").write_text(STUDY)
    done = command("run", "study.py", "--json", "--note", "first", "--tag", "by=ada", cwd=folder)
    assert done.returncode == 1, done.stderr
    return folder, json.loads(done.stdout)["run_id"]


@pytest.fixture
def again(finished: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """A copy of it, to be written to."""
    folder, run = finished
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path, run


def test_a_run_tells_of_each_node_and_of_each_kind_of_failure_once(folder: Path) -> None:
    (folder / "broken").touch()
    done = command("run", "study.py", cwd=folder)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "node",
        "computed",
        "cached",
        "failed",
        "incomplete",
        "rows",
        "in",
        "rows",
        "out",
        "time",
        "rate",
        "saved",
    ]
    assert re.match(r"people +5 *$", lines[1])
    assert re.match(r"scaled +2 +0 +3 +0 +5 +2 +[\d.]+ ms +[\d,]+/s", lines[2])
    assert re.match(r"guessed +2 +0 +0 +3 +2 +2 +[\d.]+ ms +[\d,]+/s", lines[3])
    assert lines[5:7] == [
        "2 × ValueError: found -3, expected a positive number (scaled)",
        f'File "study.py", line {line_of("raise ValueError")}, in checked',
    ]
    assert lines[8] == "1 × OSError: the \\x1b[2J disk is [red]away (scaled)"
    run = lines[-1].removeprefix("run ").removesuffix(": FAILED")
    assert lines[7] == lines[10] == f"orcapod logs {run} --failed --node scaled --store lab.db"
    assert "\x1b" not in done.stdout + done.stderr
    with op.open_store(folder / "lab.db") as store:
        assert store.logs(run, "scaled", {"who": 0}).column("__stdout").to_pylist() == ["scaling 1\n"]
        assert store.statuses(run, "guessed").column("__state").to_pylist() == ["SUCCESS"] * 2


def test_what_is_there_is_not_computed_again_and_parts_are_chosen(again: tuple[Path, str]) -> None:
    folder, first = again
    with op.open_store(folder / "lab.db") as store:
        assert (store.run(first).note, store.run(first).tags) == ("first", {"by": "ada"})
    part = ("--only", "guessed", "--recompute", "guessed", "--where", "who=0", "--where", "who=1", "--where", "site=a")
    until = ("--until", "scaled", "--executor", "local", "--jobs", "1")
    done = commands(*(("run", "study.py", "--json", *each) for each in (("--async",), part, until)), cwd=folder)
    warm, chosen, until = (json.loads(shown) for _, shown, _ in done)
    assert counts(warm) == {"scaled": [0, 3, 2], "guessed": [0, 3, 0]}
    assert warm["saved"] > 0
    assert counts(chosen)["guessed"] == [1, 2, 0]
    assert counts(until) == {"scaled": [0, 3, 2], "guessed": [0, 0, 0]}


def test_what_cannot_be_done_is_told_and_nothing_is_run(finished: tuple[Path, str]) -> None:
    folder, run = finished
    expected = {
        ("run", "study.py", "--only", "scald"): "there is no node 'scald'; did you mean 'scaled'?",
        ("run", "study.py", "--where", "wo=1"): "there is no tag 'wo'; did you mean 'who'?",
        ("run", "study.py", "--where", "who=ada"): "--where: who='ada' never holds: the tag is int",
        ("run", "study.py", "--where", "who"): "--where: found 'who', expected name=value",
        ("run", "study.py", "--executor", "rey"): "'rey'",
        ("run", "study.py", "--dry-run", "--only", "scaled"): "leave out --only",
        ("plan", "study.py", "guesed"): "there is no node 'guesed'; did you mean 'guessed'?",
        ("graph", "study.py", "--run", "nothing"): "found 0 runs whose name begins with 'nothing'",
        ("report", run, "--store", "lab.db", "-o", "no/where.html"): "no/where.html",
        ("retry", "nothing", "study.py"): "found 0 runs whose name begins with 'nothing'",
        ("reproduce", run, "people", "who=1", "study.py"): "'people' is no function",
    }
    done = commands(*expected, cwd=folder)
    for args, (code, shown, told) in zip(expected, done, strict=True):
        assert (code, shown) == (2, ""), args
        assert expected[args] in told
    with op.open_store(folder / "lab.db") as store:
        assert store.runs().num_rows == 1


def test_a_store_that_cannot_be_read_has_a_code_of_its_own(folder: Path) -> None:
    (folder / "lab.db").write_text("no database, but long enough to be taken for one" * 30)
    done = command("plan", "study.py", cwd=folder)
    assert (done.returncode, done.stdout) == (4, "")
    assert f'File "{folder / "study.py"}", line {line_of("pipeline = ")}, in <module>' in done.stderr
    assert "file is not a database" in done.stderr


def test_what_is_warned_of_is_one_line_and_names_no_file_of_ours(finished: tuple[Path, str], tmp_path: Path) -> None:
    text = STUDY.replace('"lab.db"', "op.databases.MemoryDatabase()").replace(
        "if x == 7 and", "if x == 7 and nowhere and"
    )
    (tmp_path / "study.py").write_text(text)
    done = command("run", "study.py", "--where", "who=99", "--where", "who=2", cwd=tmp_path)
    where, *others = sorted(done.stderr.splitlines(), key=lambda line: "study.py" in line)
    assert where == "warning: where: no row has who=99; check how it is written"
    place = f"{tmp_path / 'study.py'}:{line_of('def scale') - 1}"
    assert [line.partition(" (module")[0] for line in others] == [f"warning: {place}: scale: cannot follow nowhere"]
    assert "1 × ValueError" in done.stdout
    assert "orcapod logs" not in done.stdout


def test_the_first_failure_ends_a_run_that_is_told_to(folder: Path) -> None:
    done = command("run", "study.py", "--fail-fast", "--json", cwd=folder)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["outcome"], counts(told)["scaled"]) == ("FAILED", [2, 0, 1])
    assert [(each["count"], each["line"]) for each in told["failures"]] == [(1, line_of("raise ValueError"))]
    first, second, *_, last = done.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert second.startswith(f'  File "{folder / "study.py"}", line ')
    assert last == "ValueError: found -3, expected a positive number"


def test_a_bad_row_of_a_source_is_counted_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("who,x\n1,1\n2,two\n")
    source = 'CSVSource("rows.csv", ["who"], data_schema={"x": int}, bad_rows="fail", source_id="people")'
    text = re.sub(r"people = DictSource.*", f"people = {source}", STUDY).replace("DictSource\n", "CSVSource\n", 1)
    (tmp_path / "study.py").write_text(text)
    done = command("run", "study.py", "--pdb", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert re.search(r"^people +1 +1$", done.stdout, re.MULTILINE)
    assert "(people)" in done.stdout


def test_an_interrupt_keeps_what_is_finished(tmp_path: Path) -> None:
    waits = 'if x == 2:\n        os.write(2, b"here\\n")\n        time.sleep(60)'
    (tmp_path / "study.py").write_text(STUDY.replace('print("scaling", x)', waits))
    program = [sys.executable, "-m", "orcapod.cli", "run", "study.py", "--json"]
    with subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "here\n"
        running.send_signal(signal.SIGINT)
        shown, told = running.communicate(timeout=60)
    assert (running.returncode, told.split()) == (130, ["interrupted"])
    assert json.loads(shown)["outcome"] == "INTERRUPTED"
    assert counts(json.loads(shown), "computed") == {"scaled": [1], "guessed": [0]}


def test_a_plan_says_what_and_why_and_a_dry_run_the_same(finished: tuple[Path, str], folder: Path) -> None:
    dry, plan = commands(("run", "study.py", "--dry-run"), ("plan", "study.py"), cwd=folder)
    assert dry == plan
    assert (plan[0], plan[2]) == (0, "")
    lines = plan[1].splitlines()
    assert lines[0].split() == ["node", "cached", "new", "stale", "failed", "unknown"]
    assert lines[1].split() == ["scaled", "0", "5", "0", "0", "0"]
    assert lines[3].startswith(
        "scaled: 5 (who=0, site='a'; who=1, site='b'; who=2, site='a'; ...): new: no such packet"
    )
    assert lines[4].startswith("guessed: 5 (who=0, site='a'; ")
    assert not (folder / "lab.db").exists()


def test_plans_and_runs_load_no_pandas(again: tuple[Path, str]) -> None:
    folder, _ = again
    (folder / "study.py").write_text(STUDY.replace("if x < 0:", "if x < -3:"))
    program = [sys.executable, "-c", SEVERAL + "\nprint({'pandas', 'numpy.testing'} & {*sys.modules})"]
    program.append(json.dumps([[name, "study.py"] for name in ("plan", "run", "plan")]))
    shown = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=60, check=True).stdout
    assert shown.count("scaled") > 2
    assert shown.endswith("set()\n")


def test_a_plan_shows_the_lines_that_were_edited(again: tuple[Path, str]) -> None:
    folder, _ = again
    (folder / "study.py").write_text(STUDY.replace("if x < 0:", "if x < -3:"))
    done = commands(*(("plan", "study.py", "scaled", each) for each in ("--diff", "--json")), cwd=folder)
    (_, shown, _), (_, told, _) = done
    assert "\n-    if x < 0:\n+    if x < -3:" in shown
    assert shown.count("if x < -3:") == 1
    assert "scaled: 3 (who=0, site='a'; who=1, site='b'; who=4, site='a')\n" in shown
    (node,) = json.loads(told)["nodes"]
    assert (node["node"], node["stale"]) == ("scaled", 3)
    changed = next(reason for reason in node["reasons"] if reason["cause"] == "changed")
    assert "+    if x < -3:" in changed["diff"]
    assert changed["examples"][0] == {"who": 0, "site": "a"}


def test_what_has_failed_is_tried_again_and_nothing_else(again: tuple[Path, str]) -> None:
    folder, first = again
    (folder / "study.py").write_text(STUDY.replace('{"who": who', '{"who": who + 5 * (who == 4)'))
    done = command("retry", first[:30], "study.py", "--json", cwd=folder)
    assert counts(json.loads(done.stdout)) == {"scaled": [0, 3, 2], "guessed": [0, 3, 0]}
    with op.open_store(folder / "lab.db") as store:
        assert store.run(json.loads(done.stdout)["run_id"]).tags == {"retry_of": first}
    (folder / "study.py").write_text(STUDY.replace("guess.pod", "people.batch(2, label='pairs')\n    guess.pod"))
    text = (
        (folder / "study.py").read_text().replace("checked(x)\n\n\n@op", "abs(x)\n\n\n@op").replace("x: int", "x: int")
    )
    (folder / "study.py").write_text(text)
    mended = command("retry", first, "study.py", "--where", "site=a", "--json", cwd=folder)
    assert mended.returncode == 0, mended.stderr
    assert counts(json.loads(mended.stdout), "computed", "failed") == {"scaled": [3, 0], "guessed": [1, 0]}
    nothing = command("retry", json.loads(mended.stdout)["run_id"], "study.py", cwd=folder)
    assert (nothing.returncode, nothing.stdout[:25]) == (0, "no packet has failed in r")


def test_where_nothing_has_run_it_is_said_so(folder: Path) -> None:
    never = "no pipeline has run in this store, nor 'study'; orcapod run TARGET runs it"
    asked = [["retry", "last", "study.py"], ["reproduce", "last", "scaled", "who=1", "study.py"]]
    assert [(code, never in told) for code, _, told in commands(*asked, cwd=folder)] == [(2, True)] * 2


def test_of_a_killed_run_it_is_said_what_computes_the_rest(again: tuple[Path, str]) -> None:
    folder, first = again
    with closing(sqlite3.connect(folder / "lab.db")) as connection, connection:  # as a kill leaves it
        connection.execute('DELETE FROM "study/_runs"')
    nothing = command("retry", "last", "study.py", cwd=folder)
    told = f"run {first} has not ended, so that it is not known which packets have failed in it"
    assert nothing.stdout == f"{told}; what is missing is computed by orcapod run study.py\n"


def test_one_packet_is_called_again_and_compared(finished: tuple[Path, str]) -> None:
    folder, run = finished
    equal = command("reproduce", run, "scaled", "who=1", "study.py", cwd=folder)
    assert (equal.returncode, equal.stdout.splitlines()) == (
        0,
        [
            "scaling 2",
            "scaled(who=1, site=b) is called with",
            "  x = 2",
            "and gives",
            "  y = 4",
            f"as run {run} has stored it",
        ],
    )
    other = command("reproduce", run, "guessed", "who=1", "study.py", "--json", cwd=folder)
    told = json.loads(other.stdout)
    assert (other.returncode, told["arguments"], told["differing"]) == (3, {"y": 4}, ["word"])
    assert told["output"] != told["stored"]
    assert (told["is_code_the_same"], told["is_input_the_same"]) == (True, True)


def test_a_packet_that_is_another_one_today_is_told_of(again: tuple[Path, str]) -> None:
    folder, run = again
    (folder / "study.py").write_text(STUDY.replace("[1, 2, -3", "[1, 5, -3"))
    done = command("reproduce", run, "scaled", "who=1", "study.py", cwd=folder)
    assert (done.returncode, done.stdout.splitlines()[2:]) == (
        3,
        [
            "  x = 5",
            "and gives",
            "  y = 10",
            f"run {run} has stored",
            "  y = 4",
            "they differ in y",
            "the input is not that of the run",
        ],
    )


def test_where_input_and_code_are_the_same_the_function_gives_another_value_each_time(again: tuple[Path, str]) -> None:
    folder, run = again
    told = (
        "of the same input, the same code gave another value: it depends on something else, such as chance or a clock"
    )
    ((code, shown, _),) = commands(("reproduce", run, "guessed", "who=1", "study.py"), cwd=folder)
    assert (code, shown.splitlines()[-1]) == (3, told)
    (folder / "study.py").write_text(STUDY.replace("FACTOR = 2", "FACTOR = 3"))
    ((code, shown, _),) = commands(("reproduce", run, "scaled", "who=1", "study.py"), cwd=folder)
    assert (code, shown.splitlines()[-1]) == (3, "the code is not that of the run")


def test_it_is_told_whether_the_input_of_a_failure_is_the_same(again: tuple[Path, str]) -> None:
    folder, run = again
    unknown = "whether the input is that of the run is not known: none is kept of a packet that failed"
    other = "the input is not that of the run"
    (folder / "study.py").write_text(STUDY.replace("[1, 2, -3, -4", "[-1, 2, 3, -5"))
    for who, code, told in (("0", 1, other), ("2", 0, unknown), ("3", 1, unknown)):
        done, as_json = commands(
            *(("reproduce", run, "scaled", f"who={who}", "study.py", *form) for form in ((), ("--json",))), cwd=folder
        )
        assert (done[0], done[1].splitlines()[-1]) == (code, told), who
        assert as_json[1].count('"is_input_the_same": false' if told == other else '"is_input_the_same": null') == 1
    (folder / "study.py").write_text(STUDY.replace('@op.function_pod("y")', '@op.function_pod("y", version="v9.0")'))
    ((_, as_json, _),) = commands(("reproduce", run, "scaled", "who=1", "study.py", "--json"), cwd=folder)
    assert '"is_input_the_same": null' in as_json  # the function is called otherwise: what it was given is elsewhere


def test_one_packet_that_fails_shows_how_and_stands_in_the_debugger(finished: tuple[Path, str]) -> None:
    folder, run = finished
    failed = command("reproduce", run, "scaled", "who=2", "site=a", "study.py", "--json", cwd=folder)
    told = json.loads(failed.stdout)
    assert (failed.returncode, told["arguments"], told["output"], told["stored"]) == (1, {"x": -3}, None, None)
    assert told["traceback"] == told["traceback_in_run"].rstrip()
    assert failed.stderr == "scaling -3\n"
    debugged = command("reproduce", run, "scaled", "who=2", "study.py", "--pdb", cwd=folder, given="p 10 * x\nq\n")
    assert debugged.returncode == 1
    assert "-> raise ValueError(" in debugged.stdout
    assert "(Pdb) -30\n" in debugged.stdout
    assert debugged.stderr.splitlines()[-1] == "ValueError: found -3, expected a positive number"


@pytest.mark.parametrize("how", [("--jobs", "1"), ("--fail-fast",)])
def test_a_run_stands_in_the_debugger_at_its_first_failure(again: tuple[Path, str], how: tuple[str, ...]) -> None:
    folder, _ = again
    done = command("run", "study.py", "--pdb", *how, cwd=folder, given="p 10 * x\nq\n")
    assert done.returncode == 1
    assert "-> raise ValueError(" in done.stdout
    assert "(Pdb) -30\n" in done.stdout


def test_a_graph_is_a_tree_or_what_others_draw(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder, run = finished
    forms = ("--run", run), ("--mermaid",), ("--dot",), ("--json",), ("--svg", str(tmp_path / "a.svg"))
    done = commands(*(("graph", "study.py", *form) for form in forms), cwd=folder)
    tree, mermaid, dot, plan, drawn = (shown for _, shown, _ in done)
    assert tree.splitlines() == [
        "study",
        "guessed (function guess): 3 computed, 2 incomplete",
        "scaled (function scale): 3 computed, 2 failed",
        "people (DictSource): 5 rows",
    ]
    assert mermaid.startswith("flowchart TD\n    n0[(")
    assert dot.startswith('digraph "study" {\n')
    nodes = json.loads(plan)["nodes"]
    assert [(node["label"], node["inputs"]) for node in nodes][1:] == [("scaled", ["people"]), ("guessed", ["scaled"])]
    assert drawn == ""
    assert (tmp_path / "a.svg").read_text().startswith("<svg ")


def test_nothing_that_users_name_moves_a_cursor_or_is_markup(tmp_path: Path) -> None:
    named = {"scaled": r"[red]sc\x1b[2Jaled\r", "site": r"s\x1b[2Jite", "study": r"[b]stu\x1b[2Jdy"}
    text = STUDY.replace("found {x}", r"found \x1b[2J\n\r[/b]{x}")
    for name, hostile in named.items():
        text = text.replace(f'"{name}"', f'"{hostile}"')
    (tmp_path / "study.py").write_text(text)
    run = json.loads(command("run", "study.py", "--json", cwd=tmp_path).stdout)["run_id"]
    label = "[red]sc\x1b[2Jaled\r"
    done = commands(
        ("run", "study.py"),
        ("plan", "study.py", "--diff"),
        ("graph", "study.py", "--run", run),
        ("reproduce", run, label, "who=2", "study.py"),
        ("reproduce", run, label, "s\x1b[2Jite=a", "study.py"),
        cwd=tmp_path,
    )
    assert [code for code, *_ in done] == [1, 0, 0, 1, 2]
    for _, shown, told in done:
        assert not re.search(r"[\x1b\r]", shown + told)
        assert "\\x1b[2J" in shown + told
    assert all("[red]sc" in shown for _, shown, _ in done[:-1])


def test_a_report_is_one_file(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder, run = finished
    done = command("report", run, "--store", str(folder / "lab.db"), "-o", "to send.html", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "written to to send.html\n")
    page = (tmp_path / "to send.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "found -3, expected a positive number" in page


def test_nothing_is_written_over_a_file_unless_forced_and_never_over_the_store(again: tuple[Path, str]) -> None:
    folder, run = again
    (folder / "night.html").write_text("earlier")
    store = (folder / "lab.db").read_bytes()
    ((code, _, told),) = commands(("graph", "study.py", "--svg", "none/a.svg"), cwd=folder)
    assert (code, "'none/a.svg' cannot be written" in told) == (2, True)
    writing = {
        "report": ("report", run, "--store", "lab.db", "-o"),
        "graph": ("graph", "study.py", "--svg"),
        "export": ("export", "scaled", "--store", "lab.db"),
    }
    for name, args in writing.items():
        file = "night.csv" if name == "export" else "night.html"
        (folder / file).write_text("earlier")
        (folder / "link.csv").unlink(missing_ok=True)
        (folder / "link.csv").symlink_to("lab.db")
        refused, forced, over, wal, link = commands(
            (*args, file),
            (*args, file, "--force"),
            *((*args, each, "--force") for each in ("lab.db", "lab.db-wal", "link.csv")),
            cwd=folder,
        )
        assert (refused[:2], "--force" in refused[2]) == ((2, ""), True), name
        assert (forced[0], (folder / file).read_text() != "earlier") == (0, True), name
        for code, shown, told in (over, wal, link):
            assert (code, shown) == (2, ""), name
            assert "is of the store" in told or (name == "export" and "one that ends in" in told), (name, told)
        assert (folder / "lab.db").read_bytes()[100:] == store[100:], name
        assert not [each for each in folder.iterdir() if each.name.startswith((".report", ".4"))]


def test_a_page_is_served_until_an_interrupt(finished: tuple[Path, str]) -> None:
    folder, run = finished
    program = [sys.executable, "-m", "orcapod.cli", "ui", "--store", "lab.db", "--no-browser"]
    with subprocess.Popen(program, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        address = serving.stdout.readline().strip()
        with build_opener(HTTPCookieProcessor()).open(address, timeout=60) as page:
            assert run in page.read().decode()
        serving.send_signal(signal.SIGINT)
        assert serving.communicate(timeout=60) == ("", "")
    assert serving.returncode == 0


def test_progress_and_colours_are_on_a_terminal_only(again: tuple[Path, str], all_shown: Callable[[int], str]) -> None:
    folder, _ = again
    ours, theirs = pty.openpty()
    program = [sys.executable, "-m", "orcapod.cli", "run", "study.py"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen(program, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        shown = all_shown(ours)
    assert re.search(r"scaled +0 computed +3 cached +2 failed", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown))
    assert re.search(r"\x1b\[31mrun [-0-9a-f]+: FAILED", shown)
