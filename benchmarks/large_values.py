"""Measure what arrays of 8 MB cost: stored and read, hashed, and a thousand of them in one run.

Usage: large_values.py [--arrays 200] [--images 1000] [--folder DISK]

Storing and reading is held against ``numpy.save`` with fsync and ``numpy.load`` of the same arrays, in turns.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import median

import numpy as np

import orcapod as op
from orcapod.files.content import read_content
from orcapod.sources import DictSource
from orcapod.types import registry

FLOATS = 1_000_000
BASE = np.random.default_rng(0).random(FLOATS)


@op.function_pod("image", identity="version")
def make(n: int) -> np.ndarray:
    return BASE + n


@op.function_pod("level", identity="version")
def measure(image: np.ndarray) -> float:
    return float(image.mean())


def study(store: Path, count: int, *, measured: bool) -> op.Pipeline:
    pipeline = op.Pipeline("bench", store)
    with pipeline:
        images = make.pod(DictSource([{"i": i, "n": i} for i in range(count)], ["i"], source_id="s"), label="images")
        if measured:
            measure.pod(images, label="levels")
    return pipeline


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def save(folder: Path, count: int) -> None:
    for n in range(count):
        with (folder / f"{n}.npy").open("wb") as file:
            np.save(file, BASE + n)
            file.flush()
            os.fsync(file.fileno())


def load(folder: Path, count: int) -> None:
    for n in range(count):
        np.load(folder / f"{n}.npy").sum()


def read(pipeline: op.Pipeline) -> None:
    for _, packet in pipeline.images.iter_packets():
        packet["image"].sum()


def store_and_read(disk: str | None, count: int) -> None:
    """Store and read arrays, and the same with numpy alone, each in a folder of its own: the quickest turn counts."""
    turns = []
    for _ in range(5):
        with tempfile.TemporaryDirectory(dir=disk) as folder:
            saved, loaded = seconds(partial(save, Path(folder), count)), seconds(partial(load, Path(folder), count))
        with tempfile.TemporaryDirectory(dir=disk) as folder:
            pipeline = study(Path(folder) / "lab.db", count, measured=False)
            stored, found = seconds(partial(pipeline.run, progress=False)), seconds(partial(read, pipeline))
        turns.append((saved, loaded, stored, found))
        print(f"  numpy {saved:.2f} and {loaded:.2f} s, orcapod {stored:.2f} and {found:.2f} s")
    saved, loaded, stored, found = map(min, zip(*turns, strict=True))
    ratio = (saved + loaded) / (stored + found)
    print(f"{count} arrays of 8 MB, stored and read: {ratio:.2f} x as fast as numpy alone (at least 0.7)")


def hash_content(disk: str | None) -> None:
    """Hash an array and a file of 100 MB, and the same bytes with hashlib."""
    data = np.tile(BASE, 13).tobytes()
    dtype = registry.resolve(np.ndarray)
    array = dtype.from_python([{"dtype": "<f8", "shape": [len(data) // 8], "data": data}])
    with tempfile.NamedTemporaryFile(dir=disk) as file:
        file.write(data)
        file.flush()
        actions = [lambda: sha256(data).digest(), lambda: dtype.identity(array), lambda: read_content(Path(file.name))]
        turns = [[seconds(action) for action in actions] for _ in range(9)]
    for what, at in (("an array", 1), ("a file", 2)):
        ratio = median(turn[0] / turn[at] for turn in turns)
        print(f"hashing {what} of 100 MB: {ratio:.2f} x as fast as hashlib's SHA-256 (at least 0.9)")


def run_many(store: Path, count: int) -> None:
    """Run the study twice, and say how much memory it took; in a process of its own."""
    first = seconds(lambda: study(store, count, measured=True).run(progress=False).raise_for_errors())
    again = seconds(lambda: study(store, count, measured=True).run(progress=False).raise_for_errors())
    (most,) = re.findall(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    print(f"{count} images of 8 MB: {int(most) / 1e6:.2f} GB of memory at most (less than 1 GB)")
    print(f"  the run takes {first:.1f} s, the second {again / count * 1e6:.0f} µs per image, none of which is read")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--arrays", type=int, default=200)
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--folder", default=None, help="where stores are made")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        run_many(chosen.run, chosen.images)
        return
    hash_content(chosen.folder)
    store_and_read(chosen.folder, chosen.arrays)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        command = [sys.executable, __file__, "--images", str(chosen.images), "--run", str(Path(folder) / "lab.db")]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
