"""``Source``: a stream from outside, the root of all provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args

from orcapod.checks import Checks
from orcapod.datagrams import RECORD_TAG, SEPARATOR, SOURCE_TAG, Chunk, Packet, StreamSchema, Tag
from orcapod.errors import InputValidationError
from orcapod.hashing import ContentHash, recipes
from orcapod.streams import Stream
from orcapod.types import STR, Schema

__all__ = ["BadRows", "OnBadRow", "Source", "checked_bad_rows", "checked_source_id", "root_schema"]


BadRows = Literal["raise", "fail"]
"""What rows do that are not of the declared types: ``raise`` an error, or ``fail`` each alone."""

OnBadRow = Callable[[Tag, Packet, InputValidationError], object]
"""Called with what can be read of a bad row, and why it is bad."""


class Source(Stream):
    """A stream from outside a pipeline.

    Attributes:
        source_id: what it is called in provenance.
        bad_rows: what rows do that are not of the declared types.
    """

    source_id: str
    bad_rows: BadRows = "raise"

    def read(self, on_bad_row: OnBadRow) -> Iterator[Chunk]:  # most have none
        """Yield all rows, those that are bad without a packet, and tell of each of these."""
        return self.all_chunks()

    def pipeline_hash(self) -> ContentHash:
        return recipes.source_pipeline(self.schema.tags)

    def sources(self) -> Mapping[str, Stream]:
        return {self.source_id: self}


def root_schema(tags: Schema, packets: Schema) -> StreamSchema:
    """Return the schema of a stream from outside: one source id and one record id for every row."""
    digits = recipes.system_tags(tags)
    ids = Schema({f"{SOURCE_TAG}{SEPARATOR}{digits}": STR, f"{RECORD_TAG}{SEPARATOR}{digits}": STR})
    return StreamSchema.from_record(tags, packets, ids)


def checked_source_id(source_id: str, named: str) -> str:
    """Return the source id.

    Raises:
        InputValidationError: it could not be told apart in provenance.
    """
    Checks(named, InputValidationError).text("source_id", source_id)
    if not source_id or SEPARATOR in source_id:
        raise InputValidationError(
            f"{named}: source_id {source_id!r} is empty or contains {SEPARATOR!r}; choose another name",
            source_id=source_id,
        )
    return source_id


def checked_bad_rows(bad_rows: Any, named: str) -> BadRows:
    """Return what bad rows do.

    Raises:
        InputValidationError: it is neither ``raise`` nor ``fail``.
    """
    checked: BadRows = Checks(named, InputValidationError).choice("bad_rows", bad_rows, get_args(BadRows))
    return checked
