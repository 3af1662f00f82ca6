"""``Sample``: some rows, chosen by what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nsmallest
from operator import or_
from typing import NamedTuple, get_args

from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.datagrams import Chunk, Completeness, StreamSchema
from orcapod.display import shown
from orcapod.errors import SchemaError
from orcapod.hashing import recipes
from orcapod.operators.nested import going_on
from orcapod.operators.operator import Operator, PushOperator
from orcapod.streams import Incomplete, Stream
from orcapod.types import Schema

__all__ = ["Sample"]

_NUMBER_BYTES = 8
_NUMBERS = 1 << 8 * _NUMBER_BYTES


class Sample(Operator):
    """Random selection of rows by their hash: the same rows whatever their order, and whatever else is there.

    What is hashed are the names, types and values of tags and packet columns. Rows that are equal in all of them are
    chosen together by ``fraction``. The sample of a smaller fraction, or ``n``, is part of that of a larger one.

    Args:
        fraction: the share of rows, from 0 to 1; how many there are is random, too.
        n: how many rows, or all if there are fewer; known when all have come.
        seed: another one chooses other rows.
        incomplete: what becomes of ``n`` rows where some have failed, which might have been among them: ``skip`` gives
            none; ``keep`` chooses of the others, and marks what it chose; ``raise`` ends the run.

    Raises:
        SchemaError: neither fraction nor ``n`` is given, or both, or one that has no meaning.
    """

    name = "Sample"

    def __init__(
        self,
        *,
        fraction: float | None = None,
        n: int | None = None,
        seed: int = 0,
        incomplete: Incomplete = "skip",
    ) -> None:
        check = Checks(self.name, SchemaError)
        if (fraction is None) is (n is None):
            raise SchemaError(
                f"Sample: found fraction {shown(fraction)} and n {shown(n)}, expected one of the two; "
                "write fraction=0.1, or n=100"
            )
        self.fraction = None if fraction is None else _share(check, fraction)
        self.n = None if n is None else check.count("n", n, least=0)
        self.seed = check.instance("seed", seed, int, "an int", "give any")
        self.incomplete = check.choice("incomplete", incomplete, get_args(Incomplete))
        if self.fraction is not None and self.incomplete != "skip":
            raise SchemaError(
                f"Sample: found incomplete={incomplete!r} with fraction, expected it with n=, since rows are chosen "
                "one by one here; leave it out"
            )
        self.sees_missing = self.fraction is not None or self.incomplete != "skip"  # of n, each row counts for all

    def arguments(self) -> object:
        return self.fraction, self.n, self.seed, *([] if self.incomplete == "skip" else [self.incomplete])

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        return schema

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        schema = self.output_schema(inputs)
        if self.fraction is not None:
            return _PushFraction(self.fraction, self.seed, schema)
        return _PushNumber(self, schema)


class _PushFraction(PushOperator):
    def __init__(self, fraction: float, seed: int, schema: StreamSchema) -> None:
        self._bound = int(fraction * _NUMBERS)
        self._seed = seed
        self._columns = schema.tags | schema.packets

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        numbers = recipes.sample_keys(self._seed, chunk.batch, self._columns)
        chosen = [int.from_bytes(key[:_NUMBER_BYTES]) < self._bound for key in numbers]
        if (missing := chunk.missing) is not None:  # whether they would be chosen, nobody knows
            chunk = chunk.completed(pc.if_else(missing, Completeness.UNCERTAIN, chunk.completeness))
            chosen = list(map(or_, chosen, missing.to_pylist()))
        rows = [row for row, is_chosen in enumerate(chosen) if is_chosen]
        return [chunk.take(rows)] if rows else []

    def close(self, index: int) -> Iterable[Chunk]:
        return []


class _Candidate(NamedTuple):
    """A row that may be among the chosen; of equal rows, their ids tell which comes first."""

    key: bytes
    ids: bytes
    at: int


class _PushNumber(PushOperator):
    """Selection of the rows of the smallest hashes, of which it holds no more than it may need."""

    def __init__(self, operator: Sample, schema: StreamSchema) -> None:
        self._operator = operator
        self._n = operator.n or 0
        self._seed = operator.seed
        self._columns = schema.tags | schema.packets
        self._ids: Schema = schema.system_tags
        self._rows: list[Chunk] = []
        self._candidates: list[_Candidate] = []
        self._missing: list[Chunk] = []

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        if (missing := chunk.missing) is not None:
            self._missing.append(chunk.with_batch(chunk.batch.filter(missing)))
            chunk = chunk.with_packets()
        keys = recipes.sample_keys(self._seed, chunk.batch, self._columns)
        ids = recipes.sample_keys(self._seed, chunk.batch, self._ids)
        start = len(self._candidates)
        self._rows.append(chunk)
        self._candidates += map(_Candidate, keys, ids, range(start, start + chunk.num_rows))
        if len(self._candidates) > 2 * self._n:
            self._drop_others()
        return []

    def close(self, index: int) -> Iterable[Chunk]:
        self._drop_others()
        if self._missing and self._n:
            rows = Chunk.concat([*self._rows, *self._missing])
            self._rows = [going_on(rows, incomplete=self._operator.incomplete, named=self._operator.name)[0]]
        return [rows for rows in self._rows if rows.num_rows]

    def _drop_others(self) -> None:
        """Keep no row but the chosen ones, in the order in which they came."""
        chosen = sorted(nsmallest(self._n, self._candidates), key=lambda each: each.at)
        if self._rows:
            self._rows = [Chunk.concat(self._rows).take([each.at for each in chosen])]
        self._candidates = [each._replace(at=at) for at, each in enumerate(chosen)]


def _share(check: Checks, fraction: object) -> float:
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        raise check.wrong("fraction", fraction, "a number from 0 to 1", "for a number of rows, write n=100")
    return float(fraction)
