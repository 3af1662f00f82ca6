"""``OperatorSuite``: the laws that every operator keeps, as properties over random streams.

Subclass it in a test file, say how to make an operator, and what columns its inputs need:

    class TestMyOperator(OperatorSuite):
        columns = [({"key": int}, {"x": float}), ({"key": int}, {"y": ANY})]

        def make_operator(self):
            return MyOperator()

Needs the extra ``testing`` of orcapod-core.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from orcapod.datagrams import Chunk, Completeness, with_packets
from orcapod.errors import SchemaError
from orcapod.operators import Operator, OperatorStream, run_operator
from orcapod.sources import Source
from orcapod.streams import Stream
from orcapod.testing.origins import (
    is_known,
    known_values,
    named_ids,
    named_values,
    unlike_a_record,
    unlike_its_origin,
)
from orcapod.testing.strategies import ALL_COLUMNS, bag, chunkings, sources, split, types
from orcapod.types import Schema, conform

__all__ = ["ANY", "OperatorSuite"]

ANY: Any = object()
"""In place of a column's type: whatever type the suite draws, one for all columns of that name."""

_PROPERTY = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=10)


@pytest.mark.filterwarnings("ignore:.*share no tag")
class OperatorSuite(ABC):
    """What every operator must do. Subclasses say how to make one, and of what streams.

    Attributes:
        columns: the tag and the packet columns of every input, ``(tags, packets)``; a type may be ``ANY``.
        made_tags: tags that the operator makes itself, such as numbers.
        computed: packet columns that it computes of those that its provenance names.
        matches_keys: whether rows of several inputs meet by the tags that they share.
    """

    columns: ClassVar[Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]]
    made_tags: ClassVar[Sequence[str]] = ()
    computed: ClassVar[Sequence[str]] = ()
    matches_keys: ClassVar[bool] = False

    @abstractmethod
    def make_operator(self) -> Operator:
        """Return a new operator, always the same."""

    def prepared(self, streams: Sequence[Stream]) -> Sequence[Stream]:
        """Return the inputs made of the sources; the sources themselves unless a subclass says otherwise."""
        return streams

    # What comes out

    @_PROPERTY
    @given(data=st.data())
    def test_the_schema_that_is_predicted_is_the_one_that_comes(self, data: st.DataObject) -> None:
        """Names, types, nullability at any depth, of tags, data, ids and provenance."""
        made = self._made(data)
        predicted = _predicted(made)
        tags, packets = made.output_schema()
        for chunk in made.chunks():
            assert chunk.num_rows, "an empty chunk"
            assert chunk.schema == made.schema
            table = chunk.table(ALL_COLUMNS)
            assert set(table.column_names) == set(predicted)
            for name, kind in predicted.types.items():
                assert table.schema.field(name).type == kind.arrow, name
                conform(table.column(name), kind)  # raises where there is a null that was not predicted
        assert made.as_table().column_names == [*tags, *packets]

    @_PROPERTY
    @given(data=st.data())
    def test_empty_in_empty_out(self, data: st.DataObject) -> None:
        made = self._made(data, most=0)
        table = made.as_table(ALL_COLUMNS)
        assert table.num_rows == 0
        assert set(table.column_names) == set(_predicted(made))

    @_PROPERTY
    @given(data=st.data())
    def test_how_rows_are_pushed_means_nothing(self, data: st.DataObject) -> None:
        """In one chunk or many, in any order of inputs, all rows come out, once."""
        made = self._made(data)
        at_once = _bag(made, made.chunks())
        assert _bag(made, _pushed(data, made)) == at_once
        assert _bag(made, made.chunks()) == at_once, "rows read a second time differ"

    @_PROPERTY
    @given(data=st.data())
    def test_the_order_of_inputs_means_nothing_to_a_symmetric_one(self, data: st.DataObject) -> None:
        """Neither to hashes nor to rows; to others it does."""
        if self.make_operator().inputs == (1, 1):
            pytest.skip("it has one input")
        made = self._made(data)
        operator, streams = made.producer, made.inputs
        others = data.draw(st.permutations(list(streams)))
        assume(any(one is not other for one, other in zip(streams, others, strict=True)))
        if operator.symmetric:
            other = operator(*others)
            assert (other.content_hash(), other.pipeline_hash()) == (made.content_hash(), made.pipeline_hash())
            assert other.schema == made.schema
            assert _bag(other, other.chunks()) == _bag(made, made.chunks())
        else:
            try:
                other = operator(*others)
            except SchemaError:
                return
            if [stream.content_hash() for stream in others] != [stream.content_hash() for stream in streams]:
                assert other.content_hash() != made.content_hash()

    def test_it_is_the_same_wherever_it_is_made(self) -> None:
        """What tells an operator from others does not depend on the object."""
        assert self.make_operator().content_hash() == self.make_operator().content_hash()

    def test_it_says_how_many_streams_it_takes(self) -> None:
        operator = self.make_operator()
        least, most = operator.inputs
        with pytest.raises(SchemaError, match="streams"):
            operator(*_strangers(least - 1))
        if most is not None:
            with pytest.raises(SchemaError, match="streams"):
                operator(*_strangers(most + 1))

    # Values and where they come from

    @_PROPERTY
    @given(data=st.data())
    def test_no_value_is_made(self, data: st.DataObject) -> None:
        """Every value was in an input, in a list of one, is a list of such, or is none."""
        made = self._made(data)
        known = known_values(made.inputs)
        tags, packets = made.output_schema()
        table = made.as_table()
        for name, kind in (tags | packets).types.items():
            if name not in (*self.made_tags, *self.computed):
                values = kind.to_python(table.column(name))
                assert all(is_known(value, known) for value in values), f"{name}: {values}"

    @_PROPERTY
    @given(data=st.data())
    def test_provenance_follows_its_value(self, data: st.DataObject) -> None:
        """Source info names the very value, and the row's ids name the record."""
        given_sources = self._sources(data, most=5)
        made = self._applied(self.prepared(given_sources))
        values = named_values(given_sources)
        for tag, packet in made.iter_packets():
            ids = set(named_ids(tag.system_tags()))
            for name, info in packet.source_info().items():
                if name in self.computed:
                    wrong = next(filter(None, (unlike_a_record(each, values, ids) for each in info)), None)
                else:
                    wrong = unlike_its_origin(packet[name], info, values, ids)
                assert wrong is None, f"column {name!r}: {wrong}"

    @_PROPERTY
    @given(data=st.data())
    def test_a_null_key_matches_nothing(self, data: st.DataObject) -> None:
        """Rows with a null in a shared tag give nothing, and keep nothing from others."""
        if not self.matches_keys:
            pytest.skip("its rows do not meet by tags")
        made = self._made(data)
        tags = [set(stream.schema.tags) for stream in made.inputs]
        shared = {name for i, names in enumerate(tags) for other in tags[i + 1 :] for name in names & other}
        table = made.as_table()
        assert all(table.column(name).null_count == 0 for name in shared)
        present = [stream.drop_nulls([name for name in stream.schema.tags if name in shared]) for stream in made.inputs]
        assert _rows_named(self._applied(present)) == _rows_named(made)

    # What becomes of rows that have failed

    @settings(_PROPERTY, max_examples=4)
    @given(data=st.data())
    def test_nothing_that_is_made_of_a_failed_row_looks_whole_or_is_gone(self, data: st.DataObject) -> None:
        """What has a packet is what there would be had nothing failed; all else is there by its tags and ids."""
        made = self._made(data, most=4)
        whole = list(made.chunks())
        failing = list(_failing(data, made))
        found = Counter(_bag(made, with_packets(failing)))
        expected = Counter(_bag(made, whole))
        assert not found - expected, "something looks whole"
        lost = expected - found
        columns = made.schema.tags | made.schema.system_tags
        missing = [
            row for chunk in failing if chunk.missing is not None for row in _shown(chunk, columns, chunk.missing)
        ]
        for chunk in whole:
            for row, shown in enumerate(_shown(chunk, columns)):
                if _bag(made, [chunk.slice(row, 1)])[0] in lost:
                    assert any(
                        all(each in (None, mine) for each, mine in zip(other, shown, strict=True)) for other in missing
                    ), f"nothing is left of {shown}, only {missing}"

    # How streams are drawn

    def _sources(self, data: st.DataObject, *, most: int = 6) -> list[Source]:
        drawn: dict[str, Any] = {}

        def typed(columns: Mapping[str, Any]) -> dict[str, Any]:
            for name, kind in columns.items():
                if name not in drawn:
                    drawn[name] = data.draw(types(nested=2), label=f"type of {name}") if kind is ANY else kind
            return {name: drawn[name] for name in columns}

        return [
            data.draw(sources(typed(tags), typed(packets), source_id=f"s{i}", most=most), label=f"source s{i}")
            for i, (tags, packets) in enumerate(self.columns)
        ]

    def _applied(self, streams: Sequence[Stream]) -> OperatorStream:
        return self.make_operator()(*streams)

    def _made(self, data: st.DataObject, *, most: int = 6) -> OperatorStream:
        return self._applied(self.prepared(self._sources(data, most=most)))


