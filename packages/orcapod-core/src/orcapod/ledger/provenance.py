"""Trees of provenance: a computed row, the rows that it was made of, and so on to the rows of sources.

Nothing of a tree is read from the store before it is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.display import duration, printable, tags_text
from orcapod.records import NodeRecord

__all__ = ["ComputedRow", "Origin", "ResultRecord", "RowGroup", "RowRecords", "SourceRow"]

_SHOWN = 3  # members of a group


@dataclass(frozen=True)
class Origin(ABC):
    """What a row was made of: one element of a tree.

    Attributes:
        columns: those of its values that went on; none where it was only met by its tags.
        operators: what is between it and the function above it in the tree, nearest to it first.
    """

    columns: tuple[str, ...] = field(default=(), kw_only=True)
    operators: tuple[NodeRecord, ...] = field(default=(), kw_only=True)

    @property
    def inputs(self) -> Sequence[Origin]:
        """What it was made of."""
        return ()

    @abstractmethod
    def sources(self) -> list[SourceRow]:
        """Return the rows of sources that it was made of, also those that it was only joined with, each once."""

    @abstractmethod
    def line(self) -> str:
        """Return it as a line of text."""

    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """Return what is known of it, as JSON values."""

    @abstractmethod
    def branches(self, members: int | None) -> tuple[Sequence[Origin], int]:
        """Return what is below it in a tree, of groups so many members; and how many are left out."""

    def to_dict(self, members: int | None = _SHOWN) -> dict[str, Any]:
        """Return the tree as JSON values: ``inputs`` or ``members`` of each element below it.

        Args:
            members: how many members of a group are shown, all if None. What is there twice, is so the first time.
        """
        return _as_dict(self, members, set())

    def __str__(self) -> str:
        return printable("\n".join(_lines(self, set())))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    @property
    def key(self) -> object:
        """What it is known by where it is met again; None if it is told whenever it is met."""
        return None

    def _by(self) -> str:
        """Return by which operators it went on, as text."""
        return f" by {' and '.join(each.name for each in self.operators)}" if self.operators else ""


@dataclass(frozen=True)
class SourceRow(Origin):
    """Row of a source: where all provenance ends.

    Attributes:
        source_id: what the source is called.
        record_id: what the row is called.
    """

    source_id: str
    record_id: str

    def sources(self) -> list[SourceRow]:
        return [replace(self, columns=(), operators=())]

    def branches(self, members: int | None) -> tuple[Sequence[Origin], int]:
        return (), 0

    def line(self) -> str:
        return f"{', '.join(self.columns) or 'no value'} of {self.source_id}::{self.record_id}{self._by()}"

    def fields(self) -> dict[str, Any]:
        return {"kind": "source", "source_id": self.source_id, "record_id": self.record_id}


class ResultRecord(NamedTuple):
    """What a store knows of a result beside its values; nothing, where it is not there.

    Attributes:
        code: the fingerprint of the code that computed it.
        run_id: the run that did.
        timestamp: when it was stored.
        seconds: how long it took.
    """

    code: str = ""
    run_id: str = ""
    timestamp: Any = None
    seconds: float | None = None


class RowRecords(NamedTuple):
    """Readers of what is recorded of a computed row.

    Attributes:
        result: its result, without its values.
        inputs: what it was made of.
        sources: the rows of sources that it was made of.
        environment: what the run that computed it ran on.
        log: what its function wrote.
    """

    result: Callable[[], ResultRecord]
    inputs: Callable[[], Sequence[Origin]]
    sources: Callable[[], list[SourceRow]]
    environment: Callable[[str], Mapping[str, Any]]
    log: Callable[[str], pa.Table]


@dataclass(frozen=True)
class ComputedRow(Origin):
    """Row that a function has computed.

    Attributes:
        pipeline: the pipeline whose row it is; empty if that is not known: it is not among the rows of the run.
        node: the label of its node there.
        function: the name of the function.
        record_id: the id of its result, as text.
        tags: its tags.
        entry: the key of its entry among those of the node, which tells it from rows of equal tags and packets.
    """

    pipeline: str
    node: str
    function: str
    record_id: str
    tags: Mapping[str, Any]
    records: RowRecords = field(repr=False, compare=False)
    entry: bytes = b""

    @cached_property
    def result(self) -> ResultRecord:
        """What is known of its result beside its values: code, run, time and seconds."""
        return self.records.result()

    @property
    def code(self) -> str:
        """The fingerprint of the code that computed it, of which ``store.code`` tells more."""
        return self.result.code

    @property
    def run_id(self) -> str:
        """The run that computed it: this one, an earlier one, or one of another pipeline."""
        return self.result.run_id

    @property
    def seconds(self) -> float | None:
        """How long computing it took."""
        return self.result.seconds

    @cached_property
    def environment(self) -> Mapping[str, Any]:
        """What the run that computed it ran on, as ``store.environment`` tells it."""
        return self.records.environment(self.run_id)

    @property
    def log(self) -> pa.Table:
        """What the function wrote when it computed it for a row of these tags, if logs were kept."""
        return self.records.log(self.run_id)

    @cached_property
    def inputs(self) -> Sequence[Origin]:
        """What it was made of: computed rows, rows of sources, and groups of such."""
        return self.records.inputs()

    def sources(self) -> list[SourceRow]:
        return self.records.sources()

    def branches(self, members: int | None) -> tuple[Sequence[Origin], int]:
        return self.inputs, 0

    @property
    def key(self) -> object:
        return self.pipeline, self.node, self.record_id, self.entry

    def line(self) -> str:
        tags = tags_text(self.tags)
        at = f"{self.pipeline}/{self.node}" if self.node else "rows that are not of this run"
        told = [f"{', '.join(self.columns)} of {at}{f' {tags}' if tags else ''}{self._by()}", f"{self.function}()"]
        if self.code:
            told.append(f"code {self.code.rpartition(':')[2][:8]}, run {self.run_id}")
        if self.seconds is not None:
            told.append(duration(self.seconds))
        return " | ".join(told)

    def fields(self) -> dict[str, Any]:
        when = self.result.timestamp
        return {
            "kind": "function",
            "pipeline": self.pipeline,
            "node": self.node,
            "function": self.function,
            "tags": {name: shown_as_json(value) for name, value in self.tags.items()},
            "record_id": self.record_id,
            "code": self.code,
            "run_id": self.run_id,
            "timestamp": None if when is None else when.isoformat(),
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class RowGroup(Origin):
    """Rows that an operator has put into one.

    Attributes:
        count: how many they are.
        read: gives those from one position to another.
    """

    count: int
    read: Callable[[int, int], Sequence[Origin]] = field(repr=False, compare=False)

    def __len__(self) -> int:
        return self.count

    def members(self, start: int = 0, stop: int | None = None) -> Sequence[Origin]:
        """Return its members in their order, or those from one position to another; they are read now."""
        return self.read(start, self.count if stop is None else min(stop, self.count))

    def sources(self) -> list[SourceRow]:
        return list(dict.fromkeys(row for member in self.members() for row in member.sources()))

    def branches(self, members: int | None) -> tuple[Sequence[Origin], int]:
        shown_members = self.members(0, members)
        return shown_members, self.count - (self.count if members is None else min(members, self.count))

    def line(self) -> str:
        return f"{', '.join(self.columns)} of {self.count:,} rows{self._by()}"

    def fields(self) -> dict[str, Any]:
        return {"kind": "group", "count": self.count}


def shown_as_json(value: Any) -> Any:
    """Return a value as JSON has it, or as text where it has none."""
    match value:
        case None | bool() | int() | str():
            return value
        case list():
            return [shown_as_json(each) for each in value]
        case _:
            return str(value)


def _as_dict(origin: Origin, members: int | None, seen: set[object]) -> dict[str, Any]:
    told = origin.fields() | {"columns": list(origin.columns), "operators": [each.label for each in origin.operators]}
    if origin.key is not None and origin.key in seen:
        return told
    seen.add(origin.key)
    below, left = origin.branches(members)
    if below:
        name = "members" if isinstance(origin, RowGroup) else "inputs"
        told[name] = [_as_dict(each, members, seen) for each in below]
    return told | ({"left_out": left} if left else {})


def _lines(origin: Origin, seen: set[object]) -> Iterator[str]:
    if origin.key is not None and origin.key in seen:
        yield f"{origin.line()} (as above)"
        return
    seen.add(origin.key)
    yield origin.line()
    below, left = origin.branches(_SHOWN)
    for at, each in enumerate(below):
        is_last = at == len(below) - 1 and not left
        lines = _lines(each, seen)
        for line in islice(lines, 1):
            yield f"{'└─' if is_last else '├─'} {line}"
        yield from (f"{'  ' if is_last else '│ '} {line}" for line in lines)
    if left:
        yield f"└─ and {left:,} more"
