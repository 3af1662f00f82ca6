"""The commands that read a store: what they show to a person, and give to a program."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import orcapod as op
from orcapod.cli.main import main
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource

HOSTILE = "\x1b[2J[red]\r\n\u202eevil"
NAME = "na\x1b[2J\nme"
LABEL = "loud\x1b[2J[red]\r\n\u202eevil"


@op.function_pod(output_keys=("bmi", "text"), identity="version")
def bmi(weight: float, who: str) -> tuple[float, str]:
    print("weighed", weight, HOSTILE)
    if weight < 0:
        print("no weight:", HOSTILE, file=sys.stderr)
        raise ValueError(f"a weight of {weight}")
    return weight / 4, who * 100


@op.function_pod(output_keys="mean", identity="version")
def mean(bmi: list[float]) -> float:
    return sum(bmi) / len(bmi)


@op.function_pod(output_keys="loud", identity="version")
def loud(weight: float) -> float:
    print("loud")
    return weight


def night(path: Path, weights: dict[int, float], note: str = "", **tags: str) -> str:
    rows = [
        {"patient": at, "day": date(2026, 1, at), "dose": at / 2, "ok": at > 1, NAME: f"n{at}{HOSTILE}"}
        | {"weight": weight, "who": HOSTILE}
        for at, weight in weights.items()
    ]
    pipeline = op.Pipeline("study", path)
    with pipeline:
        names = ["patient", "day", "dose", "ok", NAME]
        each = bmi.pod(DictSource(rows, names, source_id="patients", record_id_column="patient"), label="bmi")
        mean.pod(each.select_packet_columns(["bmi"]).batch(), label="mean")
    observer = LoggingObserver(pipeline.log_database)
    run_id = pipeline.run(progress=False, note=note, tags=tags, observer=observer).run_id
    pipeline.database.close()
    return run_id


class Study(NamedTuple):
    """A folder with a store, and the runs in it: three of one pipeline, and then one of another."""

    folder: Path
    runs: tuple[str, ...]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    path = folder / "lab.db"
    nights = [({1: 80.0, 2: 60.0}, "first"), ({1: 100.0, 2: 60.0, 3: -1.0}, "then"), ({1: 80.0}, HOSTILE)]
    runs = [
        night(path, weights, note, scale="new", **({HOSTILE: HOSTILE} if note == HOSTILE else {}))
        for weights, note in nights
    ]
    other = op.Pipeline("other", path)
    with other:
        loud.pod(DictSource([{"k": 1, "weight": 1.0}], ["k"], source_id="o"), label=LABEL)
    runs.append(other.run(progress=False).run_id)
    other.database.close()
    (folder / "orcapod.toml").write_text('store = "lab.db"')
    return Study(folder, tuple(runs))


class Shown(NamedTuple):
    """What a command has shown."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.err == ""
        return json.loads(self.out)


Command = Callable[..., Shown]


