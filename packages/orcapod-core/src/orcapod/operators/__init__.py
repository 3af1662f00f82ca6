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
from orcapod.operators.operator import (
    InputEvent,
    Machine,
    Operator,
    OperatorStream,
    RowwiseOperator,
    drive,
    in_turn,
)
from orcapod.operators.rows import DropNulls, Filter

__all__ = [
    "DropNulls",
    "DropPacketColumns",
    "DropTagColumns",
    "Filter",
    "InputEvent",
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
    "in_turn",
]
