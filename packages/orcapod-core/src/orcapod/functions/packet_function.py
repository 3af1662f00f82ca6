"""``PythonPacketFunction``: a typed Python function that makes a packet from a packet."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.datagrams import Chunk, StreamSchema, as_identifier
from orcapod.display import near_hint, shown
from orcapod.errors import SchemaError, ValueTypeError
from orcapod.files import temporary_folder, with_files
from orcapod.functions.arguments import Arguments, inexact_rows
from orcapod.functions.awaiting import is_async, run_to_end
from orcapod.functions.capture_buffer import CaptureBuffer
from orcapod.functions.outputs import Outputs
from orcapod.functions.signature import Signature, type_hint
from orcapod.hashing import (
    ContentHash,
    Fingerprint,
    Part,
    RunStage,
    declared_version,
    fingerprint_function,
    hash_rows,
    recipes,
)
from orcapod.interrupts import runs_user_code
from orcapod.protocols import Outcome, PacketExecutionLoggerProtocol, PythonFunctionExecutorProtocol
from orcapod.records import FunctionUri, SizeLimit
from orcapod.types import Schema, holds_files, value_size, widened

__all__ = ["Identity", "Packages", "PythonPacketFunction"]

Identity = Literal["code", "version"]
"""What tells two functions of one name apart: what their code says, or the version that the author declares."""

Packages = Literal["name", "version"]
"""What counts of installed packages: the names taken from them, or the versions of their distributions too."""

_LARGE = 2_000  # objects, which take some milliseconds to look at
_ADVICE = (
    "say with depends_on=[...] what matters of it, with ignores=[...] that nothing does, or pass it as an argument"
)
_UNCAPTURED = "A logger was passed but no executor is set — capture will not occur."


class PythonPacketFunction:
    """A Python function from packets to packets: takes columns as arguments, gives columns as results.

    Args:
        function: annotated; sync or async. A parameter is filled from the column of its name; one with a
            default need not have a column.
        output_keys: the name of its output, or the names of the members of the tuple that it returns.
        name: what it is called in records; the function's own name if None.
        version: ``v{major}.{minor}``; another major version is another function.
        identity: ``code`` makes everything that the function refers to in the user's own code part of its
            identity; ``version`` trusts the author to change the major version instead.
        depends_on: functions, classes or values that belong to its identity and that code does not show; they say
            what matters of what cannot be seen into.
        ignores: objects that its identity does not depend on, or the names under which a warning lists them.
        packages: ``version`` makes the versions of the distributions that it uses part of its identity; with
            ``name``, only the names that it takes from them are.
        input_schema: types of parameters, in place of annotations.
        output_schema: types of outputs, in place of the return annotation.
        tags: the parameters that are filled from tag columns; what a tag says is part of what is computed then.

    Attributes:
        seconds: how long a call took of late, in the last run of this process that made many at a time.

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
        ignores: Sequence[object] = (),
        packages: Packages = "name",
        input_schema: Mapping[str, Any] | None = None,
        output_schema: Mapping[str, Any] | None = None,
        tags: str | Sequence[str] = (),
    ) -> None:
        self.function = function
        self.options = {
            "output_keys": output_keys, "name": name, "version": version, "identity": identity,
            "depends_on": depends_on, "ignores": ignores, "packages": packages,
            "input_schema": input_schema, "output_schema": output_schema, "tags": tags,
        }  # fmt: skip
        given = Checks("a packet function", SchemaError).text_or_none("name", name)
        self.name = given or str(getattr(function, "__name__", ""))
        if not re.fullmatch(r"[^\s:/]+", self.name) or self.name == "<lambda>":
            raise SchemaError(f"found a function called {self.name!r}; give it a name of its own with name='...'")
        check = Checks(self.name, SchemaError)
        if not (major := re.fullmatch(r"v?(\d+)(\.\d+)*", check.text("version", version))):
            raise SchemaError(f"{self.name}: found version {version!r}, expected 'v{{major}}.{{minor}}' as in 'v1.0'")
        self._identity: Identity = check.choice("identity", identity, get_args(Identity))
        self._packages: Packages = check.choice("packages", packages, get_args(Packages))
        self._depends_on, self._ignores = check.members("depends_on", depends_on), check.members("ignores", ignores)
        if plain := [each for each in self._ignores if isinstance(each, int | float | bytes | None)]:
            why = "of which there may be many; give the name under which it is used"
            raise SchemaError(f"{self.name}: found {shown(plain[0])} in ignores, {why}")
        keys = check.names("output_keys", output_keys)
        if not keys or len(set(keys)) != len(keys):
            raise SchemaError(f"{self.name}: found output_keys {list(keys)}, expected at least one name, none twice")
        self.signature = Signature.of(
            function,
            keys,
            named=self.name,
            input_schema=check.mapping_or_empty("input_schema", input_schema, "{'x': int}"),
            output_schema=check.mapping_or_empty("output_schema", output_schema, "{'y': int}"),
        )
        self.tags = frozenset(map(as_identifier, check.names("tags", tags)))
        if unknown := sorted(self.tags - set(self.signature.inputs)):
            raise SchemaError(
                f"{self.name}: tags names {unknown[0]!r}, found parameters {list(self.signature.inputs)}; name some of "
                "these",
                node=self.name,
                column=unknown[0],
                found=str(list(self.signature.inputs)),
            )
        self.is_async = is_async(function)
        self._major = f"v{major[1]}"
        self._warned: set[str] = set()
        self._last_code: Fingerprint | None = None
        self._before_runs: dict[ContentHash, Fingerprint] = {}
        self.seconds: float | None = None
        self._outputs = Outputs(self.name, self.signature.outputs)
        self.has_large_outputs = self._outputs.may_be_large

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return what it is made of, without what it has noted since."""
        return _remade, (self.function, dict(self.options))

    @cached_property
    def uri(self) -> FunctionUri:
        """``(name, output schema hash, v{major}, type id)``."""
        return recipes.function_uri(self.name, self.signature.outputs, self._major, self.type_id)

    def fingerprint(self) -> ContentHash:
        """Return what the code says now, or, with ``identity="version"``, which version it is.

        It is taken anew, since in a notebook a helper may be another one from one time to the next; but where that
        takes long and all names still lead to the same objects, it is what it was when it was last taken.
        """
        last = self._last_code
        if last is not None and last.size > _LARGE and last.is_current():
            return last.hash
        return self.code().hash

    def parts(self) -> tuple[Part, ...]:
        """Return what the fingerprint is made of: code with its source, and all values that it refers to."""
        return self.code().parts

    def code(self, stage: RunStage | None = None) -> Fingerprint:
        """Take the fingerprint anew, with its parts, and warn of what it cannot see.

        Args:
            stage: whether a run begins or has ended, so that what changes meanwhile is taken for changed by it.
        """
        if self._identity == "version":
            return declared_version(self._major, list(self.signature.outputs))
        found = self._looked_at(stage)
        found = self._before_runs.get(found.hash, found)  # what runs have changed does not count
        self._last_code = found
        return found

    @cached_property
    def untold(self) -> Fingerprint:
        """What its code said when this was first asked for, whatever its author says that it depends on."""
        return self._fingerprint((), None)

    @property
    def is_told(self) -> bool:
        """Whether its author says what it depends on."""
        return self._identity == "version" or bool(self._depends_on)

    def _fingerprint(self, depends_on: Sequence[object], stage: RunStage | None) -> Fingerprint:
        return fingerprint_function(
            self.function,
            depends_on=depends_on,
            ignores=self._ignores,
            arguments=self.signature.arguments,
            packages=self._packages,
            outputs=list(self.signature.outputs),
            stage=stage,
        )

    def _looked_at(self, stage: RunStage | None) -> Fingerprint:
        found = self._fingerprint(self._depends_on, stage)
        if not self._depends_on:
            self._warn("cannot see into", found.opaque, f"results will be found again in this process only; {_ADVICE}")
            self._warn(
                "cannot follow",
                found.unseen,
                f"a change there goes unnoticed, and old results will be found; {_ADVICE}",
            )
        near = ", ".join(dict.fromkeys(each for name in found.unused for each in found.near(name)))
        why = "nothing that it uses bears such a name" + (f"; near ones are {near}" if near else "")
        self._warn("found ignores of", found.unused, why)
        return found

    @contextmanager
    def running(self, code: Fingerprint) -> Iterator[None]:
        """Run it meanwhile, so that what it changes is taken for changed by it.

        Also what no reading of the code shows to change: an object that keeps what it was asked for, say. Functions
        and classes that are others afterwards were changed by the user.
        """
        try:
            yield
        finally:
            if self._identity == "code" and (code.state or code.size <= _LARGE):
                ended = self._looked_at("ended")
                if ended.hash != code.hash and code.is_current() and ended.says_what(code):
                    self._before_runs[ended.hash] = code

    def _warn(self, what: str, listed: Sequence[str], why: str) -> None:
        """Warn once, at the line of the function."""
        if not listed or what in self._warned:
            return
        self._warned.add(what)
        message = f"{self.name}: {what} {'; '.join(listed)}: {why}"
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        if code is None:
            warnings.warn(message, stacklevel=4)
        else:
            warnings.warn_explicit(message, UserWarning, code.co_filename, code.co_firstlineno)

    def output_schema(self, inputs: StreamSchema) -> StreamSchema:
        """Return the schema of what it makes of a stream.

        Raises:
            SchemaError: a column is missing or of another type, or an output has the name of a tag.
        """
        columns, types = self.columns(inputs), (inputs.tags | inputs.packets).types
        for name, wanted in self.signature.inputs.types.items():
            found = types[columns[name]] if name in columns else None
            if found is None:
                if name in self.signature.optional:
                    continue
                if name in self.tags:
                    role, listed, near = "tag", str(list(inputs.tags)), near_hint(name, inputs.tags)
                    hint = "; it is data, so leave it out of tags" if name in inputs.packets else ""
                else:
                    role, listed, near = "packet", str(list(inputs.packets)), near_hint(name, inputs.packets)
                    told = sorted({*self.tags, name})
                    hint = f"; it is a tag: say tags={told} to take it" if name in inputs.tags else ""
                raise SchemaError(
                    f"{self.name}: no {role} column for parameter {name!r}{hint}; found {listed}{near}",
                    node=self.name,
                    column=name,
                    expected=wanted.name,
                    found=listed,
                )
            if not wanted.takes(found):
                hint = type_hint(name, wanted, found)
                raise SchemaError(
                    f"{self.name}: parameter {name!r} is {wanted.name}, found a column of {found.name}{hint}",
                    node=self.name,
                    column=name,
                    expected=wanted.name,
                    found=found.name,
                )
        if taken := [name for name in self.signature.outputs if name in inputs.tags]:
            why = f"output {taken[0]!r} has the name of a tag column; rename one of them"
            raise SchemaError(f"{self.name}: {why}", node=self.name, column=taken[0])
        return StreamSchema.from_record(inputs.tags, self.signature.outputs, inputs.system_tags)

    def columns(self, schema: StreamSchema) -> dict[str, str]:
        """Return the parameters that rows fill, and from which of their columns: of data, or of tags that it names."""
        found = self.signature.columns(schema.packets)
        if not self.tags:
            return found
        tags = self.signature.columns(schema.tags)
        sides = {name: tags if name in self.tags else found for name in self.signature.inputs}
        return {name: side[name] for name, side in sides.items() if name in side}

    def packet_columns(self, schema: StreamSchema) -> list[str]:
        """Return the packet columns that the function takes."""
        return [column for column in self.columns(schema).values() if column in schema.packets]

    def taken(self, schema: StreamSchema) -> Schema:
        """Return the columns that the function takes of rows, in the types that it declares."""
        return self.signature.inputs.select(self.columns(schema))

    def inputs(self, chunk: Chunk) -> tuple[pa.RecordBatch, Schema]:
        """Return the columns that the function takes of a chunk, in the types that it declares."""
        names = self.columns(chunk.schema)
        schema = self.signature.inputs.select(names)
        columns = {}
        for name, dtype in schema.types.items():
            columns[name] = widened(chunk.column(names[name]), chunk.schema.type_of(names[name]), dtype)
        if not columns:
            return chunk.batch.select([]), schema
        return pa.RecordBatch.from_pydict(columns), schema

    def refused(self, chunk: Chunk) -> dict[int, ValueTypeError]:
        """Return the rows with a value that has no exact conversion to a parameter's type, as a large int to float."""
        types = self.signature.inputs.types
        others = [
            (column, chunk.schema.type_of(column), types[name])
            for name, column in self.columns(chunk.schema).items()
            if chunk.column(column).type != types[name].arrow
        ]
        try:
            for name, found, wanted in others:
                widened(chunk.column(name), found, wanted)
        except ValueTypeError:
            return dict(inexact_rows(self.name, chunk, others))
        return {}

    def packet_hashes(self, chunk: Chunk) -> list[bytes]:
        """Return for every row, the hash of what the function takes of it."""
        return hash_rows(*self.inputs(chunk))

    def arguments(self, chunk: Chunk, *, with_files: bool = False) -> list[dict[str, Any]]:
        """Return for every row, the arguments of a call: fresh values, nobody else's.

        Args:
            chunk: the rows.
            with_files: whether they are for a function ``with_files``, which looks at the files of each once more.
        """
        batch, schema = self.inputs(chunk)
        if not len(schema):
            return [{} for _ in range(chunk.num_rows)]
        columns = []
        for name, dtype in schema.types.items():
            arguments = Arguments(self.name, name, dtype)
            values_of = arguments.with_files_of if with_files else arguments.of
            columns.append(values_of(batch.column(name)))
        return [dict(zip(schema, values, strict=True)) for values in zip(*columns, strict=True)]

    def with_files(self, folder: Path | None) -> PythonPacketFunction:
        """Return a function that keeps the files that it gives back in a folder; None for a store that has none.

        Others that it makes go with each call, and files that it takes are looked at again.
        """
        takes, gives = (
            any(holds_files(dtype.arrow) for dtype in schema.types.values())
            for schema in (self.signature.inputs, self.signature.outputs)
        )
        if not takes and not gives and not self._asks_for_places():
            return self
        keeping = copy(self)
        keeping.function = with_files(self.function, folder if gives else temporary_folder())
        return keeping

    def _asks_for_places(self) -> bool:
        """Say whether its code refers to ``output_path``, as far as it was looked at."""
        if self._last_code is None:
            code = getattr(inspect.unwrap(self.function), "__code__", None)
            return "output_path" in getattr(code, "co_names", ())
        return any(part.name.endswith(".output_path") for part in self._last_code.parts if part.kind == "installed")

    @runs_user_code
    def call(
        self,
        kwargs: Mapping[str, Any],
        *,
        executor: PythonFunctionExecutorProtocol | None = None,
        logger: PacketExecutionLoggerProtocol | None = None,
        size_limit: SizeLimit | None = None,
    ) -> tuple[Any, ...]:
        """Call the function where the executor says; return its outputs in the form that Arrow stores.

        What the executor captured goes on to ``logger`` once the outputs were accepted or refused, so that
        ``success`` means that there is a result.

        Args:
            kwargs: the arguments.
            executor: where the function runs; in this thread, with nothing captured, if None.
            logger: told what the call wrote.
            size_limit: how large the outputs may be together; None for any size.

        Raises:
            ValueTypeError: an output is not of its declared type.
            RecordTooLargeError: the outputs are too large to be stored.
            Exception: whatever the function raised, as itself.
        """
        if executor is None:
            if logger is not None:
                warnings.warn(_UNCAPTURED, stacklevel=2)
            return self.to_storage(self.direct_call(kwargs), size_limit=size_limit)
        if logger is None:
            return self.to_storage(executor.execute_callable(self.function, kwargs), size_limit=size_limit)
        buffer = CaptureBuffer()
        try:
            returned = executor.execute_callable(self.function, kwargs, logger=buffer)
            try:
                return self.to_storage(returned, size_limit=size_limit)
            except BaseException as error:
                buffer.refuse(error)
                raise
        finally:
            if buffer.fields is not None:
                logger.record(**buffer.fields)

    def converted(self, outcome: Outcome, *, size_limit: SizeLimit | None = None) -> Outcome:
        """Return the outcome of a call with its outputs in the form that Arrow stores, or refused.

        This is done where the call was made, before the next one is: a function may return an object that it goes
        on to use.
        """
        if outcome.error is None:
            try:
                outcome.value = self.to_storage(outcome.value, size_limit=size_limit)
            except BaseException as error:  # noqa: BLE001  # code of the user's; it is how this call ended
                outcome.value, outcome.error = None, error
                if outcome.captured is not None:
                    outcome.captured = outcome.captured.refused(error)
        return outcome

    def conclude(self, outcome: Outcome, logger: PacketExecutionLoggerProtocol | None) -> tuple[Any, ...]:
        """Return the outputs of an outcome that was converted, and log what its call wrote.

        Raises:
            BaseException: whatever the function raised, as itself, or why its outputs were refused.
        """
        if logger is not None:
            for captured in (*outcome.earlier, outcome.captured):
                if captured is not None:
                    logger.record(**captured.fields())
        if outcome.error is not None:
            raise outcome.error
        outputs: tuple[Any, ...] = outcome.value
        return outputs

    @runs_user_code
    def direct_call(self, kwargs: Mapping[str, Any]) -> Any:
        """Return the function's own result, from this thread, with nothing captured."""
        result = self.function(**kwargs)
        return run_to_end(result) if self.is_async else result

    def to_storage(self, returned: Any, *, size_limit: SizeLimit | None = None) -> tuple[Any, ...]:
        """Return the outputs in the form that Arrow stores.

        Raises:
            ValueTypeError: one is not of its declared type, or there are too many or too few.
            RecordTooLargeError: together they have more bytes than that.
        """
        return self._outputs.to_storage(returned, size_limit)

    def result_size(self, stored: Sequence[Any]) -> int:
        """Return how many bytes outputs take, as they are stored."""
        return sum(map(value_size, stored))


def _remade(function: Callable[..., Any], options: Mapping[str, Any]) -> PythonPacketFunction:
    return PythonPacketFunction(function, **options)