@pytest.fixture
def orcapod(study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command in the folder of the study, in this process."""
    monkeypatch.chdir(study.folder)

    def run(*args: str) -> Shown:
        with pytest.raises(SystemExit) as ended:
            main(args)
        assert isinstance(ended.value.code, int)
        return Shown(ended.value.code, *capsys.readouterr())

    return run


COMMANDS = {
    "runs": (["runs"], 0),
    "show": (["show", "last", "--pipeline", "study"], 0),
    "logs": (["logs", "last~1", "--pipeline", "study"], 0),
    "trace": (["trace", "bmi", "patient=1"], 0),
    "compare": (["compare", "last~2", "last~1", "--pipeline", "study"], 3),
    "ls": (["ls"], 0),
    "head": (["head", "bmi"], 0),
    "export": (["export", "bmi", "process.csv", "--force"], 0),
    "sql": (["sql", 'SELECT patient FROM "study.bmi"'], 0),
    "size": (["size"], 0),
    "prune": (["prune"], 0),
    "compact": (["compact"], 2),
    "fsck": (["fsck"], 0),
    "doctor": (["doctor"], 0),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_process_that_writes_json(study: Study, name: str) -> None:
    args, code = COMMANDS[name]
    program = [sys.executable, "-m", "orcapod.cli", *args, "--json"]
    nobody = subprocess.DEVNULL  # to be asked
    done = subprocess.run(
        program, cwd=study.folder, stdin=nobody, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    if code == 2:
        assert (done.stdout, "--yes" in done.stderr) == ("", True)
    else:
        json.loads(done.stdout)
        assert done.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_from_a_store_moves_a_cursor_or_is_markup(orcapod: Command, name: str) -> None:
    args, code = COMMANDS[name]
    shown = orcapod(*args)
    assert shown.code == code
    assert not [each for each in shown.out if not each.isprintable() and each != "\n"]
    if name in ("runs", "show", "logs", "head", "trace", "ls"):
        assert "\\x1b[2J[red]" in orcapod(*args, *(["--pipeline", "study"] if name == "runs" else [])).out


def test_neither_pandas_nor_a_users_code_is_loaded(study: Study) -> None:
    calls = [["runs"], ["show", "last"], ["logs", "last", "--pipeline", "study"], ["ls"], ["head", "bmi"]]
    calls += [["trace", "bmi", "patient=1"], ["export", "bmi", "loaded.csv"]]
    seen = "import sys, orcapod.cli.main as m\n"
    seen += f"for args in {calls}:\n try: m.main(args)\n except SystemExit as end: assert not end.code\n"
    seen += "print({'pandas', 'numpy.testing'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", seen], cwd=study.folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.endswith("set()\n")


def test_runs_are_told_with_their_time_tags_and_shortest_names(study: Study, orcapod: Command) -> None:
    rows = orcapod("runs", "--json").json
    assert [row["run_id"] for row in rows] == [*study.runs]
    assert rows[0]["tags"] == {"scale": "new"}
    assert rows[0]["seconds"] > 0
    assert [row["outcome"] for row in rows] == ["SUCCESS", "FAILED", "SUCCESS", "SUCCESS"]
    assert [row["run_id"] for row in orcapod("runs", "--pipeline", "study", "--last", "2", "--json").json] == [
        *study.runs[1:3]
    ]
    for line, run_id in zip(orcapod("runs").out.splitlines()[1:], study.runs, strict=True):
        name = line.split()[0]
        assert run_id.startswith(name)
        assert orcapod("show", name, "--json").json["run_id"] == run_id


def test_a_run_is_named_by_its_beginning_or_by_how_new_it_is(study: Study, orcapod: Command) -> None:
    for name, pipeline, at in (("last", [], 3), ("last~2", [], 1), ("last", ["--pipeline", "study"], 2)):
        assert orcapod("show", name, *pipeline, "--json").json["run_id"] == study.runs[at]
    for name, told in (("last~4", "there are 4 runs"), ("0", "found 4 runs"), ("x", "found 0 runs")):
        unknown = orcapod("show", name)
        assert (unknown.code, unknown.out, told in unknown.err) == (2, "", True)
    wrong = orcapod("show", study.runs[3], "--pipeline", "study")
    assert (wrong.code, "one of pipeline 'other'" in wrong.err) == (2, True)


def test_one_run_is_told_with_its_nodes_environment_and_failures(study: Study, orcapod: Command) -> None:
    told = orcapod("show", study.runs[1], "--json").json
    assert told["environment"]["python"].startswith("CPython")
    assert [node["node"] for node in told["nodes"]] == ["patients", "bmi", "select_packet_columns", "batch", "mean"]
    counts = {node["node"]: (node["taken"], node["given"], node["computed"], node["failed"]) for node in told["nodes"]}
    assert counts["bmi"] == ([3], 2, 1, 1)
    (failure,) = told["failures"]
    assert (failure["count"], failure["nodes"], failure["function"]) == (1, ["bmi"], "bmi")
    assert failure["message"] == "ValueError: a weight of -1.0"
    shown = orcapod("show", study.runs[1]).out
    assert "1 × ValueError: a weight of -1.0 (bmi)" in shown
    assert f"orcapod logs {study.runs[1]} --failed" in shown
    assert "incomplete" not in orcapod("show", study.runs[0]).out


def test_packets_that_were_not_tried_are_told_of_where_there_are_any(study: Study, orcapod: Command) -> None:
    table = orcapod("show", study.runs[1]).out.split("\n\n")[1].splitlines()
    assert table[0].split()[6:10] == ["computed", "cached", "failed", "incomplete"]
    (mean,) = (line.split() for line in table if line.startswith("mean "))
    assert mean[2:8] == ["0", "0", "0", "0", "0", "1"]


def test_logs_are_told_by_node_tag_outcome_and_stream(study: Study, orcapod: Command) -> None:
    run_id = study.runs[1]
    entries = orcapod("logs", run_id, "--json").json
    assert {entry["run_id"] for entry in entries} == {run_id}
    (failed,) = orcapod("logs", run_id, "--failed", "--json").json
    assert (failed["node"], failed["tags"]["patient"], failed["success"]) == ("bmi", "3", False)
    assert failed["stderr"] == f"no weight: {HOSTILE}\n"
    assert "ValueError: a weight of -1.0" in failed["traceback"]
    for tag in ("patient=3", "day=2026-01-03", "dose=1.5", f"{NAME}=n3{HOSTILE}"):
        assert orcapod("logs", run_id, "--tag", tag, "--json").json == [failed]
    assert len(orcapod("logs", run_id, "--tag", "ok=true", "--tag", "patient=3", "--json").json) == 1
    assert orcapod("logs", run_id, "--tag", "ok=false", "--tag", "patient=3", "--json").json == []
    assert orcapod("logs", run_id, "--node", "mean", "--json").json == [
        entry for entry in entries if entry["node"] == "mean"
    ]
    text = orcapod("logs", run_id, "--stderr").out
    assert "weighed" not in text
    assert "  no weight: \\x1b[2J[red]\n  \\u202eevil\n" in text  # a line break of a function's is one
    assert "Traceback" not in text


def test_where_no_logs_were_kept_it_is_said_so(study: Study, orcapod: Command) -> None:
    assert "LoggingObserver" in orcapod("logs", study.runs[3]).out
    for chosen in (["--failed"], ["--tag", "patient=77"], ["--stderr"]):
        assert "this run has logs, but none of" in orcapod("logs", study.runs[0], *chosen).out
    assert orcapod("logs", study.runs[3], "--json").json == []


def test_a_tag_of_another_type_or_name_is_refused_with_what_was_expected(study: Study, orcapod: Command) -> None:
    for tag, told in (
        ("patient=one", "expected a whole number"),
        ("dose=much", "expected a number"),
        ("ok=perhaps", "expected true or false"),
        ("day=monday", "expected a date such as"),
        ("patent=1", "did you mean 'patient'?"),
        ("patient", "expected one such as patient=1"),
    ):
        wrong = orcapod("logs", study.runs[1], "--tag", tag)
        assert (wrong.code, wrong.out, told in wrong.err) == (2, "", True), tag
    assert "did you mean 'bmi'?" in orcapod("logs", study.runs[1], "--node", "bmj").err


def test_a_row_is_traced_up_and_down(study: Study, orcapod: Command) -> None:
    tree = orcapod("trace", "mean", "--run", study.runs[0], "--json").json
    assert (tree["node"], [member["tags"]["patient"] for member in tree["inputs"][0]["members"]]) == ("mean", [1, 2])
    shown = orcapod("trace", "bmi", "patient=1", "bmi").out
    assert shown.startswith("bmi of study/bmi patient=1, day=2026-01-01, dose=0.5, ok=false, ")
    assert "└─ weight, who of patients::patient=1" in shown
    (below,) = orcapod("trace", "bmi", "day=2026-01-01", "--down", "--json").json
    assert (below["node"], below["rows"], below["tags"][0]["patient"]) == ("mean", 1, [1])
    assert orcapod("trace", "bmi", "--record", "patients::patient=1", "bmi").out == shown
    assert orcapod("trace", "bmi", "--record", "patient=1", "--down", "--json").json == [below]
    of_source = orcapod("trace", "patients", "patient=1", "--down", "--json").json
    assert [each["node"] for each in of_source] == ["bmi", "mean"]
    called = "no row is known to be made of 'day=1' of source 'patients'; rows of it are called patient=1, patient=2"
    for args, told in (
        (["bmi", "patient=7"], "found 0 rows"),
        (["patients", "day=1", "--run", study.runs[0], "--down"], called),
        (["patients", "--run", study.runs[0], "--down"], "found 0 names of a row, expected one, such as patient=1"),
        (["bmi", "patient=1", "bmj"], "no output 'bmj'"),
        (["bmi", "--record", "patient=7"], "found 0 rows with record_id='patient=7'"),
        (["bmi", "patient=1", "a", "b"], "found the columns a, b"),
        (["patients", "patient=1"], "is a source, and made of nothing; --down shows what was made of its rows"),
        (["patients", "patient=1", "--run", study.runs[0]], "--down"),
        (["patents", "patient=1"], "there is no function node 'patents'"),
        (["patients", "patient=77", "--down"], "no row is known to be made of 'patient=77' of source 'patients'"),
        (["bmi", "patient=1", "--pipeline", "stud"], "did you mean 'study'?"),
    ):
        wrong = orcapod("trace", *args)
        assert (wrong.code, wrong.out, told in wrong.err) == (2, "", True), (args, wrong.err)


def test_a_run_of_another_pipeline_is_refused_and_its_own_are_named(study: Study, orcapod: Command) -> None:
    wrong = orcapod("show", study.runs[3], "--pipeline", "study")
    assert (wrong.code, wrong.out) == (2, "")
    assert "is one of pipeline 'other', not of 'study'; orcapod runs --pipeline study lists those that are" in wrong.err


def test_two_runs_are_compared_by_node_and_output(study: Study, orcapod: Command) -> None:
    before, after, *_ = study.runs
    found = orcapod("compare", before, after, "--json")
    assert found.code == 3
    lines = {(line["node"], line["column"]): line for line in found.json["columns"]}
    assert {key: (line["equal"], line["changed"], line["gone"]) for key, line in lines.items()} == {
        ("bmi", "bmi"): (1, 1, 0),
        ("mean", None): (0, 0, 1),
    }
    assert lines["bmi", "bmi"]["why"] == {"value in source: weight or who": 1}
    (changed, gone) = found.json["rows"]
    assert (changed["tags"]["patient"], changed["outputs"]) == (1, ["bmi"])
    assert (changed["before"], changed["after"]) == ({"bmi": 20.0}, {"bmi": 25.0})
    assert (gone["change"], gone["before"], gone["after"]) == ("gone", None, None)
    assert "bmi: 20 → 25" in orcapod("compare", before, after).out
    same = orcapod("compare", before, before, "--node", "bmi", "--json")
    assert (same.code, same.json["differs"], same.json["rows"]) == (0, False, [])
    close = orcapod("compare", before, after, "--rtol", "0.5", "--node", "bmi", "--json")
    assert (close.code, [line["close"] for line in close.json["columns"]]) == (0, [1])
    assert orcapod("compare", before, after, "--rows", "0", "--json").json["rows"] == []
    assert orcapod("compare", before, study.runs[3]).code == 2
    assert "did you mean 'mean'?" in orcapod("compare", before, after, "--node", "men").err


LARGE: dict[str, tuple[Any, Callable[[float], Any], str]] = {
    "an array": (np.ndarray, lambda x: np.full((2, 3), x), "y: float64 array of 2 × 3, other elements"),
    "arrays": (list[np.ndarray], lambda x: [np.array([x])], "y: [float64 array of 1], other elements"),
    "a frame": (pd.DataFrame, lambda x: pd.DataFrame({"x": [x]}), "of data, other elements"),
    "bytes": (bytes, lambda x: bytes([int(x)]) * 40, "y: 40 bytes of bytes, other elements"),
    "a float": (float, lambda x: 1 + x / 2**40, "y: 1.0000000000009095 → 1.000000000001819"),
}


@pytest.mark.parametrize("kind", LARGE)
def test_values_that_differ_in_nothing_that_is_shown(kind: str, tmp_path: Path, orcapod: Command) -> None:
    """A person is shown no bytes, and of numbers all digits."""
    dtype, function, told = LARGE[kind]
    load = op.PythonPacketFunction(
        function, "y", name="load", input_schema={"x": float}, output_schema={"y": dtype}, identity="version"
    )
    runs = []
    for x in (1.0, 2.0):
        pipeline = op.Pipeline("study", tmp_path / "other.db")
        with pipeline:
            op.FunctionPod(load)(DictSource([{"k": 1, "x": x}], ["k"], source_id="s"))
        runs.append(pipeline.run(progress=False).run_id)
        pipeline.database.close()
    out = orcapod("compare", *runs, "--store", str(tmp_path / "other.db")).out
    assert (told in out, "b'" in out) == (True, False), out


def test_what_a_store_holds_is_listed(orcapod: Command) -> None:
    nodes = {node["node"]: node for node in orcapod("ls", "--json").json}
    assert {label: (node["pipeline"], node["rows"]) for label, node in nodes.items()} == {
        LABEL: ("other", 1),
        "bmi": ("study", 1),
        "mean": ("study", 1),
    }
    assert nodes["bmi"]["tags"] == {"patient": "int", "day": "date", "dose": "float", "ok": "bool", NAME: "str"}
    assert [node["node"] for node in orcapod("ls", "--pipeline", "other", "--json").json] == [LABEL]


def test_the_first_rows_are_shown_cut_for_a_person_and_whole_for_a_program(study: Study, orcapod: Command) -> None:
    rows = orcapod("head", "bmi", "--run", study.runs[0], "--json").json
    assert [(row["patient"], row["bmi"], row["day"]) for row in rows] == [
        (1, 20.0, "2026-01-01"),
        (2, 15.0, "2026-01-02"),
    ]
    assert rows[0]["text"] == HOSTILE * 100
    shown = orcapod("head", "bmi", "-n", "1", "--run", study.runs[0]).out
    assert max(map(len, shown.splitlines())) < 250
    assert "…" in shown
    assert orcapod("head", "bmi", "--columns", "bmi, patient", "--json").json == [{"bmi": 20.0, "patient": 1}]
    assert "did you mean 'bmi'?" in orcapod("head", "bmi", "--columns", "bmj").err
    assert "did you mean 'bmi'?" in orcapod("head", "bmy").err


def read_file(file: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]]
    match file.suffix:
        case ".parquet":
            rows = parquet.read_table(file).to_pylist()
        case ".arrow":
            rows = pa.ipc.open_file(str(file)).read_all().to_pylist()
        case ".csv":
            with file.open(newline="", encoding="utf-8") as stream:
                rows = [*csv.DictReader(stream)]
        case ".jsonl":
            rows = [json.loads(line) for line in file.read_text("utf-8").split("\n")[:-1]]
        case _:
            rows = json.loads(file.read_text("utf-8"))
    return rows


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv", "json", "jsonl"])
def test_rows_are_exported_whole_and_never_over_a_file(
    study: Study, orcapod: Command, tmp_path: Path, ending: str
) -> None:
    file = tmp_path / f"out.{ending}"
    told = orcapod("export", "bmi", str(file), "--run", study.runs[0], "--json").json
    assert (told["rows"], told["bytes"]) == (2, file.stat().st_size)
    rows = read_file(file)
    assert [str(row["patient"]) for row in rows] == ["1", "2"]
    assert [float(row["bmi"]) for row in rows] == [20.0, 15.0]
    assert rows[0]["text"] == HOSTILE * 100
    refused = orcapod("export", "bmi", str(file))
    assert (refused.code, "--force" in refused.err) == (2, True)
    assert read_file(file) == rows
    assert orcapod("export", "bmi", str(file), "--force").code == 0
    assert len(read_file(file)) == 1
    assert [each.name for each in tmp_path.iterdir()] == [file.name]  # nothing is left beside it


def test_a_file_that_cannot_be_written_leaves_nothing(orcapod: Command, tmp_path: Path) -> None:
    for file, told in (
        (tmp_path / "out.xls", ".parquet, .arrow"),
        (tmp_path / "none" / "out.csv", "cannot be written"),
    ):
        wrong = orcapod("export", "bmi", str(file))
        assert (wrong.code, wrong.out, told in wrong.err) == (2, "", True)
    assert [*tmp_path.iterdir()] == []


def test_sql_is_answered_by_the_store(orcapod: Command) -> None:
    assert orcapod("sql", 'SELECT patient, bmi FROM "study.bmi"', "--json").json == [{"patient": 1, "bmi": 20.0}]
    assert "no rows" in orcapod("sql", 'SELECT patient FROM "study.bmi" WHERE bmi < 0').out
    assert orcapod("sql", "SELECT 1 AS a, 2 AS a", "--json").json == [{"a": 1, "a~2": 2}]
    wrong = orcapod("sql", "DROP TABLE x")
    assert (wrong.code, wrong.out, "one SELECT" in wrong.err) == (2, "", True)


def test_a_shell_completes_commands_runs_nodes_and_pipelines_and_never_complains(
    study: Study, orcapod: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def completed(*words: str) -> set[str]:
        monkeypatch.setenv("_ORCAPOD_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(("orcapod", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        shown = orcapod()
        assert shown.err == ""
        return {line.rpartition(",")[2] for line in shown.out.splitlines() if line}

    assert completed("ru") == {"run", "runs"}
    assert completed("show", study.runs[0]) == {study.runs[0]}
    assert completed("compare", "last", "l") == {"last"}
    assert completed("head", "b") == {"bmi"}
    assert completed("logs", "last", "--node", "m") == {"mean"}
    assert completed("runs", "--pipeline", "") == {"other", "study"}
    assert completed("head", "--pipeline", "other", "") == set()  # a shell would read that label otherwise
    (study.folder / "empty").mkdir()
    (study.folder / "empty" / "orcapod.toml").write_text("store = 3")
    monkeypatch.chdir(study.folder / "empty")
    assert completed("head", "b") == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed(orcapod: Command, shell: str) -> None:
    shown = orcapod("completion", shell)
    assert (shown.code, "_ORCAPOD_COMPLETE" in shown.out) == (0, True)


def test_every_command_has_help(orcapod: Command) -> None:
    for name in (*COMMANDS, "completion"):
        shown = orcapod(name, "--help")
        assert (shown.code, "Usage: orcapod" in shown.out) == (0, True)
