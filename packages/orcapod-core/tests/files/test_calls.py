"""What a call is given of files is what its results are stored for, until the call has ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.errors import ValueTypeError
from orcapod.executors import LocalExecutor
from orcapod.orchestrators import AsyncPipelineOrchestrator
from orcapod.sources import DictSource, FileSource


@dataclass
class Scan:
    image: op.File
    series: dict[str, list[op.File | None]]


def overwrite(folder: Path) -> None:
    """Write to the file that another file in the folder names, once."""
    order = folder / "order"
    if order.exists():
        target = folder / f"{order.read_text()}.txt"
        order.unlink()
        target.write_text(f"new {target.stem}")


@op.function_pod(output_keys="text")
def read(file: Path) -> str:
    overwrite(file.parent)
    return file.read_text()


@op.function_pod(output_keys="text")
def read_first(file: Path) -> str:
    text = file.read_text()
    overwrite(file.parent)
    return text


@op.function_pod(output_keys="text")
async def read_async(file: Path) -> str:
    overwrite(file.parent)
    return file.read_text()


def texts(pipeline: op.Pipeline) -> dict[object, object]:
    return {tag["name"]: packet["text"] for tag, packet in pipeline["read"].iter_packets()}


_WAYS: dict[str, Callable[[op.Pipeline], op.RunResult]] = {
    "sequential": lambda pipeline: pipeline.run(),
    "asynchronous": lambda pipeline: pipeline.run(AsyncPipelineOrchestrator()),
    "threads": lambda pipeline: pipeline.run(execution_engine=LocalExecutor(1)),
    "processes": lambda pipeline: pipeline.run(execution_engine=LocalExecutor(1, "process")),
}


@pytest.mark.parametrize(
    ("way", "pod", "target"),
    [
        *((way, read, "3") for way in _WAYS),
        *((way, read, "0") for way in _WAYS),
        ("sequential", read_first, "0"),
        ("sequential", read_async, "0"),
        ("asynchronous", read_async, "0"),
    ],
)
def test_nothing_is_stored_of_a_file_that_changes_before_its_call_or_in_it(
    tmp_path: Path, way: str, pod: Any, target: str
) -> None:
    for name in "0123":
        (tmp_path / f"{name}.txt").write_text(f"old {name}")

    def build() -> op.Pipeline:
        pipeline = op.Pipeline("study", tmp_path / "lab.db")
        with pipeline:
            pod.pod(FileSource(tmp_path, "{name}.txt", source_id="s"), label="read")
        return pipeline

    first = build()
    (tmp_path / "order").write_text(target)
    (error,) = _WAYS[way](first).errors
    assert isinstance(error.exception, ValueTypeError)
    assert (error.tag["name"], error.exception.column) == (target, "file")
    assert f"{target}.txt" in str(error.exception)
    assert "has changed" in str(error.exception)
    assert texts(first) == {name: f"old {name}" for name in "0123" if name != target}
    (tmp_path / f"{target}.txt").write_text(f"old {target}")
    again = build()
    assert again.run().counts("read")["computed"] == 1
    assert texts(again) == {name: f"old {name}" for name in "0123"}


@op.function_pod(output_keys="text")
def read_all(folder: op.Directory, files: list[Path], scan: Scan) -> str:
    (image,) = scan.series["t1"][1:]
    assert image is not None
    overwrite(image.path.parent)
    return " ".join(path.read_text() for path in [folder.path / "deep" / "a.txt", *files, scan.image.path, image.path])


@pytest.mark.parametrize("target", ["folder/deep/a", "folder/deep/new", "listed", "image", "t1"])
def test_files_in_folders_lists_and_objects_are_looked_at(tmp_path: Path, target: str) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    for name in ("folder/deep/a", "listed", "image", "t1"):
        (tmp_path / f"{name}.txt").write_text(name)
    row = {
        "folder": op.Directory(tmp_path / "folder"),
        "files": [tmp_path / "listed.txt"],
        "scan": Scan(op.File(tmp_path / "image.txt"), {"t1": [None, op.File(tmp_path / "t1.txt")]}),
    }
    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        read_all.pod(DictSource([row], [], source_id="s"), label="read")
    (tmp_path / "order").write_text(target)
    (error,) = pipeline.run().errors
    assert "has changed while the function ran" in str(error.exception)
    assert list(pipeline["read"].iter_packets()) == []


@pytest.mark.parametrize("harm", ["touch", "replace"])
def test_a_file_that_was_only_touched_is_the_same(tmp_path: Path, harm: str) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "harm").write_text(harm)

    @op.function_pod(output_keys="text")
    def read(file: op.File) -> str:
        if (file.path.parent / "harm").read_text() == "touch":
            file.path.touch()
        else:
            file.path.with_name("b").write_text("x")
            file.path.with_name("b").replace(file.path)
        return file.path.read_text()

    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        read.pod(FileSource(tmp_path, "{name}.txt"), label="read")
    pipeline.run().raise_for_errors()
    assert texts(pipeline) == {"a": "x"}


def test_a_file_that_is_gone_when_its_call_ends_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")

    @op.function_pod(output_keys="text")
    def move(file: op.File) -> str:
        file.path.rename(file.path.with_name("b"))
        return "moved"

    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        move.pod(FileSource(tmp_path, "{name}.txt"), label="read")
    (error,) = pipeline.run().errors
    assert f"parameter 'file': {tmp_path / 'a.txt'} cannot be read any more" in str(error.exception)


_SCRATCH = """
import os, sys, tempfile
from pathlib import Path
import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.orchestrators import AsyncPipelineOrchestrator
from orcapod.sources import DictSource

