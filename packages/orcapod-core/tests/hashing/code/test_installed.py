"""Code of installed distributions counts by module and name, or version; a pod's own by what it says."""

from __future__ import annotations

import importlib
import itertools
import statistics
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.hashing.code import fingerprint_function
from orcapod.hashing.code.ownership import distribution_of, version_of
from orcapod.sources import DictSource

_numbers = itertools.count()
Install = Callable[[Mapping[str, str], str], Any]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a distribution with modules of a package of its own, and gives the package."""

    def put(modules: Mapping[str, str], version: str = "1.0") -> Any:
        name = f"mylab{next(_numbers)}"
        folder = tmp_path / name / "site-packages"
        texts = {f"{name}/{module}.py": text.replace("mylab", name) for module, text in modules.items()}
        texts[f"{name}-{version}.dist-info/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        texts[f"{name}-{version}.dist-info/RECORD"] = "".join(f"{file},,\n" for file in texts)
        texts[f"{name}-{version}.dist-info/top_level.txt"] = f"{name}\n"
        for file, text in {f"{name}/__init__.py": "", **texts}.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        for module in modules:
            importlib.import_module(f"{name}.{module}")
        return sys.modules[name]

    return put


POD = 'import orcapod as op\n@op.function_pod("y")\ndef score(x: int) -> int:\n    return x + {}\n'


def test_two_installed_pods_of_one_name_are_two(install: Install) -> None:
    mylab = install({"a": POD.format(1), "b": POD.format(100)})
    source = DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s")
    pipeline = op.Pipeline("p")
    with pipeline:
        mylab.a.score.pod(source, label="a")
        mylab.b.score.pod(source, label="b")
    assert pipeline.run().counts("b") == {"computed": 3, "cached": 0, "failed": 0}
    assert pipeline.b.as_table()["y"].to_pylist() == [100, 101, 102]


def test_closures_and_instances_of_a_pods_own_distribution_count(install: Install) -> None:
    text = (
        "def made(k):\n    def f(x: int) -> int:\n        return x + k\n    return f\n"
        "class Model:\n    def __init__(self, k):\n        self.k = k\n    def __call__(self, x: int) -> int:\n"
        "        return x + self.k\n"
    )
    mylab = install({"a": text})
    closures = [fingerprint_function(mylab.a.made(k)).hash for k in (1, 1, 2)]
    assert closures[0] == closures[1] != closures[2]
    instances = [fingerprint_function(mylab.a.Model(k)).hash for k in (1, 1, 50)]
    assert instances[0] == instances[1] != instances[2]
    (found,) = [part for part in fingerprint_function(mylab.a.Model(1)).parts if part.kind == "class"]
    assert "return x + self.k" in found.source


def test_helpers_of_another_distribution_count_by_name(install: Install, module: Callable[[str], Any]) -> None:
    one = install({"tools": "def scale(x):\n    return x + 1\n"})
    text = f"from {one.__name__}.tools import scale\ndef f(x):\n    return scale(x)\n"
    lab = module(text)
    before = fingerprint_function(lab.f)
    one.tools.scale.__code__ = (lambda x: x + 2).__code__
    assert fingerprint_function(lab.f) == before
    (part,) = [part for part in before.parts if part.kind == "installed"]
    assert part.name == f"{one.__name__}.tools.scale"


def test_versions_count_if_asked_for(install: Install, module: Callable[[str], Any]) -> None:
    one = install({"tools": "def scale(x):\n    return x\n"}, "1.0")
    lab = module(f"from {one.__name__}.tools import scale\ndef f(x):\n    return scale(x)\n")
    by_name, by_version = fingerprint_function(lab.f), fingerprint_function(lab.f, packages="version")
    assert f"{one.__name__} 1.0" in [part.name for part in by_version.parts if part.kind == "package"]
    info = Path(one.__path__[0]).parent / f"{one.__name__}-1.0.dist-info"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {one.__name__}\nVersion: 2.0\n")
    version_of.cache_clear()
    assert fingerprint_function(lab.f) == by_name
    assert fingerprint_function(lab.f, packages="version").hash != by_version.hash
    assert by_name.unseen == by_version.unseen == ()


def test_a_pod_asks_for_versions(module: Callable[[str], Any]) -> None:
    lab = module("import pytest\ndef f(x: int) -> int:\n    return pytest.approx(x)\n")
    plain, versioned = (op.PythonPacketFunction(lab.f, "y", packages=packages) for packages in ("name", "version"))
    assert plain.fingerprint() != versioned.fingerprint()
    assert [part.name for part in versioned.parts() if part.kind == "package"] == [f"pytest {pytest.__version__}"]
    with pytest.raises(op.errors.SchemaError, match="packages 'all', expected one of .*'name', 'version'"):
        op.PythonPacketFunction(lab.f, "y", packages="all")  # type: ignore[arg-type]


def test_distributions_are_known_by_the_modules_they_hold() -> None:
    assert distribution_of("pytest") == distribution_of("_pytest.python") == "pytest"
    assert distribution_of("json") is None


def test_the_body_of_a_function_of_the_standard_library_counts() -> None:
    found = fingerprint_function(textwrap.dedent)
    assert found.parts[0].kind == "function"
    assert found.hash != fingerprint_function(statistics.mean).hash


ALIASES = {
    "by its path": "import xml.dom.minidom\ndef f(x):\n    return xml.dom.minidom.parseString(x)\n",
    "by its module": "from xml.dom import minidom\ndef f(x):\n    return minidom.parseString(x)\n",
    "by its name": "from xml.dom.minidom import parseString\ndef f(x):\n    return parseString(x)\n",
    "by another name": "from xml.dom.minidom import parseString as p\ndef f(x):\n    return p(x)\n",
    "by value": "import xml.dom.minidom\nG = xml.dom.minidom.parseString\ndef f(x):\n    return G(x)\n",
    "in a dict": "import xml.dom.minidom\nG = {'a': xml.dom.minidom.parseString}\ndef f(x):\n    return G['a'](x)\n",
    "as a default": "import xml.dom.minidom\ndef f(x, g=xml.dom.minidom.parseString):\n    return g(x)\n",
    "in a partial": "import functools, xml.dom.minidom\nG = functools.partial(xml.dom.minidom.parseString)\n"
    "def f(x):\n    return G(x)\n",
    "inside the function": "def f(x):\n    from xml.dom.minidom import parseString\n    return parseString(x)\n",
}


@pytest.mark.parametrize("way", ALIASES)
def test_whatever_way_it_is_reached_its_module_and_name_count(way: str, module: Callable[[str], Any]) -> None:
    text = ALIASES[way]
    other = text.replace("xml.dom.minidom", "xml.dom.pulldom").replace(
        "xml.dom import minidom", "xml.dom import pulldom"
    )
    found, changed = fingerprint_function(module(text).f), fingerprint_function(module(other).f)
    assert found.hash != changed.hash
    assert found.opaque == found.unseen == ()
    names = [part.name for part in found.parts if part.kind == "installed"]
    assert "xml.dom.minidom.parseString" in names
