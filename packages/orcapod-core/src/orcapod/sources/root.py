"""``Source``: a stream from outside, the root of all provenance."""

from __future__ import annotations

from collections.abc import Mapping

from orcapod.checks import Checks
from orcapod.datagrams import RECORD_TAG, SEPARATOR, SOURCE_TAG, StreamSchema
from orcapod.errors import InputValidationError
from orcapod.hashing import ContentHash, recipes
from orcapod.streams import Stream
from orcapod.types import STR, Schema

__all__ = ["Source", "checked_source_id", "root_schema"]


class Source(Stream):
    """A stream from outside a pipeline.

    Attributes:
        source_id: what it is called in provenance.
    """

    source_id: str

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
