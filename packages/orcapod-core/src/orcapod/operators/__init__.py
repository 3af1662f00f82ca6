"""Operators: they rearrange rows and never make a value."""

from orcapod.operators.batch import Batch
from orcapod.operators.concat import Concat
from orcapod.operators.explode import Explode
from orcapod.operators.filter import DropNulls, Filter
from orcapod.operators.group_by import GroupBy
from orcapod.operators.join import Cross, Join
from orcapod.operators.merge_join import MergeJoin
from orcapod.operators.operator import (
    InputEvent,
    Operator,
    OperatorStream,
    PushOperator,
    RowwiseOperator,
    in_turn,
    ordered,
    run_operator,
)
from orcapod.operators.projection import (
    DropPacketColumns,
    DropTagColumns,
    MapPackets,
    MapTags,
    SelectPacketColumns,
    SelectTagColumns,
)
from orcapod.operators.semi_join import SemiJoin

__all__ = [
    "Batch",
    "Concat",
    "Cross",
    "DropNulls",
    "DropPacketColumns",
    "DropTagColumns",
    "Explode",
    "Filter",
    "GroupBy",
    "InputEvent",
    "Join",
    "MapPackets",
    "MapTags",
    "MergeJoin",
    "Operator",
    "OperatorStream",
    "PushOperator",
    "RowwiseOperator",
    "SelectPacketColumns",
    "SelectTagColumns",
    "SemiJoin",
    "in_turn",
    "ordered",
    "run_operator",
]
