"""A pod does not travel with its function, and is there where the function uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cloudpickle

HEAD = """
import sys
import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.sources import DictSource

def run(pod, n=2, **options):
    p = op.Pipeline("p")
    with p:
        pod(DictSource([{"i": i, "x": i} for i in range(n)], ["i"], source_id="s"), label="n")
    result = p.run(**options)
    for error in result.errors:
        print(error, *getattr(error.exception, "__notes__", ()))
    return p.n.as_table()["y"].to_pylist()
"""


def said(folder: Path, text: str) -> str:
    """What a script of a user prints."""
    script = folder / "script.py"
    script.write_text(HEAD + text)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_worker_loads_as_little_as_for_a_bare_function(tmp_path: Path) -> None:
    text = """
def bare():
    return sorted(sys.modules)

@op.function_pod("y", retries=2)
def f(x: int) -> int:
    return bare()

with LocalExecutor(1, "process") as pool:
    expected = pool.execute_callable(bare, {})
with LocalExecutor(1, "process") as pool:
    found = pool.execute_callable(f, {"x": 1})
print(set(found) - set(expected), *(name for name in found if name.startswith(("orcapod", "pyarrow"))))
"""
    parts = ("", ".descendants", ".exceptions", ".messages", ".pickling", ".redirection", ".worker")
    expected = ["orcapod", "orcapod.doors", *(f"orcapod.executors{part}" for part in parts)]
    assert said(tmp_path, text) == f"set() {' '.join(expected)}\n"


def test_a_pod_may_have_a_pool_of_processes_of_its_own(tmp_path: Path) -> None:
    text = """
@op.function_pod("y")
def f(x: int) -> int:
    return 10 * x

f.pod.executor = LocalExecutor(2, "process")
print(run(f.pod), run(f.pod))
"""
    assert said(tmp_path, text) == "[0, 10] [0, 10]\n"


NESTED = """
import warnings
warnings.simplefilter("ignore")  # a pod that a function refers to is a live object

@op.function_pod(["y", "z"], version="v2.1", node_config=op.NodeConfig(retries=1), label="renamed")
def other(x: int, factor: int = 3) -> tuple[int, str]:
    return factor * x, "z"

@op.function_pod("y")
def f(x: int) -> int:
    assert other.pod.label == "renamed"
    assert other.pod.node_config.retries == 1
    assert other.pod.packet_function.uri[2] == "v2"
    (y,) = run(other.pod.__call__ if x else other.pod, 1)
    return x + y

print(run(f.pod, execution_engine=LocalExecutor(2, "process")))
"""


def test_a_function_that_uses_a_pod_in_a_worker_has_it(tmp_path: Path) -> None:
    assert said(tmp_path, NESTED) == "[0, 1]\n"


def test_pods_that_refer_to_each_other_and_to_themselves_can_be_sent(tmp_path: Path) -> None:
    text = """
import warnings
warnings.simplefilter("ignore")

@op.function_pod("y")
def even(x: int) -> int:
    return 1 if x == 0 else odd(x - 1)

@op.function_pod("y", depends_on=[even])
def odd(x: int) -> int:
    assert even.pod.label == "even" and odd.pod.packet_function.function is odd
    return 0 if x == 0 else even(x - 1)

print(run(even.pod, 4, execution_engine=LocalExecutor(2, "process")))
"""
    assert said(tmp_path, text) == "[1, 0, 1, 0]\n"


def test_a_function_with_a_pod_is_loaded_where_there_is_no_orcapod(tmp_path: Path) -> None:
    """It runs there; only who uses the pod is told that orcapod is missing."""
    text = """
import cloudpickle

@op.function_pod("y")
def f(x: int) -> int:
    return x + 1

sys.stdout.buffer.write(cloudpickle.dumps(f))
"""
    script = tmp_path / "script.py"
    script.write_text(HEAD + text)
    content = subprocess.run([sys.executable, str(script)], capture_output=True, timeout=120, check=True).stdout
    program = (
        "import pickle, sys; sys.modules['orcapod'] = None\n"
        f"sys.path.insert(0, {str(Path(cloudpickle.__file__).parent.parent)!r})\n"
        "f = pickle.load(sys.stdin.buffer); print(f(1), hasattr(f, 'pod'))\n"
        "try: f.pod.label\n"
        "except ModuleNotFoundError: print('not here')\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], input=content, capture_output=True, timeout=60, check=False
    )
    assert done.stdout.decode() == "2 True\nnot here\n", done.stderr.decode()
