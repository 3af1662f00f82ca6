"""``Connection``: how executors come to a cluster, and who stops what."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from queue import SimpleQueue
from typing import Any

import ray
from ray._private import ray_constants

from orcapod.errors import ConfigError, ExecutionError

__all__ = ["Connection"]

_OF_A_NEW_CLUSTER = ("num_cpus", "num_gpus", "resources", "labels", "object_store_memory", "include_dashboard")
_OPENING = threading.RLock()
_LOCK = threading.RLock()  # never held while a cluster is started: connections may end in any thread meanwhile
_SHARED: weakref.WeakValueDictionary[tuple[str | None, str], Connection] = weakref.WeakValueDictionary()
_UV_RUN = "RAY_ENABLE_UV_RUN_RUNTIME_ENV"


class Connection:
    """A cluster that is connected to when it is first needed.

    Args:
        address: of a running cluster; None for the one that this process is connected to already, that of
            ``RAY_ADDRESS``, or else a local one that is started.
        ray_init: further arguments of ``ray.init``.

    Raises:
        ConfigError: they ask for a cluster to be started and for one that runs.
    """

    def __init__(self, address: str | None, ray_init: Mapping[str, Any]) -> None:
        if address is not None and address.startswith("ray://"):
            raise ConfigError(
                f"found address {address!r}, expected that of a cluster that this machine is part of, 'host:port' "
                "or 'auto': results cannot be streamed through Ray Client"
            )
        if address not in (None, "local") and (wrong := sorted(set(_OF_A_NEW_CLUSTER) & ray_init.keys())):
            raise ConfigError(
                f"found address {address!r} and ray_init {wrong}, which only a cluster that is started can be given; "
                "leave one of them out"
            )
        self._address = address
        self._ray_init = dict(ray_init)
        self._finalizer: weakref.finalize[Any, Any] | None = None

    @classmethod
    def shared(cls, address: str | None, ray_init: Mapping[str, Any]) -> Connection:
        """Return the connection of other executors that were given the same, or a new one."""
        try:
            key = address, repr(sorted(ray_init.items()))
        except RecursionError:
            raise ConfigError("found ray_init with values without end, expected arguments of ray.init") from None
        with _LOCK:
            connection = _SHARED.get(key)
            if connection is None:
                connection = _SHARED[key] = cls(address, ray_init)
        return connection

    def open(self) -> None:
        """Be connected.

        Raises:
            ExecutionError: there is no such cluster, or this process is connected to another.
        """
        with _OPENING:
            if ray.is_initialized():
                self._check_current()
                return
            address = self._address or os.environ.get("RAY_ADDRESS") or "local"
            quiet = {"log_to_driver": False, "logging_level": "WARNING"}
            if address == "local":
                quiet["include_dashboard"] = False
            try:
                with _as_here() if address == "local" else nullcontext():
                    _lastingly(partial(ray.init, address=address, **{**quiet, **self._ray_init}))
            except Exception as error:  # Ray says by a bare one that it waited in vain for its own processes
                raise ExecutionError(
                    f"no connection to the Ray cluster {address!r}: {error}{_advice(address, error)}"
                ) from error
            self._finalizer = weakref.finalize(self, _disconnect, _session())

    def close(self) -> None:
        """Stop the cluster that was started here, or leave the one that was connected to here."""
        if self._finalizer is not None:
            self._finalizer()

    def _check_current(self) -> None:
        if self._finalizer is not None and self._finalizer.alive:
            return
        found = ray.get_runtime_context().gcs_address
        if self._address not in (None, "auto", found) or self._ray_init:
            raise ExecutionError(
                f"this process is connected to the Ray cluster {found} already, found address {self._address!r} and "
                f"ray_init {self._ray_init}; leave them out to use that cluster, or call ray.shutdown() first"
            )


def _advice(address: str, error: Exception) -> str:
    """Return what to do about an error of a connection, where Ray itself does not say it."""
    if address != "local" or "timed out" not in str(error):
        return ""
    return (
        "; this machine is too busy, or short of memory, to start one in time: run again, or start it before, "
        "'ray start --head', and give RayExecutor('auto')"
    )


def _lastingly(start: Callable[[], object]) -> None:
    """Call what starts processes in a thread that lives as long as this process.

    The processes of a cluster are ended by the system with the thread that started them, and that of a node
    of a pipeline soon ends.
    """
    if threading.current_thread() is threading.main_thread():
        start()
        return
    done: Future[object] = Future()
    _keeper().put((start, done))
    done.result()


@cache
def _keeper() -> SimpleQueue[tuple[Callable[[], object], Future[object]]]:
    """Return what takes calls to a thread that nobody waits for at the end, when clusters are still to be stopped."""
    calls: SimpleQueue[tuple[Callable[[], object], Future[object]]] = SimpleQueue()

    def keep() -> None:
        while True:
            call, done = calls.get()
            try:
                done.set_result(call())
            except BaseException as error:  # noqa: BLE001  # it is raised where the call was asked for
                done.set_exception(error)

    threading.Thread(target=keep, name="orcapod-ray-keeper", daemon=True).start()
    return calls


@contextmanager
def _as_here() -> Iterator[None]:
    """Let workers of this machine have the environment of this process.

    Of a program that is run by ``uv run``, Ray would have every worker begin with a ``uv run`` of its own, in a
    copy of the working folder: fit for other machines, and here a wait that may not end.
    """
    if _UV_RUN in os.environ or not getattr(ray_constants, _UV_RUN, False):
        yield  # somebody has decided
        return
    setattr(ray_constants, _UV_RUN, False)
    try:
        yield
    finally:
        setattr(ray_constants, _UV_RUN, True)


def _session() -> str:
    context = ray.get_runtime_context()
    return f"{context.get_job_id()} at {context.gcs_address}"


def _disconnect(session: str) -> None:
    with _LOCK:
        if ray.is_initialized() and _session() == session:
            ray.shutdown()
