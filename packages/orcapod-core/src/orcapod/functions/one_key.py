"""Checks that functions which share a key are one function: a result is served only for what it is the result of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import FunctionType

from orcapod.errors import PipelineError
from orcapod.functions.packet_function import PythonPacketFunction
from orcapod.hashing import Fingerprint, compare_parts

__all__ = ["check_one_key"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes)


def check_one_key(functions: Mapping[str, PythonPacketFunction], code: Mapping[str, Fingerprint]) -> None:
    """Check that of the functions of a run, no two unlike ones have one uri and one fingerprint.

    Args:
        functions: by the label of their node.
        code: what they say, by the same.

    Raises:
        PipelineError: two have.
    """
    known: dict[object, str] = {}
    for label, function in functions.items():
        first = known.setdefault((function.uri, code[label].hash), label)
        if difference := next(_differences(functions[first], function, code[label]), ""):
            raise PipelineError(
                f"nodes {first!r} and {label!r} are of two functions that would be given each other's results: one "
                f"name, one version and one fingerprint, but {difference}; give one of them another name=, or say "
                "with depends_on=[...] what tells them apart",
                node=label,
            )


def _differences(one: PythonPacketFunction, other: PythonPacketFunction, code: Fingerprint) -> Iterator[str]:
    if one.function is other.function:
        return
    if (one.is_told or other.is_told) and one.untold.hash != other.untold.hash:
        changes = compare_parts(one.untold.parts, other.untold.parts)
        yield str(next(iter(changes), "they hold different objects"))
    state = {listed.partition(" (")[0] for listed in code.state}
    held, holds = _plain(one.function), _plain(other.function)
    for name in held.keys() & holds.keys() - state:
        if held[name] != holds[name]:
            yield f"{name} is {held[name]} in one and {holds[name]} in the other, which is a mistake of orcapod"


def _plain(function: object) -> dict[str, str]:
    """Return the plain values in the closure and the defaults of a function, as they are written."""
    if type(function) is not FunctionType:
        return {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    held = {name: cell.cell_contents for name, cell in cells if cell != type(cell)()}
    held |= {f"default {index}": value for index, value in enumerate(function.__defaults__ or ())}
    return {name: ascii(value) for name, value in held.items() if type(value) in _PLAIN}
