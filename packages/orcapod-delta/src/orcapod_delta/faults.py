"""Translation of what deltalake, Arrow and file systems raise into errors of orcapod."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from deltalake.exceptions import DeltaError, DeltaProtocolError, SchemaMismatchError

from orcapod.databases import read_only_store
from orcapod.errors import DatabaseError, OrcapodError, ValueTypeError

__all__ = ["is_fault", "is_refusal", "raised_as", "writing_to"]

_PERMANENT = (DeltaProtocolError, SchemaMismatchError, pa.ArrowException)
_LASTING = re.compile(
    r"Json error|protocol|commit files|version|[Ss]chema|[Pp]arquet|thrift|Empty path|[Ii]nvalid|checkpoint"
)
_PASSING = re.compile(r"\bos error\b|Errno|Generic (LocalFileSystem|S3) error|timed? ?out|connect")
_REFUSED = re.compile(
    r"\bos error (1|13|30)\b|Permission denied|Read-only file system|necessary privileges|AccessDenied|403 Forbidden"
)
_REFUSALS = (errno.EPERM, errno.EACCES, errno.EROFS)
_NOISE = re.compile(r"\x1b\[[0-9;]*m|\n +0: .*", re.DOTALL)  # colours, and where in its machine code it happened


def is_fault(error: BaseException) -> bool:
    """Return whether deltalake, Arrow or a file system raised it, or deltalake panicked.

    A panic is a ``BaseException`` of a class that no module gives away.
    """
    is_panic = type(error).__name__ == "PanicException"
    return is_panic or isinstance(error, (DeltaError, OSError, pa.ArrowException))


def is_refusal(error: BaseException) -> bool:
    """Return whether a fault is that somebody may not do something, which no time mends."""
    return getattr(error, "errno", None) in _REFUSALS or _REFUSED.search(str(error)) is not None


@contextmanager
def writing_to(where: str) -> Iterator[None]:
    """Raise what forbids to write there as the error of a store that may only be read."""
    try:
        yield
    except BaseException as error:
        if is_fault(error) and is_refusal(error):
            raise read_only_store(where, _said(error)) from error
        raise


@contextmanager
def raised_as(error_type: type[OrcapodError], where: str) -> Iterator[None]:
    """Raise such faults, and those of a store, as an error of this type that says where."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, error_type) or not (is_fault(error) or isinstance(error, DatabaseError | ValueTypeError)):
            raise
        raised = error_type(f"{where}: {_said(error)}")
        if isinstance(raised, DatabaseError):
            is_lasting = isinstance(error, _PERMANENT) or is_refusal(error) or _is_damage(str(error))
            raised.is_transient = is_fault(error) and not is_lasting
        raise raised from error


def _said(error: BaseException) -> str:
    return _NOISE.sub("", str(error))


def _is_damage(text: str) -> bool:
    """Say whether a fault is of what is stored, by what is said of it: the classes of errors do not tell."""
    return _LASTING.search(text) is not None and _PASSING.search(text) is None
