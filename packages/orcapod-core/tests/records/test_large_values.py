"""Promise 23 for large values: kept by content beside the store, read when they are looked at, and come back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.errors import DamagedRecordError, DatabaseError, ValueTypeError
from orcapod.executors import LocalExecutor
from orcapod.pods import CachedFunctionPod
from orcapod.records.large_values import LargeValues
from orcapod.sources import DictSource
from orcapod.types import LARGE_BYTES, Schema, registry

LARGE = LARGE_BYTES // 8  # floats


@dataclass
class Recording:
    signal: np.ndarray
    channels: dict[str, list[np.ndarray]]


@op.logical_type
class Blob:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and self.data == other.data

    __hash__ = None  # type: ignore[assignment]

    def to_bytes(self) -> bytes:
        return self.data

    @classmethod
    def from_bytes(cls, data: bytes) -> Blob:
        return cls(data)


def noise(seed: int, length: int = LARGE) -> np.ndarray:
    return np.random.default_rng(seed).random(length)


def rows(*numbers: int) -> DictSource:
    return DictSource([{"t": at, "n": n} for at, n in enumerate(numbers)], ["t"], source_id="s")


@op.function_pod(output_keys="x")
def make(n: int) -> np.ndarray:
    return noise(n)


@op.function_pod(output_keys="mean")
def mean(x: np.ndarray) -> float:
    return float(x.mean())


def study(store: Path, *numbers: int) -> op.Pipeline:
    pipeline = op.Pipeline("study", store)
    with pipeline:
        mean.pod(make.pod(rows(*numbers), label="made"), label="means")
    return pipeline


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_equal_values_are_one_file_beside_a_small_store(tmp_path: Path) -> None:
    @op.function_pod(output_keys=["x", "y", "a", "b"])
    def twice(n: int) -> tuple[np.ndarray, list[np.ndarray], bytes, bytes]:
        data = noise(n).tobytes()
        return noise(n), [noise(n), noise(1)], data, data

    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        twice.pod(rows(1, 2), label="twice")
    pipeline.run().raise_for_errors()
    assert len(files_in(tmp_path / "lab.db.files")) == 2
    assert (tmp_path / "lab.db").stat().st_size < LARGE_BYTES // 2
    assert all((packet["y"][1] == noise(1)).all() for _, packet in pipeline.twice.iter_packets())


def test_a_table_shows_references_and_a_packet_loads(tmp_path: Path) -> None:
    pipeline = study(tmp_path / "lab.db", 1)
    pipeline.run().raise_for_errors()
    (shown,) = pipeline.made.as_table().column("x").to_pylist()
    (file,) = files_in(tmp_path / "lab.db.files")
    assert shown["data"] is None
    assert (Path(shown["file"]["path"]), shown["size"]) == (file, LARGE_BYTES)
    assert (np.fromfile(file, shown["dtype"]).reshape(shown["shape"]) == noise(1)).all()
    ((_, packet),) = pipeline.made.iter_packets()
    array = packet["x"]
    assert (array == noise(1)).all()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    (cell,) = pipeline.made.to_pandas()["x"]
    assert (cell == noise(1)).all()


def test_a_run_in_which_all_is_there_reads_no_value(tmp_path: Path) -> None:
    study(tmp_path / "lab.db", 1, 2).run().raise_for_errors()
    for file in files_in(tmp_path / "lab.db.files"):
        file.chmod(0o600)
        file.write_bytes(b"")  # whoever reads it, notices
    again = study(tmp_path / "lab.db", 1, 2)
    result = again.run()
    assert result.ok
    assert [result.counts(label)["cached"] for label in ("made", "means")] == [2, 2]
    assert again.made.as_table().num_rows == 2


VALUES: dict[str, tuple[Any, Callable[[], Any]]] = {
    "array": (np.ndarray, lambda: noise(1)),
    "zeros": (np.ndarray, lambda: np.zeros((LARGE // 4, 4))),
    "structured": (np.ndarray, lambda: np.zeros(LARGE, [("a", "f8"), ("b", "U3")])),
    "bytes": (bytes, lambda: noise(1).tobytes()),
    "no bytes": (bytes | None, lambda: None),
    "plain bytes": (bytes, lambda: bytes(LARGE_BYTES)),
    "record": (Recording, lambda: Recording(noise(1), {"a": [noise(2), np.zeros(0)], "b": []})),
    "lists": (list[list[np.ndarray]], lambda: [[noise(1)], []]),
    "nothing": (np.ndarray | None, lambda: None),
    "object": (Blob, lambda: Blob(noise(1).tobytes())),
    "table": (pa.Table, lambda: pa.table({"x": noise(1), "y": noise(2).tolist()})),
    "pandas": (pd.DataFrame, lambda: pd.DataFrame({"x": noise(1)}, index=noise(2))),
    "polars": (pl.DataFrame, lambda: pl.DataFrame({"x": noise(1)})),
}


def is_same(one: Any, other: Any) -> bool:
    match one:
        case np.ndarray():
            return one.dtype == other.dtype and np.array_equal(one, other)
        case Recording():
            return is_same([one.signal, *one.channels["a"]], [other.signal, *other.channels["a"]])
        case list():
            return len(one) == len(other) and all(map(is_same, one, other))
        case pd.DataFrame() | pl.DataFrame() | pa.Table():
            return bool(one.equals(other))
        case _:
            return bool(one == other)


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("is_cached", [False, True], ids=["pipeline", "cached pod"])
def test_large_values_of_every_kind_come_back_and_go_on(tmp_path: Path, kind: str, is_cached: bool) -> None:
    """Beside a small one in the next row, to the next function and from the store, and are the same inputs."""
    annotation, value = VALUES[kind]
    small = {"structured": lambda: np.zeros(2), "object": lambda: Blob(b"")}.get(kind, lambda: value())

    def made(n: int) -> Any:
        return value() if n else small()

    def looked_at(x: Any) -> bool:
        return is_same(value(), x) or is_same(small(), x)

    made.__annotations__["return"] = annotation
    looked_at.__annotations__["x"] = annotation
    first = op.function_pod("x", identity="version")(made).pod
    second = op.function_pod("ok", identity="version")(looked_at).pod
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        for _ in range(2):
            if is_cached:
                stream = CachedFunctionPod(first, database)(rows(1, 0, 1))
                assert [packet["ok"] for _, packet in second(stream).iter_packets()] == [True] * 3
                continue
            pipeline = op.Pipeline("study", database)
            with pipeline:
                stream = first(rows(1, 0, 1), label="made")
                second(stream, label="looked_at")
            pipeline.run().raise_for_errors()
            assert [packet["ok"] for _, packet in pipeline.looked_at.iter_packets()] == [True] * 3
            stored = [packet.content_hash() for _, packet in pipeline.made.iter_packets()]
            inline = DictSource(
                [{"t": at, "x": value() if n else small()} for at, n in enumerate([1, 0, 1])],
                ["t"],
                data_schema={"x": annotation},
            )
            assert stored == [packet.content_hash() for _, packet in inline.iter_packets()]


@given(
    seed=st.integers(0, 3),
    nbytes=st.sampled_from([0, 1, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 3 * LARGE_BYTES]),
    dtype=st.sampled_from(["u1", "?", "<f4", ">i2", "<c16", "M8[ns]"]),
    is_flat=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_arrays_of_any_size_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, seed: int, nbytes: int, dtype: str, is_flat: bool
) -> None:
    size = nbytes // np.dtype(dtype).itemsize
    given = np.random.default_rng(seed).integers(0, 2 if is_flat else 100, size).astype(dtype)

    def made(n: int) -> np.ndarray:
        return given

    pod = op.function_pod("x", identity="version")(made).pod
    with SQLiteDatabase(tmp_path_factory.mktemp("large") / "lab.db") as database:
        for _ in range(2):
            ((_, packet),) = CachedFunctionPod(pod, database)(rows(1)).iter_packets()
            found = packet["x"]
            assert found.dtype == given.dtype.newbyteorder("<")
            assert np.array_equal(found, given)


def test_what_a_memory_store_holds_stays_in_memory() -> None:
    with op.Pipeline("study", MemoryDatabase()) as pipeline:
        make.pod(rows(1), label="made")
    pipeline.run().raise_for_errors()
    (shown,) = pipeline.made.as_table().column("x").to_pylist()
    assert (shown["file"], shown["identity"] is None) == (None, False)
    assert len(shown["data"]) == LARGE_BYTES


def test_values_are_compressed_where_that_pays(tmp_path: Path) -> None:
    @op.function_pod("x")
    def flat(n: int) -> bytes:
        return bytes(LARGE_BYTES) if n else noise(1).tobytes()

    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        flat.pod(rows(0, 1), label="flat")
    pipeline.run().raise_for_errors()
    sizes = {file.name: file.stat().st_size for file in files_in(tmp_path / "lab.db.files")}
    assert sizes["value.bin"] == LARGE_BYTES
    assert sizes["value.bin.zst"] < LARGE_BYTES // 100


def test_a_value_whose_file_is_lost_is_computed_again(tmp_path: Path) -> None:
    numbers = (101, 102)  # of this test alone: a file is found in any folder that the process knows
    study(tmp_path / "lab.db", *numbers).run().raise_for_errors()
    files_in(tmp_path / "lab.db.files")[0].unlink()
    again = study(tmp_path / "lab.db", *numbers)
    with pytest.warns(UserWarning, match="left out 1 rows"):
        assert again.made.as_table().num_rows == 1
    assert again.run().counts("made")["computed"] == 1
    found = [packet["x"] for _, packet in again.made.iter_packets()]
    assert all(is_same(noise(n), x) for n, x in zip(numbers, found, strict=True))


@pytest.mark.parametrize("kind", ["array", "bytes"])
def test_a_value_whose_file_has_changed_is_named(tmp_path: Path, kind: str) -> None:
    def made(n: int) -> Any:
        return noise(n) if kind == "array" else noise(n).tobytes()

    def length(x: Any) -> int:
        return len(x)

    made.__annotations__["return"] = length.__annotations__["x"] = np.ndarray if kind == "array" else bytes
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        stream = CachedFunctionPod(op.function_pod("x", identity="version")(made).pod, database)(rows(1))
        ((_, packet),) = stream.iter_packets()
        assert packet["x"] is not None
        (file,) = files_in(tmp_path / "lab.db.files")
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:-1] + b"!")
        again = CachedFunctionPod(stream.producer, database)(rows(1))
        with pytest.raises((ValueTypeError, DamagedRecordError), match=r"value\.bin.*has changed.*verify_store"):
            [packet["x"] for _, packet in again.iter_packets()]


def test_a_value_that_was_changed_fails_the_packets_that_would_be_given_it(tmp_path: Path) -> None:
    first = study(tmp_path / "lab.db", 1, 2)
    first.run().raise_for_errors()
    file = Path(first.made.as_table().column("x").to_pylist()[0]["file"]["path"])
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1] + b"!")

    @op.function_pod(output_keys="largest")
    def largest(x: np.ndarray) -> float:
        return float(x.max())

    pipeline = study(tmp_path / "lab.db", 1, 2)
    with pipeline:
        largest.pod(pipeline.made, label="largest")
    result = pipeline.run()
    assert result.counts("largest") == result.counts("largest") | {"computed": 1, "failed": 1}
    (error,) = result.errors
    assert all(part in str(error) for part in ("largest", "'x'", file.name, "has changed", "verify_store"))


def test_what_could_not_be_written_is_named_and_written_later(tmp_path: Path) -> None:
    """Whatever is in the way of the folder: nothing is lost; a run does not try again what no time mends."""
    folder = tmp_path / "files"
    folder.write_text("in the way")
    values = LargeValues(Schema({"x": np.ndarray, "y": bytes}), folder)
    x, data = registry.resolve(np.ndarray).to_storage(noise(1)), noise(2).tobytes()
    values.begin((x, data), LARGE_BYTES)
    for _ in range(2):
        with pytest.raises(DatabaseError, match="files: a large value cannot be written there") as caught:
            values.put([(x, data)])
        assert not caught.value.is_transient
        assert "files='/data/files'" in str(caught.value)
        assert x["data"] is not None
    later, last = (registry.resolve(np.ndarray).to_storage(noise(n)) for n in (3, 4))
    assert values.begin((later, b""), LARGE_BYTES) == 0  # so that it is stored soon, and not held beside others
    with pytest.raises(DatabaseError):
        values.put([(later, b"")])
    folder.unlink()
    (kept,), _ = values.put([(x, data), (later, b"")]).to_pylist()
    assert Path(kept["file"]["path"]).read_bytes() == data
    assert Path(x["file"]["path"]).read_bytes() == noise(1).tobytes()
    assert values.begin((last, b""), LARGE_BYTES) == LARGE_BYTES
    values.put([(last, b"")])
    assert len(files_in(folder)) == 4


def test_values_that_wait_to_be_recorded_are_not_held_once_they_are_written(tmp_path: Path) -> None:
    values = LargeValues(Schema({"x": np.ndarray, "y": list[np.ndarray], "z": bytes}), tmp_path / "files")
    arrays, lists = registry.resolve(np.ndarray), registry.resolve(list[np.ndarray])
    results = [
        (arrays.to_storage(noise(n)), lists.to_storage([noise(10 + n), noise(0, 2)]), noise(20 + n).tobytes())
        for n in range(6)
    ]
    for result in results:
        assert values.begin(result, 3 * LARGE_BYTES) == 2 * LARGE_BYTES  # plain bytes stay with their row
        parts = [part for x, (y, _), _ in results[: results.index(result) + 1] for part in (x, y)]
        assert sum(part["data"] is not None for part in parts) <= 3
    kept = values.put(results).to_pylist()
    for n, ((x, (y, small), _), (z,)) in enumerate(zip(results, kept, strict=True)):
        for seed, file in ((n, x["file"]), (10 + n, y["file"]), (20 + n, z["file"])):
            assert Path(file["path"]).read_bytes() == noise(seed).tobytes()
        assert (x["data"], y["data"], bytes(small["data"])) == (None, None, noise(0, 2).tobytes())
    assert len(files_in(tmp_path / "files")) == 18


def test_values_in_files_are_recorded_many_at_a_time(tmp_path: Path) -> None:
    """However little of them may be in memory: a file does not wait for the row of the one before."""

    class Counting(SQLiteDatabase):
        def add_records(self, path: Any, table: pa.Table, **options: Any) -> int:
            if path[0] == "_result":
                stored.append(table.num_rows)
            return super().add_records(path, table, **options)

    stored: list[int] = []
    with Counting(tmp_path / "lab.db") as database:
        pipeline = op.Pipeline("study", database, config=op.PipelineConfig(memory="16 MB"))
        with pipeline:
            make.pod(rows(*range(40)), label="made")
        pipeline.run().raise_for_errors()
        assert sum(stored) == 40
        assert len(stored) < 20


@pytest.mark.parametrize("engine", [None, LocalExecutor(workers=2)], ids=["here", "threads"])
def test_what_a_function_goes_on_to_write_to_changes_nothing(tmp_path: Path, engine: LocalExecutor | None) -> None:
    """It may use one array for all that it gives, and its file has the name of what is in it."""
    place = threading.local()

    def made(n: int) -> np.ndarray:
        if not hasattr(place, "array"):
            place.array = np.empty(LARGE)
        place.array[:] = noise(n)
        return place.array

    pod = op.function_pod("x", identity="version")(made).pod
    pipeline = op.Pipeline("study", tmp_path / "lab.db")
    with pipeline:
        pod(rows(*range(12)), label="made")
    pipeline.run(execution_engine=engine).raise_for_errors()
    found = [packet["x"] for _, packet in pipeline.made.iter_packets()]
    assert all((x == noise(n)).all() for n, x in enumerate(found))
    assert len(files := files_in(tmp_path / "lab.db.files")) == 12
    assert all(sha256(file.read_bytes()).hexdigest() == file.parent.name for file in files)


def test_a_store_that_is_moved_with_its_folder_has_its_values(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    study(tmp_path / "old" / "lab.db", 1).run().raise_for_errors()
    shutil.move(tmp_path / "old", tmp_path / "new")
    moved = study(tmp_path / "new" / "lab.db", 1)
    result = moved.run()
    assert result.counts("made")["cached"] == 1
    assert [bool((packet["x"] == noise(1)).all()) for _, packet in moved.made.iter_packets()] == [True]


def test_a_value_may_be_larger_than_a_record(tmp_path: Path) -> None:
    """A store says how large its records may be; what lies beside it does not count."""

    class SmallRecords(SQLiteDatabase):
        max_record_bytes = LARGE_BYTES // 2

    @op.function_pod(["x", "y", "z"], identity="version")
    def several(n: int) -> tuple[np.ndarray, bytes, np.ndarray]:
        return noise(n), noise(n).tobytes(), noise(n, LARGE if n == 1 else LARGE * 9 // 10)

    with SmallRecords(tmp_path / "lab.db") as database:
        pipeline = op.Pipeline("study", database)
        with pipeline:
            several.pod(rows(1, 2), label="several")
        result = pipeline.run()
    assert result.counts("several") == result.counts("several") | {"computed": 1, "failed": 1}
    assert "'z'" in str(result.errors[0])


KILLED = """
import os, sys, time
import numpy as np
import orcapod as op
from orcapod.sources import DictSource

