"""Tags that a command is given, ``k=v``, as values of the types that they have in a pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.cli.suggestion import unknown
from orcapod.errors import ValueTypeError
from orcapod.operators.nested import item_of
from orcapod.types import LogicalType, OptionalType, Schema

__all__ = ["pairs_of", "tag_values", "unquoted"]


def pairs_of(given: Iterable[str], option: str) -> list[tuple[str, str]]:
    """Return names and values of texts ``name=value``.

    Raises:
        UsageError: one has no name.
    """
    pairs = [(name, value, sign) for name, sign, value in (text.partition("=") for text in given)]
    for name, value, sign in pairs:
        if not (name and sign):
            raise click.UsageError(f"{option}: found {name + sign + value!r}, expected name=value: subject=s1")
    return [(name, value) for name, value, _ in pairs]


def tag_values(given: Iterable[str], schemas: Sequence[Schema], option: str) -> Mapping[str, tuple[Any, ...]]:
    """Return the values that are given of each tag; of a tag that is a list, lists as JSON or members of it.

    Args:
        given: texts, ``subject=s1``.
        schemas: the tags that there are.
        option: what it is called in messages.

    Raises:
        UsageError: there is no such tag, or it never has such a value.
    """
    types: dict[str, LogicalType] = {}
    for schema in schemas:
        for name, dtype in schema.types.items():
            types.setdefault(name, dtype)
    found: dict[str, tuple[Any, ...]] = {}
    for name, text in pairs_of(given, option):
        if name not in types:
            raise unknown("tag", name, types)
        value = unquoted(text)
        read = None if value is None else _read(name, value, types[name], option)
        found[name] = (*found.get(name, ()), read)  # no list, which would be one value where the tag is one
    return found


def unquoted(text: str) -> str | None:
    """Return the value of a tag as text: none for ``null``, and ``null`` where that stands in quotes."""
    return None if text == "null" else "null" if text == '"null"' else text


def _read(name: str, text: str, dtype: LogicalType, option: str) -> Any:
    """Return what a text says: as Arrow reads it, or as the class does that stands for the type; of lists JSON."""
    if isinstance(dtype, OptionalType):
        return _read(name, text, dtype.inner, option)
    if (item := item_of(dtype)) is not None:
        members = _members(text)
        if members is None:
            return _read(name, text, item, option)
        return [None if each is None else _read(name, each, item, option) for each in members]
    try:
        return dtype.to_python(array_of([text], pa.large_string()).cast(dtype.arrow))[0]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueTypeError):
        try:
            return dtype.annotation(text)
        except Exception as error:
            raise click.UsageError(f"{option}: {name}={text!r} never holds: the tag is {dtype.name}") from error


def _members(text: str) -> list[str | None] | None:
    """Return the members of a list that is written as JSON, as texts; None if it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, list):
        return None
    return [each if each is None or isinstance(each, str) else json.dumps(each) for each in found]
