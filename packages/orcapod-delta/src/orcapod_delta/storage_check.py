"""Checks of the folders of a Delta store: that each table has its whole log, and every file that the log names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable

from orcapod.protocols import RecordPath
from orcapod_delta.data_files import data_files
from orcapod_delta.locations import Location, folder_of, paths_below

__all__ = ["find_damage", "has_whole_log"]

_COMMIT = re.compile(r"(\d{20})\.json")
_LOG = "_delta_log"


def find_damage(location: Location) -> Iterator[tuple[RecordPath, str]]:
    """Give what is wrong, with the path of the table."""
    filesystem = location.filesystem()
    for path in paths_below(filesystem):
        files = _files_below(filesystem, folder_of(path))
        table = _opened(location, path, files)
        if isinstance(table, str):
            yield path, table
            continue
        for file in data_files(table):
            name = unquote(file.path)
            if name not in files:
                yield path, f"the file {name} that its log names is not there"
            elif files[name] != file.size:
                yield path, f"the file {name} has {files[name]} bytes, and {file.size} by its log"
            elif file.rows == 0 and (rows := _rows_in(filesystem, f"{folder_of(path)}/{name}")):  # else it is read
                yield path, f"the file {name} has {rows} rows, and 0 by its log"


def _rows_in(filesystem: pafs.FileSystem, name: str) -> int:
    with filesystem.open_input_file(name) as file:
        rows: int = pq.read_metadata(file).num_rows
        return rows


def has_whole_log(location: Location, path: RecordPath) -> bool:
    """Say whether a table can be opened by its log."""
    files = _files_below(location.filesystem(), folder_of(path))
    return not isinstance(_opened(location, path, files), str)


def _files_below(filesystem: pafs.FileSystem, folder: str) -> dict[str, int]:
    """Return the sizes of all files of a table."""
    infos = filesystem.get_file_info(pafs.FileSelector(folder, recursive=True))
    return {info.path.strip("/").removeprefix(f"{folder}/"): info.size for info in infos}


def _opened(location: Location, path: RecordPath, files: Mapping[str, int]) -> DeltaTable | str:
    """Return a table, or what is wrong with its log."""
    if fault := _fault_of_log({*files}):
        return fault
    try:
        table = DeltaTable(location.below(folder_of(path)).table_uri, storage_options=dict(location.options))
        data_files(table)
    except Exception as error:  # noqa: BLE001 - whatever damage makes of it
        return f"its log cannot be read: {type(error).__name__}: {error!s:.200}"
    return table


def _fault_of_log(files: set[str]) -> str:
    """Return what is wrong with the log of a table, given its files; nothing if nothing is."""
    log = {name.removeprefix(f"{_LOG}/") for name in files if name.startswith(f"{_LOG}/")}
    commits = sorted(int(found[1]) for name in log if (found := _COMMIT.fullmatch(name)))
    if not commits:
        return "its log is gone" if any(name.endswith(".parquet") for name in files) else ""
    if commits != list(range(commits[0], commits[-1] + 1)):
        return "its log has gaps"
    if commits[0] and not any(".checkpoint." in name for name in log):
        return f"its log begins with version {commits[0]}, without a checkpoint"
    return ""
