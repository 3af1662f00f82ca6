"""Checks of the folders of a Delta store: that each table has its whole log, and every file that the log names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import pyarrow.fs as pafs

from orcapod.protocols import RecordPath
from orcapod_delta.data_files import data_files
from orcapod_delta.locations import Location, folder_of, paths_below
from orcapod_delta.snapshot import is_lost

__all__ = ["find_damage"]

_LOG = "_delta_log"
_COMMIT = re.compile(_LOG + r"/(\d{20})\.json")


def find_damage(location: Location) -> Iterator[tuple[RecordPath, str]]:
    """Give what is wrong, with the path of the table."""
    filesystem = location.filesystem()
    for path in paths_below(filesystem):
        folder = folder_of(path)
        selector = pafs.FileSelector(folder, recursive=True)
        found = filesystem.get_file_info(selector)
        files = {info.path.strip("/").removeprefix(f"{folder}/") for info in found}
        commits = _commits(files)
        if not commits:  # a first commit may be being made, or its writer was killed
            if any(is_lost(info) for info in found):
                yield path, "its log is gone"
            continue
        if fault := _fault_of_log(files, commits):
            yield path, fault
            continue
        try:
            table = location.below(folder).open_table()
            missing = sorted({unquote(file.path) for file in data_files(table)} - files)
        except Exception as error:  # noqa: BLE001 - whatever damage makes of it
            yield path, f"its log cannot be read: {type(error).__name__}: {error!s:.200}"
            continue
        for name in missing:
            yield path, f"the file {name} that its log names is not there"


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
