"""The commands that tidy and check a store, and what needs a terminal, another process, or permissions."""

from __future__ import annotations

import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.cli.main import main
from orcapod.databases import SQLiteDatabase
from orcapod.observers import LoggingObserver
from orcapod.records import claims_in
from orcapod.sources import DictSource

ORCAPOD = [sys.executable, "-m", "orcapod.cli"]


@op.function_pod(output_keys="y", identity="version")
def double(x: int) -> int:
    print("doubled", x)
    return 2 * x


@op.function_pod(output_keys="z", identity="version")
def triple(x: int) -> int:
    return 3 * x


@op.function_pod(output_keys="y", identity="version")
def broken(x: int) -> int:
    raise ValueError(f"found {x}")


def night(path: Path, *xs: int, name: str = "study", pod: Any = double, results: Path | None = None) -> None:
    pipeline = op.Pipeline(name, path, results)
    with pipeline:
        pod.pod(DictSource([{"i": i, "x": x} for i, x in enumerate(xs)], ["i"], source_id="s"), label="node")
    pipeline.run(progress=False, observer=LoggingObserver(pipeline.log_database))
    pipeline.database.close()
    if results is not None:
        pipeline.result_database.close()


class Shown(NamedTuple):
    """What a command has shown."""

    code: int
    out: str
    err: str


Command = Callable[..., Shown]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lab" / "lab.db"


