"""Everything orcapod raises, one tree.

    OrcapodError
    ├── InputValidationError (ValueError)    data that cannot become a stream
    ├── SchemaError (TypeError)              streams, operators and functions that do not fit together
    ├── ValueTypeError (TypeError)           a value that is not of its declared type
    ├── IdentityError (TypeError)            something that cannot be given a hash
    ├── PipelineError (RuntimeError)         a pipeline used in a way it cannot serve
    │   └── LabelError (AttributeError)      no node, or no single node, of that label
    ├── DatabaseError (RuntimeError)         a store that cannot do what it was asked
    │   ├── RecordSchemaError (TypeError)    records that do not fit what their path holds
    │   ├── DuplicateKeyError (ValueError)   a key that is already there, with on_conflict="raise"
    │   ├── RecordTooLargeError (ValueError) a record of more bytes than its store takes
    │   └── StoreVersionError (OSError)      a store written by a newer version of orcapod
    ├── ConfigError (ValueError)             an option that has no meaning
    ├── ExecutionError (RuntimeError)        an executor that cannot do what it was asked
    │   ├── PacketTimeoutError (TimeoutError) a packet that took longer than it may
    │   └── WorkerDiedError                  a packet whose worker process died
    └── PluginError (LookupError)            a name that no installed package provides

An exception raised by a user's own function is never wrapped: it arrives as itself.
"""

from orcapod.display import sizes

__all__ = [
    "ConfigError",
    "DatabaseError",
    "DuplicateKeyError",
    "ExecutionError",
    "IdentityError",
    "InputValidationError",
    "LabelError",
    "OrcapodError",
    "PacketTimeoutError",
    "PipelineError",
    "PluginError",
    "RecordSchemaError",
    "RecordTooLargeError",
    "SchemaError",
    "StoreVersionError",
    "ValueTypeError",
    "WorkerDiedError",
]


class OrcapodError(Exception):
    """The root of every error that orcapod raises itself."""


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


class LabelError(PipelineError, AttributeError):
    """No node, or no single node, bears that label."""


class DatabaseError(OrcapodError, RuntimeError):
    """A store that cannot do what it was asked."""


class RecordSchemaError(DatabaseError, TypeError):
    """Records whose columns do not fit what their path already holds."""


class DuplicateKeyError(DatabaseError, ValueError):
    """A key that is already there, when records were added with ``on_conflict="raise"``."""


class RecordTooLargeError(DatabaseError, ValueError):
    """A record of more bytes than its store takes; nothing of the table that it came in was written.

    Attributes:
        path: where it was to be kept, as the store sees it.
        column: the column that has most of its bytes.
        size: how many bytes it has, as the store would keep it.
        limit: how many bytes the store takes.
        store: what kind of store it is, as in "an SQLite store".
    """

    def __init__(self, path: tuple[str, ...], column: str, size: int, limit: int, store: str) -> None:
        super().__init__(path, column, size, limit, store)
        self.path = path
        self.column = column
        self.size = size
        self.limit = limit
        self.store = store

    def __str__(self) -> str:
        size, limit = sizes(self.size, self.limit)
        return (
            f"{'/'.join(self.path)}: column {self.column!r} makes a record of {size}, {self.store} takes {limit}; "
            "nothing of this call was written; keep such values in files, or in several records"
        )


class StoreVersionError(DatabaseError, OSError):
    """A store that was written by a newer version of orcapod."""


class ExecutionError(OrcapodError, RuntimeError):
    """An executor that cannot do what it was asked."""


class ConfigError(OrcapodError, ValueError):
    """An option that has no meaning; says what was found and what there is to choose from."""


class PacketTimeoutError(ExecutionError, TimeoutError):
    """A packet that took longer than its node allows."""


class WorkerDiedError(ExecutionError):
    """A packet whose worker process died: killed, crashed, or ended by the function itself."""


class PluginError(OrcapodError, LookupError):
    """A name that no installed package provides; lists the known ones."""
