"""A Delta store that may only be read is read, and refuses all that writes, before anything is computed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.errors import DatabaseError, ReadOnlyStoreError
from orcapod.sources import DictSource
from orcapod_delta import DeltaDatabase
from orcapod_delta.faults import raised_as, writing_to

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="capabilities as Linux has them")

# Reads a store, would have something to compute of it, and does all else that writes.
SCRIPT = """
import json, sys
import orcapod as op
from orcapod.sources import DictSource
from test_read_only import CALLS, study

def told(call):
    try:
        return repr(call())
    except BaseException as error:
        return f"{type(error).__name__}: {error}"

made = study(sys.argv[1], 3)
store = op.open_store(made.result_database)
print(json.dumps({
    "values": made.double.as_table()["y"].to_pylist(),
    "rows": store.rows("lab", "double")["y"].to_pylist(),
    "explained": made.explain("double").new,
    "run": told(lambda: made.run(progress=False)),
    "compact": told(store.compact),
    "prune": told(lambda: made.prune(older_than="0d", dry_run=False)),
    "invalidate": told(made.double.invalidate),
    "delete": told(lambda: made.result_database.delete_records(("lab", "_runs"), store.runs()["run_id"].to_pylist())),
    "calls": CALLS,
}))
"""
CALLS: list[int] = []
_KEPT_OUT = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
"""Without these capabilities, root is kept out by permissions like everybody else."""


@op.function_pod("y", identity="version")
def double(x: int) -> int:
    CALLS.append(x)
    return 2 * x


def study(store: object, rows: int) -> op.Pipeline:
    with op.Pipeline("lab", DeltaDatabase(str(store))) as made:
        double.pod(DictSource([{"i": i, "x": i} for i in range(rows)], ["i"], source_id="s"), label="double")
    return made


@contextmanager
def unwritable(*folders: Path) -> Iterator[None]:
    for folder in folders:
        folder.chmod(0o555)
    yield
    for folder in folders:
        folder.chmod(0o755)


def read(store: Path) -> dict[str, Any]:
    command = [*(_KEPT_OUT if os.geteuid() == 0 else []), sys.executable, "-c", SCRIPT, str(store)]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert "panicked" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@on_linux
@pytest.mark.parametrize("what", ["all", "the folder", "a table of the pipeline", "a table of all"])
def test_all_that_writes_is_refused_before_anything_is_done(tmp_path: Path, what: str) -> None:
    store = tmp_path / "lab"
    made = study(store, 2)
    made.run(progress=False)
    made.result_database.close()
    everything = [store, *(folder for folder in store.rglob("*") if folder.is_dir())]
    (of_all,), (of_lab,) = (list(store.rglob(f"{name}.delta")) for name in ("_code", "_runs"))
    folders = {
        "all": everything,
        "the folder": [store],
        "a table of the pipeline": [of_lab],
        "a table of all": [of_all],
    }
    with unwritable(*folders[what]):
        found = read(store)
    assert (found["values"], found["rows"], found["explained"], found["calls"]) == ([0, 2], [0, 2], 1, [])
    refused = {"run"} if what == "a table of the pipeline" else {"run", "compact", "prune", "invalidate"}
    for each in [*refused, *(["delete"] if what == "all" else [])]:
        assert found[each].startswith(f"ReadOnlyStoreError: {store}"), found[each]
        assert "may only be read: " in found[each]


def test_what_may_not_be_written_to_is_told_so_by_the_first_write_and_no_time_mends_it() -> None:
    said = "Generic S3 error: Error performing PUT http://lab/a.parquet: 403 Forbidden"
    for fault in (OSError(said), PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")):
        with pytest.raises(DatabaseError) as refused, raised_as(DatabaseError, "s3://lab"), writing_to("s3://lab"):
            raise fault
        assert isinstance(refused.value, ReadOnlyStoreError)
        assert str(refused.value).startswith("s3://lab may only be read: ")
        assert not refused.value.is_transient
        with pytest.raises(DatabaseError, match="^s3://lab: ") as unread, raised_as(DatabaseError, "s3://lab"):
            raise fault
        assert not isinstance(unread.value, ReadOnlyStoreError), "what may not be read is another thing"
        assert not unread.value.is_transient
    with pytest.raises(DatabaseError) as away, raised_as(DatabaseError, "s3://lab"), writing_to("s3://lab"):
        raise OSError("Generic S3 error: timed out")
    assert away.value.is_transient
