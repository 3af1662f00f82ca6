"""The command tells the same of every store: what ran, what it said, what a row was made of, what differs, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from psycopg.conninfo import conninfo_to_dict

import orcapod as op
from orcapod.cli.main import main
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource


@op.function_pod(output_keys=("y", "text"), identity="version")
def plus(x: int) -> tuple[int, str]:
    print("plus", x)
    if x > 8:
        raise ValueError(f"found {x}")
    return x + 1, "abc"


@op.function_pod(output_keys="total", identity="version")
def total(y: list[int]) -> int:
    return sum(y)


@pytest.fixture(params=["sqlite", "delta", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param != "postgres":
        return f"{request.param}:///{tmp_path / 'lab'}"
    conninfo = conninfo_to_dict(request.getfixturevalue("postgres_conninfo"))
    given = {name: value for name, value in conninfo.items() if name in ("host", "port", "user") and value}
    return f"postgresql:///{conninfo['dbname']}?{urlencode(given)}"


Command = Callable[..., Any]


@pytest.fixture
def orcapod(url: str, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command on the store, and give back its exit code and what it told a program."""

    def run(*args: str) -> tuple[object, Any]:
        with pytest.raises(SystemExit) as ended:
            main([*args, "--store", url, "--json"])
        shown = capsys.readouterr()
        assert shown.err == ""
        return ended.value.code, json.loads(shown.out)

    return run


def paths(url: str) -> list[tuple[str, ...]]:
    with op.databases.open_database(url) as database:
        return database.list_paths()


def test_every_store_tells_what_ran_what_it_said_what_rows_were_made_of_and_what_differs(
    url: str, orcapod: Command, tmp_path: Path
) -> None:
    runs = []
    for night in ([1, 2], [1, 5, 9]):
        pipeline = op.Pipeline("p", url)
        with pipeline:
            rows = [{"k": "ab"[i % 2], "i": i, "x": x} for i, x in enumerate(night)]
            source = DictSource(rows, ["k", "i"], source_id="s", record_id_column="i")
            each = plus.pod(source, label="plus").select_packet_columns(["y"])
            total.pod(each.group_by("k", tags="drop", incomplete="keep"), label="total")
        observer = LoggingObserver(pipeline.log_database)
        runs.append(pipeline.run(progress=False, observer=observer, tags={"night": str(len(runs))}).run_id)
        pipeline.database.close()

    code, told = orcapod("runs")
    assert code == 0
    assert [(run["run_id"], run["outcome"], run["tags"]) for run in told] == [
        (runs[0], "SUCCESS", {"night": "0"}),
        (runs[1], "FAILED", {"night": "1"}),
    ]
    _, told = orcapod("show", "last~1")
    assert (told["run_id"], [node["given"] for node in told["nodes"]]) == (runs[0], [2, 2, 2, 2, 2])

    _, (failed,) = orcapod("logs", runs[1], "--failed")
    assert (failed["tags"], failed["stdout"]) == ({"k": "a", "i": "2"}, "plus 9\n")
    _, entries = orcapod("logs", runs[1], "--node", "plus", "--tag", "i=1")
    assert [entry["stdout"] for entry in entries] == ["plus 5\n"]

    _, tree = orcapod("trace", "total", "k=b", "--run", runs[0])
    (group,) = tree["inputs"]
    (member,) = group["members"]
    assert (member["node"], member["tags"], member["inputs"][0]["record_id"]) == ("plus", {"k": "b", "i": 1}, "i=1")
    _, below = orcapod("trace", "plus", "i=1", "--down")
    assert [(each["node"], each["tags"]) for each in below] == [("total", [{"k": "b"}])]
    _, below = orcapod("trace", "s", "i=1", "--down")
    assert [each["node"] for each in below] == ["plus", "total"]

    code, told = orcapod("compare", *runs)
    assert code == 3
    lines = {(line["node"], line["column"]): line for line in told["columns"]}
    assert {key: (line["equal"], line["changed"]) for key, line in lines.items()} == {
        ("plus", "y"): (1, 1),
        ("total", "total"): (1, 1),
    }
    assert lines["plus", "y"]["why"] == {"value in source: x": 1}
    assert lines["total", "total"]["why"] == {"input: y": 1}
    assert [row["tags"] for row in told["rows"]] == [{"k": "b", "i": 1}, {"k": "b"}]

    _, nodes = orcapod("ls")
    assert {node["node"]: (node["rows"], node["outputs"]) for node in nodes} == {
        "plus": (2, {"y": "int", "text": "str"}),
        "total": (2, {"total": "int"}),
    }
    _, rows = orcapod("head", "plus", "-n", "1", "--columns", "k,i,y")
    assert rows == [{"k": "a", "i": 0, "y": 2}]
    _, told = orcapod("export", "plus", str(tmp_path / "out.jsonl"), "--run", runs[0])
    assert [json.loads(line)["y"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [2, 3]
    files, tables = {*tmp_path.rglob("*")}, paths(url)
    code, told = orcapod("doctor")
    assert (code, *(told["store"][name] for name in ("read", "written", "locked", "runs"))) == (0, *["yes"] * 3, 2)
    assert ({*tmp_path.rglob("*")}, paths(url)) == (files, tables)
    code, told = orcapod("fsck")
    assert (code, told["ok"]) == (0, True)