def place() -> Path:
    path = op.output_path("deep/scratch.bin")
    path.write_bytes(b"scratch")
    return path

@op.function_pod(output_keys="size", ignores=["os.environ"])
def measure(x: int) -> int:
    path = place()
    if x == 1:
        raise ValueError("no")
    if x == 2 and "PROCESS" in os.environ:
        os._exit(1)
    return path.stat().st_size

@op.function_pod(output_keys="size", version="v1", identity="version")
async def measure_async(x: int) -> int:
    path = op.output_path("scratch.bin")
    path.write_bytes(b"scratch")
    return path.stat().st_size

def left(way):
    found = [file.name for file in Path(tempfile.gettempdir()).rglob("scratch.bin")]
    print(way, len(found))

def run(pod, way, *args, **options):
    with op.Pipeline(way, op.databases.MemoryDatabase()) as pipeline:
        pod.pod(DictSource([{"k": k, "x": k} for k in range(4)], ["k"]), label="sizes")
    result = pipeline.run(*args, progress=False, **options)
    assert {packet["size"] for _, packet in pipeline["sizes"].iter_packets()} == {7}
    left(way)

if __name__ == "__main__":
    for pod in (measure, measure_async):
        run(pod, "sequential")
        run(pod, "asynchronous", AsyncPipelineOrchestrator())
        run(pod, "threads", execution_engine=LocalExecutor(2))
    os.environ["PROCESS"] = "1"
    with LocalExecutor(2, "process") as executor:
        run(measure_async, "processes", execution_engine=executor)
        run(measure, "killed", execution_engine=executor)
"""


def test_what_a_function_makes_beside_what_it_gives_back_goes_with_its_call(tmp_path: Path) -> None:
    """Whatever it gives back, also when it fails; what a worker leaves that is killed goes with this process."""
    (tmp_path / "program.py").write_text(_SCRATCH)
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
    )
    ways = ["sequential", "asynchronous", "threads"]
    assert done.stdout.splitlines() == [*[f"{way} 0" for way in 2 * ways], "processes 0", "killed 1"], done.stderr
    assert [*(tmp_path / "temporary").iterdir()] == []
