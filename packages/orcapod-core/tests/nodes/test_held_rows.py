"""What lies between nodes is bounded in bytes; what has no room is read or made again, and is the same."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.datagrams import Chunk
from orcapod.errors import DamagedRecordError
from orcapod.execution import StoredRows
from orcapod.nodes import HeldRows, Node
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource

SIZE = 50_000


@op.function_pod("image")
def record(number: int) -> bytes:
    return number.to_bytes(2, "big") * (SIZE // 2)


@op.function_pod("mask")
def segment(image: bytes) -> bytes:
    return image[::-1]


@op.function_pod("pair")
def paired(image: bytes, mask: bytes) -> bytes:
    return image[:2] + mask[:2]


def study(database: object, memory: str, *, count: int = 40) -> op.Pipeline:
    """Two numbers are equal, so that some packets are; all kinds of nodes are read by several."""
    pipeline = op.Pipeline("study", database, config=op.PipelineConfig(memory=memory))  # type: ignore[arg-type]
    with pipeline:
        rows = DictSource([{"i": i, "number": i // 2} for i in range(count)], ["i"], source_id="s")
        images = record.pod(rows, label="images")
        masks = segment.pod(images, label="masks")
        both = images.join(masks, label="both")
        paired.pod(both, label="pairs")
        paired.pod(both.map_packets({"image": "mask", "mask": "image"}), label="swapped")
    return pipeline


def given(pipeline: op.Pipeline, label: str) -> pa.Table:
    return pipeline[label].as_table({"system_tags": True, "source": True}).sort_by("i")


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
def test_little_memory_changes_nothing(tmp_path: Path, orchestrator: SyncPipelineOrchestrator) -> None:
    """Values of 2 MB go through a run that is given 1 MiB, and a second one finds all of them."""
    narrow, wide = study(tmp_path / "narrow.db", "1 MiB"), study(tmp_path / "wide.db", "1 GiB")
    for pipeline in (narrow, wide):
        counts = pipeline.run(orchestrator, progress=False).node_counts
        assert {(count["computed"] + count["cached"], count["failed"]) for count in counts.values()} == {(40, 0)}
    for label in wide:
        assert given(narrow, label).equals(given(wide, label)), label
    again = study(tmp_path / "narrow.db", "1 MiB").run(orchestrator, progress=False).node_counts
    assert all(count == {"computed": 0, "cached": 40, "failed": 0} for count in again.values())


def test_little_memory_does_where_nothing_is_stored() -> None:
    """What a store does not give back is held all the same."""
    result = study("noop://", "1 MiB").run(progress=False)
    assert [result.counts(label)["failed"] for label in result.node_counts] == [0, 0, 0, 0]
    assert result.counts("pairs")["computed"] == 40


def held(node: Node, inputs: list[HeldRows]) -> HeldRows:
    return HeldRows(node, list(node.known(inputs)), inputs, room=4 * SIZE)


def values_in(chunks: HeldRows | StoredRows, column: str) -> list[bytes]:
    return [value for chunk in chunks for value in chunk.column(column).to_pylist()]


def test_rows_are_held_as_far_as_there_is_room_and_read_as_often_as_one_likes() -> None:
    pipeline = study(MemoryDatabase(), "1 MiB")
    pipeline.run(progress=False)
    source = held(pipeline["s"], [])
    images = held(pipeline.images, [source])
    masks = held(pipeline.masks, [images])
    both = held(pipeline.both, [images, masks])
    assert max(images.bytes, masks.bytes) <= 4 * SIZE
    assert both.bytes == images.bytes + masks.bytes  # made again of these, which it needs
    expected = [i // 2 for i in range(40)]
    for _ in range(2):
        assert [int.from_bytes(value[:2], "big") for value in values_in(images, "image")] == expected
        assert sorted(values_in(both, "mask")) == sorted(values_in(masks, "mask"))


def test_a_result_that_is_gone_when_it_is_needed_is_an_error() -> None:
    """Promise 27."""
    database = MemoryDatabase()
    pipeline = study(database, "1 MiB", count=2)
    pipeline.run(progress=False)
    (chunk,) = pipeline.images.chunks()
    released = pipeline.images.released(chunk)
    assert isinstance(released, StoredRows)
    assert values_in(released, "image") == chunk.column("image").to_pylist()
    (path,) = [path for path in database.list_paths() if path[:2] == ("_result", "record")]
    database.delete_records(path, database.get_records(path).column(0).to_pylist())
    with pytest.raises(DamagedRecordError, match="no longer holds 2 results") as caught:
        list(released)
    assert len(caught.value.keys) == 2
    assert pipeline.images.released(chunk) == [chunk]


def test_rows_in_memory_are_given_as_they_are() -> None:
    pipeline = study(MemoryDatabase(), "1 MiB", count=3)
    chunks: list[Chunk] = list(pipeline["s"].chunks())
    rows = HeldRows(pipeline["s"], chunks, [], room=1 << 20)
    assert [chunk is same for chunk, same in zip(rows, chunks, strict=True)] == [True]
