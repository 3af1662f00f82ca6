"""``RowPlan``: a random pipeline over many rows, and what plain Python says that every single row must give.

Nothing of orcapod enters the expectation: functions are called on numbers, one row after the other.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from orcapod.functions import NodeConfig, PythonPacketFunction
from orcapod.nodes import RunResult
from orcapod.pipeline import Pipeline
from orcapod.pods import FunctionPod
from orcapod.sources import DictSource
from orcapod.streams import Stream
from orcapod.testing.strategies import ALL_COLUMNS

__all__ = ["TWIN_OF_A_FAILURE", "ExpectedNode", "RowPlan", "check_run", "row_plans"]

_Value = int | None
_Rows = Mapping[int, _Value]

_Gone = Set[int] | None
"""The rows without a packet; None where that is not looked at."""

_BATCH = 7

_PRIME = 1009  # squares of squares stay numbers that columns hold


def _functions(folder: str) -> Mapping[str, Callable[..., Any]]:
    """Return the functions of plans; they are sent by value, so that workers load nothing of orcapod.

    Args:
        folder: where is noted in whatever process what has failed before.
    """

    def plus(x: int | None) -> int | None:
        return None if x is None else x + 1

    def picky(x: int | None) -> int:
        if x is None or x % 4 in (0, 3):
            raise ValueError(f"not {x}")
        return x * 10

    async def slowly(x: int | None) -> int | None:
        """End in another order than begun, so late that rows are given on before all are there."""
        await asyncio.sleep(0.002 * ((x or 0) * 7 % 5))
        return None if x is None else -x

    async def shaky(x: int | None) -> int:
        """Fail the first time for some numbers, and always for None."""
        await asyncio.sleep(0.001 * ((x or 0) % 3))
        if x is None:
            raise ValueError(f"not {x}")
        if 10 <= x < 16:
            try:
                os.close(os.open(f"{folder}/{x}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass  # it has failed before
            else:
                raise ValueError(f"not yet {x}")
        return x * 100

    def squares(x: list[int | None]) -> list[int | None]:
        return [None if each is None else each * each % _PRIME for each in x]

    return {"plus": plus, "picky": picky, "slowly": slowly, "shaky": shaky, "squares": squares}


def _expected(function: str, x: _Value) -> _Value:
    """Return what a function must give in the end, in plain Python."""
    if (function == "shaky" and x is None) or (function == "picky" and (x is None or x % 4 in (0, 3))):
        raise ValueError(f"not {x}")
    if x is None:
        return None
    return {"plus": x + 1, "picky": x * 10, "slowly": -x, "shaky": x * 100, "squares": x * x % _PRIME}[function]


@dataclass(frozen=True)
class ExpectedNode:
    """What a node must make of its rows, each of which has a number.

    Attributes:
        function: what it applies.
        given: the value of every row that it is given.
        rows: the value of every row that it gives.
        failed: what the exception says of every row that fails.
        incomplete: the rows that come without a packet; None where that is not looked at.
    """

    function: str
    given: _Rows
    rows: _Rows
    failed: Mapping[int, str]
    incomplete: _Gone = None

    @classmethod
    def of(cls, function: str, given: _Rows, incomplete: _Gone = None) -> ExpectedNode:
        """Return what a function makes of rows."""
        rows: dict[int, _Value] = {}
        failed: dict[int, str] = {}
        for number, value in given.items():
            try:
                rows[number] = _expected(function, value)
            except ValueError as error:
                failed[number] = str(error)
        return cls(function, given, rows, failed, incomplete)

    def check(self, label: str, pipeline: Pipeline, result: RunResult) -> None:
        """Compare every row with what the node made of it, and every failure."""
        found = list(_members(pipeline[label].as_table(columns=ALL_COLUMNS).to_pylist()))
        assert Counter(number for number, _, _ in found) == Counter([*self.rows]), f"rows of {label}"
        wrong = {number: (value, self.rows[number]) for number, value, _ in found if value != self.rows[number]}
        assert not wrong, f"{label}: rows (found, expected) that were not given their own value: {wrong}"
        astray = {number: ids for number, _, ids in found if set(ids) != {f"i={number}"}}
        assert not astray, f"{label}: rows with the provenance of others: {astray}"
        if self.incomplete is not None:
            assert result.counts(label)["incomplete"] == len(self.incomplete), f"{label}: {self.incomplete}"
        failures = {error.tag["i"]: error for error in result.errors if error.node_label == label}
        assert {number: str(error.exception) for number, error in failures.items()} == self.failed, label
        assert {number: error.packet["x"] for number, error in failures.items()} == {
            number: self.given[number] for number in self.failed
        }, label


class RowPlan(NamedTuple):
    """Rows of numbers, dealt to sources of which one stream is made, and steps: what is done with which stream.

    Attributes:
        sources: the number in every row of each source.
        steps: what is done, to which of the streams that there are, with which other.
        config: how the packets of functions are run.
    """

    sources: Sequence[Sequence[_Value]]
    steps: Sequence[tuple[str, int, int]]
    config: NodeConfig

    def build(self, folder: Path) -> Mapping[str, ExpectedNode]:
        """Call sources, operators and functions; return what each of the functions' nodes must make, by label.

        Args:
            folder: an empty folder for what functions have to remember.
        """
        pods, nodes = self._pods(folder), dict[str, ExpectedNode]()

        def applied(function: str, one: Stream, rows: _Rows, gone: _Gone) -> tuple[Stream, _Rows, _Gone]:
            label = f"n{len(nodes)}"
            node = nodes[label] = ExpectedNode.of(function, rows, gone)
            return (
                pods[function](one, label=label),
                node.rows,
                None if gone is None else gone | node.failed.keys(),
            )

        streams: list[tuple[Stream, _Rows, _Gone]] = [(*self._whole(), frozenset())]
        for kind, first, second in self.steps:
            (one, rows, gone), (other, others, other_gone) = (streams[at % len(streams)] for at in (first, second))
            match kind:
                case "filter":
                    kept = {number: x for number, x in rows.items() if x == 1}
                    streams.append((one.filter(x=1), kept, gone))
                case "join":
                    joined = one.join(other.map_packets({"x": "y"})).drop_packet_columns(["y"])
                    both = {number: x for number, x in rows.items() if number in others}
                    streams.append((joined, both, _gone_of_both((rows, gone), (others, other_gone))))
                case "twice":  # two nodes that need the same packets at the same time
                    streams += [applied("picky", one, rows, gone), applied("picky", one, rows, gone)]
                case "batch":
                    made, rows, _ = applied("squares", one.batch(_BATCH, incomplete="keep"), rows, None)
                    streams.append((made.explode(["i", "x"]), rows, None))
                case function:
                    streams.append(applied(function, one, rows, gone))
        return nodes

    def _whole(self) -> tuple[Stream, _Rows]:
        """Return the rows of all sources, which come in as many chunks."""
        parts: list[Stream] = []
        rows: dict[int, _Value] = {}
        for name, values in enumerate(self.sources):
            part = dict(enumerate(values, len(rows)))
            dicts = [{"i": number, "x": value} for number, value in part.items()]
            parts.append(
                DictSource(
                    dicts,
                    ["i"],
                    source_id=f"s{name}",
                    record_id_column="i",
                    data_schema={"i": int, "x": int | None},
                )
            )
            rows |= part
        first, *others = parts
        return first.concat(*others) if others else first, rows

    def _pods(self, folder: Path) -> Mapping[str, FunctionPod]:
        """Return the functions as pods; only what may fail the first time is tried again."""
        patient = replace(self.config, retries=1)
        return {
            name: FunctionPod(
                PythonPacketFunction(function, "x", identity="version"),
                node_config=patient if name == "shaky" else self.config,
            )
            for name, function in _functions(str(folder)).items()
        }


def check_run(nodes: Mapping[str, ExpectedNode], pipeline: Pipeline, result: RunResult, *, is_first: bool) -> None:
    """Check every row of every node, and that each packet was computed once: none at all after the first run.

    How many batches are computed is not looked at: which rows meet in one is not said.
    """
    packets: dict[str, set[_Value]] = {}
    computed: Counter[str] = Counter()
    for label, node in nodes.items():
        node.check(label, pipeline, result)
        packets.setdefault(node.function, set()).update(node.given[number] for number in node.rows)
        computed[node.function] += result.counts(label)["computed"]
    for function in packets.keys() - ({"squares"} if is_first else set()):
        assert computed[function] == (len(packets[function]) if is_first else 0), f"packets computed by {function}"


def _gone_of_both(one: tuple[_Rows, _Gone], other: tuple[_Rows, _Gone]) -> _Gone:
    """Return the rows of a join of which one side has no packet."""
    (rows, gone), (others, other_gone) = one, other
    if gone is None or other_gone is None:
        return None
    return (gone | rows.keys()) & (other_gone | others.keys()) - (rows.keys() & others.keys())


def _members(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, _Value, tuple[str, ...]]]:
    """Give number, value and record ids of rows, also of those that are collected in batches."""
    for row in rows:
        ids = [row[name] for name in row if name.startswith("_tag_record_id::")]
        if isinstance(row["i"], list):
            yield from zip(row["i"], row["x"], zip(*ids, strict=True), strict=True)
        else:
            yield row["i"], row["x"], tuple(ids)


TWIN_OF_A_FAILURE = RowPlan([[0, 1, 1, 0, 2]], [("picky", 0, 0)], NodeConfig())
"""Rows of which the first fails and the fourth is computed in its place, behind the last: so it once got 10 for 20."""

_STEPS = ["plus", "slowly", "picky", "shaky", "filter", "join", "twice", "batch"]


@st.composite
def row_plans(draw: st.DrawFn) -> RowPlan:
    """Plans over 30 to 200 rows, some of them null, few or most of them twins of others that may fail."""
    size, most = draw(st.integers(30, 200)), draw(st.sampled_from([2, 12, 50, 200]))
    number = st.one_of(*[st.integers(0, most)] * 15, st.none())
    # Of few rows, a twin of one that fails may be computed together with all that come behind it.
    first = draw(st.lists(st.integers(0, 2), min_size=4, max_size=9))
    rest = [number % most for number in range(size - len(first))]
    for at, value in draw(st.lists(st.tuples(st.integers(0, len(rest) - 1), number), max_size=size // 3)):
        rest[at] = value
    cuts = sorted(draw(st.sets(st.integers(1, len(rest) - 1), max_size=4)))
    sources = [first, *(rest[start:end] for start, end in pairwise([0, *cuts, len(rest)]))]
    steps = draw(
        st.lists(st.tuples(st.sampled_from(_STEPS), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=5)
    )
    config = NodeConfig(
        max_concurrency=draw(st.sampled_from([None, 1, 2, 3, 8])), timeout=draw(st.sampled_from([None, None, 60.0]))
    )
    return RowPlan(sources, steps, config)
