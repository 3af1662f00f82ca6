"""What goes to worker processes and comes back: large values by shared memory, and nothing of it is left anywhere."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.errors import PacketTimeoutError, WorkerDiedError
from orcapod.executors import LocalExecutor
from orcapod.executors.messages import LARGE, Message, received
from orcapod.executors.processes import ProcessSession
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.protocols import Call, Outcome
from orcapod.sources import DictSource
from orcapod.testing.session import CollectedOutcomes

SECONDS = 60.0  # that a busy machine may take


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalExecutor]:
    with LocalExecutor(2, "process") as executor:
        yield executor


def until(holds: Callable[[], Any]) -> Any:
    """What it gives as soon as that is something."""
    deadline = time.monotonic() + SECONDS
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
    return found


def sent(function: Any) -> Any:
    """A function or class that is sent by value, so that workers load nothing of this file and are there soon."""
    function.__module__ = "__main__"
    return function


def held() -> int:
    """How much shared memory this process has: descriptors, and what they were mapped to."""
    gc.collect()
    links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    maps = Path("/proc/self/maps").read_text()
    return sum("memfd:orcapod" in link for link in links) + maps.count("memfd:orcapod")


def outcomes_of(pool: LocalExecutor, function: Callable[..., Any], xs: list[Any], **options: Any) -> list[Outcome]:
    outcomes = CollectedOutcomes()
    session = pool.open_session(function, outcomes, **{"concurrency": 1, "timeout": None, **options})
    assert session is not None
    session.submit([Call(key, {"x": x}, False) for key, x in enumerate(xs)])
    found = outcomes.wait(len(xs))
    session.close()
    return [found[key] for key in range(len(xs))]


@sent
def same(x: Any) -> Any:
    return x


@sent
@dataclass
class Recording:
    image: np.ndarray
    table: pa.Table
    raw: bytes


# Values are what they were, whatever way they take.

SIZES = st.sampled_from([0, 1, LARGE - 200, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE])
DTYPES = st.sampled_from(["u1", "<f4", ">f8", "c16", "M8[s]", "S3", "U2", [("a", "<i2"), ("b", "f8")]])


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    dtype = np.dtype(draw(DTYPES))
    count = draw(SIZES) // dtype.itemsize
    array = np.frombuffer(np.random.default_rng(count).bytes(count * dtype.itemsize), "u1").copy()
    array = np.where(array > 100, 100, array).view(dtype) if dtype.kind not in "US" else np.full(count, "é"[:1], "U1")
    if dtype.kind == "S":
        array = np.full(count, b"ab", dtype)
    match draw(st.sampled_from(["C", "F", "part", "fixed"])):
        case "F" if array.size % 2 == 0:
            array = np.asfortranarray(array.reshape(2, -1))
        case "part":
            array = array[::-2]
        case "fixed":
            array.flags.writeable = False
    return array


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(SIZES) // 8
    texts = pa.array(["x", None, "é"]).take(pa.array(np.arange(rows) % 3))
    table = pa.table({"a": pa.array(np.arange(rows)), "s": texts})
    return table.slice(rows // 3) if draw(st.booleans()) else pa.concat_tables([table, table])


BYTES = st.builds(lambda size, kind: kind(b"ab" * (size // 2)), SIZES, st.sampled_from([bytes, bytearray]))
FRAMES = tables().map(lambda table: table.to_pandas()) | tables().map(pl.from_arrow)
VALUES = st.recursive(
    arrays() | tables() | BYTES | FRAMES | SIZES.map(lambda size: "é" * size),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), values, max_size=2)
        | st.builds(Recording, image=arrays(), table=tables(), raw=BYTES)
    ),
    max_leaves=3,
)


def is_same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    match one:
        case np.ndarray():
            # Of small ones, parts and times, numpy itself keeps neither the order of bytes nor what is not written to.
            is_numpys = other.nbytes < LARGE or not other.flags.forc or other.dtype.kind == "M"
            may_write = is_numpys or one.flags.writeable == other.flags.writeable
            is_like = one.dtype.newbyteorder("=") == other.dtype.newbyteorder("=") and one.shape == other.shape
            return may_write and is_like and one.astype(other.dtype).tobytes() == other.tobytes()
        case list() | tuple():
            return len(one) == len(other) and all(map(is_same, one, other))
        case dict():
            return is_same(list(one.items()), list(other.items()))
        case Recording():
            return is_same(list(vars(one).values()), list(vars(other).values()))
        case pa.Table() | pd.DataFrame() | pl.DataFrame():
            return bool(one.equals(other))
        case _:
            return bool(one == other)


PROPERTY = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=25)


@PROPERTY
@given(value=VALUES)
def test_values_of_any_size_come_back_as_they_were(pool: LocalExecutor, value: Any) -> None:
    """Also whether they can be written to."""
    assert is_same(pool.execute_callable(same, {"x": value}), value)


@pytest.mark.parametrize("make", [pa.table, pa.record_batch])
def test_rows_without_columns_come_back(make: Callable[..., Any]) -> None:
    rows = make({"a": [1, 2, 3]}).replace_schema_metadata({"unit": "mV"}).select([])
    back = roundtrip([rows])()[0]
    assert (type(back), back.num_rows, back.schema.metadata) == (type(rows), 3, {b"unit": b"mV"})


@settings(PROPERTY, max_examples=10)
@given(value=VALUES)
def test_they_do_so_where_no_file_is_in_memory(value: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(os, "memfd_create")
        assert is_same(roundtrip(value)(), value)


def roundtrip(value: Any) -> Callable[[], Any]:
    """What reads a value that was sent."""
    ours, theirs = Pipe()
    with ours, theirs, ThreadPoolExecutor(1) as sender:
        sending = sender.submit(Message(value).send, ours)
        read = received(theirs)
        sending.result()
        return read


# At most one copy.


@sent
def owner_of_memory(x: Any) -> str:
    while not isinstance(x, memoryview):
        x = x.base
    return type(x.obj).__name__


@pytest.mark.parametrize("make", [lambda a: a, lambda a: a[::2].copy(), lambda a: a.reshape(2, -1).T])
def test_an_array_is_used_where_it_lies(pool: LocalExecutor, make: Callable[[Any], Any]) -> None:
    """By the worker, and by whoever is given what it returns; it is aligned there."""
    array = make(np.arange(LARGE))
    assert pool.execute_callable(owner_of_memory, {"x": array}) == "mmap"
    back = pool.execute_callable(same, {"x": [b"1", array]})[1]
    assert owner_of_memory(back) == "mmap"
    assert back.flags.aligned


@pytest.mark.parametrize("value", [b"a" * (LARGE * 64), np.ones(LARGE * 8), pa.table({"a": np.ones(LARGE * 8)})])
def test_who_sends_a_value_makes_no_copy_of_its_own(value: Any) -> None:
    """Beside the one in shared memory."""
    tracemalloc.start()
    try:
        message = Message({"x": [value]})
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < LARGE
    del message
    until(lambda: held() == 0)


def test_a_function_with_a_large_value_is_put_into_memory_once(pool: LocalExecutor) -> None:
    """Each worker has it for itself, and as it was when the run began."""
    weights = np.zeros(LARGE)

    @sent
    def weighed(x: int) -> tuple[float, int]:
        weights[:] += 1
        return float(weights[-1]), os.getpid()

    found: list[Outcome] = []
    session = pool.open_session(weighed, found.append, concurrency=2, timeout=None)
    assert isinstance(session, ProcessSession)
    until(lambda: held() == 1)
    weights[:] = 1000.0
    for key in range(6):
        session.submit([Call(key, {"x": 0}, False)])
    until(lambda: len(found) == 6)
    session.close()
    for pid in {outcome.value[1] for outcome in found}:
        values = sorted(outcome.value[0] for outcome in found if outcome.value[1] == pid)
        assert values == list(range(1, len(values) + 1))
    assert weights[0] == 1000.0


# Nobody else's.


@sent
def writes(x: np.ndarray) -> float:
    try:
        x[:] = x[0] + 1.0
    except ValueError:
        return -1.0
    return float(x[-1])


@pytest.mark.parametrize("size", [10, LARGE])
def test_what_a_function_writes_into_its_argument_reaches_nobody(pool: LocalExecutor, size: int) -> None:
    """Not the caller, and not the next try with the same value; what cannot be written to cannot be there."""
    array = np.zeros(size)
    assert [outcome.value for outcome in outcomes_of(pool, writes, [array, array.copy(), array + 5])] == [1, 1, 6]
    assert not array.any()
    array.flags.writeable = False
    assert pool.execute_callable(writes, {"x": array}) == -1.0


@sent
def keeps(x: int) -> tuple[float, np.ndarray]:
    kept = globals().setdefault("kept", np.zeros(1_000_000))
    kept += 1
    return float(kept[0]), kept


def test_what_a_function_goes_on_to_write_into_its_result_reaches_nobody(pool: LocalExecutor) -> None:
    values = [outcome.value for outcome in outcomes_of(pool, keeps, [0, 1, 2])]
    assert [(number, array[-1]) for number, array in values] == [(1, 1), (2, 2), (3, 3)]
    values[0][1][:] = 7
    assert values[1][1][0] == 2


# Nothing is left.


@sent
class Deadly:
    """Ends the process that pickles it, once what was before it has been."""

    def __reduce__(self) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


@sent
def dies_of(x: Any) -> Any:
    value, how = x
    if how == "sleeps":
        time.sleep(1000)
    if how == "at once":
        os.kill(os.getpid(), signal.SIGKILL)
    return [value, Deadly()] if how == "answering" else value


@pytest.mark.parametrize("how", ["at once", "answering", "sleeps"])
def test_a_worker_that_dies_leaves_nothing_and_harms_no_other_value(pool: LocalExecutor, how: str) -> None:
    value = b"12345678" * LARGE
    timeout = 1.0 if how == "sleeps" else None
    before, dead, after = outcomes_of(pool, dies_of, [(value, ""), (value, how), (value, "")], timeout=timeout)
    assert isinstance(dead.error, PacketTimeoutError if how == "sleeps" else WorkerDiedError)
    assert is_same([before.value, after.value], [value, value])
    del before, after
    until(lambda: held() == 0)


def test_calls_that_are_given_up_leave_nothing(pool: LocalExecutor) -> None:
    value = b"12345678" * LARGE
    session = pool.open_session(dies_of, lambda outcome: None, concurrency=2, timeout=None)
    assert session is not None
    for key in range(6):
        session.submit([Call(key, {"x": (value, "sleeps")}, False)])
    session.close()
    until(lambda: held() == 0)


PROGRAM = """
import os, sys, time
from orcapod.executors import LocalExecutor
from orcapod.protocols import Call

