"""Rows one by one, and as chunks: what a node that is driven by hand is given, and gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from orcapod.checks import Checks
from orcapod.datagrams import Chunk, Packet, StreamSchema, Tag, row_of
from orcapod.errors import SchemaError
from orcapod.streams import Stream

__all__ = ["Row", "fitting", "rows_of"]

Row = tuple[Tag, Packet]


def rows_of(chunk: Chunk) -> Iterator[Row]:
    """Give the rows of a chunk that have a packet, one by one."""
    chunk = chunk.with_packets()
    for row in range(chunk.num_rows):
        yield Tag(chunk, row), Packet(chunk, row)


def fitting(rows: Stream | Iterable[Row], schema: StreamSchema, *, node: str) -> Iterator[Chunk]:
    """Give rows as chunks.

    Args:
        rows: a stream, or rows one by one.
        schema: what they have to be of.
        node: the label of the node that takes them.

    Raises:
        SchemaError: they are of another schema.
    """
    Checks(f"node {node!r}", SchemaError).iterable("input", rows, "a stream, or its rows", "give another node")
    if isinstance(rows, Stream):
        _check(rows.schema, schema, node)
        yield from rows.all_chunks()
        return
    for chunk in _chunks(_checked(row, node) for row in rows):
        _check(chunk.schema, schema, node)
        yield chunk


def _checked(row: object, node: str) -> Row:
    match row:
        case (Tag() as tag, Packet() as packet):
            return tag, packet
    raise Checks(f"node {node!r}", SchemaError).wrong(
        "row", row, "a pair of a Tag and a Packet", "give rows of a stream"
    )


def _chunks(rows: Iterable[Row]) -> Iterator[Chunk]:
    for _, group in groupby(rows, key=lambda row: id(row[0].chunk)):
        members = list(group)
        if all(tag.chunk is packet.chunk and tag.row == packet.row for tag, packet in members):
            yield members[0][0].chunk.take([tag.row for tag, _ in members])
        else:
            yield from (row_of(tag, packet) for tag, packet in members)


def _check(found: StreamSchema, expected: StreamSchema, node: str) -> None:
    if found != expected:
        is_, should = _shown(found), _shown(expected)
        raise SchemaError(
            f"node {node!r} was given rows of {is_}; expected {should}: rows of the stream that it is made of, "
            "or of one like it",
            node=node,
            expected=should,
            found=is_,
        )


def _shown(schema: StreamSchema) -> str:
    tags, packets = schema.shown({"system_tags": True})
    return f"tags {tags!r} and packets {packets!r}"
