"""What rearranges rows and never makes a value."""

from orcapod.operators.columns import (
    DropPacketColumns,
    DropTagColumns,
    MapPackets,
    MapTags,
    SelectPacketColumns,
    SelectTagColumns,
)
from orcapod.operators.join import Join
from orcapod.operators.operator import Machine, Operator, OperatorStream, RowwiseOperator, drive
from orcapod.operators.rows import DropNulls, Filter

__all__ = [
    "DropNulls",
    "DropPacketColumns",
    "DropTagColumns",
    "Filter",
    "Join",
    "Machine",
    "MapPackets",
    "MapTags",
    "Operator",
    "OperatorStream",
    "RowwiseOperator",
    "SelectPacketColumns",
    "SelectTagColumns",
    "drive",
]
