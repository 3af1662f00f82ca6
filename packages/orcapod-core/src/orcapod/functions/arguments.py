"""Arguments of calls: the values of columns that a function takes, and rows of which they cannot be made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orcapod.datagrams import Chunk
from orcapod.errors import ValueTypeError
from orcapod.files import KnownFile, Unreadable, WithFiles
from orcapod.types import LogicalType, files_by_row, holds_files, widened

__all__ = ["Arguments", "inexact_rows"]


@dataclass(frozen=True, slots=True)
class Arguments:
    """Values of one parameter.

    Attributes:
        node: what the function is called.
        name: the parameter.
        dtype: its type.
    """

    node: str
    name: str
    dtype: LogicalType

    def of(self, column: Any) -> list[Any]:
        """Return the values of a column; in place of those whose file is lost or has changed, why."""
        try:
            return self.dtype.to_python(column)
        except ValueTypeError as error:
            if not holds_files(self.dtype.arrow):
                raise
            if len(column) == 1:
                about = error.about(node=self.node, column=self.name)
                return [Unreadable(ValueTypeError(f"{self.node}: parameter {self.name!r}: {error}", **about))]
            return [value for row in range(len(column)) for value in self.of(column.slice(row, 1))]

    def with_files_of(self, column: Any) -> list[Any]:
        """Return the same, each with the files that it is made of, which its call looks at again."""
        if not holds_files(self.dtype.arrow):
            return self.of(column)
        files = list(map(_known, files_by_row(column)))  # before they are looked into
        return [
            WithFiles(value, known, self.node, self.name) if known and not isinstance(value, Unreadable) else value
            for value, known in zip(self.of(column), files, strict=True)
        ]


def inexact_rows(
    node: str, chunk: Chunk, columns: Sequence[tuple[str, LogicalType, LogicalType]]
) -> Iterator[tuple[int, ValueTypeError]]:
    """Give the rows with a value that has no exact conversion, and why.

    Args:
        node: what the function is called.
        chunk: the rows.
        columns: names, their types, and those that are wanted.
    """
    for row in range(chunk.num_rows):
        for name, found, wanted in columns:
            try:
                widened(chunk.column(name).slice(row, 1), found, wanted)
            except ValueTypeError as error:
                about = error.about(node=node, column=name, expected=wanted.name)
                yield row, ValueTypeError(f"{node}: parameter {name!r}: {error}", **about)
                break


def _known(files: Sequence[tuple[Path, str]]) -> list[KnownFile]:
    known = []
    for path, digest in files:
        with suppress(OSError):  # then there is no value, either
            known.append(KnownFile.of(path, digest))
    return known
