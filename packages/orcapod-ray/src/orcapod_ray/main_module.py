"""``MainModule``: what the user's script is in a worker, and in the processes that a worker starts."""

from __future__ import annotations

import os
import sys
import tempfile
import weakref
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["MainModule"]

_PROGRAM = """\
import pickle
import sys

pickle.loads({content!r})
globals().update((name, value) for name, value in vars(sys.modules["__main__"]).items() if name[:2] != "__")
"""


class MainModule(ModuleType):
    """A main module that holds what a function uses of the user's, so that it can be pickled by name.

    The script may not be there, or need what is not there. So processes that multiprocessing spawns,
    which run the file of the main module first, are given one that loads the function.

    Args:
        function: the function, pickled for workers.
    """

    __slots__ = (
        "_orcapod_function",
        "_orcapod_path",
    )  # beside the names of the user's, and of no name that they may have

    def __init__(self, function: bytes) -> None:
        super().__init__("__main__")
        self._orcapod_function = function
        self._orcapod_path: str | None = None

    def enter(self) -> None:
        """Become the main module of this process."""
        sys.modules["__main__"] = sys.modules["__mp_main__"] = self

    @property
    def __file__(self) -> str:  # type: ignore[override]  # read only, and written when it is asked for
        if all(name in _OF_ANY_MODULE for name in vars(self)):
            raise AttributeError("the main module is empty, so it has no file")
        if self._orcapod_path is None:
            descriptor, self._orcapod_path = tempfile.mkstemp(".py", "orcapod_main_")
            with os.fdopen(descriptor, "w") as file:
                file.write(_PROGRAM.format(content=self._orcapod_function))
            weakref.finalize(self, os.unlink, self._orcapod_path)
        return self._orcapod_path

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return import_module, (self.__name__,)


_OF_ANY_MODULE = {*vars(ModuleType("__main__")), "__builtins__"}
