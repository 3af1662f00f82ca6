"""Rows that are read once, into a file: a source larger than the memory."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from orcapod.errors import ValueTypeError

__all__ = ["in_whole", "spooled"]


def spooled(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Return batches as a table that is mapped from a file in the folder for temporary files.

    The file goes when nobody uses the table any more.
    """
    handle, name = tempfile.mkstemp(prefix="orcapod-", suffix=".arrow")
    os.close(handle)
    try:
        with pa.OSFile(name, "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return pa.ipc.open_file(pa.memory_map(name)).read_all()
    finally:
        with contextlib.suppress(PermissionError):  # Windows keeps a file that is mapped
            Path(name).unlink()


def in_whole(error: ValueTypeError, start: int) -> tuple[int, str]:
    """Return row and reason of an error over a part of the rows, the first of which is row ``start`` of all."""
    row = error.row or 0
    return start + row, str(error).removeprefix(f"row {row}: ")
