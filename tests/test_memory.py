"""What a run holds of large values is bounded in bytes, on stores of files, in both orchestrators."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="no figures of a process here")

PROGRAM = """
import json, resource, sys
import numpy as np
import orcapod as op
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource

url, driver, kind, count, size = *sys.argv[1:4], *map(int, sys.argv[4:])

if kind == "arrays":
    noise = np.random.default_rng(0).integers(256, size=size, dtype=np.uint8)

    @op.function_pod("image")
    def record(number: int) -> np.ndarray:
        return noise ^ np.uint8(number)  # quicker than it is hashed and written

    @op.function_pod("mask")
    def segment(image: np.ndarray) -> np.ndarray:
        return image + 1
else:
    @op.function_pod("image")
    def record(number: int) -> bytes:
        return np.random.default_rng(number).bytes(size)

    @op.function_pod("mask")
    def segment(image: bytes) -> bytes:
        return image[8:] + b"segment."


def peak():
    try:  # of this process alone, and not of the one that it comes from
        (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

def run(url, count):
    pipeline = op.Pipeline("study", url, config=op.PipelineConfig(memory="32 MB"))
    with pipeline:
        rows = DictSource([{"i": i, "number": i} for i in range(count)], ["i"], source_id="s")
        images = record.pod(rows, label="images")
        segment.pod(images, label="masks")
    return pipeline.run(getattr(op.orchestrators, driver)(), progress=False).node_counts

run(url + ".first", 1)  # what a run loads is no part of what it holds
before = peak()
print(json.dumps([run(url, count), run(url, count), peak() - before]))
"""

COUNT, SIZE = 60, 4_000_000


@pytest.mark.parametrize(
    ("kind", "url", "driver", "most"),
    [
        ("arrays", "sqlite:///{}/lab.db", "AsyncPipelineOrchestrator", 60e6),
        ("arrays", "delta:///{}/store", "SyncPipelineOrchestrator", 60e6),
        ("bytes", "sqlite:///{}/lab.db", "SyncPipelineOrchestrator", 150e6),
        ("bytes", "delta:///{}/store", "AsyncPipelineOrchestrator", 150e6),  # read with their rows, and Delta buffers
    ],
)
def test_a_run_over_large_values_holds_a_few_of_them_at_a_time(
    tmp_path: Path, kind: str, url: str, driver: str, most: float
) -> None:
    command = [sys.executable, "-c", PROGRAM, url.format(tmp_path), driver, kind, str(COUNT), str(SIZE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    first, second, grown = json.loads(done.stdout)
    for label in ("images", "masks"):
        assert first[label]["computed"] == second[label]["cached"] == COUNT
    assert grown < most, done.stdout
