"""How far a run is, seen in a notebook: a real kernel, and the output that is kept of its cells."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

EXECUTE = """
import json, sys
import nbformat.v4 as notebooks
from nbclient import NotebookClient
cells = [notebooks.new_code_cell(code) for code in json.load(sys.stdin)]
book, patience = notebooks.new_notebook(cells=cells), {"timeout": 200, "startup_timeout": 200}
NotebookClient(book, allow_errors=True, kernel_name="python3", **patience).execute()
json.dump([cell.outputs for cell in cells], sys.stdout)
"""

HEAD = """
import orcapod as op
from orcapod.sources import DictSource

@op.function_pod("y")
def half(x: int) -> float:
    if x == 1:
        raise ValueError("one is odd")
    return x / 2

pipeline = op.Pipeline("p")
with pipeline:
    half.pod(DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="<b>s</b>"), label="<i>half</i>")
"""

OUTPUT = list[dict[str, Any]]


@pytest.fixture(scope="module")
def kept() -> dict[str, OUTPUT]:
    """The output that is kept of cells that run a pipeline."""
    cells = {
        "drawn": "result = pipeline.run()",
        "again": "result = pipeline.run()",
        "awaited": "result = await pipeline.run_async()",
        "off": "result = pipeline.run(progress=False)",
        "shown": "pipeline.run()",
        "interrupted": """
def stop(x: int) -> int:
    raise KeyboardInterrupt
stopped = op.Pipeline("stopped")
with stopped:
    op.function_pod("y")(stop).pod(DictSource([{"i": 1, "x": 1}], ["i"], source_id="s"), label="stopping")
stopped.run()
""",
    }
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE],
        input=json.dumps([HEAD, *cells.values()]),
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    head, *outputs = json.loads(done.stdout)
    assert head == []
    return dict(zip(cells, outputs, strict=True))


@pytest.mark.parametrize(
    ("cell", "counts"), [("drawn", "2 0 1"), ("again", "0 2 1"), ("awaited", "0 2 1"), ("shown", "0 2 1")]
)
def test_a_cell_keeps_one_table_of_what_was_done(kept: dict[str, OUTPUT], cell: str, counts: str) -> None:
    table, *others = kept[cell]
    assert table["output_type"] == "display_data"
    html = table["data"]["text/html"]
    computed, cached, failed = counts.split()
    assert f"<td>&lt;i&gt;half&lt;/i&gt;</td><td>{computed}</td><td>{cached}</td><td>{failed}</td>" in html
    assert "<td>&lt;b&gt;s&lt;/b&gt;</td>" in html
    assert "<th>computed</th><th>cached</th><th>failed</th>" in html
    assert re.search(r"<caption[^>]*><b>Run [0-9a-f-]{36}</b>", html)
    assert "<pre" not in html
    assert "<i>half" in table["data"]["text/plain"]
    assert [other["output_type"] for other in others] == (["execute_result"] if cell == "shown" else [])


def test_it_can_be_switched_off(kept: dict[str, OUTPUT]) -> None:
    assert kept["off"] == []


def test_a_run_that_is_interrupted_keeps_its_table_too(kept: dict[str, OUTPUT]) -> None:
    table, error = kept["interrupted"]
    assert "<td>stopping</td>" in table["data"]["text/html"]
    assert error["ename"] == "KeyboardInterrupt"
