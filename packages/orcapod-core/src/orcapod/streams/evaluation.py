"""Evaluation of a plan: every part of it once, however many others are made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from orcapod.datagrams import Chunk

__all__ = ["evaluated", "inputs_first"]

T = TypeVar("T")

_NESTED = 50
"""How many lazy parts may stand on each other; Python nests generators some hundreds deep."""


def inputs_first(targets: Iterable[T], inputs: Callable[[T], Sequence[T]]) -> list[T]:
    """Return the targets and what they are made of, each once (by identity), behind its inputs."""
    ordered: dict[int, T] = {}
    for target in targets:
        pending = [target]
        while pending:
            ahead = [part for part in inputs(pending[-1]) if id(part) not in ordered]
            if ahead:
                pending.extend(reversed(ahead))
            else:
                part = pending.pop()
                ordered.setdefault(id(part), part)
    return list(ordered.values())


def evaluated(
    target: T,
    inputs: Callable[[T], Sequence[T]],
    rows: Callable[[T, list[Iterable[Chunk]]], Iterable[Chunk]],
) -> Iterator[Chunk]:
    """Yield the rows of a part of a plan, as they are asked for.

    What several parts are made of is read once and held meanwhile; all else goes through chunk by chunk.

    Args:
        target: the part wanted.
        inputs: what a part is made of.
        rows: the rows of a part, given those of its inputs.
    """
    order = inputs_first([target], inputs)
    readers = Counter(id(part) for whole in order for part in inputs(whole))
    evaluations: dict[int, Iterable[Chunk]] = {}
    depth: dict[int, int] = {}
    for part in order:
        chunks = rows(part, [evaluations[id(each)] for each in inputs(part)])
        depth[id(part)] = 1 + max((depth[id(each)] for each in inputs(part)), default=0)
        if readers[id(part)] > 1 or depth[id(part)] > _NESTED:
            chunks, depth[id(part)] = list(chunks), 0
        evaluations[id(part)] = chunks
    result = evaluations.pop(id(target))
    evaluations.clear()
    yield from result
