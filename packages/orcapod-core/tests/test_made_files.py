"""Files that functions make: kept by content, there on the next run, never changed by a later one."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import Literal, NamedTuple

import numpy as np
import pytest

import orcapod as op
from orcapod.errors import ConfigError, DatabaseError, ValueTypeError
from orcapod.executors import LocalExecutor
from orcapod.sources import DictSource
from orcapod.types import LARGE_BYTES


@op.function_pod(output_keys="figure")
def plot(x: int) -> op.File:
    path = op.output_path("figure.txt")
    path.write_text(f"x = {x}")
    return op.File(path)


@op.function_pod(output_keys="length")
def measure(figure: Path) -> int:
    return len(figure.read_text())


def study(store: object, values: tuple[int, ...] = (1, 2), **options: object) -> op.Pipeline:
    pipeline = op.Pipeline("study", store, **options)  # type: ignore[arg-type]  # of any kind
    with pipeline:
        source = DictSource([{"i": i, "x": x} for i, x in enumerate(values)], ["i"], source_id="s")
        measure.pod(plot.pod(source, label="plots"), label="lengths")
    return pipeline


def files(pipeline: op.Pipeline) -> list[Path]:
    return [Path(packet["figure"]) for _, packet in pipeline["plots"].iter_packets()]


def fresh_left(folder: Path) -> list[Path]:
    return list((folder / ".orcapod-fresh").glob("*"))


def test_a_made_file_is_kept_beside_the_store_under_its_own_name(tmp_path: Path) -> None:
    pipeline = study(tmp_path / "lab.db")
    pipeline.run().raise_for_errors()
    kept = files(pipeline)
    assert [path.read_text() for path in kept] == ["x = 1", "x = 2"]
    assert {path.name for path in kept} == {"figure.txt"}
    assert all(path.is_relative_to(tmp_path / "lab.db.files") for path in kept)
    assert not any(path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) for path in kept)
    assert fresh_left(tmp_path / "lab.db.files") == []


def test_it_is_there_on_the_next_run_and_nothing_is_computed(tmp_path: Path) -> None:
    first = study(tmp_path / "lab.db")
    first.run()
    before = [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in files(first)]
    again = study(tmp_path / "lab.db", values=(1, 2, 3))
    result = again.run()
    assert result.counts("plots") == {**result.counts("plots"), "computed": 1, "cached": 2}
    assert [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in files(again)[:2]] == before


def test_equal_files_are_kept_once(tmp_path: Path) -> None:
    @op.function_pod(output_keys="figure")
    def same(x: int) -> op.File:
        path = op.output_path("figure.txt")
        path.write_text("the same")
        return op.File(path)

    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        same.pod(DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s"), label="plots")
    pipeline.run().raise_for_errors()
    assert len(set(files(pipeline))) == 1
    assert len(list((tmp_path / "lab.db.files").rglob("figure.txt"))) == 1
    assert fresh_left(tmp_path / "lab.db.files") == []


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_workers_make_and_take_files(tmp_path: Path, kind: Literal["thread", "process"]) -> None:
    pipeline = study(tmp_path / "lab.db", values=tuple(range(6)))
    with LocalExecutor(workers=2, kind=kind) as executor:
        pipeline.run(execution_engine=executor).raise_for_errors()
    assert [packet["length"] for _, packet in pipeline["lengths"].iter_packets()] == [5] * 6
    assert all(path.is_relative_to(tmp_path / "lab.db.files") for path in files(pipeline))


def test_an_async_function_makes_files(tmp_path: Path) -> None:
    @op.function_pod(output_keys="figure")
    async def draw(x: int) -> op.File:
        path = op.output_path("figure.txt")
        path.write_text(f"x = {x}")
        return op.File(path)

    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        draw.pod(DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s"), label="plots")
    pipeline.run().raise_for_errors()
    assert [path.read_text() for path in files(pipeline)] == ["x = 0", "x = 1", "x = 2"]


def test_several_files_and_folders_are_given_back_at_once(tmp_path: Path) -> None:
    @op.function_pod(output_keys=["image", "sidecar", "tiles", "listed"])
    def scan(x: int) -> tuple[Path, op.File, op.Directory, list[op.File]]:
        image = op.output_path("scan/image.nii")
        image.write_text("voxels")
        sidecar = image.with_suffix(".json")
        sidecar.write_text("{}")
        tiles = op.output_path("tiles")
        (tiles / "deep").mkdir(parents=True)
        (tiles / "deep" / "tile").write_text("t")
        listed = op.output_path("listed")
        listed.write_text("l")
        return image, op.File(sidecar), op.Directory(tiles), [op.File(listed)]

    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        scan.pod(DictSource([{"x": 1}], [], source_id="s"), label="scans")
    pipeline.run().raise_for_errors()
    ((_, packet),) = pipeline["scans"].iter_packets()
    assert packet["image"].read_text() == "voxels"
    assert packet["sidecar"].path.read_text() == "{}"
    assert (packet["tiles"].path / "deep" / "tile").read_text() == "t"
    assert packet["listed"][0].path.read_text() == "l"
    assert fresh_left(tmp_path / "lab.db.files") == []


def test_what_a_failed_call_made_is_removed(tmp_path: Path) -> None:
    @op.function_pod(output_keys="figure")
    def fail(x: int) -> op.File:
        op.output_path("figure.txt").write_text("half")
        raise ValueError("no")

    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        fail.pod(DictSource([{"x": 1}], [], source_id="s"), label="plots")
    assert not pipeline.run().ok
    assert fresh_left(tmp_path / "lab.db.files") == []


def test_a_path_that_was_not_written_is_a_failed_packet(tmp_path: Path) -> None:
    @op.function_pod(output_keys="figure")
    def forget(x: int) -> op.File:
        return op.File(op.output_path("figure.txt"))

    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        forget.pod(DictSource([{"x": 1}], [], source_id="s"), label="plots")
    (error,) = pipeline.run().errors
    assert isinstance(error.exception, ValueTypeError)
    assert "nothing is there; check the path, and whether it was written" in str(error.exception)


def test_a_file_elsewhere_stays_there_and_a_change_fails_the_packet_that_reads_it(tmp_path: Path) -> None:
    elsewhere = tmp_path / "mine.txt"

    @op.function_pod(output_keys="figure", ignores=["elsewhere"])
    def write(x: int) -> op.File:
        elsewhere.write_text("mine")
        return op.File(elsewhere)

    def build(version: int) -> op.Pipeline:
        @op.function_pod(output_keys="n")
        def read(figure: op.File) -> int:
            return len(figure.path.read_text()) + version

        pipeline = op.Pipeline("study", tmp_path / "lab.db")
        with pipeline:
            read.pod(write.pod(DictSource([{"x": 1}], [], source_id="s"), label="plots"), label="read")
        return pipeline

    build(1).run().raise_for_errors()
    assert elsewhere.stat().st_mode & stat.S_IWUSR
    elsewhere.write_text("changed")
    pipeline = build(1)
    assert pipeline.run().ok, "what was computed of it before is still true"
    (error,) = build(2).run().errors
    assert isinstance(error.exception, ValueTypeError)
    assert error.exception.node == "read"
    assert "parameter 'figure'" in str(error.exception)
    assert "it has changed" in str(error.exception)
    with pytest.raises(ValueTypeError, match="it has changed"):
        files(pipeline)


def test_a_result_whose_file_is_lost_is_computed_again(tmp_path: Path) -> None:
    """Also where the function makes another one then, and what was not lost is found."""
    turn = [1]

    @op.function_pod(output_keys="figures", ignores=["turn"])
    def draw(x: int) -> list[op.File]:
        path = op.output_path("figure.txt")
        path.write_text(f"x = {x}, turn {turn[0] if x == 1 else 0}")
        return [op.File(path)]

    def build() -> op.Pipeline:
        pipeline = op.Pipeline("study", tmp_path / "lab.db")
        with pipeline:
            draw.pod(DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s"), label="plots")
        return pipeline

    def texts(pipeline: op.Pipeline) -> list[str]:
        return [packet["figures"][0].path.read_text() for _, packet in pipeline["plots"].iter_packets()]

    pipeline = build()
    pipeline.run().raise_for_errors()
    assert texts(pipeline) == ["x = 0, turn 0", "x = 1, turn 1", "x = 2, turn 0"]
    lost = [packet["figures"][0].path for _, packet in pipeline["plots"].iter_packets()][1]
    lost.unlink()
    with pytest.warns(UserWarning, match="left out 1 rows that were computed"):
        assert texts(pipeline) == ["x = 0, turn 0", "x = 2, turn 0"]
    turn[0] = 2
    for computed in (1, 0):
        again = build()
        assert again.run().counts("plots")["computed"] == computed
        assert texts(again) == ["x = 0, turn 0", "x = 1, turn 2", "x = 2, turn 0"]


def test_a_store_that_was_moved_with_its_files_has_them(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    pipeline = study(tmp_path / "here" / "lab.db")
    pipeline.run().raise_for_errors()
    pipeline.database.close()
    (tmp_path / "here").rename(tmp_path / "there")
    moved = study(tmp_path / "there" / "lab.db")
    assert moved.run().counts("plots")["computed"] == 0
    assert [path.read_text() for path in files(moved)] == ["x = 1", "x = 2"]
    assert all(path.is_relative_to(tmp_path / "there") for path in files(moved))


def test_a_kept_file_that_somebody_changed_is_noticed_and_replaced_when_it_is_made_again(tmp_path: Path) -> None:
    pipeline = study(tmp_path / "lab.db", values=(1,))
    pipeline.run()
    (kept,) = files(pipeline)
    kept.chmod(0o644)
    kept.write_text("forged")
    with pytest.raises(ValueTypeError, match="it has changed"):
        files(pipeline)
    other = op.Pipeline("other", tmp_path / "other.db", files=tmp_path / "lab.db.files")
    with other:
        plot.pod(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s"), label="plots")
    other.run().raise_for_errors()
    assert files(other) == files(pipeline) == [kept]
    assert kept.read_text() == "x = 1"


def test_the_place_of_files_does_not_move_with_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline = study(op.databases.MemoryDatabase(), files="made")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pipeline.run().raise_for_errors()
    assert all(path.is_relative_to(tmp_path / "made") for path in files(pipeline))


def test_the_place_of_files_is_an_argument(tmp_path: Path) -> None:
    for given in (tmp_path / "one", str(tmp_path / "two"), f"file://{tmp_path}/three"):
        pipeline = study(op.databases.MemoryDatabase(), files=given)
        pipeline.run().raise_for_errors()
        assert all(path.is_relative_to(str(given).removeprefix("file://")) for path in files(pipeline))
    with pytest.raises(
        ConfigError, match="found files 'nowhere://host/files', expected a folder, or a URL of object sto"
    ):
        study(tmp_path / "lab.db", files="nowhere://host/files")
    with pytest.raises(ConfigError, match="not shown") as caught:
        study(tmp_path / "lab.db", files="s3://key:hunter2@bucket/files")
    assert "hunter2" not in str(caught.value)


def test_files_of_a_store_in_memory_go_with_the_process(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        dedent("""
            import orcapod as op
            from orcapod.sources import DictSource

            @op.function_pod(output_keys="figure")
            def plot(x: int) -> op.File:
                path = op.output_path("figure.txt")
                path.write_text("x")
                return op.File(path)

            for _, packet in plot.pod(DictSource([{"x": 1}], [])).iter_packets():
                print(packet["figure"].path.read_text(), packet["figure"].path)
        """)
    )
    found = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True, timeout=60)
    text, path = found.stdout.split()
    assert text == "x"
    assert not Path(path).exists()


def test_a_kill_while_files_are_made_leaves_no_half_file_among_the_whole_ones(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        dedent(f"""
            import os, signal
            import orcapod as op
            from orcapod.sources import DictSource

            @op.function_pod(output_keys="figure")
            def plot(x: int) -> op.File:
                path = op.output_path("figure.txt")
                with path.open("w") as stream:
                    stream.write(f"x = {{x}}, ")
                    stream.flush()
                    if x == 2 and os.environ.get("DIES"):
                        os.kill(os.getpid(), signal.SIGKILL)
                    stream.write("whole")
                return op.File(path)

            pipeline = op.Pipeline("study", {str(tmp_path / "lab.db")!r})
            with pipeline:
                plot.pod(DictSource([{{"i": i, "x": i}} for i in range(4)], ["i"], source_id="s"), label="plots")
            pipeline.run().raise_for_errors()
            for _, packet in pipeline["plots"].iter_packets():
                print(packet["figure"].path.read_text())
        """)
    )
    killed = subprocess.run([sys.executable, program], env={**os.environ, "DIES": "1"}, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    folder = tmp_path / "lab.db.files"
    assert len(fresh_left(folder)) == 1
    found = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.splitlines() == [f"x = {i}, whole" for i in range(4)]
    kept = [path for path in folder.rglob("figure.txt") if ".orcapod-fresh" not in path.parts]
    assert sorted(path.read_text() for path in kept) == [f"x = {i}, whole" for i in range(4)]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/x"])
def test_a_place_is_for_a_name(name: str) -> None:
    with pytest.raises(ConfigError, match="expected a name such as"):
        op.output_path(name)


def as_a_plain_user() -> None:
    """Give up what lets root write to anything: Linux's CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    for capability in (1, 2) if os.getuid() == 0 else ():
        assert ctypes.CDLL(None).prctl(24, capability) == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere root cannot give up what root may do")
