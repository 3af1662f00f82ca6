"""Where the values of a row come from, told by looking at the sources themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orcapod.datagrams import RECORD_TAG, SEPARATOR, SOURCE_TAG
from orcapod.hashing.canonical import canonical_bytes
from orcapod.streams import Stream

__all__ = ["is_known", "known_values", "named_ids", "named_values", "unlike_its_origin"]


def known_values(streams: Iterable[Stream]) -> set[bytes]:
    """Return all values of some streams, and all members of their lists, as bytes."""
    return {
        _bytes(member)
        for stream in streams
        for row in stream.iter_packets()
        for datagram in row
        for value in datagram.values()
        for member in _members(value)
    }


def is_known(value: Any, known: set[bytes]) -> bool:
    """Say whether a value is among the known ones, or a list of such."""
    return _bytes(value) in known or (isinstance(value, list) and all(is_known(member, known) for member in value))


def named_values(streams: Iterable[Stream]) -> dict[str, Any]:
    """Return every value of some sources by its source info."""
    return {
        info: packet[name]
        for stream in streams
        for _, packet in stream.iter_packets()
        for name, info in packet.source_info().items()
    }


def named_ids(system_tags: Mapping[str, Any]) -> Iterator[str]:
    """Return the records that the ids of a row name: ``{source}::{record}``."""
    for name, source in system_tags.items():
        if name.startswith(SOURCE_TAG):
            yield from _paired(source, system_tags[RECORD_TAG + name.removeprefix(SOURCE_TAG)])


def unlike_its_origin(value: Any, info: Any, values: Mapping[str, Any], ids: set[str]) -> str | None:
    """Return what is wrong with a value that is said to come from there; None if nothing is.

    Args:
        value: the value.
        info: its source info: one text, or a list of one for each of its members.
        values: every value by its source info.
        ids: the records that its row names.
    """
    if isinstance(info, list):
        if not isinstance(value, list) or len(value) != len(info):
            return f"{value!r} has the provenance of {len(info)} members: {info}"
        wrongs = (unlike_its_origin(*pair, values, ids) for pair in zip(value, info, strict=True))
        return next((wrong for wrong in wrongs if wrong), None)
    if info is None:  # a column of the other side of a join, where that has no row
        return None if value is None else f"{value!r} has no provenance"
    if info not in values:
        return f"{info!r} names nothing"
    if _bytes(value) not in {_bytes(member) for member in _members(values[info])}:
        return f"{value!r} is said to be {info!r}, which is {values[info]!r}"
    record = info.rpartition(SEPARATOR)[0]
    return None if record in ids else f"{info!r} is not among the ids of its row: {sorted(ids)}"


def _members(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, list | tuple):
        for member in value:
            yield from _members(member)


def _bytes(value: Any) -> bytes:
    return canonical_bytes(value + 0.0 if isinstance(value, float) else value)  # -0.0 and 0.0 are equal keys


def _paired(sources: Any, records: Any) -> Iterator[str]:
    if isinstance(sources, list) and isinstance(records, list):
        pairs: Sequence[tuple[Any, Any]] = list(zip(sources, records, strict=True))
        for source, record in pairs:
            yield from _paired(source, record)
    elif sources is not None:
        yield f"{sources}{SEPARATOR}{records}"
