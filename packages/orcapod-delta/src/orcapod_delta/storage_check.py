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
from orcapod_delta.snapshot import is_lost

__all__ = ["find_damage", "has_whole_log"]

_LOG = "_delta_log"
_COMMIT = re.compile(_LOG + r"/(\d{20})\.json")


def find_damage(location: Location) -> Iterator[tuple[RecordPath, str]]:
    """Give what is wrong, with the path of the table."""
    filesystem = location.filesystem()
    for path in paths_below(filesystem):
        found = _found_below(filesystem, folder_of(path))
        table = _opened(location, path, found)
        if not isinstance(table, DeltaTable):
            yield from [(path, table)] if table else []
            continue
        for file in data_files(table):
            name = unquote(file.path)
            if name not in found:
                yield path, f"the file {name} that its log names is not there"
            elif found[name].size != file.size:
                yield path, f"the file {name} has {found[name].size} bytes, and {file.size} by its log"
            elif file.rows == 0 and (rows := _rows_in(filesystem, f"{folder_of(path)}/{name}")):  # else it is read
                yield path, f"the file {name} has {rows} rows, and 0 by its log"


def _rows_in(filesystem: pafs.FileSystem, name: str) -> int:
    with filesystem.open_input_file(name) as file:
        rows: int = pq.read_metadata(file).num_rows
        return rows


def has_whole_log(location: Location, path: RecordPath) -> bool:
    """Say whether a table can be opened by its log, or has yet to be given one."""
    return not isinstance(_opened(location, path, _found_below(location.filesystem(), folder_of(path))), str)


def _found_below(filesystem: pafs.FileSystem, folder: str) -> dict[str, pafs.FileInfo]:
    """Return all files of a table."""
    infos = filesystem.get_file_info(pafs.FileSelector(folder, recursive=True))
    return {info.path.strip("/").removeprefix(f"{folder}/"): info for info in infos}


def _opened(location: Location, path: RecordPath, found: Mapping[str, pafs.FileInfo]) -> DeltaTable | str | None:
    """Return a table, or what is wrong with its log; None if there is no log yet."""
    commits = _commits({*found})
    if not commits:  # a first commit may be being made, or its writer was killed
        return "its log is gone" if any(map(is_lost, found.values())) else None
    if fault := _fault_of_log({*found}, commits):
        return fault
    try:
        table = location.below(folder_of(path)).open_table()
        data_files(table)
    except Exception as error:  # noqa: BLE001 - whatever damage makes of it
        return f"its log cannot be read: {type(error).__name__}: {error!s:.200}"
    return table


def _commits(files: set[str]) -> list[int]:
    """Return the versions of a table of which the commit is there, given its files."""
    return sorted(int(found[1]) for name in files if (found := _COMMIT.fullmatch(name)))


def _fault_of_log(files: set[str], commits: list[int]) -> str:
    """Return what is wrong with the log of a table, given its files; nothing if nothing is."""
    if len(commits) != commits[-1] - commits[0] + 1:
        return "its log has gaps"
    if commits[0] and not any(name.startswith(f"{_LOG}/") and ".checkpoint." in name for name in files):
        return f"its log begins with version {commits[0]}, without a checkpoint"
    return ""
