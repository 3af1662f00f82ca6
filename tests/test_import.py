"""Importing orcapod loads nothing that a program may never need, and its names are those that were promised."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import orcapod

HEAVY = [
    "asyncio",
    "click",
    "deltalake",
    "hypothesis",
    "pandas",
    "polars",
    "psycopg",
    "pyarrow.acero",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pytest",
    "ray",
    "rich",
    "sqlite3",
]

ROOMS = [
    "databases",
    "datagrams",
    "errors",
    "executors",
    "functions",
    "graph",
    "hashing",
    "nodes",
    "observers",
    "operators",
    "orchestrators",
    "protocols",
    "records",
    "report",
    "sources",
    "streams",
    "types",
    "ui",
]


def loaded_by(code: str, *arguments: str) -> set[str]:
    """The modules that a fresh process has loaded after running this."""
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_orcapod_loads_no_heavy_module() -> None:
    found = loaded_by("import orcapod")
    heavy = sorted(found & set(HEAVY))
    assert not heavy, f"heavy modules loaded: {heavy}"
    assert "numpy" not in found - loaded_by("import pyarrow"), "pyarrow alone may load numpy"


ONE_PACKET = """\
import sys
from datetime import datetime
import orcapod as op
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.sources import DictSource

def f(x: int, w: list[float], t: datetime) -> tuple[list[float], str]:
    print("computed")
    return [x * each for each in w], str(t.year)

for store in [None, sys.argv[1], sys.argv[1]]:  # the second time it is there
    pipeline = op.Pipeline("p", store)
    with pipeline:
        rows = [{"i": 0, "x": 2, "w": [0.5, 1.0], "t": datetime(2026, 1, 1), "s": "t"}]
        op.function_pod(["y", "z"])(f).pod(DictSource(rows, tag_columns=["i"], source_id="s"), label="f")
    observers = [LoggingObserver(pipeline.log_database), StatusObserver(pipeline.log_database)] if store else []
    pipeline.run(observer=CompositeObserver(*observers)).raise_for_errors()
    assert pipeline.f.as_table().to_pylist() == [{"i": 0, "y": [1.0, 2.0], "z": "2026"}]
    assert [dict(packet) for _, packet in pipeline.f.iter_packets()] == [{"y": [1.0, 2.0], "z": "2026"}]
    pipeline.database.close()
"""


def test_a_pipeline_of_few_packets_loads_no_other_package(tmp_path: Path) -> None:
    """What is met through what the user passes in is never imported to look; nor has pyarrow to look for pandas."""
    found = loaded_by(ONE_PACKET, str(tmp_path / "lab.db"))
    absent = {"deltalake", "hypothesis", "pandas", "polars", "psycopg", "ray", "rich", "click", "pyarrow.acero"}
    assert not found & absent
    assert "numpy" not in found - loaded_by("import pyarrow.compute"), "pyarrow alone may load numpy"


@pytest.mark.parametrize(
    ("derived", "annotation"),
    [
        *[("group_by('g')", "list[int]"), ("batch(2)", "list[int]")],
        *[("concat(other)", "int"), ("head(2)", "int"), ("map_tags({'g': 'h'})", "int")],
    ],
)
def test_an_operator_that_needs_no_query_of_arrow_loads_no_pandas(derived: str, annotation: str) -> None:
    found = loaded_by(
        "import orcapod as op\n"
        "from orcapod.databases import MemoryDatabase\n"
        "from orcapod.sources import DictSource\n"
        "source, other = (\n"
        "    DictSource([{'g': i % 2, 'i': i, 'n': i} for i in rows], ['g', 'i'], source_id=name)\n"
        "    for name, rows in (('s', range(5)), ('o', range(5, 8)))\n"
        ")\n"
        "pipeline = op.Pipeline('p', MemoryDatabase())\n"
        f"def f(n: {annotation}) -> str:\n    return str(n)\n"
        f"with pipeline:\n    op.function_pod('y')(f).pod(source.{derived}, label='f')\n"
        "pipeline.run(progress=False).raise_for_errors()\n"
    )
    assert "orcapod.operators" in found
    assert "pandas" not in found


def test_a_run_that_finds_rows_of_another_run_beside_it_loads_no_pandas(tmp_path: Path) -> None:
    found = loaded_by(
        "import orcapod as op\n"
        "from orcapod.sources import DictSource\n"
        "begun = []\n"
        "def f(x: int) -> int:\n"
        "    begun.append(x)\n"
        "    if len(begun) == 1:\n"
        "        assert run() == 2\n"
        "    return x\n"
        "def run():\n"
        "    with op.Pipeline('p', sys.argv[1]) as pipeline:\n"
        "        rows = DictSource([{'i': i, 'x': i} for i in range(2)], ['i'], source_id='s')\n"
        "        op.function_pod('y', identity='version')(f).pod(rows, label='f')\n"
        "    pipeline.run(progress=False).raise_for_errors()\n"
        "    return pipeline.f.as_table().num_rows\n"
        "assert run() == 2 and begun == [0, 0, 1, 1]\n",
        str(tmp_path / "lab.db"),
    )
    assert "pandas" not in found


def test_pyarrow_looks_for_pandas_when_it_makes_an_array_of_a_list() -> None:
    """Or ``orcapod.arrow`` has no reason any more."""
    assert "pandas" in loaded_by("import pyarrow\npyarrow.array([1])")


def test_what_pyarrow_has_to_do_itself_it_does_with_pandas() -> None:
    """A user's frames, and times in nanoseconds, are what they are without orcapod."""
    found = loaded_by(
        "import datetime\nimport pyarrow as pa\nimport orcapod.arrow\n"
        "assert orcapod.arrow.array_of([1], pa.int64()).to_pylist() == [1]\n"
        "assert type(pa.scalar(1, pa.timestamp('ns')).as_py()).__name__ == 'Timestamp'\n"
        "import pandas\n"
        "assert pa.array(pandas.Series([1.5, None])).null_count == 1\n"
        "assert orcapod.arrow.array_of(pandas.Series([1.5, None]), pa.float64()).null_count == 1\n"
    )
    assert "pandas" in found


def test_the_public_names_are_those_that_were_promised() -> None:
    promised = {
        "CachedFunctionPod",
        "ContentHash",
        "Directory",
        "File",
        "FunctionPod",
        "NodeConfig",
        "Pipeline",
        "PipelineConfig",
        "PythonPacketFunction",
        "ResultCache",
        "RunResult",
        "Schema",
        "databases",
        "errors",
        "executors",
        "cases",
        "code_of",
        "compare",
        "compare_code",
        "function_pod",
        "grid",
        "logical_type",
        "observers",
        "open_store",
        "operators",
        "orchestrators",
        "output_path",
        "remove_orphans",
        "sources",
        "verify_store",
        "write_report",
    }
    missing = promised - set(orcapod.__all__)
    assert not missing, missing
    assert sorted(set(orcapod.__all__) - promised) == ["types"]


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_public_name_is_there_and_listed_in_order(room: str) -> None:
    module = importlib.import_module(f"orcapod.{room}" if room else "orcapod")
    names = module.__all__
    assert all(hasattr(module, name) for name in names)
    assert len(set(names)) == len(names)
    assert set(names) <= set(dir(module))
    isort = sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert list(names) in (sorted(names), isort)


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="'nope'.*Pipeline"):
        _ = orcapod.nope
