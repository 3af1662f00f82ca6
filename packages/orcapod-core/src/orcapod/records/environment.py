"""``Environment``: Python, packages, machine, and the state of the code under version control."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path

from orcapod.hashing import ContentHash, recipes
from orcapod.records.git_state import git_state

__all__ = ["Environment"]


@dataclass(frozen=True, slots=True)
class Environment:
    """Environment of a run.

    Attributes:
        python: version and implementation, as in ``CPython 3.12.1``.
        platform: operating system and processor.
        packages: the distributions that can be imported, ``(name, version)``, sorted.
        git_commit: the commit that is checked out where the program lies; None outside a repository.
        git_dirty: whether tracked files differ from it; None outside a repository, or where git cannot tell.
    """

    python: str
    platform: str
    packages: tuple[tuple[str, str], ...]
    git_commit: str | None
    git_dirty: bool | None

    @classmethod
    def here(cls) -> Environment:
        """Return the environment of this process."""
        main = getattr(sys.modules.get("__main__"), "__file__", None)
        folder = str(Path(main).absolute().parent) if main else "."
        commit, changed = git_state(folder)
        return cls(
            python=f"{platform.python_implementation()} {platform.python_version()}",
            platform=f"{platform.system()} {platform.release()} {platform.machine()}",
            packages=_packages(),
            git_commit=commit,
            git_dirty=changed,
        )

    def content_hash(self) -> ContentHash:
        """Return the hash of all of it."""
        return _content_hash(self)


@lru_cache(maxsize=8)
def _content_hash(environment: Environment) -> ContentHash:
    """Return the hash, cached: there are hundreds of packages, which stay from run to run."""
    return recipes.environment(astuple(environment))


def _packages() -> tuple[tuple[str, str], ...]:
    """Read names and versions from the folders that installers leave, opening none of them."""
    versions: dict[str, str] = {}
    for folder in sys.path:
        try:
            entries = os.listdir(folder or ".")  # noqa: PTH208  # of some thousand entries, only the names are wanted
        except OSError:
            continue  # not every entry of sys.path is a folder
        for entry in entries:
            stem, dot, ending = entry.rpartition(".")
            if dot and ending in ("dist-info", "egg-info"):
                name, _, version = stem.partition("-")
                versions.setdefault(name.replace("_", "-").lower(), version)
    return tuple(sorted(versions.items()))
