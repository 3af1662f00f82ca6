"""``git_state``: commit and changes of a checkout, asked of git without running anything that the repository names.

A repository may have come in an archive, and its configuration names programs: monitors, hooks, filters, remotes.
Which they are differs from one git to the next. So only where things are is asked of the repository itself; the
comparison is made from an empty git folder of our own, which has its objects, its index and its files, but none of its
configuration. Nothing in the repository is written to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["git_state"]

_SECONDS = 10
_KEPT = ("GIT_EXEC_PATH", "GIT_CEILING_DIRECTORIES")
_COMPARING = "autocrlf|checkstat|eol|filemode|ignorecase|precomposeunicode|symlinks|trustctime"
_SUBMODULE = "160000"


def git_state(folder: str) -> tuple[str | None, bool | None]:
    """Return the commit checked out in a folder, and whether tracked files differ from it.

    Both are None where there is no git, or nothing is checked out; the second also where git cannot tell. A file that
    goes through a filter of the repository differs as soon as its size or time does, since no filter is run.
    """
    return _state(Path(folder), set())


def _state(folder: Path, compared: set[Path]) -> tuple[str | None, bool | None]:
    """Return the state of a checkout, unless its index is among those compared: a submodule may name what it is in."""
    try:
        places = _git(folder, "rev-parse", "--show-toplevel", "--git-path", "index", "--git-path", "objects", "HEAD")
        top, index, objects, commit = places.removesuffix("\n").rsplit("\n", 3)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None, None
    place = (folder / index).resolve()
    if place in compared:
        return commit, False
    compared.add(place)
    try:
        return commit, _is_changed(Path(top), place, (folder / objects).resolve(), commit, compared)
    except (OSError, subprocess.SubprocessError):
        return commit, None


def _is_changed(top: Path, index: Path, objects: Path, commit: str, compared: set[Path]) -> bool:
    settings = [argument for setting in _settings(top) for argument in ("-c", setting)]
    with TemporaryDirectory(prefix="orcapod-git-") as own:
        _make_git_folder(Path(own), index, commit)
        environment = {
            "GIT_DIR": own,
            "GIT_WORK_TREE": str(top),
            "GIT_INDEX_FILE": str(index),
            "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": own,
            "XDG_CONFIG_HOME": own,
        }
        status = ["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty"]
        if _git(top, "--no-optional-locks", *settings, *status, environment=environment):
            return True
        if not (top / ".gitmodules").exists():
            return False
        entries = _git(top, "ls-files", "--stage", "-z", environment=environment).split("\0")
    submodules = [top / entry.partition("\t")[2] for entry in entries if entry.startswith(_SUBMODULE)]
    return any(_state(folder, compared)[1] for folder in submodules if (folder / ".git").exists())


def _settings(top: Path) -> list[str]:
    """Return what is configured of how files are compared: nothing that runs a program."""
    names = ["config", "-z", "--get-regexp", rf"^core\.({_COMPARING})$"]
    try:
        found = _git(top, *names)
    except subprocess.CalledProcessError:
        return []  # nothing is
    return [entry.replace("\n", "=", 1) for entry in found.split("\0") if entry]


def _make_git_folder(own: Path, index: Path, commit: str) -> None:
    """Make a git folder in which this commit is checked out."""
    (own / "objects").mkdir()
    (own / "refs").mkdir()
    (own / "HEAD").write_text(f"{commit}\n")
    is_sha1 = len(commit) == 40
    extensions = "" if is_sha1 else "[extensions]\n\tobjectFormat = sha256\n"
    (own / "config").write_text(f"[core]\n\trepositoryFormatVersion = {0 if is_sha1 else 1}\n{extensions}")
    for shared in index.parent.glob("sharedindex.*"):  # of a split index, which is looked for here
        shutil.copy(shared, own)


def _git(folder: str | Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Return what git says.

    Raises:
        OSError: there is no git.
        subprocess.SubprocessError: it failed, or took too long.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT}
    command: Sequence[str] = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        timeout=_SECONDS,
        stdin=subprocess.DEVNULL,
        env={**kept, **(environment or {})},
    )
    return os.fsdecode(done.stdout)
