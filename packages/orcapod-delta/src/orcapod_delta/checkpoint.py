"""Checkpoints on a local disk, small as what they say: deltalake's are 20 KB for a table of a few rows.

Most of that are columns in which nothing is: a table of a small pipeline is smaller than its checkpoint.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

__all__ = ["write_checkpoint"]

_LOG, _LAST = "_delta_log", "_last_checkpoint"


def write_checkpoint(folder: Path) -> None:
    """Sum up the log of a table in one file, which gets its name when it is whole, if its version has none.

    deltalake makes it of a copy of the log: whoever reads a checkpoint may not find another one in its place.

    Raises:
        DeltaError: the log cannot be read.
        OSError: it cannot be written, or another process has just removed what is expired of it.
    """
    with TemporaryDirectory() as scratch:
        copy, log = Path(scratch, _LOG), folder / _LOG
        copytree(log, copy)
        table = DeltaTable(scratch)
        name = f"{table.version():020}.checkpoint.parquet"
        if (copy / name).exists():
            return
        table.create_checkpoint()
        small = log / f"{name}.{os.getpid()}.tmp"
        pq.write_table(
            _without_empty_columns(pq.ParquetFile(copy / name).read(use_threads=False)),
            small,
            compression="zstd",
            use_dictionary=False,
            write_statistics=False,
            store_schema=False,
        )
        told = {**json.loads((copy / _LAST).read_text()), "sizeInBytes": small.stat().st_size}
        small.replace(log / name)
        last = log / f"{_LAST}.{os.getpid()}.tmp"
        last.write_text(json.dumps(told))
        last.replace(log / _LAST)


def _without_empty_columns(table: pa.Table) -> pa.Table:
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    return pa.table({name: _told(column) for name, column in columns.items() if column.null_count < len(column)})


def _told(column: Any) -> Any:
    """Return a column; if it is of structs, without those of their fields that are null in all of them."""
    if not pa.types.is_struct(column.type):
        return column
    fields = zip(column.type.names, column.flatten(), strict=True)
    kept = {name: _told(field) for name, field in fields if field.null_count < len(field)}
    return pa.StructArray.from_arrays(list(kept.values()), names=list(kept), mask=column.is_null())