def test_nobody_writes_into_a_kept_folder_and_orphans_go_all_the_same(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        dedent(f"""
            import shutil
            from pathlib import Path
            import orcapod as op
            from orcapod.sources import DictSource

            here = Path({str(tmp_path)!r})
            store, files, out = here / "lab.db", here / "files", here / "out"

            @op.function_pod(output_keys="tiles")
            def cut(x: int) -> op.Directory:
                tiles = op.output_path("tiles")
                (tiles / "deep").mkdir(parents=True)
                (tiles / "deep" / "tile.txt").write_text(str(x))
                return op.Directory(tiles)

            def run(name, *values):
                pipeline = op.Pipeline(name, name and store, files=files)
                with pipeline:
                    cut.pod(DictSource([{{"i": x, "x": x}} for x in values], ["i"], source_id="s"), label="tiles")
                pipeline.run().raise_for_errors()
                return [packet["tiles"].path for _, packet in pipeline["tiles"].iter_packets()], pipeline

            kept, pipeline = run("study", 1, 2)
            for folder in (kept[0], kept[0] / "deep"):
                one = next(folder.iterdir())
                for change in (lambda: (folder / "more.txt").touch(), lambda: one.rename(folder / "other")):
                    try:
                        change()
                    except PermissionError:
                        continue
                    raise AssertionError(f"{{folder}} was written to")
            for _ in range(2):
                pipeline.tiles.export(out / "{{i}}")
            (out / "1" / "deep" / "tile.txt").write_text("a copy is one's own")
            (out / "1" / "notes.txt").write_text("mine")
            try:
                pipeline.tiles.export(out / "{{i}}")
            except op.errors.InputValidationError as error:
                assert "notes.txt is there and not in the value; remove it" in str(error)
            assert (out / "1" / "notes.txt").read_text() == "mine"

            (kept[0] / "deep").chmod(0o700)
            (kept[0] / "deep" / "more.txt").touch()
            store = op.databases.MemoryDatabase()
            assert run("other", 1)[0] == kept[:1]
            assert [path.name for path in (kept[0] / "deep").iterdir()] == ["tile.txt"], "made anew"
            removed = op.remove_orphans(store, files=files, hours=1e-9)
            assert len(removed) == 2 and kept[1] in removed, removed
            assert [path for path in files.glob("*/*/*") if path not in kept[:1]] == []
            assert not list(files.glob(".orcapod-fresh/*"))
        """)
    )
    done = subprocess.run(
        [sys.executable, program], preexec_fn=as_a_plain_user, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@op.function_pod(["one", "again", "folder", "other"])
def tangled(order: int) -> tuple[op.File, list[op.File], op.Directory, op.File]:
    folder = op.output_path("folder")
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
    one = op.File(folder / "a")
    return one, [one, op.File(folder / "b")], op.Directory(folder), op.File(folder / "c")


def test_a_folder_and_files_in_it_are_given_back_together(tmp_path: Path) -> None:
    """A file twice, and files before and behind the folder that they are in."""
    for _ in range(2):
        pipeline = op.Pipeline("study", tmp_path / "lab.db")
        with pipeline:
            tangled.pod(DictSource([{"i": i, "order": i} for i in range(2)], ["i"], source_id="s"), label="tangled")
        pipeline.run().raise_for_errors()
        for _, packet in pipeline.tangled.iter_packets():
            assert sorted(path.read_text() for path in packet["folder"].path.iterdir()) == ["a", "b", "c"]
            files = [packet["one"], *packet["again"], packet["other"]]
            assert [file.path.read_text() for file in files] == ["a", "a", "b", "c"]
    assert op.verify_store(tmp_path / "lab.db").ok
    op.remove_orphans(tmp_path / "lab.db", hours=1e-9)
    assert op.verify_store(tmp_path / "lab.db").ok


def test_the_place_of_what_is_made_is_no_folder_to_give_back(tmp_path: Path) -> None:
    @op.function_pod("folder")
    def above(i: int) -> op.Directory:
        file = op.output_path("a.txt")
        file.write_text("hi")
        return op.Directory(file.parent)

    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        above.pod(DictSource([{"t": 1, "i": 1}], ["t"], source_id="s"), label="above")
    (error,) = pipeline.run().errors
    assert "give back what that named: op.output_path('results')" in str(error)


def test_a_store_that_knows_nothing_of_a_folder_removes_nothing_of_it(tmp_path: Path) -> None:
    """Another store needs none of the files of this one."""
    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        tangled.pod(DictSource([{"i": 1, "order": 1}], ["i"], source_id="s"), label="tangled")
    pipeline.run().raise_for_errors()
    with op.databases.SQLiteDatabase(tmp_path / "other.db") as other:
        other.check_writable()  # which makes it
    with pytest.raises(ConfigError, match=r"none of which any record of these stores names; check which stores"):
        op.remove_orphans(tmp_path / "other.db", files=tmp_path / "lab.db.files", hours=1e-9)
    assert op.verify_store(tmp_path / "lab.db").ok


@op.function_pod(output_keys="sketch")
def sketch(x: int) -> op.File:
    for name in ("unused.txt", "written.txt", "deep/er.txt"):
        path = op.output_path(name)
        if name != "unused.txt":
            path.write_text("scratch")
    path = op.output_path("sketch.txt")
    path.write_text(f"x = {x}")
    path.with_name("beside.txt").write_text("scratch")
    if x < 0:
        return 1  # type: ignore[return-value]
    return op.File(path)


@op.function_pod(output_keys="sketch")
async def sketch_async(x: int) -> op.File:
    return sketch.pod.packet_function.function(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize("way", ["here", "threads", "processes", "async"])
def test_places_that_a_packet_asked_for_and_gave_nothing_of_go_with_it(tmp_path: Path, way: str) -> None:
    """Also where its output is refused."""
    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        rows = DictSource([{"i": i, "x": i} for i in (-1, 1, 2)], ["i"], source_id="s")
        (sketch_async if way == "async" else sketch).pod(rows, label="sketches")
    engines = {"threads": LocalExecutor(workers=2), "processes": LocalExecutor(workers=2, kind="process")}
    result = pipeline.run(execution_engine=engines.get(way))
    assert result.counts("sketches") == {"computed": 2, "cached": 0, "failed": 1}
    assert fresh_left(tmp_path / "lab.db.files") == []
    assert [Path(packet["sketch"]).read_text() for _, packet in pipeline.sketches.iter_packets()] == ["x = 1", "x = 2"]


@op.function_pod(output_keys="figure")
def plot_in_a_thread(x: int) -> op.File:
    with ThreadPoolExecutor(1) as pool:
        if x == 1:  # what names the place has to be in the call
            return pool.submit(lambda: op.File(op.output_path("figure.txt"))).result()
        path = op.output_path("figure.txt")
        pool.submit(path.write_text, f"x = {x}").result()
        return op.File(path)


def test_a_thread_of_a_function_is_given_its_place_and_asks_for_none(tmp_path: Path) -> None:
    """Whose call it belongs to is not known there: its file went to the folder for temporary ones."""
    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        rows = DictSource([{"i": i, "x": i} for i in (1, 2)], ["i"], source_id="s")
        plot_in_a_thread.pod(rows, label="plots")
    result = pipeline.run()
    (error,) = result.errors
    assert isinstance(error.exception, ConfigError)
    assert "found a thread that the function has started" in str(error)
    assert "hand what it returns over" in str(error)
    assert [path.read_text() for path in files(pipeline)] == ["x = 2"]
    assert op.output_path("mine.txt").parent.is_dir(), "outside of a pipeline it goes on to be one for temporary files"


class Album(NamedTuple):
    cover: op.File
    pages: list[op.File]
    named: dict[str, op.File | None]


@op.function_pod(output_keys=["album", "data", "array"])
def album(x: int) -> tuple[Album, bytes, np.ndarray]:
    def drawn(name: str) -> op.File:
        path = op.output_path(f"{name}.txt")
        path.write_text(f"{name} {x}")
        return op.File(path)

    pages = [drawn(f"page {at}") for at in range(x)]
    made = Album(drawn("cover"), pages, {"back": drawn("back"), "none": None})
    return made, bytes([x]) * LARGE_BYTES, np.full(LARGE_BYTES, float(x))


@op.function_pod(output_keys="where")
def places(album: Album) -> str:
    return str(album.cover.path.parents[2])


def test_a_copied_store_reads_its_own_files_though_the_original_is_there(tmp_path: Path) -> None:
    def built(path: Path) -> op.Pipeline:
        pipeline = op.Pipeline("study", path)
        with pipeline:
            rows = DictSource([{"i": x, "x": x} for x in range(3)], ["i"], source_id="s")
            places.pod(album.pod(rows, label="albums"), label="places")
        return pipeline

    (tmp_path / "first").mkdir()
    built(tmp_path / "first" / "lab.db").run(until="albums").raise_for_errors()
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    copy, own = built(tmp_path / "second" / "lab.db"), tmp_path / "second" / "lab.db.files"
    built(tmp_path / "first" / "lab.db")  # opened last, and none of the other's business
    for file in (tmp_path / "first" / "lab.db.files").rglob("*.*"):
        if file.is_file():
            file.chmod(0o600)
            file.write_text("other")
    with LocalExecutor(workers=1, kind="process") as executor:
        result = copy.run(execution_engine=executor)
    result.raise_for_errors()
    assert result.counts("albums")["cached"] == 3
    assert set(copy.places.as_table()["where"].to_pylist()) == {str(own)}
    for tag, packet in copy.albums.iter_packets():
        found: Album = packet["album"]
        shown = [found.cover, *found.pages, found.named["back"]]
        assert all(file is not None and file.path.is_relative_to(own) for file in shown)
        assert [file.path.read_text() for file in found.pages] == [f"page {at} {tag['i']}" for at in range(tag["i"])]
        assert (packet["data"][0], packet["array"][0]) == (tag["i"], tag["i"])


def test_a_folder_that_nobody_may_write_to_is_one_clear_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    pipeline = study(tmp_path / "lab.db", files=tmp_path / "files")
    (first, _) = pipeline.run().errors
    assert isinstance(first.exception, DatabaseError)
    assert "files: output_path can make no file there: " in str(first)
    assert "give the pipeline another folder: Pipeline(..., files='/data/files')" in str(first)


def test_a_folder_that_may_not_be_read_is_one_clear_error() -> None:
    """For somebody else than who made it, or the superuser, who may read everything."""
    program = """
        import os, sys, tempfile
        from pathlib import Path
        import orcapod as op
        from orcapod.errors import DatabaseError
        from orcapod.sources import DictSource

        @op.function_pod(output_keys="figure")
        def plot(x: int) -> op.File:
            path = op.output_path("figure.txt")
            path.write_text(f"x = {x}")
            return op.File(path)

        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o777)
            def run():
                with op.databases.SQLiteDatabase(folder / "lab.db") as database:
                    with op.Pipeline("study", database) as pipeline:
                        plot.pod(DictSource([{"i": 1, "x": 1}], ["i"], source_id="s"), label="plots")
                    return pipeline.run(progress=False)
            run().raise_for_errors()
            for file in folder.glob("lab.db*"):
                file.chmod(0o666)
            (folder / "lab.db.files").chmod(0o000)
            me = os.geteuid()
            if me == 0:
                os.seteuid(65534)
            try:
                run()
            except DatabaseError as error:
                print(error)
            finally:
                os.seteuid(me)
                (folder / "lab.db.files").chmod(0o700)
    """
    told = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, timeout=60)
    assert "lab.db.files: the files of results cannot be looked for there: " in told.stdout, told.stderr
    assert "Permission denied" in told.stdout
