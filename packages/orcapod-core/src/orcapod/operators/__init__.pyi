from orcapod.operators.aggregate import Aggregate
from orcapod.operators.batch import Batch
from orcapod.operators.concat import Concat
from orcapod.operators.elements import Index, Pick
from orcapod.operators.explode import Explode
from orcapod.operators.filter import DropNulls, Filter
from orcapod.operators.group_by import GroupBy
from orcapod.operators.head import Head
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
from orcapod.operators.sample import Sample
from orcapod.operators.semi_join import SemiJoin
from orcapod.operators.sort import Sort

__all__ = [
    "Aggregate",
    "Batch",
    "Concat",
    "Cross",
    "DropNulls",
    "DropPacketColumns",
    "DropTagColumns",
    "Explode",
    "Filter",
    "GroupBy",
    "Head",
    "Index",
    "InputEvent",
    "Join",
    "MapPackets",
    "MapTags",
    "MergeJoin",
    "Operator",
    "OperatorStream",
    "Pick",
    "PushOperator",
    "RowwiseOperator",
    "Sample",
    "SelectPacketColumns",
    "SelectTagColumns",
    "SemiJoin",
    "Sort",
    "in_turn",
    "ordered",
    "run_operator",
]