def sleeps(x):
    if x[0]:
        print(os.getpid(), flush=True)
        time.sleep(1000)
    return x

if __name__ == "__main__":
    pool, results = LocalExecutor(2, "process"), []
    session = pool.open_session(sleeps, results.append, concurrency=2, timeout=None)
    for key in range(8):
        session.submit([Call(key, {"x": bytes([key // 6]) * 8_000_000}, False)])
    sys.stdin.readline()
"""


@pytest.mark.parametrize("how", ["killed", "ends"])
def test_a_program_leaves_nothing_however_it_ends(tmp_path: Path, how: str) -> None:
    """No file in memory or in the temporary folder, no process, not a word."""
    program, folder, shared = tmp_path / "program.py", tmp_path / "folder", Path("/dev/shm")
    program.write_text(PROGRAM)
    folder.mkdir()
    before = set(shared.iterdir()) if shared.exists() else set()
    command = [sys.executable, "-X", "dev", "-W", "error", str(program)]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        workers = [int(process.stdout.readline()) for _ in range(2)]
        if how == "killed":
            process.kill()
        _, shown = process.communicate("\n", timeout=60)
    assert shown == ""
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert list(folder.iterdir()) == []
    if shared.exists():
        left = [path for path in set(shared.iterdir()) - before if "orcapod" in path.name or "psm" in path.name]
        assert left == []


# What else is there in a program.


def test_many_values_may_be_held_at_a_time() -> None:
    """More than a process may have open files."""
    values = [roundtrip(np.full(LARGE, number % 256, "u1"))() for number in range(600)]
    assert [int(value[-1]) for value in values] == [number % 256 for number in range(600)]
    assert len(list(Path("/proc/self/fd").iterdir())) < 500
    del values
    until(lambda: held() == 0)


@sent
def sets_a_timeout(x: Any) -> Any:
    socket.setdefaulttimeout(0.001)
    return x


def test_a_default_timeout_of_sockets_changes_nothing(pool: LocalExecutor) -> None:
    array = np.arange(LARGE)
    socket.setdefaulttimeout(0.001)
    try:
        for _ in range(3):
            for outcome in outcomes_of(pool, sets_a_timeout, [array, array]):
                assert is_same(outcome.value, array)
    finally:
        socket.setdefaulttimeout(None)


def test_a_sender_that_has_ended_is_noticed_between_a_message_and_its_memory() -> None:
    ours, theirs = Pipe()
    with theirs:
        with ours:
            ours.send_bytes(b"shared" + pickle.dumps([10, LARGE]))
        with pytest.raises(EOFError):
            received(theirs)


@op.function_pod("size", identity="version")
@sent
def size_of_shared_memory(image: np.ndarray) -> int:
    """What the worker has of it: the array that it is given, and no others that wait."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    sizes = [line.split()[0].split("-") for line in lines if "memfd:orcapod" in line]
    return sum(int(end, 16) - int(start, 16) for start, end in sizes) // image.nbytes


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
def test_what_is_in_shared_memory_is_bounded_by_the_memory_of_a_run(orchestrator: Any, pool: LocalExecutor) -> None:
    """Small calls go many at a time, once it is known how long they take, but not with more than a share of it."""

    def most_at_once(memory: str) -> int:
        pipeline = op.Pipeline("p", config=op.PipelineConfig(memory=memory))
        with pipeline:
            rows = DictSource([{"i": i, "image": np.full(2**16, i)} for i in range(30)], ["i"], source_id="s")
            size_of_shared_memory.pod(rows, label="sizes")
        result = pipeline.run(orchestrator, execution_engine=pool, progress=False)
        assert result.counts("sizes")["computed"] == 30
        return max(pipeline.sizes.as_table()["size"].to_pylist())

    assert most_at_once("1 GiB") > 1
    assert most_at_once("16 MiB") == 1
