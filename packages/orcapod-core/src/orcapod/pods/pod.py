"""``FunctionPod``: a packet function applied to streams."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, SupportsIndex

from orcapod.checks import Checks
from orcapod.datagrams import Chunk, Packet, StreamSchema, Tag, row_of
from orcapod.errors import SchemaError
from orcapod.execution import Cache, FirstFailure, FunctionSpec, SequentialDriver, Step
from orcapod.files import temporary_folder
from orcapod.functions import NodeConfig, PythonPacketFunction, checked_node_config
from orcapod.hashing import ContentHash, Fingerprint, recipes
from orcapod.operators import Join
from orcapod.pods.remote_pod import RemotePod
from orcapod.protocols import (
    Database,
    ExecutionObserver,
    NoOpObserver,
    PacketExecutionLoggerProtocol,
    PythonFunctionExecutorProtocol,
    RecordPath,
    checked_database,
    checked_executor,
    files_folder_of,
)
from orcapod.records import Attempts, CodeRecords, NoOpCache, NoOpRecords, ResultCache, result_path
from orcapod.streams import DerivedStream, Producer, Stream, checked_streams

__all__ = ["CachedFunctionPod", "FunctionPod", "PodStream"]


class FunctionPod(Producer):
    """A packet function that is applied to streams: every row keeps its tag and gets a new packet.

    Columns that the function does not take are left out, and are no part of what identifies a packet.

    Args:
        packet_function: what makes the packets.
        label: what its nodes are called; the function's name if None.
        executor: where it runs, outside a pipeline and in the nodes of one; what those say if None.
        node_config: how its packets are run; the pipeline's defaults if None.
    """

    def __init__(
        self,
        packet_function: PythonPacketFunction,
        *,
        label: str | None = None,
        executor: PythonFunctionExecutorProtocol | None = None,
        node_config: NodeConfig | None = None,
    ) -> None:
        check = Checks("FunctionPod", SchemaError)
        self.packet_function = check.instance(
            "packet_function",
            packet_function,
            PythonPacketFunction,
            "a PythonPacketFunction",
            "make one: PythonPacketFunction(function, 'y'), or put @function_pod('y') above the function",
        )
        self.default_label = packet_function.name
        self.own_label = check.text_or_none("label", label)
        self.node_config = checked_node_config(node_config)
        self.executor = None if executor is None else checked_executor(executor)

    def redefined(self) -> PythonPacketFunction | None:
        """Return the packet function that bears this one's name now, if its code is another: after an edited cell."""
        defined: Any = inspect.unwrap(self.packet_function.function)
        names: Mapping[str, object] = getattr(defined, "__globals__", {})
        pod = getattr(names.get(getattr(defined, "__qualname__", "")), "pod", None)
        later = pod.packet_function if isinstance(pod, FunctionPod) else self.packet_function
        is_same = later is self.packet_function or later.fingerprint() == self.packet_function.fingerprint()
        return None if is_same else later

    @property
    def label(self) -> str:
        """What its nodes are called."""
        return self.own_label or self.default_label

    def __call__(self, *streams: Stream, label: str | None = None) -> PodStream:
        """Return the stream that the function makes of a stream; several streams are joined first.

        Raises:
            SchemaError: a column that the function takes is missing, or of another type.
        """
        checked_streams(streams, named=f"{self.packet_function.name}.pod")
        if not streams:
            raise SchemaError(f"{self.packet_function.name}.pod takes at least one stream, found none")
        source = streams[0] if len(streams) == 1 else Join()(*streams)
        return PodStream(self, [source], label=self.own_label if label is None else label)

    def process_packet(
        self, tag: Tag, packet: Packet, logger: PacketExecutionLoggerProtocol | None = None
    ) -> tuple[Tag, Packet]:
        """Return the row that the function makes of one row.

        Raises:
            SchemaError: a column that the function takes is missing, or of another type.
            Exception: whatever the function raised, as itself.
        """
        check = Checks(f"{self.packet_function.name}.pod", SchemaError)
        check.instance("tag", tag, Tag, "a Tag", "give a row of a stream")
        check.instance("packet", packet, Packet, "a Packet", "give a row of a stream")
        row = row_of(tag, packet)
        schema = self.packet_function.output_schema(row.schema)
        try:
            (row,) = _computed(self, schema, [row], _OneLogger(logger))
        except FirstFailure as first:
            failure = first.error
        else:
            return Tag(row, 0), Packet(row, 0)
        raise failure

    def cache(self, code: Fingerprint) -> Cache:
        """Return where its results of this code are looked up and stored outside a pipeline."""
        return NoOpCache(self.packet_function.signature.outputs)

    @property
    def files_folder(self) -> Path | None:
        """Where files go that its function makes outside a pipeline."""
        return temporary_folder()

    def content_hash(self) -> ContentHash:
        function = self.packet_function
        if function.tags:
            return recipes.tagged_function_content(function.uri, function.fingerprint(), function.tags)
        return recipes.function_content(function.uri, function.fingerprint())

    def pipeline_hash(self, inputs: Sequence[Stream]) -> ContentHash:
        (stream,) = inputs
        function, schema = self.packet_function, stream.schema
        entries = schema.entries(function.packet_columns(schema))
        return recipes.function_pipeline(function.uri, function.taken(schema), entries)

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (stream,) = inputs
        return self.packet_function.output_schema(stream.schema)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Return what is sent in its place, with a function that it hangs on."""
        if type(self) is not FunctionPod:
            return super().__reduce_ex__(protocol)
        config = None if self.node_config is None else asdict(self.node_config)
        options = dict(self.packet_function.options)
        options["ignores"] = [name for name in options["ignores"] if isinstance(name, str)]  # objects may be live
        parts = self.packet_function.function, options, self.label, config
        return RemotePod, (), {"_parts": parts}

    def __repr__(self) -> str:
        takes, gives = self.packet_function.signature.inputs, self.packet_function.signature.outputs
        return f"<{type(self).__name__} {self.packet_function.name!r} {takes} -> {gives}>"


class CachedFunctionPod(FunctionPod):
    """A function pod that stores its results in a database, also outside a pipeline.

    Args:
        pod: what is computed.
        database: where results are looked up and stored.
    """

    def __init__(self, pod: FunctionPod, database: Database) -> None:
        Checks("CachedFunctionPod", SchemaError).instance("pod", pod, FunctionPod, "a FunctionPod", "give function.pod")
        super().__init__(pod.packet_function, label=pod.own_label, executor=pod.executor, node_config=pod.node_config)
        self._database = checked_database(database)

    def cache(self, code: Fingerprint) -> Cache:
        function = self.packet_function
        CodeRecords(self._database).store(function.name, code)
        path, outputs = result_path(function.uri), function.signature.outputs
        attempts = Attempts(self._database, function.uri)
        return ResultCache(
            self._database, path, outputs, code=str(code.hash), files=self.files_folder, attempts=attempts
        )

    @property
    def files_folder(self) -> Path | None:
        return files_folder_of(self._database)


class PodStream(DerivedStream):
    """Stream that a function pod makes of a stream.

    Outside a pipeline, packets are computed when someone asks for them, once, and an exception of the
    function ends the iteration.
    """

    producer: FunctionPod

    def __init__(self, producer: FunctionPod, inputs: Sequence[Stream], *, label: str | None) -> None:
        super().__init__(producer, inputs, label=label)
        self._shared: _SharedChunks | None = None
        self._lock = threading.Lock()

    def made_of(self, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
        with self._lock:
            if self._shared is None or self._shared.failure is not None:  # whoever asks again tries again
                self._shared = _SharedChunks(_computed(self.producer, self.schema, inputs[0], NoOpObserver()))
        return self._shared.chunks()


class _SharedChunks:
    """Chunks that are made once, as the first of any number of readers asks for them."""

    def __init__(self, source: Iterator[Chunk]) -> None:
        self._source = source
        self._chunks: list[Chunk] = []
        self._lock = threading.Lock()
        self.failure: BaseException | None = None

    def chunks(self) -> Iterator[Chunk]:
        index = 0
        while (chunk := self._chunk(index)) is not None:
            yield chunk
            index += 1

    def _chunk(self, index: int) -> Chunk | None:
        with self._lock:
            while self.failure is None and len(self._chunks) <= index:
                try:
                    self._chunks.append(next(self._source))
                except StopIteration:
                    return None
                except FirstFailure as first:
                    self.failure = first.error
                except BaseException as error:
                    self.failure = error
                    raise
            if len(self._chunks) > index:
                return self._chunks[index]
        assert self.failure is not None
        raise self.failure


class _OneLogger(NoOpObserver):
    """Observer that gives every packet the same logger."""

    def __init__(self, logger: PacketExecutionLoggerProtocol | None) -> None:
        self._logger = logger

    def create_packet_logger(
        self, tag: Tag, packet: Packet, *, pipeline_path: RecordPath = ()
    ) -> PacketExecutionLoggerProtocol | None:
        return self._logger


def _computed(
    pod: FunctionPod, schema: StreamSchema, chunks: Iterable[Chunk], observer: ExecutionObserver
) -> Iterator[Chunk]:
    function = pod.packet_function
    code = function.code("begins")
    driver = SequentialDriver(
        Step(
            FunctionSpec(function.with_files(pod.files_folder), code.hash, schema, pod.cache(code), NoOpRecords()),
            executor=pod.executor,
            observer=observer,
            label=pod.label,
            error_policy="fail_fast",
            config=pod.node_config or NodeConfig(),
        ),
        is_awaited=True,
    )
    with function.running(code):
        yield from driver.run(chunks)
