"""What cannot be seen is named, and two different things that are alive in one process never share a key."""

from __future__ import annotations

import functools
import socket
import subprocess
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable
from datetime import timedelta, timezone
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import wrapt

import orcapod as op
from orcapod.errors import SchemaError
from orcapod.hashing.code import fingerprint_function
from orcapod.sources import DictSource


def holding(value: object, **options: Any) -> op.PythonPacketFunction:
    """A function with a value in its closure."""

    def f(x: int) -> int:
        return 0 if value is None else x

    return op.PythonPacketFunction(f, "y", **options)


class Cal:
    def __init__(self, k: int) -> None:
        self.k = k

    def rotate(self, x: int) -> int:
        return x * self.k


class Live:
    """Refuses to be taken apart in any way that runs its code."""

    def __init__(self, k: int) -> None:
        self.k, self.line = k, iter([k])


def plus(k: int) -> Callable[..., Any]:
    @wrapt.decorator
    def inner(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs) + k

    return inner


PAIRS = {
    "instances whose method is called like a container's": (Cal(2), Cal(3)),
    "containers": ({"k": 2}, {"k": 3}),
    "frames": (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})),
    "namespaces": (SimpleNamespace(a=1), SimpleNamespace(a=2)),
    "argparse namespaces": (Namespace(a=1), Namespace(a=2)),
    "polynomials": (np.poly1d([1, 2]), np.poly1d([1, 3])),
    "vectorized functions": (np.vectorize(lambda x: x + 1), np.vectorize(lambda x: x + 2)),
    "time zones of one name": (timezone(timedelta(hours=5), "IST"), timezone(timedelta(hours=2), "IST")),
    "decorators with a parameter": (plus(2)(len), plus(3)(len)),
    "live objects": (Live(1), Live(1)),
    "iterators": (iter([1]), iter([1])),
    "partials of installed functions": (functools.partial(np.sort), functools.partial(np.ma.sort)),
}


@pytest.mark.filterwarnings("ignore:.*cannot see into")
@pytest.mark.parametrize("pair", PAIRS)
def test_two_objects_in_one_process_are_two_functions(pair: str) -> None:
    one, other = PAIRS[pair]
    assert holding(one).fingerprint() != holding(other).fingerprint()
    assert holding(one).fingerprint() == holding(one).fingerprint()


@pytest.mark.filterwarnings("ignore:.*cannot see into")
def test_two_models_are_never_given_each_others_results() -> None:
    def made(model: Any) -> op.FunctionPod:
        def predict(x: int) -> int:
            return int(model.k * x)

        return op.FunctionPod(op.PythonPacketFunction(predict, "y"))

    rising, falling = Live(1), Live(-1)
    source = DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s")
    pipeline = op.Pipeline("p")
    with pipeline:
        for name, model in {"up": rising, "down": falling}.items():
            made(model)(source, label=name)
    assert pipeline.run().counts("down") == {"computed": 3, "cached": 0, "failed": 0}
    assert pipeline["down"].as_table()["y"].to_pylist() == [0, -1, -2]
    assert pipeline.run().counts("up")["computed"] == 0, "in this process, it is known which object it is"


def test_what_cannot_be_seen_into_is_named_at_the_users_line() -> None:
    function = holding(Live(1))
    with pytest.warns(UserWarning, match=r"f: cannot see into value\.line .*an iterator.*this process only") as warned:
        function.fingerprint()
    assert warned[0].filename == __file__
    assert warned[0].lineno == function.function.__code__.co_firstlineno
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function.fingerprint()  # once is enough
    with pytest.warns(UserWarning, match="cannot see into"):
        holding(Live(2)).fingerprint()  # another function, another warning
    assert [part.name for part in function.parts() if part.kind == "opaque"] == [f"{__name__}.value.line"]


SCRIPT = """
import orcapod as op
line = iter([1])
{0}
def f(x: int) -> int:
    return x if line else 0
print(op.PythonPacketFunction(f, "y", {1}).fingerprint())
"""


