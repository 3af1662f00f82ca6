"""``Join`` and ``Cross``: the rows of several streams that agree in the tags they share, or all combinations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Literal, assert_never, get_args

from orcapod.checks import Checks
from orcapod.datagrams import StreamSchema
from orcapod.display import warn_user
from orcapod.errors import SchemaError
from orcapod.operators.input_order import InputOrder
from orcapod.operators.keys import common_tags, joined_tags
from orcapod.operators.operator import Operator, OperatorStream, PushOperator
from orcapod.operators.push_join import CheckedKeys, PushJoin, PushLeftJoin
from orcapod.operators.semi_join import PushSemiJoin, shared_tags
from orcapod.streams import Stream
from orcapod.types import LogicalType, OptionalType, Schema

__all__ = ["Cross", "Join"]

JoinType = Literal["inner", "left", "anti"]
"""Which rows a join gives: those that agree; those of the first stream that do not, too; or these alone."""


class Join(Operator):
    """The natural join of streams: one row for every combination of rows that agree in their shared tags.

    A null tag agrees with nothing. Streams that share no tag give every combination, with a warning: say ``Cross`` if
    that is meant. Their packet columns must be different. The order of inputs means nothing, unless ``how`` says so.

    Args:
        on: the tags in which rows have to agree, which all streams have; all that they share if None.
        how: ``inner``; of two streams, ``left`` has the rows of the first that agree with none too, with nulls in
            place of the second's columns, and ``anti`` has those rows alone.
        validate: of two streams, whether a row may agree with several: ``1:1``, ``1:n`` (the tags are those of one row
            at most in the first), ``n:1`` (in the second). A run in which that does not hold ends with an error.

    Raises:
        SchemaError: there is no such way to join.
    """

    name = "Join"
    sees_missing = True
    inputs: tuple[int, int | None] = (1, None)

    def __init__(
        self,
        *,
        on: str | Sequence[str] | None = None,
        how: JoinType = "inner",
        validate: Literal["1:1", "1:n", "n:1"] | None = None,
    ) -> None:
        check = Checks(self.name, SchemaError)
        self.on = check.names_or_none("on", on)
        self.how: JoinType = check.choice("how", how, get_args(JoinType))
        self.validate = None if validate is None else check.choice("validate", validate, ("1:1", "1:n", "n:1"))
        self.symmetric = self.how == "inner" and self.validate in (None, "1:1")
        if self.how != "inner" or self.validate is not None:
            self.inputs = (2, 2)

    def __call__(self, *streams: Stream, label: str | None = None) -> OperatorStream:
        """Return the stream that this operator makes of ``streams``; see ``Operator``."""
        made = super().__call__(*streams, label=label)
        self._check_meeting(made.inputs)
        return made

    def arguments(self) -> object:
        on = None if self.on is None else tuple(sorted(self.on))
        how = None if self.how == "inner" else self.how
        given = {"on": on, "how": how, "validate": self.validate}
        return tuple((name, value) for name, value in given.items() if value is not None)

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        self._check_keys([stream.schema for stream in inputs])
        if self.how != "inner" and not shared_tags(inputs):
            found = " and ".join(str(list(stream.schema.tags)) for stream in inputs)
            raise SchemaError(
                f"{self.name}: how={self.how!r} joins rows by the tags that the streams share; found {found}, expected "
                "one that both have; rename one with map_tags"
            )
        if self.how == "anti":
            return inputs[0].schema
        packets: dict[str, LogicalType] = {}
        order = InputOrder(inputs, as_written=self.how != "inner")
        schemas = list(order.schemas())
        for schema in schemas:
            _check_distinct(schema, packets)
            packets.update(schema.packets.types)
        tags, system_tags = joined_tags(self.name, schemas), order.system_tags()
        sources = {name: dtype for schema in schemas for name, dtype in schema.sources.types.items()}
        if self.how == "left":
            left, right = schemas
            optional = {*right.packets, *order.names(1).values(), *(name for name in tags if name not in left.tags)}
            packets, sources = _optional(packets, optional), _optional(sources, optional)
            system_tags = Schema(_optional(system_tags.types, optional))
            tags = Schema(_optional(tags.types, optional) | dict(left.tags.types))
        return StreamSchema(tags, Schema(packets), system_tags, Schema(sources))

    def meeting_tags(self, inputs: Sequence[Stream]) -> Sequence[str]:
        return common_tags(inputs) if self.how == "inner" else ()

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        operator: PushOperator
        match self.how:
            case "inner":
                operator = PushJoin(inputs, self.output_schema(inputs))
            case "left":
                operator = PushLeftJoin(inputs, self.output_schema(inputs))
            case "anti":
                operator = PushSemiJoin(shared_tags(inputs), self.output_schema(inputs), is_anti=True)
            case _:
                assert_never(self.how)
        if self.validate is None:
            return operator
        return CheckedKeys(operator, shared_tags(inputs), self.validate, self.name)

    def _check_keys(self, schemas: Sequence[StreamSchema]) -> None:
        if self.on is None:
            return
        for name in self.on:
            for schema in schemas:
                if name not in schema.tags:
                    raise SchemaError(
                        f"{self.name}: on={list(self.on)} names {name!r}, found tags {list(schema.tags)} in one of the "
                        "streams; name tags that all have",
                        column=name,
                        found=str(list(schema.tags)),
                    )
        shared = Counter(name for schema in schemas for name in schema.tags)
        if beside := [name for name, count in shared.items() if count > 1 and name not in self.on]:
            raise SchemaError(
                f"{self.name}: the tag {beside[0]!r} is in several streams, and on={list(self.on)} does not name it; "
                "add it, or leave it out of one of them with drop_tag_columns, or rename it with map_tags",
                column=beside[0],
            )

    def _check_meeting(self, inputs: Sequence[Stream]) -> None:
        """Warn where rows meet that share no tag."""
        if len(parts := _connected([list(stream.schema.tags) for stream in inputs])) == 1:
            return
        one, other = parts[0], parts[1]
        near = [(name, close[0]) for name in one if (close := get_close_matches(name, other, 1))]
        hint = "".join(
            f"; if {name!r} and {close!r} are one, rename it: map_tags({{{close!r}: {name!r}}})" for name, close in near
        )
        warn_user(
            f"{self.name}: the streams share no tag, so that every row meets every other; found tags {one} and {other}"
            f"{hint}; if every combination is meant, say so with cross"
        )


class Cross(Join):
    """Every combination of the rows of streams that share no tag; the order of inputs means nothing."""

    name = "Cross"

    def __init__(self) -> None:
        super().__init__()

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        count = Counter(name for stream in inputs for name in stream.schema.tags)
        if shared := [name for name in count if count[name] > 1]:
            raise SchemaError(
                f"Cross: the tag {shared[0]!r} is in two of the streams, expected different ones; take join for rows "
                "that agree in it, or rename one with map_tags",
                column=shared[0],
            )
        return super().output_schema(inputs)

    def _check_meeting(self, inputs: Sequence[Stream]) -> None:
        pass


def _optional(types: Mapping[str, LogicalType], names: Collection[str]) -> dict[str, LogicalType]:
    """Return the types, those of these columns with null."""
    return {
        name: OptionalType(dtype) if name in names and not isinstance(dtype, OptionalType) else dtype
        for name, dtype in types.items()
    }


def _connected(tags: Sequence[list[str]]) -> list[list[str]]:
    """Return the tags of streams, of those together that share some."""
    parts: list[list[str]] = []
    for names in tags:
        meeting = [part for part in parts if set(part) & set(names)]
        joined = list(dict.fromkeys(name for part in [*meeting, names] for name in part))
        parts = [*(part for part in parts if part not in meeting), joined]
    return parts


def _check_distinct(schema: StreamSchema, packets: Mapping[str, object]) -> None:
    for name in schema.packets:
        if name in packets:
            raise SchemaError(
                f"Join: packet column {name!r} is in two of the streams; rename one with map_packets, "
                "drop one with drop_packet_columns, or use MergeJoin",
                column=name,
            )
