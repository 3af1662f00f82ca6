"""``grid`` and ``cases``: the parameters of a sweep, as a stream of tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from orcapod.checks import Checks
from orcapod.errors import InputValidationError
from orcapod.sources.dicts import DictSource

__all__ = ["cases", "grid"]


def grid(*, source_id: str | None = None, label: str | None = None, **parameters: Iterable[Any]) -> DictSource:
    """Return a source with a row for every combination of these values, whose parameters are tags.

    ``cells.cross(op.grid(threshold=[1.0, 2.0], window=[5, 10]))`` gives every cell with each of them; functions take
    those that they name, ``@op.function_pod(..., tags=["threshold"])``, groups go by them, and results have them.

    Args:
        source_id: what the source is called in provenance; after the names of the parameters if None.
        label: what it is called in a pipeline; ``grid`` if None.
        parameters: the values of each, none of them twice.

    Raises:
        InputValidationError: there is no parameter, or a value is there twice, or there are none of one.
    """
    check = Checks("grid", InputValidationError)
    for name, text in (("source_id", source_id), ("label", label)):
        if not isinstance(text, str | None):
            advice = f"for a parameter called {name!r}, write cases([{{{name!r}: ..., ...}}, ...])"
            raise check.wrong_type(name, text, "a text, which says what the source is called", advice)
    values: dict[str, list[Any]] = {}
    for name, given in parameters.items():
        expected, advice = "a list of values", f"give one, as in {name}=[1, 2]"
        if isinstance(given, str | bytes | Mapping):
            raise check.wrong_type(name, given, expected, advice)
        values[name] = list(check.iterable(name, given, expected, advice))
    if empty := [name for name, listed in values.items() if not listed]:
        raise InputValidationError(
            f"grid: the parameter {empty[0]!r} has no values, so that there is no combination; give it at least one",
            column=empty[0],
        )
    return _parameters(
        [dict(zip(values, each, strict=True)) for each in product(*values.values())] if values else [],
        source_id=source_id,
        label=label,
        named="grid",
        example="grid(threshold=[1.0, 2.0])",
    )


def cases(
    parameters: Iterable[Mapping[str, Any]], *, source_id: str | None = None, label: str | None = None
) -> DictSource:
    """Return a source with a row for each of these cases, whose parameters are tags; see ``grid``.

    Args:
        parameters: the parameters of each case, ``[{"threshold": 1.0, "window": 5}, ...]``, none of them twice.
        source_id: what the source is called in provenance; after the names of the parameters if None.
        label: what it is called in a pipeline; ``cases`` if None.

    Raises:
        InputValidationError: there is no case, or one is there twice, or they have different parameters.
    """
    given = Checks("cases", InputValidationError).iterable("parameters", parameters, "cases", "give a list of dicts")
    return _parameters(
        list(given), source_id=source_id, label=label, named="cases", example='cases([{"threshold": 1.0}])'
    )


def _parameters(
    rows: Sequence[Mapping[str, Any]], *, source_id: str | None, label: str | None, named: str, example: str
) -> DictSource:
    if not rows or (isinstance(rows[0], Mapping) and not rows[0]):
        raise InputValidationError(f"{named}: found no parameter; give at least one, as in {example}")
    names = list(rows[0]) if isinstance(rows[0], Mapping) else []
    # A record is called after its values, so that others keep their names when some are added; None names nothing.
    is_named = all(isinstance(row, Mapping) and all(value is not None for value in row.values()) for row in rows)
    return DictSource(
        rows,
        names,
        source_id=f"{named}({','.join(map(str, names))})" if source_id is None else source_id,
        record_id_column=names if is_named else None,
        label=named if label is None else label,
    )