@op.function_pod(output_keys="x", identity="version")
def make(n: int) -> np.ndarray:
    if n == 11 and sys.argv[2] == "to be killed":  # before it is done, however late
        time.sleep(600)
    return np.random.default_rng(n).random(1_000_000)

pipeline = op.Pipeline("study", sys.argv[1])
with pipeline:
    make.pod(DictSource([{"t": n, "n": n} for n in range(12)], ["t"], source_id="s"), label="made")
print("begun", flush=True)
result = pipeline.run(progress=False, flush_interval=0.01)
assert result.ok, result
for n, (_, packet) in enumerate(pipeline.made.iter_packets()):
    assert (packet["x"] == np.random.default_rng(n).random(1_000_000)).all(), n
print(result.counts("made")["computed"])
"""


def test_a_kill_leaves_no_half_value_that_is_taken_for_a_whole_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "lab.db")]
    dying = [*command, "to be killed"]
    files = tmp_path / "lab.db.files"
    for least in (1, 4):
        with subprocess.Popen(dying, stdout=subprocess.PIPE) as process:
            while process.poll() is None and len(list(files.glob("*/*/*"))) < least:
                os.sched_yield()
            process.kill()
    assert len(list(files.glob("*/*/*"))) < 12
    done = subprocess.run([*command, "to its end"], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) > 0
    op.remove_orphans(tmp_path / "lab.db", hours=1e-9)
    assert len(files_in(files)) == 12


def test_arrays_that_wait_for_a_call_are_not_all_loaded(tmp_path: Path) -> None:
    """Values that compress well are small in the store, and large in memory: what counts is the latter."""
    program = (
        "import resource, sys, numpy as np, orcapod as op\n"
        "from orcapod.sources import DictSource\n"
        "@op.function_pod('x')\n"
        "def make(n: int) -> np.ndarray:\n"
        "    return np.full(1_000_000, n)\n"
        "@op.function_pod('y')\n"
        "def total(x: np.ndarray) -> int:\n"
        "    return int(x.sum())\n"
        "def peak():\n"
        "    try:\n"  # of this process alone, and not of the one that it comes from
        "        (line,) = [line for line in open('/proc/self/status') if line.startswith('VmHWM')]\n"
        "        return int(line.split()[1]) * 1024\n"
        "    except FileNotFoundError:\n"
        "        unit = 1 if sys.platform == 'darwin' else 1024\n"
        "        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit\n"
        "rows = DictSource([{'t': n, 'n': n} for n in range(24)], ['t'], source_id='s')\n"
        "def run(*functions):\n"
        "    pipeline = op.Pipeline('study', sys.argv[1], config=op.PipelineConfig(memory='32 MB'))\n"
        "    with pipeline:\n"
        "        stream = rows\n"
        "        for function in functions:\n"
        "            stream = function.pod(stream, label=function.pod.label)\n"
        "    return pipeline.run(progress=False)\n"
        "run(make).raise_for_errors()\n"
        "before = peak()\n"
        "result = run(make, total)\n"
        "assert result.counts('total')['computed'] == 24, result\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "lab.db")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100e6
