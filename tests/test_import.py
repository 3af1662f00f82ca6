"""Importing orcapod loads nothing that a program may never need, and its names are those that were promised."""

from __future__ import annotations

import importlib
import subprocess
import sys

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
    "sources",
    "streams",
    "types",
]


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh process has loaded after running this."""
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_orcapod_loads_no_heavy_module() -> None:
    found = loaded_by("import orcapod")
    heavy = sorted(found & set(HEAVY))
    assert not heavy, f"heavy modules loaded: {heavy}"
    assert "numpy" not in found - loaded_by("import pyarrow"), "pyarrow alone may load numpy"


def test_building_a_pipeline_loads_no_other_package() -> None:
    """What is met through what the user passes in is never imported to look."""
    found = loaded_by(
        "import orcapod as op\n"
        "from orcapod.sources import DictSource\n"
        "def f(x: int) -> int:\n    return x\n"
        "source = DictSource([{'i': 0, 'x': 1}], tag_columns=['i'], source_id='s')\n"
        "with op.Pipeline('p') as pipeline:\n"
        "    op.function_pod('y', identity='version')(f).pod(source)\n"
        "pipeline.run()\n"
        "assert pipeline.f.as_table().num_rows == 1\n"
    )
    absent = {"deltalake", "hypothesis", "pandas", "polars", "psycopg", "ray", "rich", "click"}
    # pyarrow itself looks for pandas, if it is installed, whenever it makes an array of a list.
    own = found - loaded_by("import pyarrow.compute\npyarrow.array([1])")
    assert not own & absent
    assert "numpy" not in own


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