def _strangers(count: int) -> list[Any]:
    return [None] * count


def _predicted(stream: Stream) -> Schema:
    tags, packets = stream.output_schema(ALL_COLUMNS)
    return tags | packets


def _bag(stream: Stream, chunks: Iterable[Chunk]) -> list[bytes]:
    schema = _predicted(stream)
    tables = [chunk.table(ALL_COLUMNS) for chunk in chunks]
    return bag(schema, pa.concat_tables([schema.arrow.empty_table(), *tables]))


def _pushed(data: st.DataObject, made: OperatorStream) -> Iterable[Chunk]:
    """Return what it gives for chunks in another order; rows of one input change places if that means nothing."""
    pending: list[list[Chunk | None]] = []
    for stream in made.inputs:
        whole = list(stream.chunks())
        parts = [part for chunk in whole for part in split(chunk, data.draw(chunkings(chunk.num_rows)))]
        pending.append([*(parts if made.producer.order_matters else data.draw(st.permutations(parts))), None])
    events = []
    while any(pending):
        index = data.draw(st.sampled_from([i for i, left in enumerate(pending) if left]))
        events.append((index, pending[index].pop(0)))
    return run_operator(made.producer.push_operator(made.inputs), events)


def _failing(data: st.DataObject, made: OperatorStream) -> Iterable[Chunk]:
    """Return what it gives where some rows of its inputs, drawn at random, have failed."""
    inputs = []
    for stream in made.inputs:
        chunks = []
        for chunk in stream.chunks():
            failed = data.draw(st.lists(st.booleans(), min_size=chunk.num_rows, max_size=chunk.num_rows))
            levels = [Completeness.MISSING if each else Completeness.WHOLE for each in failed]
            chunks.append(chunk.completed(pa.array(levels, pa.int8())))
        inputs.append(chunks)
    return made.made_of(inputs)


def _shown(chunk: Chunk, columns: Iterable[str], wanted: pa.Array[Any] | None = None) -> list[tuple[str | None, ...]]:
    """Return some columns of all rows, or of those that are wanted, as text."""
    batch = chunk.batch.select(list(columns))
    batch = batch if wanted is None else batch.filter(wanted)
    values = [[None if value is None else repr(value) for value in column.to_pylist()] for column in batch.columns]
    return list(zip(*values, strict=True))


def _rows_named(stream: Stream) -> list[list[str]]:
    """Return the records that every row was made of."""
    return sorted(sorted(named_ids(tag.system_tags())) for tag, _ in stream.iter_packets())
