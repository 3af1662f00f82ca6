"""Any process reads back the code that made a value, and says which part differs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.errors import ConfigError, UnknownCodeError
from orcapod.sources import DictSource

LAB = '''
import sys
import orcapod as op
from orcapod.sources import DictSource

LIMIT = 10


class Gain:
    factor = 2


def scale(x):
    """Doubles it."""
    return x * Gain.factor  # or so


@op.function_pod(["low", "high"])
def f(x: int, base: int = 1) -> tuple[int, int]:
    return base, min(scale(x), LIMIT)


with op.Pipeline("lab", sys.argv[1]) as pipeline:
    f.pod(DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s"))
print(pipeline.run().ok)
'''


@pytest.fixture
def lab(tmp_path: Path) -> Callable[[str], None]:
    """Runs a text as a program with the store ``lab.db``."""

    def run(text: str) -> None:
        (tmp_path / "lab.py").write_text(text)
        done = subprocess.run(
            [sys.executable, "lab.py", "lab.db"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout == "True\n", done.stderr

    return run


def fingerprints(store: Path) -> list[str]:
    """The fingerprints of the results in a store, in the order in which they came."""
    with closing(sqlite3.connect(store)) as connection, connection:
        tables = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
        (results,) = [table for table in tables if "_result" in table]
        rows = connection.execute(f'select "__code", min("__timestamp") from "{results}" group by 1 order by 2')
        return [row[0] for row in rows]


def test_another_process_reads_the_code_that_made_a_value(lab: Callable[[str], None], tmp_path: Path) -> None:
    lab(LAB)
    (made_by,) = fingerprints(tmp_path / "lab.db")
    parts = {part.name: part for part in op.code_of(made_by, op.Pipeline("lab", tmp_path / "lab.db").result_database)}
    assert parts["__main__.scale"].source == "def scale(x):\n    return x * Gain.factor"
    assert parts["__main__.f"].uses == ("__main__.f: default base", "__main__.scale", "__main__.LIMIT")
    shown = {name: (part.kind, part.source) for name, part in parts.items()}
    assert shown["__main__.LIMIT"] == ("global", "10")
    assert shown["__main__.Gain.factor"] == ("attribute", "2")
    assert shown["__main__.f: default base"] == ("default", "1")
    assert shown["output_keys"] == ("outputs", "['low', 'high']")


@pytest.mark.parametrize(
    ("secret", "used"),
    [
        ("API_TOKEN = read()", "API_TOKEN"),
        ("access_key = read().encode()", "access_key"),
        ("LOGIN = {'user': 'ada', 'password': read()}", "LOGIN"),
        ("SERVERS = [('h', f'postgresql://ada:{read()}@h/lab')]", "SERVERS"),
        ("class Lab:\n    secret = read()", "Lab.secret"),
    ],
)
def test_a_secret_that_code_holds_is_not_stored(
    lab: Callable[[str], None], tmp_path: Path, secret: str, used: str
) -> None:
    """It counts, but nobody reads it in the store."""
    (tmp_path / "file").write_text("hunter2XyZ")
    held = f"\ndef read():\n    return open('file').read()\n{secret}\nLIMIT = 'tokens'\n"
    lab(LAB.replace("\nLIMIT = 10\n", held).replace("LIMIT)", f"len(LIMIT + str({used})))"))
    (made_by,) = fingerprints(tmp_path / "lab.db")
    parts = {part.name: part for part in op.code_of(made_by, op.Pipeline("lab", tmp_path / "lab.db").result_database)}
    assert parts["__main__.LIMIT"].source == "'tokens'"
    assert parts[f"__main__.{used}"].source.startswith("<builtins.")
    assert not any(b"hunter2XyZ" in file.read_bytes() for file in tmp_path.glob("lab.db*"))


def test_a_scientist_reads_it_in_a_shell(lab: Callable[[str], None], tmp_path: Path) -> None:
    lab(LAB)
    (made_by,) = fingerprints(tmp_path / "lab.db")
    with closing(sqlite3.connect(tmp_path / "lab.db")) as connection, connection:
        (table,) = [row[0] for row in connection.execute("select name from sqlite_master") if row[0].endswith("_code")]
        rows = connection.execute(
            f'select part."__name", part."__source" from "{table}" whole, json_each(whole."__parts") listed '
            f'join "{table}" part on part."__code_id" = listed.value where whole."__code_id" = ?',
            [made_by],
        )
        assert ("__main__.LIMIT", "10") in list(rows)


def test_what_differs_is_named_with_its_lines(lab: Callable[[str], None], tmp_path: Path) -> None:
    lab(LAB)
    lab(LAB.replace("* Gain.factor", "+ Gain.factor").replace("LIMIT = 10", "LIMIT = 11"))
    before, after = fingerprints(tmp_path / "lab.db")
    store = op.Pipeline("lab", tmp_path / "lab.db").result_database
    changes = op.compare_code(before, after, store)
    assert {change.part.name for change in changes} == {"__main__.LIMIT", "__main__.scale"}
    assert "global __main__.LIMIT: 10 -> 11" in repr(changes)
    assert "-     return x * Gain.factor\n    +     return x + Gain.factor" in repr(changes)
    assert op.compare_code(before, before, store) == []
    assert repr(op.compare_code(before, before, store)) == "no part differs"


def test_every_part_is_stored_once(lab: Callable[[str], None], tmp_path: Path) -> None:
    lab(LAB)
    store = op.Pipeline("lab", tmp_path / "lab.db").result_database
    first = store.get_records(("_code",)).num_rows
    lab(LAB)
    assert store.get_records(("_code",)).num_rows == first, "nothing is new"
    lab(LAB.replace("LIMIT = 10", "LIMIT = 11"))
    assert store.get_records(("_code",)).num_rows == first + 2, "the constant, and the fingerprint"


def test_a_key_that_changes_by_itself_is_explained(lab: Callable[[str], None], tmp_path: Path) -> None:
    text = LAB.replace("LIMIT = 10", "import time\nLIMIT = time.time_ns()")
    lab(text)
    lab(text)
    before, after = fingerprints(tmp_path / "lab.db")
    (change,) = op.compare_code(before, after, op.Pipeline("lab", tmp_path / "lab.db").result_database)
    assert str(change).startswith("global __main__.LIMIT: ")
    ignoring = text.replace('["low", "high"])', '["low", "high"], ignores=["LIMIT"])')
    lab(ignoring)
    lab(ignoring)
    assert len(fingerprints(tmp_path / "lab.db")) == 3


def made(factor: int) -> Any:
    @op.function_pod("y")
    def f(x: int) -> int:
        return x * factor

    return f


def test_functions_of_this_process_are_compared_as_they_are() -> None:
    (change,) = op.compare_code(made(2), made(3))
    assert str(change) == f"closure {__name__}.made.<locals>.f: factor: 2 -> 3"
    assert op.compare_code(made(2).pod, made(2).pod.packet_function) == []


def g(x: int) -> int:
    return x + 1


def test_what_is_added_or_gone_or_turned_round_is_named() -> None:
    def two(x: int) -> tuple[int, int]:
        return x, g(x)

    def parts(*keys: str, **options: Any) -> Any:
        return op.PythonPacketFunction(two, keys, **options)

    assert str(op.compare_code(parts("a", "b"), parts("b", "a"))[0]) == (
        "outputs output_keys: ['a', 'b'] -> ['b', 'a']"
    )
    assert str(op.compare_code(parts("a", "b"), parts("a", "b", depends_on=["v1"]))[0]) == (
        "depends_on depends_on[0]: added"
    )
    steps = {"one": made, "other": g}

    def first(x: int) -> int:
        return len(steps)

    before = op.code_of(op.PythonPacketFunction(first, "y"))
    steps = {"one": g, "other": made}
    changes = op.compare_code(op.PythonPacketFunction(first, "y"), op.PythonPacketFunction(first, "y"))
    assert changes == []
    after = op.code_of(op.PythonPacketFunction(first, "y"))
    assert [part.uses for part in before if part.kind == "closure"] != [
        part.uses for part in after if part.kind == "closure"
    ]


def test_a_declared_version_is_code_too() -> None:
    function = op.PythonPacketFunction(g, "y", identity="version", version="v2.0")
    assert [(part.kind, part.source) for part in function.parts()] == [("version", "v2"), ("outputs", "['y']")]
    pipeline = op.Pipeline("p")
    with pipeline:
        op.FunctionPod(function)(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s"))
    pipeline.run()
    assert op.code_of(function.fingerprint(), pipeline.result_database) == function.parts()


def test_a_cached_pod_stores_its_code_beside_its_results() -> None:
    database = MemoryDatabase()
    pod = made(2).pod
    cached = op.CachedFunctionPod(pod, database)
    assert list(cached(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s")).iter_packets())
    assert op.code_of(pod.packet_function.fingerprint(), database) == pod.packet_function.parts()


def test_what_is_no_code_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a function with a pod"):
        op.code_of(len)
    fingerprint = made(2).pod.packet_function.fingerprint()
    with pytest.raises(ConfigError, match=r"no store; .*code_of\(fingerprint, pipeline\.result_database\)"):
        op.code_of(fingerprint)
    with SQLiteDatabase(tmp_path / "x.db") as store, pytest.raises(UnknownCodeError, match=str(fingerprint)):
        op.code_of(str(fingerprint), store)
