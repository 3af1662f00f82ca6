"""The command: its help, its errors and exit codes, the store that it reads, and what it costs to start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import orcapod as op
from orcapod.sources import DictSource


def command(*args: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "orcapod.cli", *args]
    return subprocess.run(program, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


@op.function_pod(output_keys="y", identity="version")
def double(x: int) -> int:
    return 2 * x


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the store of one run."""
    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        double.pod(DictSource([{"who": 1, "x": 1}], ["who"], source_id="s"), label="doubled")
    pipeline.run(progress=False, note="first\x1b[31m [red]night")
    pipeline.database.close()
    return tmp_path


def test_help_loads_neither_arrow_nor_any_command(tmp_path: Path) -> None:
    seen = "import sys, orcapod.cli.main as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\n"
    seen += "print({'pyarrow', 'pandas', 'rich', 'orcapod.cli.runs'} & {*sys.modules})"
    shown = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "Commands:" in shown
    assert shown.endswith("set()\n")


def test_reading_loads_no_pandas(folder: Path) -> None:
    seen = "import sys, orcapod.cli.main as m\ntry: m.main(['runs', '--store', 'lab.db'])\nexcept SystemExit: pass\n"
    seen += "print({'pandas', 'numpy.testing'} & {*sys.modules})"
    program = [sys.executable, "-c", seen]
    shown = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "SUCCESS" in shown
    assert shown.endswith("set()\n")


def test_the_store_is_an_option_or_in_the_settings_or_in_the_environment(folder: Path) -> None:
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    nothing = command("runs", cwd=inner)
    assert (nothing.returncode, "--store URL" in nothing.stderr) == (2, True)
    by_environment = command("runs", "--json", cwd=inner, ORCAPOD_STORE=str(folder / "lab.db"))
    (run,) = json.loads(by_environment.stdout)
    (folder / "orcapod.toml").write_text('store = "sqlite:///lab.db"')
    by_settings = command("runs", "--json", cwd=inner, ORCAPOD_STORE="sqlite:///nowhere.db")
    assert json.loads(by_settings.stdout) == [run]
    by_option = command("runs", "--json", "--store", "../../lab.db", cwd=inner)
    assert json.loads(by_option.stdout) == [run]
    (folder / "orcapod.toml").write_text('stor = "lab.db"')
    assert f"no store is named; {folder / 'orcapod.toml'} has stor; give --store" in command("runs", cwd=inner).stderr
    (folder / "orcapod.toml").write_text("store = 3")
    wrong = command("runs", cwd=inner)
    assert (wrong.returncode, "found store = 3" in wrong.stderr) == (2, True)


def test_unknown_names_and_stores_have_codes_of_their_own(folder: Path) -> None:
    unknown = command("rums", cwd=folder)
    assert (unknown.returncode, "did you mean 'runs'?" in unknown.stderr) == (2, True)
    for store in ("nowhere.db", "text.db"):
        (folder / "text.db").write_text("no database, but long enough to be taken for one" * 30)
        missing = command("runs", "--store", store, cwd=folder)
        assert (missing.returncode, missing.stdout, missing.stderr.count("\n")) == (4, "", 1)


def test_what_is_shown_has_no_controls_nor_markup_nor_colours_in_a_pipe(folder: Path) -> None:
    shown = command("runs", "--store", "lab.db", cwd=folder).stdout
    assert "\x1b" not in shown
    assert "first\\x1b[31m [red]night" in shown


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a file for disks that are full")
@pytest.mark.parametrize("args", [["runs", "--json"], ["runs"], ["sql", "SELECT hex(randomblob(100000)) AS x"]])
def test_what_cannot_be_written_is_told_in_one_line(folder: Path, args: list[str]) -> None:
    program = [sys.executable, "-m", "orcapod.cli", *args, "--store", "lab.db"]
    if args[0] == "sql":
        program.append("--json")  # more than a buffer holds
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(program, cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    told = "orcapod: what was found cannot be written to stdout: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, told)


@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "text"])
def test_a_reader_that_has_seen_enough_is_no_error(folder: Path, form: list[str]) -> None:
    program = [sys.executable, "-m", "orcapod.cli", "runs", "--store", "lab.db", *form]
    with subprocess.Popen(program, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(60) == 0


def test_of_a_part_of_a_run_it_is_said_whose_rows_are_shown(tmp_path: Path) -> None:
    def same(weight: float) -> float:
        return weight

    def pipeline(rows: int) -> op.Pipeline:
        with op.Pipeline("part", tmp_path / "part.db") as made:
            source = DictSource([{"k": k, "weight": float(k)} for k in range(rows)], ["k"], source_id="s")
            op.function_pod(output_keys="bmi", identity="version")(same).pod(source, label="bmi")
        return made

    whole = pipeline(4).run(progress=False).run_id
    part = pipeline(6).run(where={"k": 5}, progress=False).run_id
    shown = command("head", "bmi", "--run", part, "--store", "part.db", "--json", cwd=tmp_path)
    assert [row["k"] for row in json.loads(shown.stdout)] == [0, 1, 2, 3]
    assert f"run {part} did not go through all rows of bmi" in shown.stderr
    lost = command("trace", "bmi", "k=5", "--run", part, "--store", "part.db", cwd=tmp_path)
    assert (lost.returncode, "did not go through all rows" in lost.stderr) == (2, True)
    compared = command("compare", whole, part, "--store", "part.db", "--json", cwd=tmp_path)
    assert (compared.returncode, json.loads(compared.stdout)["partial"]) == (0, {"before": [], "after": ["bmi"]})
    assert f"run {part} did not go through all rows of bmi" in compared.stderr
    assert whole not in compared.stderr
    other = command("compare", part, whole, "--store", "part.db", "--node", "bmi", cwd=tmp_path)
    assert f"run {part} did not go through all rows of bmi" in other.stderr
