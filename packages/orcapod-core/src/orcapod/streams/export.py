"""``export_rows``: one file for every row of a stream, named after its tags."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping
from glob import escape, glob
from pathlib import Path
from string import Formatter
from typing import Any

from orcapod.checks import Checks
from orcapod.datagrams import Chunk, StreamSchema, Tag
from orcapod.display import shown
from orcapod.errors import InputValidationError, SchemaError

__all__ = ["export_rows"]

_UNSAFE = re.compile(r"[%/\\\0-\x1f]|^\.+$")


def export_rows(
    schema: StreamSchema,
    chunks: Callable[[], Iterable[Chunk]],
    pattern: str | os.PathLike[str],
    *,
    column: str | None,
    prune: bool,
) -> list[Path]:
    """Write one file per row; see ``Stream.export``."""
    check = Checks("export", SchemaError)
    path = check.file("pattern", pattern)
    check.flag("prune", prune)
    try:
        fields = [name for _, name, _, _ in Formatter().parse(path) if name is not None]
    except ValueError as error:
        raise SchemaError(f"export: {path!r} is no pattern: {error}; double the braces that name no tag") from None
    if unknown := [name for name in fields if name not in schema.tags]:
        raise SchemaError(f"export: {path!r} names {unknown[0]!r}, expected tags, some of {list(schema.tags)}")
    column = _column(schema, check.text_or_none("column", column))
    wanted = _paths(chunks(), path)
    dtype = schema.packets.types[column]
    at = iter(wanted)
    written, without = [], []
    for chunk in chunks():
        for value in (dtype.to_python(chunk.column(column).slice(row, 1))[0] for row in range(chunk.num_rows)):
            file = next(at)
            if value is not None:
                _write(lambda part, value=value: dtype.export(value, part), file)  # type: ignore[misc]  # bound at once
                written.append(file)
            else:
                without.append(file)
    if without:
        warnings.warn(
            f"export: {len(without)} of {len(wanted)} rows have no value in column {column!r}, and so no file, "
            f"{str(without[0])!r} the first; drop_nulls([{column!r}]) leaves them out",
            stacklevel=3,
        )
    if prune:
        kept = {os.path.realpath(file) for file in written}
        for file in _matching(path):
            if os.path.realpath(file) not in kept:
                file.unlink()
    return written


def _column(schema: StreamSchema, column: str | None) -> str:
    names = list(schema.packets)
    if column is None and len(names) == 1:
        return names[0]
    if column not in names:
        found = "no column=" if column is None else f"column={column!r}"
        raise SchemaError(f"export: found {found}, expected one of the data columns {names}: name one", column=column)
    return column


def _paths(chunks: Iterable[Chunk], pattern: str) -> list[Path]:
    """Return where every row goes; each goes to a place of its own."""
    rows: dict[Path, int] = {}
    for tag in (Tag(chunk, row) for chunk in chunks for row in range(chunk.num_rows)):
        try:
            path = Path(_Safe().vformat(pattern, (), tag))
        except (ValueError, TypeError) as error:
            raise SchemaError(f"export: {pattern!r} does not suit {tag}: {error}; take another format") from None
        if path in rows:
            raise InputValidationError(
                f"export: {pattern!r} gives {str(path)!r} for rows {rows[path]} and {len(rows)}, expected a place for "
                f"each; name more of the tags {list(tag)}"
            )
        rows[path] = len(rows)
    return list(rows)


class _Safe(Formatter):
    """Formatter whose values name no folder: what would is written as in a URL."""

    def get_value(self, key: int | str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        return kwargs[str(key)]

    def format_field(self, value: Any, format_spec: str) -> Any:
        text = str(format(value, format_spec))
        return _UNSAFE.sub(lambda found: "".join(f"%{ord(character):02X}" for character in found.group()), text)


def _write(write: Callable[[Path], None], file: Path) -> None:
    """Write a file whole or not at all."""
    try:
        part = file.with_name(f".{os.getpid()}-{file.name}")
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(part)
            if part.is_dir() and file.is_dir():
                _make_way(file, part)
            part.replace(file)
        finally:
            if part.is_dir():
                shutil.rmtree(part)
            part.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        why = f"export: {shown(str(file))} cannot be written: {error}; choose another place"
        raise InputValidationError(why) from error


def _make_way(folder: Path, other: Path) -> None:
    """Remove a folder that another takes the place of, as long as it holds nothing else.

    Raises:
        OSError: it does.
    """
    there, made = ({path.relative_to(each) for path in each.rglob("*")} for each in (folder, other))
    if more := there - made:
        raise OSError(f"{folder / min(more)} is there and not in the value; remove it")
    shutil.rmtree(folder)


def _matching(pattern: str) -> Iterable[Path]:
    """Return the files that a pattern may have named."""
    pieces = [(text, "" if name is None else "*") for text, name, _, _ in Formatter().parse(pattern)]
    found = glob("".join(escape(text) + anything for text, anything in pieces))  # noqa: PTH207  # it may be absolute
    return [file for file in map(Path, found) if file.is_file()]
