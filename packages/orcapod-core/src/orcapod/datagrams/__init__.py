"""Rows: chunks of them, and one of them at a time."""

from orcapod.datagrams.chunk import Chunk, Origin, StreamSchema, regroup, with_packets
from orcapod.datagrams.column_names import (
    RECORD_TAG,
    SEPARATOR,
    SOURCE_INFO,
    SOURCE_TAG,
    ColumnConfig,
    Columns,
    as_identifier,
    colliding,
    column_called,
    free_name,
    source_info_name,
    telling_tags,
)
from orcapod.datagrams.completeness import COMPLETENESS, Completeness
from orcapod.datagrams.datagram import Datagram, Packet, Tag, row_of

__all__ = [
    "COMPLETENESS",
    "RECORD_TAG",
    "SEPARATOR",
    "SOURCE_INFO",
    "SOURCE_TAG",
    "Chunk",
    "ColumnConfig",
    "Columns",
    "Completeness",
    "Datagram",
    "Origin",
    "Packet",
    "StreamSchema",
    "Tag",
    "as_identifier",
    "colliding",
    "column_called",
    "free_name",
    "regroup",
    "row_of",
    "source_info_name",
    "telling_tags",
    "with_packets",
]
