"""``NoOperand``: what is no value says so where one is wanted, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from orcapod.errors import SchemaError

__all__ = ["NoOperand"]

_OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"]
_OTHERS = ["lt", "le", "gt", "ge", "neg", "abs", "int", "float", "getitem"]


class NoOperand:
    """Something that cannot be calculated with.

    A function with ``@function_pod`` stays a plain function, so nothing keeps a user from calling it with a stream;
    this is where such a call ends.
    """


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse(self: Any, *_: object) -> NoReturn:
        raise SchemaError(
            f"{name}: {self!r} is a stream of rows and no value; apply a function to each row with "
            "function.pod(stream), and read columns with stream.as_table()"
        )

    return refuse


for _name in [*_OPERATORS, *(f"r{name}" for name in _OPERATORS), *_OTHERS]:
    setattr(NoOperand, f"__{_name}__", _refusal(f"__{_name}__"))
