"""``ListSource``: a stream over the elements of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orcapod.checks import Checks
from orcapod.display import shown
from orcapod.errors import InputValidationError
from orcapod.sources.dicts import DictSource
from orcapod.sources.root import BadRows
from orcapod.sources.table import named_source

__all__ = ["ListSource"]

INDEX_TAG = "element_index"


class ListSource(DictSource):
    """A source with one packet column, whose values are the elements of a list.

    The code of the tag function is no part of the source's identity; the tags that it gives are. See
    ``DictSource`` for how types are taken from the values.

    Args:
        name: what the packet column is called.
        elements: its values.
        tag_function: given an element and its index from 0 on, gives its tags by name, the same names for
            every element; ``{"element_index": index}`` if None.
        source_id: see ``TableSource``, and so are the others.
        record_id_column: see ``TableSource``.
        data_schema: see ``TableSource``; where there is no element, it also says which tags there are.
        bad_rows: see ``TableSource``.
        label: see ``TableSource``.

    Raises:
        InputValidationError: the elements cannot become a stream; says which one, and why.
    """

    def __init__(
        self,
        name: str,
        elements: Iterable[Any],
        tag_function: Callable[[Any, int], Mapping[str, Any]] | None = None,
        *,
        source_id: str | None = None,
        record_id_column: str | Sequence[str] | None = None,
        data_schema: Mapping[str, Any] | None = None,
        bad_rows: BadRows = "raise",
        label: str | None = None,
    ) -> None:
        named = named_source(type(self).__name__, source_id)
        check = Checks(named, InputValidationError)
        check.text("name", name)
        check.iterable("elements", elements, "the elements", "give a list")
        declared = dict(check.mapping_or_empty("data_schema", data_schema, "{'x': int}"))
        if tag_function is None:
            tag_function = _index_tag
            declared.setdefault(INDEX_TAG, int)
        check.function("tag_function", tag_function)
        rows = [_row(named, name, element, index, tag_function) for index, element in enumerate(elements)]
        if not rows and name not in declared:
            raise InputValidationError(
                f"{named}: found no element, so the type of {name!r} is unknown; declare it in data_schema, "
                "with the tags if there is a tag_function"
            )
        super().__init__(
            rows,
            tag_columns=[column for column in (rows[0] if rows else declared) if column != name],
            source_id=source_id,
            record_id_column=record_id_column,
            data_schema=declared,
            bad_rows=bad_rows,
            label=label,
        )


def _index_tag(element: Any, index: int) -> Mapping[str, Any]:  # noqa: ARG001  # only where it stands counts
    return {INDEX_TAG: index}


def _row(
    named: str, name: str, element: Any, index: int, tag_function: Callable[[Any, int], Mapping[str, Any]]
) -> dict[str, Any]:
    try:
        tags = tag_function(element, index)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise  # it was called, and raised that itself
        raise InputValidationError(
            f"{named}: the tag_function cannot be called: {error}; give one that takes an element and its index"
        ) from error
    if not isinstance(tags, Mapping):
        raise InputValidationError(
            f"{named}: for element {index} the tag_function gave {shown(tags)} of type {type(tags).__qualname__}, "
            "expected a dict of tag names to values",
            row=index,
            expected="dict",
            found=type(tags).__qualname__,
        )
    if name in tags:
        raise InputValidationError(
            f"{named}: for element {index} the tag_function gave a tag {name!r}, which is the name of the elements; "
            "rename one of them",
            row=index,
            column=name,
        )
    return {**tags, name: element}
