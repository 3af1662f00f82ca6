"""Checks of the folders of a Delta store: that each table has its whole log, and every file that the log names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import pyarrow.fs as pafs
from deltalake import DeltaTable

from orcapod.protocols import RecordPath
from orcapod_delta.data_files import data_files
from orcapod_delta.locations import Location, folder_of, paths_below

__all__ = ["find_damage"]

_COMMIT = re.compile(r"(\d{20})\.json")
_LOG = "_delta_log"


def find_damage(location: Location) -> Iterator[tuple[RecordPath, str]]:
    """Give what is wrong, with the path of the table."""
    filesystem = location.filesystem()
    for path in paths_below(filesystem):
        folder = folder_of(path)
        selector = pafs.FileSelector(folder, recursive=True)
        infos = filesystem.get_file_info(selector)
        files = {info.path.strip("/").removeprefix(f"{folder}/"): info.size for info in infos}
        if fault := _fault_of_log({*files}):
            yield path, fault
            continue
        try:
            table = DeltaTable(location.below(folder).table_uri, storage_options=dict(location.options))
            named = {unquote(file.path): file.size for file in data_files(table)}
        except Exception as error:  # noqa: BLE001 - whatever damage makes of it
            yield path, f"its log cannot be read: {type(error).__name__}: {error!s:.200}"
            continue
        for name, size in named.items():
            if name not in files:
                yield path, f"the file {name} that its log names is not there"
            elif files[name] != size:
                yield path, f"the file {name} has {files[name]} bytes, and {size} by its log"


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
