"""A program that read a Delta table ends as it says itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

_PROGRAMS = """
import os, sys
from orcapod_delta import DeltaTableSource
codes = []
for number in range(40):
    child = os.fork()
    if child == 0:
        assert DeltaTableSource(sys.argv[1], ["id"]).as_table().num_rows == 140
        sys.exit(3 * (number % 2))
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(codes)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forty_programs_end_with_their_own_exit_code(tmp_path: Path) -> None:
    """Arrow's datasets leave threads that abort one in five; forked, not all import libraries."""
    groups = [str(number % 7) for number in range(140)]
    rows = pa.table({"id": range(140), "x": [0.5] * 140, "group": groups})
    write_deltalake(tmp_path, rows, partition_by=["group"])
    command = [sys.executable, "-c", _PROGRAMS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True)
    assert done.stdout == f"{[0, 3] * 20}\n"
