"""``AsyncPipelineOrchestrator``: all nodes at once, with bounded channels between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from contextvars import copy_context

from orcapod import interrupts
from orcapod.execution import InputChannels, OrderedInputChannels, checked_buffer_size
from orcapod.functions import ErrorPolicy, checked_policy
from orcapod.nodes import Node, Run
from orcapod.protocols import ExecutionObserver, checked_observer

__all__ = ["AsyncPipelineOrchestrator"]

_STOPPING_SECONDS = 0.8


class AsyncPipelineOrchestrator:
    """Orchestrator that runs all nodes at once; results go on to the next node as they come.

    Each node has a thread that does all but the calls of functions: async functions run as tasks of one
    event loop, others in threads of their own or where their executor says. What is between two nodes is
    bounded: a node that is fast waits for one that is slow.

    Args:
        buffer_size: how many chunks wait between two nodes at the most.
        error_policy: ``continue`` leaves failed packets out; ``fail_fast`` raises the first one's own
            exception.
        observer: who is told what happens in every run, beside the one that a run is given.

    Raises:
        ConfigError: a buffer size below 1, an error policy that there is not, or an observer that is none.
    """

    is_overlapping = True
    awaits_together = True

    def __init__(
        self,
        *,
        buffer_size: int = 64,
        error_policy: ErrorPolicy = "continue",
        observer: ExecutionObserver | None = None,
    ) -> None:
        self.buffer_size = checked_buffer_size(buffer_size)
        self.error_policy = checked_policy(error_policy)
        self.observer = None if observer is None else checked_observer(observer)

    def run(self, nodes: Sequence[Node], run: Run) -> None:
        """Run the nodes, and return when all of them have ended."""
        inputs = {
            node: (OrderedInputChannels if node.label in run.ordered else InputChannels)(
                len(node.inputs), buffer_size=self.buffer_size, buffer_bytes=run.chunk_bytes
            )
            for node in nodes
        }
        readers: dict[Node, list[_Reader]] = {node: [] for node in nodes}
        for node in nodes:
            for index, part in enumerate(node.inputs):
                readers[part].append((inputs[node], index))
        threads = _NodeThreads(run, list(inputs.values()))
        for node in nodes:
            threads.start(node, inputs[node], readers[node])
        threads.wait()


_Reader = tuple[InputChannels, int]
"""The inputs of a node that reads another's rows, and which of them it is."""


class _NodeThreads:
    """The threads of a run, one for each node."""

    def __init__(self, run: Run, inputs: Sequence[InputChannels]) -> None:
        self._run = run
        self._inputs = inputs
        self._threads: list[threading.Thread] = []
        self._error: BaseException | None = None
        self._lock = threading.Lock()

    def start(self, node: Node, inputs: InputChannels, readers: Sequence[_Reader]) -> None:
        context = copy_context()
        name = f"orcapod-{node.label}"
        thread = threading.Thread(
            target=context.run, args=(self._run_node, node, inputs, readers), name=name, daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def wait(self) -> None:
        """Return when all nodes have ended; raise what ended one of them before its time."""
        try:
            with interrupts.noticed():
                self._join()
        except BaseException as error:
            self._stop(error)
            deadline = time.monotonic() + _STOPPING_SECONDS
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            raise
        if self._error is not None:
            raise self._error

    def _join(self) -> None:
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.05)
                interrupts.check()
                if self._run.stop.is_set():
                    raise _Stopped

    def _run_node(self, node: Node, inputs: InputChannels, readers: Sequence[_Reader]) -> None:
        try:
            # Closed, whatever happens: an exception would hold on to it, and to what it has not stored yet.
            with closing(node.run(inputs, self._run)) as chunks:
                for chunk in chunks:
                    for reader, index in readers:
                        reader.put(index, chunk)
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits
            self._stop(error)
        finally:
            for reader, index in readers:
                reader.close(index)

    def _stop(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
        for inputs in self._inputs:
            inputs.stop(self._error)


class _Stopped(BaseException):
    """The run was told to end."""
