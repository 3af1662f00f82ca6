"""Translation of what deltalake, Arrow and file systems raise into errors of orcapod."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from deltalake.exceptions import DeltaError, DeltaProtocolError, SchemaMismatchError

from orcapod.errors import DatabaseError, OrcapodError, ValueTypeError

__all__ = ["is_fault", "raised_as"]

_PERMANENT = (DeltaProtocolError, SchemaMismatchError, pa.ArrowException)
_LASTING = re.compile(
    r"Json error|protocol|commit files|version|[Ss]chema|[Pp]arquet|thrift|Empty path|[Ii]nvalid|checkpoint"
)
_PASSING = re.compile(r"\bos error\b|Errno|Generic (LocalFileSystem|S3) error|timed? ?out|connect")
_NOISE = re.compile(r"\x1b\[[0-9;]*m|\n +0: .*", re.DOTALL)  # colours, and where in its machine code it happened


def is_fault(error: BaseException) -> bool:
    """Return whether deltalake, Arrow or a file system raised it, or deltalake panicked.

    A panic is a ``BaseException`` of a class that no module gives away.
    """
    is_panic = type(error).__name__ == "PanicException"
    return is_panic or isinstance(error, (DeltaError, OSError, pa.ArrowException))


@contextmanager
def raised_as(error_type: type[OrcapodError], where: str) -> Iterator[None]:
    """Raise such faults, and those of a store, as an error of this type that says where."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, error_type) or not (is_fault(error) or isinstance(error, DatabaseError | ValueTypeError)):
            raise
        raised = error_type(f"{where}: {_NOISE.sub('', str(error))}")
        if isinstance(raised, DatabaseError):
            raised.is_transient = is_fault(error) and not isinstance(error, _PERMANENT) and not _is_damage(str(error))
        raise raised from error


def _is_damage(text: str) -> bool:
    """Say whether a fault is of what is stored, by what is said of it: the classes of errors do not tell."""
    return _LASTING.search(text) is not None and _PASSING.search(text) is None
