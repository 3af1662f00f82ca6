"""``PythonPacketFunction``: a typed Python function that makes a packet from a packet."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa

from orcapod.datagrams import Chunk, StreamSchema
from orcapod.errors import SchemaError, ValueTypeError
from orcapod.functions.awaiting import is_async, run_to_end
from orcapod.functions.captured import CaptureBuffer
from orcapod.functions.signature import Signature
from orcapod.hashing import ContentHash, fingerprint_function, hash_rows, hash_structure
from orcapod.protocols import CapturedOutput, Outcome, PacketExecutionLoggerProtocol, PythonFunctionExecutorProtocol
from orcapod.records import FunctionUri
from orcapod.types import LogicalType, Schema

__all__ = ["Identity", "PythonPacketFunction"]

Identity = Literal["code", "version"]
"""What tells two functions of one name apart: what their code says, or the version that the author declares."""

_UNCAPTURED = "A logger was passed but no executor is set — capture will not occur."


class PythonPacketFunction:
    """A Python function as a maker of packets: takes columns as arguments, gives columns as results.

    Args:
        function: annotated; sync or async. A parameter is filled from the column of its name; one with a
            default need not have a column.
        output_keys: the name of its output, or the names of the members of the tuple that it returns.
        name: what it is called in records; the function's own name if None.
        version: ``v{major}.{minor}``; another major version is another function.
        identity: ``code`` makes everything that the function refers to in the user's own code part of its
            identity; ``version`` trusts the author to change the major version instead.
        depends_on: functions, classes or values that belong to its identity and that code does not show.
        input_schema: types of parameters, in place of annotations.
        output_schema: types of outputs, in place of the return annotation.

    Raises:
        SchemaError: types are missing, or are such that no column can have them.
    """

    type_id = "python"

    options: Mapping[str, Any]
    """The arguments that it was made with, beside the function."""

    def __init__(
        self,
        function: Callable[..., Any],
        output_keys: str | Sequence[str],
        *,
        name: str | None = None,
        version: str = "v0.0",
        identity: Identity = "code",
        depends_on: Sequence[object] = (),
        input_schema: Mapping[str, Any] | None = None,
        output_schema: Mapping[str, Any] | None = None,
    ) -> None:
        self.function = function
        self.options = {
            "output_keys": output_keys, "name": name, "version": version, "identity": identity,
            "depends_on": depends_on, "input_schema": input_schema, "output_schema": output_schema,
        }  # fmt: skip
        self.name = name or str(getattr(function, "__name__", ""))
        if not re.fullmatch(r"[^\s:/]+", self.name) or self.name == "<lambda>":
            raise SchemaError(f"found a function called {self.name!r}; give it a name of its own with name='...'")
        if not (major := re.fullmatch(r"v?(\d+)(\.\d+)*", version)):
            raise SchemaError(f"{self.name}: found version {version!r}, expected 'v{{major}}.{{minor}}' as in 'v1.0'")
        if identity not in ("code", "version"):
            raise SchemaError(f"{self.name}: found identity {identity!r}, expected 'code' or 'version'")
        keys = [output_keys] if isinstance(output_keys, str) else list(output_keys)
        if not keys or len(set(keys)) != len(keys):
            raise SchemaError(f"{self.name}: found output_keys {keys}, expected at least one name, none twice")
        self.signature = Signature.of(
            function, keys, named=self.name, input_schema=input_schema, output_schema=output_schema
        )
        self.is_async = is_async(function)
        self._major = f"v{major[1]}"
        self._identity = identity
        self._depends_on = tuple(depends_on)
        self._warned = False
        self._outputs = list(self.signature.outputs.types.items())

    @cached_property
    def uri(self) -> FunctionUri:
        """``(name, output schema hash, v{major}, type id)``."""
        return self.name, hash_structure(self.signature.outputs.structure).short, self._major, self.type_id

    def fingerprint(self) -> ContentHash:
        """What the function's code says now, or, with ``identity="version"``, which version it is.

        It is taken anew each time: in a notebook, a helper may be another one from one run to the next.
        """
        if self._identity == "version":
            return hash_structure(("version", self._major))
        found = fingerprint_function(self.function, depends_on=self._depends_on)
        if found.opaque and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.name}: a change in {'; '.join(found.opaque)} will not be seen, and results computed before "
                "it will be taken for current; pass what matters as an argument, or name it in depends_on",
                stacklevel=2,
            )
        return found.hash

    def output_schema(self, inputs: StreamSchema) -> StreamSchema:
        """The schema of what it makes of a stream.

        Raises:
            SchemaError: a column is missing or of another type, or an output has the name of a tag.
        """
        for name, wanted in self.signature.inputs.types.items():
            found = inputs.packets.types.get(name)
            if found is None:
                if name in self.signature.optional:
                    continue
                hint = "; it is a tag, which functions do not see" if name in inputs.tags else ""
                raise SchemaError(
                    f"{self.name}: no packet column for parameter {name!r}{hint}; found {list(inputs.packets)}"
                )
            if not wanted.takes(found):
                hint = "; drop the nulls first with drop_nulls, or take None" if found.name.endswith("| None") else ""
                raise SchemaError(
                    f"{self.name}: parameter {name!r} is {wanted.name}, found a column of {found.name}{hint}"
                )
        if taken := [name for name in self.signature.outputs if name in inputs.tags]:
            raise SchemaError(f"{self.name}: output {taken[0]!r} has the name of a tag column; rename one of them")
        return StreamSchema.plain(inputs.tags, self.signature.outputs, inputs.system_tags)

    def inputs(self, chunk: Chunk) -> tuple[pa.RecordBatch, Schema]:
        """The columns that the function takes of a chunk, in the types that it declares."""
        schema = self.signature.inputs.select(name for name in self.signature.inputs if name in chunk.schema.packets)
        columns = {}
        for name, kind in schema.types.items():
            column = chunk.column(name)
            columns[name] = column if column.type == kind.arrow else column.cast(kind.arrow)
        if not columns:
            return chunk.batch.select([]), schema
        return pa.RecordBatch.from_pydict(columns), schema

    def refused(self, chunk: Chunk) -> dict[int, ValueTypeError]:
        """The rows that hold an int where the function takes a float, and no float is exactly that int."""
        widened = [
            (name, kind)
            for name, kind in self.signature.inputs.types.items()
            if name in chunk.schema.packets and chunk.column(name).type != kind.arrow
        ]
        try:
            for name, kind in widened:
                chunk.column(name).cast(kind.arrow)
        except pa.ArrowInvalid:
            return dict(self._inexact(chunk, widened))
        return {}

    def _inexact(
        self, chunk: Chunk, widened: Sequence[tuple[str, LogicalType]]
    ) -> Iterator[tuple[int, ValueTypeError]]:
        for row in range(chunk.num_rows):
            for name, kind in widened:
                try:
                    chunk.column(name).slice(row, 1).cast(kind.arrow)
                except pa.ArrowInvalid as error:
                    yield row, ValueTypeError(f"{self.name}: parameter {name!r}: expected {kind.name}: {error}")
                    break

    def packet_hashes(self, chunk: Chunk) -> list[bytes]:
        """For every row, the hash of what the function takes of it."""
        return hash_rows(*self.inputs(chunk))

    def arguments(self, chunk: Chunk) -> list[dict[str, Any]]:
        """For every row, the arguments of a call: fresh values, nobody else's."""
        batch, schema = self.inputs(chunk)
        names = list(schema)
        if not names:
            return [{} for _ in range(chunk.num_rows)]
        columns = [kind.to_python(batch.column(name)) for name, kind in schema.types.items()]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def call(
        self,
        kwargs: Mapping[str, Any],
        *,
        executor: PythonFunctionExecutorProtocol | None = None,
        logger: PacketExecutionLoggerProtocol | None = None,
    ) -> tuple[Any, ...]:
        """Call the function where the executor says; give its outputs in the form that Arrow stores.

        What the executor captured goes on to ``logger`` once the outputs were accepted or refused, so that
        ``success`` means that there is a result.

        Raises:
            ValueTypeError: an output is not of its declared type.
            Exception: whatever the function raised, as itself.
        """
        if executor is None:
            if logger is not None:
                warnings.warn(_UNCAPTURED, stacklevel=2)
            return self.accept(self.direct_call(kwargs))
        if logger is None:
            return self.accept(executor.execute_callable(self.function, kwargs))
        buffer = CaptureBuffer()
        try:
            returned = executor.execute_callable(self.function, kwargs, logger=buffer)
        except BaseException:
            if buffer.output is not None:
                logger.record(**buffer.output.fields())
            raise
        return self._concluded(returned, buffer.output, logger)

    def conclude(self, outcome: Outcome, logger: PacketExecutionLoggerProtocol | None) -> tuple[Any, ...]:
        """Return the outputs of a call that was made elsewhere, in the form that Arrow stores.

        Raises:
            ValueTypeError: an output is not of its declared type.
            BaseException: whatever the function raised, as itself.
        """
        if logger is not None:
            for captured in outcome.earlier:
                logger.record(**captured.fields())
        if outcome.error is not None:
            if logger is not None and outcome.captured is not None:
                logger.record(**outcome.captured.fields())
            raise outcome.error
        return self._concluded(outcome.value, outcome.captured, logger)

    def _concluded(
        self, returned: Any, captured: CapturedOutput | None, logger: PacketExecutionLoggerProtocol | None
    ) -> tuple[Any, ...]:
        try:
            return self.accept(returned)
        except BaseException as error:
            if captured is not None:  # it returned, but what it returned is refused
                captured = captured.refused(error)
            raise
        finally:
            if logger is not None and captured is not None:
                logger.record(**captured.fields())

    def direct_call(self, kwargs: Mapping[str, Any]) -> Any:
        """The function's own result, in this thread, with nothing captured."""
        made = self.function(**kwargs)
        return run_to_end(made) if self.is_async else made

    def accept(self, returned: Any) -> tuple[Any, ...]:
        """The outputs in the form that Arrow stores.

        Raises:
            ValueTypeError: one is not of its declared type, or there are too many or too few.
        """
        if len(self._outputs) == 1:
            values = (returned,)
        elif isinstance(returned, tuple | list) and len(returned) == len(self._outputs):
            values = tuple(returned)
        else:
            names = [name for name, _ in self._outputs]
            found = f"{len(returned)} values" if isinstance(returned, tuple | list) else type(returned).__qualname__
            raise ValueTypeError(f"{self.name}: expected a tuple of {len(names)} outputs {names}, found {found}")
        stored = []
        for (name, kind), value in zip(self._outputs, values, strict=True):
            try:
                stored.append(kind.accept(value))
            except ValueTypeError as error:
                raise ValueTypeError(f"{self.name}: output {name!r}: {error}") from None
        return tuple(stored)
