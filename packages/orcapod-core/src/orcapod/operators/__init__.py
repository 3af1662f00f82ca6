"""What rearranges rows and never makes a value."""

from orcapod.operators.batch import Batch
from orcapod.operators.columns import (
    DropPacketColumns,
    DropTagColumns,
    MapPackets,
    MapTags,
    SelectPacketColumns,
    SelectTagColumns,
)
from orcapod.operators.concat import Concat
from orcapod.operators.explode import Explode
from orcapod.operators.group_by import GroupBy
from orcapod.operators.join import Join
from orcapod.operators.merge_join import MergeJoin
from orcapod.operators.operator import (
    InputEvent,
    Machine,
    Operator,
    OperatorStream,
    RowwiseOperator,
    drive,
    in_turn,
    ordered,
)
from orcapod.operators.rows import DropNulls, Filter
from orcapod.operators.semi_join import SemiJoin

__all__ = [
    "Batch",
    "Concat",
    "DropNulls",
    "DropPacketColumns",
    "DropTagColumns",
    "Explode",
    "Filter",
    "GroupBy",
    "InputEvent",
    "Join",
    "Machine",
    "MapPackets",
    "MapTags",
    "MergeJoin",
    "Operator",
    "OperatorStream",
    "RowwiseOperator",
    "SelectPacketColumns",
    "SelectTagColumns",
    "SemiJoin",
    "drive",
    "in_turn",
    "ordered",
]
