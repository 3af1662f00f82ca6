"""Workers that have Ray and pyarrow, and nothing of orcapod."""

from __future__ import annotations

import importlib.metadata
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray

_UV = Path(__file__).parents[3] / ".ci" / "uv"
_ENVIRON = {
    **os.environ,
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # or each worker would begin with a `uv run`, if the tests did
}
_HEAD = [
    "from ray.scripts.scripts import main; main()",
    *("start", "--head", "--port=0", "--num-cpus=2", "--object-store-memory=100000000"),
    *("--include-dashboard=false", "--disable-usage-stats", "--block"),
]


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with what this one has of Ray and pyarrow, and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "environment"
    wanted = [f"{name}=={importlib.metadata.version(name)}" for name in ("ray", "pyarrow")]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    environ = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    python = str(folder / "bin" / "python")
    for command in (
        ["venv", "--quiet", "--python", version, str(folder)],
        ["pip", "install", "--quiet", "--python", python, *wanted],
    ):
        done = subprocess.run([_UV, *command], capture_output=True, text=True, timeout=300, check=False, env=environ)
        if done.returncode:
            (pytest.fail if "CI" in os.environ else pytest.skip)(f"no environment: {done.stderr}")
    found = subprocess.run([python, "-c", "import orcapod"], capture_output=True, text=True, check=False)
    assert "No module named 'orcapod'" in found.stderr
    return python


@pytest.fixture(scope="session")
def address(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of that environment."""
    log = tmp_path_factory.mktemp("head") / "log"
    with log.open("w") as output:
        head = subprocess.Popen([python, "-c", *_HEAD], stdout=output, stderr=subprocess.STDOUT, env=_ENVIRON)
    try:
        while not (found := re.search(r"--address='([^']+)'", log.read_text())):
            assert head.poll() is None, log.read_text()
        yield found[1]
    finally:
        head.terminate()
        try:
            head.wait(30)
        finally:
            head.kill()


MODULE = """
import sys
import orcapod as op
from orcapod.sources import DictSource

OFFSET = 10

def helper(x):
    return x + OFFSET

def bare_in_module(x: int) -> int:
    return helper(x)

@op.function_pod("y")
def pod_in_module(x: int) -> int:
    return helper(x)
"""
SCRIPT = """
import sys
from pathlib import Path
import orcapod as op
from orcapod.functions import FunctionPod, PythonPacketFunction
from orcapod.sources import DictSource
from orcapod_ray import RayExecutor
import lab

Path("lab.py").unlink()

def scaled(x):
    return 2 * x

def bare_in_script(x: int) -> int:
    return scaled(x)

@op.function_pod("y")
def pod_in_script(x: int) -> int:
    return scaled(x)

@op.function_pod("y")
def calls_a_pod(x: int) -> int:
    return pod_in_script(x) + lab.pod_in_module(x)

@op.function_pod("y")
def loaded_of_orcapod(x: int) -> str:
    return " ".join(name for name in sys.modules if name.partition(".")[0] in ("orcapod", "orcapod_ray"))

@op.function_pod("y")
def fails(x: int) -> int:
    raise ValueError(f"bad {x}")

executor = RayExecutor(sys.argv[1])
pipeline = op.Pipeline("p")
with pipeline:
    rows = DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s")
    for bare in (bare_in_script, lab.bare_in_module):
        FunctionPod(PythonPacketFunction(bare, "y"))(rows, label=bare.__name__)
    for made in (pod_in_script, lab.pod_in_module, calls_a_pod, loaded_of_orcapod, fails):
        made.pod(rows, label=made.__name__)
result = pipeline.run(execution_engine=executor, progress=False)
print(sorted(repr(error.exception) for error in result.errors))
bare = ["bare_in_script", "bare_in_module"]
for name in [*bare, "pod_in_script", "pod_in_module", "calls_a_pod", "loaded_of_orcapod"]:
    print(name, sorted(getattr(pipeline, name).as_table()["y"].to_pylist()))
"""


def output_of(text: str, address: str, folder: Path) -> list[str]:
    """Return the lines that a script prints that is given the address of a cluster."""
    (folder / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "script.py", address],
        cwd=folder, env=_ENVIRON, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


def test_functions_of_scripts_and_modules_compute_where_there_is_no_orcapod(address: str, tmp_path: Path) -> None:
    (tmp_path / "lab.py").write_text(MODULE)
    assert output_of(SCRIPT, address, tmp_path) == [
        str([f"ValueError('bad {x}')" for x in range(3)]),
        "bare_in_script [0, 2, 4]",
        "bare_in_module [10, 11, 12]",
        "pod_in_script [0, 2, 4]",
        "pod_in_module [10, 11, 12]",
        "calls_a_pod [10, 13, 16]",
        "loaded_of_orcapod ['', '', '']",
    ]


HELPERS = """
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
import orcapod as op
from orcapod.sources import DictSource
from orcapod_ray import RayExecutor

FACTOR = 10

class Sample:
    def __init__(self, x):
        self.x = x

def square(sample):
    return Sample(FACTOR * sample.x * sample.x)

def total(pool):
    with pool:
        return sum(each.x for each in pool.map(square, map(Sample, range(4))))

@op.function_pod("y")
def spawned(x: int) -> int:
    return total(multiprocessing.get_context("spawn").Pool(1)) + x

@op.function_pod("y")
def executed(x: int) -> int:
    return total(ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))) + x

pipeline = op.Pipeline("p")
with pipeline:
    rows = DictSource([{"i": i, "x": i} for i in range(1)], ["i"], source_id="s")
    for made in (spawned, executed):
        made.pod(rows, label=made.__name__)
result = pipeline.run(execution_engine=RayExecutor(sys.argv[1]), progress=False)
for error in result.errors:
    print(repr(error.exception))
for name in ("spawned", "executed"):
    print(name, sorted(getattr(pipeline, name).as_table()["y"].to_pylist()))
print("as it was", FACTOR, square.__globals__ is globals())
"""


def test_helpers_of_a_script_can_be_sent_on_from_a_worker(address: str, tmp_path: Path) -> None:
    """To spawned processes of pools in the function; the script has no guard, and is run by none of them."""
    assert output_of(HELPERS, address, tmp_path) == [
        "spawned [140]",
        "executed [140]",
        "as it was 10 True",
    ]
