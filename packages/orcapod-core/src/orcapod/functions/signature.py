"""``Signature``: what a Python function takes and gives, from its annotations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import isasyncgenfunction, isgeneratorfunction
from typing import Any, get_args, get_origin, get_type_hints

from orcapod.checks import Checks
from orcapod.datagrams import as_identifier, colliding, column_called
from orcapod.errors import SchemaError
from orcapod.types import STR, LogicalType, OptionalType, Schema
from orcapod.types.logical import unaliased

__all__ = ["Signature", "type_hint"]

_READ_FROM_TEXT = ("int", "float", "bool")
_TIMES = {
    ("datetime", "datetime[UTC]"): "; its values are instants: annotate it orcapod.types.AwareDatetime",
    ("datetime[UTC]", "datetime"): "; its values have no time zone; give them one where the rows come from",
}
"""What to do about a column of times, by the name of the type wanted and of the one found."""


@dataclass(frozen=True)
class Signature:
    """Signature of a function: what it takes and returns.

    Attributes:
        inputs: its parameters and their types.
        optional: the parameters that have a default, so that their column may be missing.
        outputs: its output columns and their types.
    """

    inputs: Schema
    optional: frozenset[str]
    outputs: Schema

    @property
    def arguments(self) -> list[object]:
        """The annotations of its parameters, and what makes values of these types."""
        dtypes = [each for dtype in self.inputs.types.values() for each in _types_in(dtype)]
        annotations = [dtype.annotation for dtype in self.inputs.types.values()]
        return annotations + [reader for dtype in dtypes for reader in dtype.readers]

    def columns(self, packets: Schema) -> dict[str, str]:
        """Return the parameters that packets fill, and from which of their columns.

        Python knows an identifier in one form, NFKC; a column may be written in another: ``µm`` with the micro sign.
        """
        found = {name: column_called(name, packets) for name in self.inputs}
        return {name: column for name, column in found.items() if column is not None}

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        output_keys: Sequence[str],
        *,
        named: str,
        input_schema: Mapping[str, Any],
        output_schema: Mapping[str, Any],
    ) -> Signature:
        """Return the signature that a function declares.

        Args:
            function: annotated, with named parameters only.
            output_keys: the names of its outputs, in their order.
            named: what the function is called in messages.
            input_schema: types of parameters, in place of annotations.
            output_schema: types of outputs, in place of the return annotation.

        Raises:
            SchemaError: something is not declared, or declared in a way that no column can have.
        """
        _check_kind(function, named)
        hints = _hints(function, named)
        declared = {as_identifier(name): given for name, given in input_schema.items()}
        inputs: dict[str, Any] = {}
        optional = set()
        for name, parameter in _parameters(function, named).items():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise SchemaError(
                    f"{named}: parameter {parameter} cannot be filled from a column; give it a plain name"
                )
            annotation = declared.get(name, hints.get(name, inspect.Parameter.empty))
            if annotation is inspect.Parameter.empty and name in ("self", "cls") and not inputs:
                raise SchemaError(
                    f"{named}: is a method, and its {name!r} is no column; give the method of an object instead: "
                    f"function_pod(...)(an_object.{named}), or make it a @staticmethod"
                )
            if annotation is inspect.Parameter.empty:
                raise SchemaError(f"{named}: parameter {name!r} has no type; annotate it, as in '{name}: float'")
            inputs[name] = annotation
            if parameter.default is not parameter.empty:
                optional.add(name)
        if unknown := sorted(set(declared) - set(inputs)):
            raise SchemaError(f"{named}: input_schema names {unknown[0]!r}, found parameters {list(inputs)}")
        if two := colliding(output_keys):
            raise SchemaError(f"{named}: output {two}", column=two.other)
        outputs = output_schema or _outputs(hints.get("return", inspect.Parameter.empty), output_keys, named)
        if list(outputs) != list(output_keys):
            raise SchemaError(f"{named}: output_schema names {list(outputs)}, output_keys names {list(output_keys)}")
        return cls(_schema(inputs, named), frozenset(optional), _schema(outputs, named))


def _types_in(dtype: LogicalType) -> Iterator[LogicalType]:
    """Yield a type and those that it is made of."""
    yield dtype
    for held in vars(dtype).values():
        parts = held.values() if isinstance(held, Mapping) else held if isinstance(held, list | tuple) else (held,)
        for part in parts:
            if isinstance(part, LogicalType):
                yield from _types_in(part)


def _check_kind(function: Callable[..., Any], named: str) -> None:
    """Check that a call of the function gives its result."""
    if isinstance(function, classmethod):
        raise SchemaError(
            f"{named}: is a classmethod, which is called by way of its class; give the method of the class instead: "
            f"function_pod(...)(TheClass.{named}), or make it a @staticmethod"
        )
    Checks(named, SchemaError).function("the function", function)
    call = function if hasattr(function, "__code__") else getattr(type(function), "__call__", function)  # noqa: B004
    if any(is_kind(each) for is_kind in (isgeneratorfunction, isasyncgenfunction) for each in (function, call)):
        raise SchemaError(
            f"{named}: is a generator, so that a call gives no result but a way to them; expected a function that "
            "returns; return a list of what it yields, and explode it if each is to be a row"
        )


def _hints(function: Callable[..., Any], named: str) -> dict[str, Any]:
    target: Any = inspect.unwrap(function)
    while isinstance(target, partial):
        target = inspect.unwrap(target.func)
    if not hasattr(target, "__annotations__"):
        target = type(target).__call__
    try:
        return get_type_hints(target, include_extras=True) if hasattr(target, "__annotations__") else {}
    except NameError as error:
        raise SchemaError(f"{named}: an annotation names something that is not there: {error}") from None


def _parameters(function: Callable[..., Any], named: str) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except ValueError as error:
        raise SchemaError(
            f"{named}: its parameters cannot be seen ({error}); wrap it in a function of your own"
        ) from None


def _outputs(annotation: Any, keys: Sequence[str], named: str) -> dict[str, Any]:
    if annotation is inspect.Parameter.empty:
        raise SchemaError(f"{named}: the result has no type; annotate it, as in '-> float'")
    if len(keys) == 1:
        return {keys[0]: annotation}
    annotation = unaliased(annotation)
    members = get_args(annotation)
    if get_origin(annotation) is not tuple or ... in members or len(members) != len(keys):
        raise SchemaError(
            f"{named}: output_keys names {len(keys)} outputs {list(keys)}, found "
            f"'-> {inspect.formatannotation(annotation)}'; expected a tuple of {len(keys)} types, as in "
            "'-> tuple[float, int]'"
        )
    return dict(zip(keys, members, strict=True))


def _schema(columns: Mapping[str, Any], named: str) -> Schema:
    schema = Schema()
    for name, annotation in columns.items():
        if not name or name.startswith("_"):
            raise SchemaError(f"{named}: a column may not be called {name!r}; names starting with '_' are the system's")
        try:
            schema = schema | Schema({name: annotation})
        except SchemaError as error:
            raise SchemaError(f"{named}: {name!r}: {error}") from None
    return schema


def type_hint(name: str, wanted: LogicalType, found: LogicalType) -> str:
    """Return what to do about a column of text, of lists, of the other kind of time, with nulls or with NaN."""
    plain, held = wanted.non_null, found.non_null
    if held is STR and plain.name in _READ_FROM_TEXT:
        return (
            f"; a value that is no {plain.name} makes text of a column: give the source "
            f"data_schema={{{name!r}: {wanted.name}}}, which names the first"
        )
    if hint := _TIMES.get((plain.name, held.name)):
        return hint
    if found.name == f"list[{wanted.name}]":
        return f"; take {found.name}, or make a row of each member with .explode({name!r})"
    if (plain.name, held.name) == ("int", "float"):
        return (
            f"; NaN in place of a missing int makes floats of a column: give the source data_schema={{{name!r}: int | "
            "None}, or None in place of NaN, as pandas does in a column of dtype 'Int64'"
        )
    if not isinstance(found, OptionalType) or not wanted.takes(found.inner):
        return ""
    return (
        f"; take {wanted.name} | None, or drop such rows with .drop_nulls([{name!r}]), or give the source "
        f'data_schema={{"{name}": {wanted.name}}} and bad_rows="fail", by which each of them fails alone'
    )