@pytest.fixture
def orcapod(path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command on the store, in this process."""

    def run(*args: str, store: Path = path) -> Shown:
        with pytest.raises(SystemExit) as ended:
            main([*args, "--store", str(store)])
        assert isinstance(ended.value.code, int)
        return Shown(ended.value.code, *capsys.readouterr())

    return run


def results(path: Path) -> int:
    with op.open_store(path) as store:
        rows = store.size().to_pylist()
    return sum(row["rows"] for row in rows if row["kind"] == "results")


def test_pruning_is_dry_until_it_is_said_yes(path: Path, orcapod: Command) -> None:
    night(path, 1, 2)
    night(path, 1, 3)
    told = json.loads(orcapod("prune", "--older-than", "0d", "--json").out)
    assert (told["dry_run"], told["rows"], told["table"][0]["nodes"]) == (True, 1, ["study.node"])
    assert "--yes removes them" in orcapod("prune", "--older-than", "0d").out
    assert results(path) == 3
    assert json.loads(orcapod("prune", "--yes", "--json").out)["rows"] == 0  # what is young stays
    assert json.loads(orcapod("prune", "--older-than", "0d", "--yes", "--json").out)["dry_run"] is False
    assert results(path) == 2
    wrong = orcapod("prune", "--older-than", "long ago")
    assert (wrong.code, wrong.out, "'90d', '12h' or '2w'" in wrong.err) == (2, "", True)


def test_one_pipeline_is_pruned_and_results_of_nobody_here_are_left(path: Path, orcapod: Command) -> None:
    """Results whose rows are in another store may be needed there: they are not for this command to take."""
    for x in (1, 2):
        night(path, x)
        night(path, x, name="other", pod=triple)
        night(path.with_name("rows.db"), x, results=path.with_name("results.db"))
    told = json.loads(orcapod("prune", "--older-than", "0d", "--pipeline", "other", "--json").out)
    assert [row["function"] for row in told["table"]] == ["triple"]
    assert json.loads(orcapod("prune", "--older-than", "0d", "--json").out)["rows"] == 2
    alone = path.with_name("results.db")
    assert json.loads(orcapod("prune", "--older-than", "0d", "--yes", "--json", store=alone).out)["rows"] == 0
    assert results(alone) == 2


def test_logs_go_with_the_results_of_their_runs_of_every_pipeline(path: Path, orcapod: Command) -> None:
    for x in (1, 2):
        night(path, x)
        night(path, x, name="other", pod=triple)
    told = json.loads(orcapod("prune", "--older-than", "0d", "--logs", "--yes", "--json").out)
    assert sorted(row["nodes"] for row in told["table"] if row["kind"] == "logs") == [["other.node"], ["study.node"]]
    with op.open_store(path) as store:
        assert store.logs().num_rows == 2


def test_space_is_given_back_when_it_is_said_yes(path: Path, orcapod: Command) -> None:
    night(path, *range(2000))
    night(path, -1)
    orcapod("prune", "--older-than", "0d", "--yes")
    before = path.stat().st_size
    refused = orcapod("compact")
    assert (refused.code, "give --yes" in refused.err, path.stat().st_size) == (2, True, before)
    assert (orcapod("compact", "--yes").code, path.stat().st_size < before) == (0, True)


def test_damage_is_found_and_repaired_when_it_is_said_yes(path: Path, orcapod: Command) -> None:
    night(path, 1, 2)
    assert orcapod("fsck").code == 0
    with closing(sqlite3.connect(path)) as store, store:
        ((table,),) = store.execute("SELECT table_name FROM _orcapod_paths WHERE path LIKE '%_result%double%'")
        store.execute(f'UPDATE "{table}" SET y = 7 WHERE y = 2')
    found = orcapod("fsck", "--json")
    told = json.loads(found.out)
    assert (found.code, told["ok"], told["moved"]) == (3, False, 0)
    assert {each["kind"] for each in told["findings"] if each["is_damage"]} == {"changed"}
    assert "changed: table _result" in orcapod("fsck").out
    refused = orcapod("fsck", "--repair")
    assert (refused.code, refused.out, "give --yes" in refused.err) == (2, "", True)
    repaired = orcapod("fsck", "--repair", "--yes", "--json")
    assert (repaired.code, json.loads(repaired.out)["moved"] > 0) == (3, True)
    assert orcapod("fsck").code == 0


def test_the_doctor_tells_what_is_here_and_leaves_the_store_as_it_was(path: Path, orcapod: Command) -> None:
    night(path, 1)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    told = json.loads(orcapod("doctor", "--json").out)
    assert told["packages"]["pyarrow"]
    assert {"memory", "sqlite"} <= {*told["plugins"]["databases"]}
    assert "local" in told["plugins"]["executors"]
    health = told["store"]
    assert (health["kind"], health["read"], health["written"], health["locked"]) == ("SQLiteDatabase", *["yes"] * 3)
    assert (health["runs"], health["named_by"]) == (1, "--store")
    assert {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()} == before


def test_the_doctor_says_of_a_store_why_it_cannot_be_read_and_no_password(
    path: Path, orcapod: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = orcapod("doctor")
    assert (missing.code, "read: no: there is no store at" in missing.out) == (4, True)
    for url in ("postgresql://u:hunter2@127.0.0.1:1/x", "nothing://u:hunter2@h/x"):
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--store", url])
        shown = capsys.readouterr()
        assert (ended.value.code, "hunter2" in shown.out + shown.err) == (4, False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORCAPOD_STORE", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    assert (ended.value.code, "store: none is named" in capsys.readouterr().out) == (0, True)


@pytest.fixture
def kept_out(path: Path) -> Iterator[list[str]]:
    """A store that nobody may write to; give back how root is kept out like everybody else."""
    night(path, 1)
    places = [path.parent, *path.parent.iterdir()]
    for place in places:
        place.chmod(place.stat().st_mode & ~0o222)
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root may write everywhere, and setpriv is not here")
    yield without if os.geteuid() == 0 else []
    for place in places:
        place.chmod(place.stat().st_mode | 0o200)


def test_a_store_that_may_only_be_read_is_read_and_says_so(path: Path, kept_out: list[str]) -> None:
    def command(*args: str) -> subprocess.CompletedProcess[str]:
        program = [*kept_out, *ORCAPOD, *args, "--store", str(path)]
        return subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)

    healthy = command("doctor")
    assert (healthy.returncode, "written: may only be read" in healthy.stdout) == (0, True)
    assert command("head", "node").returncode == 0
    refused = command("prune", "--yes")
    assert (refused.returncode, refused.stdout, "may only be read" in refused.stderr) == (4, "", True)


RUN = """
import sys
import orcapod as op
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource

@op.function_pod("y", identity="version")
def waits(i: int) -> int:
    if i:
        open(sys.argv[2]).read()  # until the test lets it go on
    print("computed", i)
    return i

pipeline = op.Pipeline("study", sys.argv[1])
with pipeline:
    waits.pod(DictSource([{"k": i, "i": i} for i in range(2)], ["k"], source_id="s"), label="node")
with open(sys.argv[2] + ".begun", "w") as begun:
    pipeline.run(observer=LoggingObserver(pipeline.log_database), flush_interval=0.05, progress=False)
"""


def test_logs_are_followed_while_another_process_runs_and_end_with_it(path: Path, tmp_path: Path) -> None:
    night(path, 1)  # so that there is a store before the other process has made one
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    os.mkfifo(f"{gate}.begun")
    with subprocess.Popen([sys.executable, "-c", RUN, str(path), str(gate)]) as running:
        begun = Path(f"{gate}.begun").open()  # noqa: SIM115  # once it is there, the run is about to begin
        known = names(path)
        while not (new := names(path) - known):
            assert running.poll() is None
        follow = [*ORCAPOD, "logs", *new, "--follow", "--json", "--store", str(path)]
        with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as following:
            assert following.stdout is not None
            assert following.stdout.readline() == "[\n"
            first = following.stdout.readline()
            assert json.loads(first)["stdout"] == "computed 0\n"
            assert running.poll() is None
            show = subprocess.run(
                [*ORCAPOD, "show", *new, "--json", "--store", str(path)], capture_output=True, check=True, timeout=60
            )
            told = json.loads(show.stdout)
            assert (told["outcome"], told["ended"]) == ("UNFINISHED", None)
            assert [node["given"] for node in told["nodes"]] == [None, None]
            gate.write_text("go on")
            rest = following.stdout.read()
            assert following.wait(60) == 0
        begun.close()
        assert running.wait(60) == 0
    assert [entry["stdout"] for entry in json.loads(f"[{first}{rest}")] == ["computed 0\n", "computed 1\n"]


def names(path: Path) -> set[str]:
    with op.open_store(path) as store:
        return {*store.runs()["run_id"].to_pylist()}


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130)])
def test_on_a_terminal_it_is_asked_before_a_store_is_changed(path: Path, answer: str, code: int) -> None:
    night(path, 1)
    ours, theirs = pty.openpty()
    program = [*ORCAPOD, "compact", "--store", str(path)]
    with subprocess.Popen(program, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asking:
        os.write(ours, answer.encode())
        shown, asked = asking.communicate(timeout=60)
    os.close(ours), os.close(theirs)
    assert (asking.returncode, shown, "Write the store anew" in asked) == (code, "done\n" if code == 0 else "", True)


@pytest.mark.parametrize("no_color", ["", "1"])
def test_there_is_colour_on_a_terminal_alone_unless_nobody_wants_it(
    path: Path, no_color: str, all_shown: Callable[[int], str]
) -> None:
    night(path, 1)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", "NO_COLOR": no_color}
    with subprocess.Popen([*ORCAPOD, "runs", "--store", str(path)], stdout=theirs, env=environment) as running:
        os.close(theirs)
        shown = all_shown(ours)
    assert running.returncode == 0
    assert ("\x1b[32mSUCCESS" in shown) == (not no_color)
    assert "SUCCESS" in shown


def test_what_one_run_advises_names_the_store(path: Path, orcapod: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    night(path, 1, pod=broken)
    monkeypatch.chdir(path.parent)
    for settings, option in (("", " --store lab.db"), ("store = 3", " --store lab.db"), ('store = "lab.db"', "")):
        (path.parent / "orcapod.toml").write_text(settings)
        with op.open_store(path) as store:
            logs = f"orcapod logs {store.last_run().run_id}"
        assert f"{logs} --failed{option} shows what they said\n" in orcapod("show", "last").out


def test_a_run_that_found_everything_says_why_it_has_no_logs(path: Path, orcapod: Command) -> None:
    night(path, 1)
    night(path, 1)
    assert "this run has computed nothing" in orcapod("logs", "last").out
    assert "doubled 1" in orcapod("logs", "last~1").out


def begin(database: SQLiteDatabase, run_id: str, started: datetime) -> None:
    """Leave what a run leaves that is killed."""
    start = database.at("study").get_records(("_run_starts",))
    for name, value in {"__run_id": run_id, "__started": started}.items():
        at, field = start.column_names.index(name), start.schema.field(name)
        start = start.set_column(at, field, pa.array([value], field.type))
    database.at("study").add_records(("_run_starts",), start)
    database.flush()


def test_a_killed_run_that_shared_its_work_is_followed_until_its_heart_is_silent(path: Path, orcapod: Command) -> None:
    night(path, 1)
    with SQLiteDatabase(path) as database:
        begin(database, "killed", datetime.now(UTC))
        claims_in(database, "killed/doubled", lease=0.5).beat()
        claims_in(database, "another/doubled", lease=60.0).beat()
    followed = orcapod("logs", "killed", "--follow", "--json")
    assert (followed.code, followed.out) == (0, "[]\n")
    assert "run killed has not ended, and its process is gone: no heartbeat" in followed.err
    assert followed.err.count("\n") == 1


def test_a_killed_run_is_told_by_its_last_sign_of_life_and_not_followed_for_ever(path: Path, orcapod: Command) -> None:
    night(path, 1)
    with SQLiteDatabase(path) as database:
        begin(database, "killed", datetime(2020, 1, 31, 12, tzinfo=UTC))
    assert "its last sign of life was at 2020-01-31" in orcapod("show", "killed").out
    followed = orcapod("logs", "killed", "--follow", "--json")
    assert (followed.code, followed.out) == (0, "[]\n")
    assert "was last heard of at 2020-01-31" in followed.err
    assert followed.err.count("\n") == 1
    told = orcapod("runs")
    (line,) = (line for line in told.out.splitlines() if "UNFINISHED" in line)
    assert line.split()[-1] == "UNFINISHED"
