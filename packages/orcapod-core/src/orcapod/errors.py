"""Everything orcapod raises, one tree.

    OrcapodError
    ├── InputValidationError (ValueError)    data that cannot become a stream
    ├── SchemaError (TypeError)              streams, operators and functions that do not fit together
    ├── ValueTypeError (TypeError)           a value that is not of its declared type
    ├── IdentityError (TypeError)            something that cannot be given a hash
    ├── PipelineError (RuntimeError)         a pipeline used in a way it cannot serve
    │   └── LabelError (AttributeError, KeyError) no node, or no single node, of that label
    ├── DatabaseError (RuntimeError)         a store that cannot do what it was asked
    │   ├── RecordSchemaError (TypeError)    records that do not fit what their path holds
    │   ├── DuplicateKeyError (ValueError)   a key that is already there, with on_conflict="raise"
    │   ├── DamagedRecordError (ValueError)  a record that is not as it was stored
    │   ├── RecordTooLargeError (ValueError) a record of more bytes than its store takes
    │   ├── PrunedResultError (LookupError)  a result whose values were pruned
    │   ├── ReadOnlyStoreError (PermissionError) a store that may only be read
    │   ├── StoreLockedError (TimeoutError)  a store that another program keeps locked
    │   ├── StoreVersionError (OSError)      a store of another version of orcapod
    │   ├── UnknownCodeError (LookupError)   a fingerprint of which a store holds no code
    │   ├── UnknownRowError (LookupError)    no row, or no single row, of these tags or of that source
    │   └── UnknownRunError (LookupError)    a run of which a store knows nothing
    ├── ConfigError (ValueError)             an option that has no meaning
    │   ├── PluginError (LookupError)        a name that no installed package provides
    │   └── UnknownOptionError (ExecutionError) an option that an executor does not know
    └── ExecutionError (RuntimeError)        an executor that cannot do what it was asked
        ├── PacketTimeoutError (TimeoutError) a packet that took longer than it may
        ├── WorkerDiedError                  a packet whose worker process died
        ├── PacketAbandonedError             a packet that was begun when its run ended
        ├── IncompleteError                  rows that are made of others, some of which have failed
        └── ChannelClosedError (EOFError)    a channel that takes, or gives, nothing more

An exception raised by a user's own function is never wrapped: it arrives as itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orcapod.display import sizes

__all__ = [
    "ChannelClosedError",
    "ConfigError",
    "DamagedRecordError",
    "DatabaseError",
    "DuplicateKeyError",
    "ExecutionError",
    "IdentityError",
    "IncompleteError",
    "InputValidationError",
    "LabelError",
    "OrcapodError",
    "PacketAbandonedError",
    "PacketTimeoutError",
    "PipelineError",
    "PluginError",
    "PrunedResultError",
    "ReadOnlyStoreError",
    "RecordSchemaError",
    "RecordTooLargeError",
    "SchemaError",
    "StoreLockedError",
    "StoreVersionError",
    "UnknownCodeError",
    "UnknownOptionError",
    "UnknownRowError",
    "UnknownRunError",
    "ValueTypeError",
    "WorkerDiedError",
]


_ABOUT = ("column", "row", "expected", "found", "node", "source_id")


class OrcapodError(Exception):
    """The root of every error that orcapod raises itself.

    What the message speaks of is there for programs, too; None where it speaks of no such thing.

    Attributes:
        column: the column that it is about.
        row: which row, the first being 0.
        expected: what would have been right, as the message says it.
        found: what there was, as the message says it.
        node: the label of a node, or the name of a function.
        source_id: what the source is called.
    """

    def __init__(
        self,
        message: str = "",
        *,
        column: str | None = None,
        row: int | None = None,
        expected: str | None = None,
        found: str | None = None,
        node: str | None = None,
        source_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.column = column
        self.row = row
        self.expected = expected
        self.found = found
        self.node = node
        self.source_id = source_id

    def about(self, **more: Any) -> dict[str, Any]:
        """Return what it speaks of, for an error that is raised in its place and knows more."""
        known = {name: getattr(self, name) for name in _ABOUT}
        return {name: value for name, value in known.items() if value is not None} | more


class InputValidationError(OrcapodError, ValueError):
    """Data that cannot become a stream; says which source, row and column."""


class SchemaError(OrcapodError, TypeError):
    """Streams, operators and functions that do not fit together; raised while a pipeline is built."""


class ValueTypeError(OrcapodError, TypeError):
    """A value that is not of its declared type; says what was expected and what was found."""


class IdentityError(OrcapodError, TypeError):
    """Something that cannot be given a hash, so that nothing could be cached under it."""


class PipelineError(OrcapodError, RuntimeError):
    """A pipeline used in a way that it cannot serve."""


class LabelError(PipelineError, AttributeError, KeyError):
    """No node, or no single node, bears that label."""

    __str__ = Exception.__str__  # a KeyError shows its message in quotes


class DatabaseError(OrcapodError, RuntimeError):
    """A store that cannot do what it was asked.

    Attributes:
        is_transient: whether the same may succeed a moment later, once a disk has room or a network is back: then it is
            asked again before a run ends with the error.
    """

    is_transient = False

    def __init__(self, message: str = "", *, is_transient: bool | None = None, **about: Any) -> None:
        super().__init__(message, **about)
        if is_transient is not None:
            self.is_transient = is_transient


class RecordSchemaError(DatabaseError, TypeError):
    """Records whose columns do not fit what their path already holds."""


class DuplicateKeyError(DatabaseError, ValueError):
    """A key that is already there, when records were added with ``on_conflict="raise"``."""


class DamagedRecordError(DatabaseError, ValueError):
    """Records that are not as they were stored; says which, and what to do.

    Attributes:
        keys: the keys of the records, where they are known.
        file: the file that they are in, where a store has many.
    """

    def __init__(
        self, message: str = "", *, keys: Sequence[str | bytes] = (), file: str | None = None, **about: Any
    ) -> None:
        super().__init__(message, **about)
        self.keys = tuple(keys)
        self.file = file


class RecordTooLargeError(DatabaseError, ValueError):
    """A record of more bytes than its store takes; nothing of the table that it came in was written.

    Attributes:
        path: where it was to be kept, as the store sees it; empty where it did not come so far.
        column: the column that has most of its bytes.
        size: how many bytes it has, as the store would keep it.
        limit: how many bytes the store takes.
        store: what kind of store it is, as in "an SQLite store".
    """

    def __init__(
        self,
        message: str,
        *,
        path: tuple[str, ...] = (),
        column: str = "",
        size: int = 0,
        limit: int = 0,
        store: str = "the store",
    ) -> None:
        super().__init__(message, column=column)
        self.path = path
        self.size = size
        self.limit = limit
        self.store = store

    @classmethod
    def of(cls, path: tuple[str, ...], column: str, size: int, limit: int, store: str) -> RecordTooLargeError:
        """Return the error that says so of a record, or, without a path, of an output of a function."""
        shown, most = sizes(size, limit)
        if path:
            message = (
                f"{'/'.join(path)}: column {column!r} makes a record of {shown}, {store} takes {most}; "
                "nothing of this call was written; keep such values in files, or in several records"
            )
        else:
            message = f"output {column!r} has {shown}, {store} takes {most}; return the path of a file that holds it"
        return cls(message, path=path, column=column, size=size, limit=limit, store=store)


class ReadOnlyStoreError(DatabaseError, PermissionError):
    """A store that may only be read; says what keeps it from being written to."""


class StoreLockedError(DatabaseError, TimeoutError):
    """A store that another program keeps locked; nothing is lost, and the same call may be made again."""

    is_transient = True


class StoreVersionError(DatabaseError, OSError):
    """A store that was written by a newer or an older version of orcapod; says which, and what to do."""


class ExecutionError(OrcapodError, RuntimeError):
    """An executor that cannot do what it was asked."""


class UnknownCodeError(DatabaseError, LookupError):
    """A fingerprint of which a store holds no code."""


class UnknownRowError(DatabaseError, LookupError):
    """There is no row, or no single row, of these tags or of that source."""


class UnknownRunError(DatabaseError, LookupError):
    """A run of which a store knows nothing."""


class PrunedResultError(DatabaseError, LookupError):
    """Results whose values were pruned: what is known of them is still there, and a run computes them again.

    Attributes:
        keys: their record ids.
    """

    def __init__(self, message: str = "", *, keys: Sequence[bytes] = (), **about: Any) -> None:
        super().__init__(message, **about)
        self.keys = tuple(keys)


class ConfigError(OrcapodError, ValueError):
    """An option that has no meaning; says what was found and what there is to choose from."""


class PacketTimeoutError(ExecutionError, TimeoutError):
    """A packet that took longer than its node allows."""


class WorkerDiedError(ExecutionError):
    """A packet whose worker process died: killed, crashed, or ended by the function itself."""


class PacketAbandonedError(ExecutionError):
    """A packet that was begun when its run ended before its time; the next run computes it."""


class IncompleteError(ExecutionError):
    """Rows that are made of others, some of which have failed, or were not computed."""


class ChannelClosedError(ExecutionError, EOFError):
    """A channel that was closed: nothing more goes into it, or comes out of it."""


class PluginError(ConfigError, LookupError):
    """A name that no installed package provides; lists the known ones."""


class UnknownOptionError(ConfigError, ExecutionError):
    """An option that an executor does not know; says which there are."""
