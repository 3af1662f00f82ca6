"""``Rules`` of a walk, and what it makes: units that are described by themselves, and notes of what is listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orcapod.hashing.code.changes import Changes
from orcapod.hashing.code.ignored import GIVEN, Ignored
from orcapod.hashing.code.ownership import Ownership
from orcapod.hashing.code.parts import PartKind
from orcapod.hashing.code.syntax import About

__all__ = ["READERS", "UNSEEN", "Note", "Rules", "RunStage", "State", "Unit"]

RunStage = Literal["begins", "ended"]
"""Why code is looked at: because a run of it begins, or has ended."""

UNSEEN = {
    "builtins.__import__": "reaches code by text",
    "builtins.eval": "reaches code by text",
    "builtins.exec": "reaches code by text",
    "builtins.globals": "reaches names by text",
    "importlib.import_module": "reaches code by text",
    "os.environ": "reads the environment of the process",
    "os.getenv": "reads the environment of the process",
    "runpy": "runs code of a file",
    "sys.modules": "reaches modules by text",
}
"""What leads to things that no reading of the code can follow, by name, each with how."""

READERS: Mapping[str, frozenset[About]] = {
    "inspect.getcomments": frozenset({"source"}),
    "inspect.getdoc": frozenset({"docstrings"}),
    "inspect.get_annotations": frozenset({"annotations"}),
    "inspect.getfullargspec": frozenset({"annotations"}),
    "inspect.getsource": frozenset({"source"}),
    "inspect.getsourcelines": frozenset({"source"}),
    "inspect.signature": frozenset({"annotations"}),
    "inspect.Signature": frozenset({"annotations"}),
    "pydoc": frozenset({"annotations", "docstrings"}),
    "typing.get_type_hints": frozenset({"annotations"}),
    "typing_extensions.get_annotations": frozenset({"annotations"}),
    "typing_extensions.get_type_hints": frozenset({"annotations"}),
}
"""What reads things that code says besides what it does, by name, each with which."""


@dataclass(frozen=True, slots=True)
class Note:
    """Note of something that is no part of a key by what it holds, or not for itself alone."""

    name: str
    kind: PartKind
    module: str
    why: str
    digest: bytes = b""

    def __str__(self) -> str:
        return f"{self.name} ({self.module}, {self.why})" if self.why else f"{self.name} ({self.module})"


@dataclass(frozen=True, slots=True)
class Unit:
    """Function, class or named value that is described by itself.

    Attributes:
        module: where it is.
        label: what the code that refers to it calls it.
        own: what its module itself calls it, if that is something else.
    """

    module: str
    label: str
    kind: PartKind
    item: object
    key: tuple[int, str]
    own: str = field(default="", kw_only=True)

    @property
    def name(self) -> str:
        """What it is called, with its module."""
        return self.label if self.module == GIVEN else f"{self.module}.{self.own or self.label}"


@dataclass(frozen=True, slots=True)
class State(Unit):
    """Location that the code changes, and what is found there.

    Attributes:
        owner: the object that holds it.
        place: the name or item in its owner; empty for the owner's contents as a whole.
    """

    owner: object
    place: str


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules of one walk.

    Attributes:
        changes: what is state.
        ownership: what is own.
        packages: what counts of installed packages.
        ignored: what does not count.
        is_told: whether the author said with ``depends_on`` what matters of what cannot be seen into.
        roots: the functions themselves, whose bodies always count.
        about: what of code counts that it says besides what it does.
        stage: whether a run begins or has ended.
    """

    changes: Changes
    ownership: Ownership
    packages: Literal["name", "version"] = "name"
    ignored: Ignored = field(default_factory=Ignored)
    is_told: bool = False
    roots: frozenset[int] = frozenset()
    about: frozenset[About] = frozenset()
    stage: RunStage | None = None
