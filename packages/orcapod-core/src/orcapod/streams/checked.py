"""``checked_streams``: what an operator or a function pod is applied to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orcapod.errors import SchemaError
from orcapod.streams.stream import Stream

__all__ = ["checked_streams"]


def checked_streams(given: Sequence[object], *, named: str) -> tuple[Stream, ...]:
    """Return the streams.

    Args:
        given: what was given as streams.
        named: what takes them.

    Raises:
        SchemaError: one of them is none; says how to make one of it.
    """
    streams = tuple(each for each in given if isinstance(each, Stream))
    if len(streams) < len(given):
        odd = next(each for each in given if not isinstance(each, Stream))
        found = odd.__name__ if isinstance(odd, type) else type(odd).__qualname__
        raise SchemaError(
            f"{named} takes streams, found {found}; {_advice(odd)}",
            expected="stream",
            found=found,
        )
    return streams


def _advice(odd: object) -> str:
    """Return how to make a stream of something else."""
    library = type(odd).__module__.partition(".")[0]
    match odd:
        case type():
            return f"make one of this class: {odd.__name__}(...)"
        case Mapping():
            return "give one of its nodes, or make a source of rows: DictSource([{...}, ...], tag_columns=[...])"
        case list() | tuple() if any(isinstance(each, Stream) for each in odd):
            return "give streams one by one, with a star: (*streams)"
        case list() | tuple():
            return "make a source of rows: DictSource(rows, tag_columns=[...])"
        case _ if hasattr(odd, "pod"):
            return "apply that to a stream first: function.pod(stream)"
        case _ if library in ("pandas", "polars"):
            return "make a source of it: DataFrameSource(frame, tag_columns=[...])"
        case _ if hasattr(odd, "__arrow_c_stream__"):
            return "make a source of it: ArrowTableSource(table, tag_columns=[...])"
        case _:
            return "make a source of it"
