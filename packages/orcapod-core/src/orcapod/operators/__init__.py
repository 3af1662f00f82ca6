"""Operators: they rearrange rows and never make a value, but for ``Aggregate``."""

from orcapod.doors import door

_HOMES = {
    "Aggregate": "aggregate",
    "Batch": "batch",
    "Concat": "concat",
    "Cross": "join",
    "DropNulls": "filter",
    "DropPacketColumns": "projection",
    "DropTagColumns": "projection",
    "Explode": "explode",
    "Filter": "filter",
    "GroupBy": "group_by",
    "Head": "head",
    "Index": "elements",
    "InputEvent": "operator",
    "Join": "join",
    "MapPackets": "projection",
    "MapTags": "projection",
    "MergeJoin": "merge_join",
    "Operator": "operator",
    "OperatorStream": "operator",
    "Pick": "elements",
    "PushOperator": "operator",
    "RowwiseOperator": "operator",
    "Sample": "sample",
    "SelectPacketColumns": "projection",
    "SelectTagColumns": "projection",
    "SemiJoin": "semi_join",
    "Sort": "sort",
    "in_turn": "operator",
    "ordered": "operator",
    "run_operator": "operator",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
