"""What identifies a value is for its type to say, whatever it is stored as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.hashing import hash_rows
from orcapod.sources import DictSource
from orcapod.types import LogicalType, Schema, column_of, registry

CONTENTS = {"a.txt": "alpha", "b.txt": "beta", "copy.txt": "alpha"}


@dataclass(frozen=True)
class Note:
    """A name that stands for a content, as a path does."""

    name: str


class NoteType(LogicalType):
    name = "Note"
    annotation = Note
    arrow = pa.large_string()
    is_identity = False
    is_canonical = False

    def to_storage(self, value: Any) -> Any:
        return value.name

    def from_storage(self, stored: Any) -> Any:
        return Note(stored)

    def identity(self, column: Any) -> pa.Array[Any]:
        return pa.array([None if name is None else CONTENTS[name] for name in column.to_pylist()], pa.large_string())


registry.register(Note, lambda annotation: NoteType())


class Page(TypedDict):
    note: Note | None
    number: int


NOTES = [Note(name) for name in CONTENTS]
A, B, COPY = NOTES
FORMS: list[tuple[Any, Any]] = [
    (Note, lambda note: note),
    (Note | None, lambda note: note),
    (list[Note | None], lambda note: [note, None]),
    (tuple[Note, ...], lambda note: (note, note)),
    (tuple[int, Note], lambda note: (1, note)),
    (frozenset[Note], lambda note: frozenset({note, B})),
    (dict[str, Note], lambda note: {"k": note}),
    (dict[Note, int], lambda note: {note: 1}),
    (Page, lambda note: {"note": note, "number": 1}),
    (list[dict[str, list[Page]]], lambda note: [{"k": [{"note": note, "number": 1}]}]),
]


def digests(annotation: Any, values: list[Any]) -> list[bytes]:
    schema = Schema({"x": annotation})
    return hash_rows(pa.RecordBatch.from_pydict({"x": column_of(values, schema.types["x"])}), schema)


@pytest.mark.parametrize(("annotation", "form"), FORMS, ids=[str(annotation) for annotation, _ in FORMS])
def test_values_of_one_identity_have_one_hash_wherever_they_are_held(annotation: Any, form: Any) -> None:
    one, other, copy = digests(annotation, [form(A), form(B), form(COPY)])
    assert one == copy
    assert one != other


@given(st.data())
def test_the_identity_of_a_row_does_not_depend_on_its_neighbours(data: st.DataObject) -> None:
    annotation, form = data.draw(st.sampled_from(FORMS))
    rows = data.draw(st.lists(st.none() | st.sampled_from(NOTES).map(form), min_size=1, max_size=6))
    schema = Schema({"x": annotation | None})
    column = column_of(rows, schema.types["x"])
    together = hash_rows(pa.RecordBatch.from_pydict({"x": column}), schema)
    alone = [hash_rows(pa.RecordBatch.from_pydict({"x": column.slice(i, 1)}), schema)[0] for i in range(len(rows))]
    assert together == alone
    assert alone == [digests(annotation | None, [row])[0] for row in rows]


def test_what_has_one_identity_is_computed_once() -> None:
    calls = []

    @op.function_pod("length", identity="version")
    def length(note: Note) -> int:
        calls.append(note)
        return len(note.name)

    def run(notes: list[Note]) -> None:
        pipeline = op.Pipeline("p", database)
        with pipeline:
            length.pod(DictSource([{"i": i, "note": note} for i, note in enumerate(notes)], ["i"]))
        pipeline.run().raise_for_errors()

    database = MemoryDatabase()
    run([A, B])
    run([COPY, B, A])
    assert calls == [A, B]


def test_tags_of_one_identity_meet_and_are_one_group() -> None:
    one = DictSource([{"note": A, "x": 1}, {"note": B, "x": 2}, {"note": COPY, "x": 3}], ["note"])
    other = DictSource([{"note": COPY, "y": 4}], ["note"])
    assert sorted(packet["x"] for _, packet in one.join(other).iter_packets()) == [1, 3]
    assert sorted(packet["x"] for _, packet in one.semi_join(other).iter_packets()) == [1, 3]
    assert [packet["x"] for _, packet in one.group_by("note").iter_packets()] == [[1, 3], [2]]
