"""Wrong arguments: every kind of thing that users hand in by mistake, and what comes of it."""

from __future__ import annotations

import array
import decimal
import faulthandler
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orcapod.errors import OrcapodError

__all__ = ["ODD", "argument_faults"]

_SECONDS = 120
_DEPTH = 3_000
_ASKED = ("__fspath__", "__getattr__", "__iter__")


class OddError(Exception):
    """What the odd objects raise, as a user's own code may."""


class _Odd:
    """Object of which one thing that objects can do raises."""


def _odd(method: str) -> Callable[[], object]:
    def fail(*_: object) -> object:
        raise OddError(method)

    return type(f"Odd{method.strip('_').title()}", (_Odd,), {method: fail})


def _cyclic_list() -> object:
    made: list[object] = []
    made.append(made)
    return made


def _cyclic_dict() -> object:
    made: dict[str, object] = {}
    made["itself"] = made
    return made


def _deep(wrap: Callable[[object], object]) -> Callable[[], object]:
    def make() -> object:
        made: object = 1
        for _ in range(_DEPTH):
            made = wrap(made)
        return made

    return make


def _two_of_one_name() -> pa.Table:
    return pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])


async def _coroutine_function(x: int) -> int:
    return x


def _function(x: int) -> int:
    return x


ODD: Mapping[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "0": lambda: 0,
    "-1": lambda: -1,
    "10**400": lambda: 10**400,
    "10**5000": lambda: 10**5000,
    "1.5": lambda: 1.5,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "complex": lambda: 1j,
    "decimal": lambda: decimal.Decimal("sNaN"),
    "bytes": lambda: b"\xff\x00",
    "bytearray": lambda: bytearray(b"abc"),
    "memoryview": lambda: memoryview(array.array("d", [1.0])),
    "empty text": lambda: "",
    "text": lambda: "x",
    "long text": lambda: "x" * 10_000,
    "NUL": lambda: "a\0b",
    "lone surrogate": lambda: "a\ud800",
    "newline": lambda: "a\nb",
    "separator": lambda: "a::b",
    "dots": lambda: "../..",
    "URL": lambda: "nothing://there",
    "underscore": lambda: "_x",
    "empty list": list,
    "list of None": lambda: [None],
    "list of ints": lambda: [1, 2],
    "list of texts": lambda: ["x", "x"],
    "list of surrogates": lambda: ["a\ud800"],
    "list of lists": lambda: [["a"]],
    "cyclic list": _cyclic_list,
    "deep list": _deep(lambda inner: [inner]),
    "empty tuple": tuple,
    "set": lambda: {"x", 1},
    "empty dict": dict,
    "dict": lambda: {"x": 1},
    "dict of ints": lambda: {1: 2},
    "dict of surrogates": lambda: {"a\ud800": "b\udfff"},
    "cyclic dict": _cyclic_dict,
    "deep dict": _deep(lambda inner: {"x": inner}),
    "object": object,
    "bad eq": _odd("__eq__"),
    "bad hash": _odd("__hash__"),
    "bad repr": _odd("__repr__"),
    "bad len": _odd("__len__"),
    "bad iter": _odd("__iter__"),
    "bad bool": _odd("__bool__"),
    "bad str": _odd("__str__"),
    "bad getattr": _odd("__getattr__"),
    "bad fspath": _odd("__fspath__"),
    "namespace": lambda: SimpleNamespace(name="x"),
    "type": lambda: int,
    "class": lambda: _Odd,
    "exception": lambda: ValueError("x"),
    "module": lambda: math,
    "function": lambda: _function,
    "async function": lambda: _coroutine_function,
    "lambda": lambda: lambda *args, **kwargs: None,
    "builtin": lambda: len,
    "generator": lambda: (each for each in "xy"),
    "iterator": lambda: iter([1]),
    "range": lambda: range(3),
    "ellipsis": lambda: ...,
    "path": lambda: Path("nowhere"),
    "datetime": lambda: datetime(2020, 1, 1, tzinfo=UTC),
    "table": lambda: pa.table({"x": [1], "y": [2]}),
    "table of no column": lambda: pa.table({}),
    "table of twins": _two_of_one_name,
    "array": lambda: pa.array([1]),
    "scalar": lambda: pa.scalar(1),
    "Arrow schema": lambda: pa.schema({"x": pa.int64()}),
    "expression": lambda: pc.field("x") > 1,
}
"""Things that are wrong nearly everywhere, each made anew: whoever is given one may change it."""


def argument_faults(
    call: Callable[..., object], arguments: Mapping[str, Callable[[], object]], *, positional: Sequence[str] = ()
) -> Iterator[str]:
    """Yield what goes wrong when one argument after the other is an odd thing.

    A call may be accepted, or end with one of orcapod's errors, or with what the odd thing itself raises where it is
    asked for its members, attributes or path.

    Args:
        call: what users call.
        arguments: for every argument, what makes a right one.
        positional: those that have no name.
    """
    for name in arguments:
        for called, make in ODD.items():
            given = {each: right() for each, right in arguments.items()} | {name: make()}
            first = [given.pop(each) for each in positional]
            faulthandler.dump_traceback_later(_SECONDS, exit=True)  # a call that hangs ends the tests, and says where
            try:
                call(*first, **given)
            except OrcapodError as error:
                if not str(error):
                    yield f"{name}={called}: {type(error).__name__} without a word"
            except BaseException as error:  # noqa: BLE001  # it is what is looked for
                if not (isinstance(error, OddError) and str(error) in _ASKED):
                    yield f"{name}={called}: {type(error).__name__}: {error!s:.150}"
            finally:
                faulthandler.cancel_dump_traceback_later()
