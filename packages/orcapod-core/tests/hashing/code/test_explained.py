"""Promise 25: an edit is attributed to the part that was edited, in another process, by what the store has kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import orcapod.hashing.code

PAGE = Path(__file__).with_name("edits.md").read_text()
TITLES = [section.partition("\n")[0] for section in PAGE.split("\n### ")[1:]]

ELSEWHERE = {
    "two outputs of one type named the wrong way round": ["outputs output_keys"],
    "three outputs turned round": ["outputs output_keys"],
    "a declared version does not make outputs equal": ["outputs output_keys"],
    "its parameter": ["closure lab.deco.<locals>.inner: k"],
    "a class made by a call": ["attribute lab.C.k"],
    "a set of objects that know each other": ["global lab.ALL"],
    "a moment in a set of moments": ["global lab.DAYS"],
    "a keyword of one of several partials in a set": ["global lab.STEPS"],
    "what one of several closures in a set closes over": ["closure lab.made.<locals>.step: k"],
    "whose method is in a set of methods": ["global lab.STEPS"],
    "a dataclass made by a call": ["class lab.C" if sys.version_info >= (3, 12) else "class types.C"],
    "annotations that pydantic reads": ["function pydantic._internal._validate_call.g"],
    "options that a decorator of a package was given": ["closure decorators_k.f: options"],
    "which of two lambdas of a package is in a dict": ["function tools_l.<lambda>"],
    "a memo of a package, and what it is made of": ["state memos_m.cache"],
}
"""What is named, of edits on lines that define no name, or none that a part is called by."""

PROGRAM = """
import importlib, json, sys, warnings
from pathlib import Path
import orcapod as op
from orcapod.sources import DictSource

def explained(folder, database):
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(sys.argv[1]) or name.startswith("acme"):
            del sys.modules[name]
    importlib.invalidate_caches()
    paths = [str(folder), *map(str, sorted(path for path in folder.iterdir() if path.is_dir()))]
    sys.path[:0] = paths
    try:
        lab = importlib.import_module("lab")
        name = f"f{folder.name}"
        function = op.PythonPacketFunction(
            lab.f, getattr(lab, "KEYS", "y"), name=name, **getattr(lab, "OPTIONS", {})
        )
        ((x, dtype),) = list(function.signature.inputs.types.items())[:1]
        rows = [{"i": i, x: value} for i, value in enumerate(getattr(lab, "ARGUMENTS", [0, 1, 2]))]
        source = DictSource(rows, ["i"], source_id="s", data_schema={x: dtype.annotation})
        with op.Pipeline(name, database) as pipeline:
            op.FunctionPod(function)(source, label="f")
        plan = pipeline.explain()["f"]
        if not plan.cached and not plan.stale:
            pipeline.run(progress=False)
        changes = [change for reason in plan.reasons for change in getattr(reason.cause, "code", ())]
        return {
            "counts": [plan.cached, plan.new, plan.stale], "rows": len(rows), "said": str(plan),
            "parts": [str(change.part) for change in changes],
            "source": "\\n".join(part.source for each in changes for part in (each.before, each.after) if part),
        }
    finally:
        del sys.path[: len(paths)]

warnings.simplefilter("ignore")
with op.databases.SQLiteDatabase(sys.argv[2]) as database:
    print(json.dumps({folder.name: explained(folder, database) for folder in sorted(Path(sys.argv[1]).iterdir())}))
"""


def run(folder: Path, store: Path, seed: int) -> dict[str, Any]:
    package = Path(orcapod.hashing.code.__file__).parents[3]
    environment = {
        **os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    command = [sys.executable, "-c", PROGRAM, str(folder), str(store)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def explained(
    tmp_path_factory: pytest.TempPathFactory,
    edits: Callable[[str], dict[str, Any]],
    write_files: Callable[[Path, Mapping[str, str]], None],
) -> Mapping[str, tuple[dict[str, Any], dict[str, Any]]]:
    """What is explained of every edit, before it and, in another process, after it."""
    root = tmp_path_factory.mktemp("explained")
    for number, sides in enumerate(edits("edits.md").values()):
        for side, files in zip(("before", "after"), sides, strict=True):
            write_files(root / side / f"{number:03}", files)
    before, after = (run(root / side, root / "lab.db", seed) for seed, side in enumerate(("before", "after")))
    return {title: (before[f"{at:03}"], after[f"{at:03}"]) for at, title in enumerate(edits("edits.md"))}


@pytest.mark.parametrize("title", TITLES)
def test_an_edit_is_attributed_to_the_part_that_was_edited(
    title: str,
    explained: Mapping[str, tuple[dict[str, Any], dict[str, Any]]],
    edits: Callable[[str], dict[str, Any]],
    edited_names: Callable[[Mapping[str, str], Mapping[str, str]], set[str]],
) -> None:
    before, after = explained[title]
    assert before["counts"] == [0, before["rows"], 0]
    assert after["counts"] == [0, 0, after["rows"]]
    assert after["parts"]
    assert all(part in after["said"] for part in after["parts"][:5])
    if title in ELSEWHERE:
        assert after["parts"] == ELSEWHERE[title]
        return
    named = {word for part in after["parts"] for word in part.replace(":", "").replace(".", " ").split()}
    assert all(name in named or name in after["source"] for name in edited_names(*edits("edits.md")[title]))
