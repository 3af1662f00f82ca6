"""``HeldRows``: the rows of a node that has ended, for those that read them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from orcapod.datagrams import Chunk
from orcapod.nodes.node import Node

__all__ = ["HeldRows"]


class HeldRows:
    """Rows of a node that has ended: in memory as far as there is room, else read or made again by each reader.

    Args:
        node: the node.
        chunks: the rows as it gives them, which are taken here to the end.
        inputs: the rows that they are made of.
        room: how many bytes may be held.

    Attributes:
        bytes: how many bytes are held.
    """

    def __init__(self, node: Node, chunks: Iterable[Chunk], inputs: Sequence[HeldRows], *, room: int) -> None:
        self.bytes = 0
        self._parts: list[Iterable[Chunk]] = []
        coming = iter(chunks)
        for chunk in coming:
            size = chunk.nbytes
            if self.bytes + size <= room:
                self._parts.append([chunk])
                self.bytes += size
            elif node.is_repeatable:
                self._parts, self.bytes = [_Repeated(node, inputs)], sum(each.bytes for each in inputs)
                deque(coming, maxlen=0)
            else:
                self._parts.append(node.released(chunk))

    def __iter__(self) -> Iterator[Chunk]:
        return chain.from_iterable(self._parts)


class _Repeated:
    """Rows of a node that are made of the same inputs again."""

    def __init__(self, node: Node, inputs: Sequence[Iterable[Chunk]]) -> None:
        self._node = node
        self._inputs = inputs

    def __iter__(self) -> Iterator[Chunk]:
        return self._node.known(self._inputs)