@pytest.mark.parametrize(
    ("options", "is_found_again"),
    [("", False), ("depends_on=['v1']", True), ("ignores=[line]", True), ("ignores=['line']", True)],
)
def test_results_of_what_is_opaque_are_found_again_in_this_process_only(options: str, is_found_again: bool) -> None:
    def fingerprint(more: str = "") -> str:
        command = [sys.executable, "-W", "ignore", "-c", SCRIPT.format(more, options)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert (fingerprint() == fingerprint("\n\n")) is is_found_again


def test_with_a_word_of_the_author_nothing_is_warned_of() -> None:
    live = Live(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = [holding(live, depends_on=["v1"]), holding(live, ignores=[live]), holding(live, ignores=["value.line"])]
        assert len({function.fingerprint() for function in told}) == 3
    assert holding(live, depends_on=["v1"]).fingerprint() != holding(live, depends_on=["v2"]).fingerprint()
    ignored = [part.name for part in told[1].parts() if part.kind == "ignored"]
    assert ignored == [f"{__name__}.value"]


def test_kinds_that_never_matter_are_known(module: Callable[[str], Any]) -> None:
    lab = module(
        "import logging, sys, threading\nlock, log, err = threading.Lock(), logging.getLogger('a'), sys.stderr\n"
        "def f(x):\n    with lock:\n        log.info(x)\n        print(x, file=err)\n    return x\n"
    )
    assert fingerprint_function(lab.f).opaque == ()


class Hostile:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("no")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_no_code_of_the_users_is_run_to_look_at_an_object() -> None:
    for value in (Hostile(), [Hostile()], {"a": Hostile()}, functools.partial(len, Hostile())):
        assert fingerprint_function(holding(value).function).opaque == ()


LYING = """
class Lying:
    def __getattribute__(self, name):
        raise RuntimeError(name)

class Config:
    rows = Lying()

LIE, CONFIG = Lying(), Config()

class Box:
    def __init__(self):
        self.inner = LIE

BOX = Box()

def f(x: int) -> int:
    LIE[x] = x
    LIE.items.append(x)
    BOX.inner.add(x)
    return LIE.rows + CONFIG.rows.first + BOX.inner.k + len(LIE)
"""


def test_objects_that_answer_nothing_end_no_run(module: Callable[[str], Any]) -> None:
    lab = module(LYING)
    found = fingerprint_function(lab.f, stage="begins")
    assert found == fingerprint_function(lab.f, stage="ended")
    assert found.opaque == ()


def test_an_object_that_says_a_name_which_is_not_its_own_is_opaque() -> None:
    one, two = (holding(np.frompyfunc(lambda a, k=k: a + k, 1, 1)) for k in (1, 100))
    assert fingerprint_function(one.function).hash != fingerprint_function(two.function).hash
    assert fingerprint_function(one.function).opaque


class Angry:
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no")


def test_whatever_an_object_raises_when_it_is_looked_at_ends_nothing(module: Callable[[str], Any]) -> None:
    found = fingerprint_function(holding({"a": Angry()}).function)
    assert [each.partition(" ")[0] for each in found.opaque] == ["value['a']"]
    assert "looking at it raises RuntimeError" in found.opaque[0]
    with socket.socket() as line:
        assert "a live object of type socket" in fingerprint_function(holding(line).function).opaque[0]


UNSEEN = {
    "getattr(sys.modules[__name__], 'g')": "sys.modules",
    "sys.modules['os']": "sys.modules",
    "runpy.run_path('a.py')": "runpy.run_path",
    "Base.__subclasses__()": "__subclasses__()",
    "x.query('a > @K')": "x.query('a > @K')",
    "x.eval('@g(a)')": "x.eval('@g(a)')",
    "os.environ['K']": "os.environ",
    "os.environ.get('K')": "os.environ.get",
    "os.getenv('K')": "os.getenv",
    "environ['K']": "os.environ",
    "eval('x')": "builtins.eval",
    "exec('x')": "builtins.exec",
    "globals()['g']": "builtins.globals",
    "importlib.import_module('os')": "importlib.import_module",
    "open('data.json')": "open('data.json')",
    "open(PATH)": "open(PATH)",
    "open(PATH / 'a')": "open(PATH / 'a')",
    "Path('data.json').read_text()": "Path('data.json').read_text()",
    "PATH.read_bytes()": "PATH.read_bytes()",
    "np.load('a.npy')": "np.load('a.npy')",
    "pd.read_csv('a.csv')": "pd.read_csv('a.csv')",
}


@pytest.mark.parametrize("expression", UNSEEN)
def test_what_no_reading_of_the_code_can_follow_is_named(expression: str, module: Callable[[str], Any]) -> None:
    lab = module(
        "import importlib, os, runpy, subprocess, sys\nfrom os import environ\nfrom pathlib import Path\n"
        "import numpy as np, pandas as pd\nPATH = Path('a')\nK = 1\ndef g(x):\n    return x\nclass Base:\n    pass\n"
        f"def f(x: int) -> int:\n    return {expression}\n"
    )
    function = op.PythonPacketFunction(lab.f, "y")
    with pytest.warns(UserWarning, match="f: cannot follow .*a change there goes unnoticed") as warned:
        found = function.code()
    assert [each.partition(" (")[0] if " (" in each else each for each in found.unseen] == [UNSEEN[expression]]
    assert warned[0].filename == lab.__file__
    assert found.opaque == ()


@pytest.mark.parametrize("expression", ["open(x)", "x.query('a > 1')", "Path(x).read_text()", "np.load(x)", "vars(x)"])
def test_what_is_opened_by_an_argument_is_the_users_to_give(expression: str, module: Callable[[str], Any]) -> None:
    lab = module(f"import numpy as np\nfrom pathlib import Path\ndef f(x: str) -> int:\n    return {expression}\n")
    assert fingerprint_function(lab.f).unseen == ()


class Station:
    def __init__(self, name: str) -> None:
        self.name = name
        self.near: list[Station] = []


def knowing(count: int) -> list[Station]:
    stations = [Station(f"s{number}") for number in range(count)]
    for number, station in enumerate(stations):
        station.near = [stations[(number * step + 1) % count] for step in (2, 3, 5)]
    return stations


def doubled(times: int) -> list[Any]:
    found: list[Any] = [0]
    for _ in range(times):
        found = [found, found]
    return found


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize("value", [knowing(8), knowing(1_000), doubled(25), nested(20_000)])
def test_objects_that_refer_to_each_other_are_visited_once_each(value: list[Any]) -> None:
    """Walked along every path, any of these would take longer than anybody waits."""
    found = fingerprint_function(holding(value).function)
    assert found.size < 100_000
    assert found.opaque == ()


def test_a_change_deep_in_a_graph_is_seen_and_nothing_else() -> None:
    before, same, other = knowing(200), knowing(200), knowing(200)
    other[150].near.reverse()
    hashes = [fingerprint_function(holding(value).function).hash for value in (before, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_large_values_are_looked_at_once_for_a_run_and_not_again_for_reading() -> None:
    looks: list[None] = []

    class Counted:
        __module__, __qualname__ = "json", "Counted"  # as if it were installed

        def __reduce_ex__(self, protocol: Any) -> Any:
            looks.append(None)
            return dict, ()

    table: dict[str, Any] = {f"k{number}": number for number in range(5_000)} | {"counted": Counted()}

    def f(x: int) -> int:
        return table[f"k{x}"]

    pod = op.function_pod("y")(f).pod
    pipeline = op.Pipeline("p")
    with pipeline:
        pod(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s"))
    _ = pipeline.f  # which builds it
    taken = len(looks)
    pipeline.run()
    assert len(looks) - taken == 1
    assert pipeline.f.as_table().num_rows == 1
    assert len(looks) - taken == 1
    table = {**table, "k1": 7}
    assert pipeline.f.as_table().num_rows == 0, "another table, of which nothing is computed yet"


@pytest.mark.parametrize(("ignores", "said"), [("T0", r"ignores=\['T0'\]"), ([1.5], "found 1.5 in ignores")])
def test_what_would_ignore_nothing_or_too_much_is_refused(ignores: Any, said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        op.function_pod("y", ignores=ignores)(knowing_nothing)


def knowing_nothing(x: int) -> int:
    return x


@pytest.mark.parametrize(
    "made",
    [
        lambda: pd.date_range("2020", periods=2, freq="D"),
        lambda: pd.timedelta_range("1D", periods=2),
        lambda: pd.Series(pd.date_range("2020", periods=2)),
        lambda: pd.DataFrame({"d": pd.date_range("2020", periods=2)}, index=pd.date_range("2020", periods=2)),
    ],
    ids=range(4),
)
def test_to_look_at_dates_of_pandas_changes_no_function_that_uses_them(made: Any) -> None:
    """They keep what was asked of them."""
    dates = made()

    def function(i: int) -> int:
        return len(dates)

    before = op.function_pod("o")(function).pod.packet_function.fingerprint()
    repr(dates)
    dates.min()
    assert op.function_pod("o")(function).pod.packet_function.fingerprint() == before
