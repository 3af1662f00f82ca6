"""``RayExecutor``: runs functions on a Ray cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, Self

import ray

from orcapod.checks import Checks
from orcapod.errors import ExecutionError
from orcapod.protocols import Call as _Call
from orcapod.protocols import CallSession, OnDone, Outcome, PacketExecutionLoggerProtocol
from orcapod_ray.connection import Connection
from orcapod_ray.session import RaySession

__all__ = ["RayExecutor"]

Retried = bool | Sequence[type[BaseException]]
"""Which exceptions of a function are worth another try: none, all, or those of these types."""


_CHECK = Checks("RayExecutor")


class RayExecutor:
    """Runs Python functions on a Ray cluster, many calls in each task.

    Connects when it first has to: to the cluster at ``address``; without one, to that which this process is
    connected to, that of ``RAY_ADDRESS``, or a local one that it starts. It stays connected from one run to
    the next; executors with the same ``address`` and ``ray_init`` share a connection. What it started it stops:
    on ``shutdown``, when the last executor that shares it is gone, or at the end of the program.

    Workers need ray, pyarrow and what the function imports; the user's own modules are sent to them by value.

    Args:
        address: ``host:port`` of a running cluster, or ``auto`` for the one of this machine.
        ray_init: further arguments of ``ray.init``, as ``{"num_cpus": 2}`` for a local cluster.
        runtime_env: the environment of each task.
        num_cpus: CPUs that a task takes, which makes one call after the other.
        num_gpus: GPUs that it takes.
        resources: what else it takes, by name.
        max_retries: how often a packet is tried again whose worker or node was lost, or whose exception
            ``retry_exceptions`` names; -1 for always.
        retry_exceptions: True for all exceptions of the function, or a list of types.
        ray_remote_options: other options of Ray's tasks, such as ``memory`` or ``scheduling_strategy``.

    Raises:
        ConfigError: ``address`` and ``ray_init`` cannot both hold.
        ExecutionError: Ray does not know an option, or refuses its value.
    """

    executor_type_id = "ray"

    def __init__(
        self,
        address: str | None = None,
        *,
        ray_init: Mapping[str, Any] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: Mapping[str, float] | None = None,
        max_retries: int = 3,
        retry_exceptions: Retried = False,
        **ray_remote_options: Any,
    ) -> None:
        given = _CHECK.mapping_or_empty("ray_init", ray_init, "{'num_cpus': 2}")
        self._connection = Connection.shared(_CHECK.text_or_none("address", address), given)
        self._set(
            {
                "runtime_env": runtime_env,
                "num_cpus": num_cpus,
                "num_gpus": num_gpus,
                "resources": resources,
                "max_retries": max_retries,
                "retry_exceptions": retry_exceptions,
                **ray_remote_options,
            }
        )

    def _set(self, options: Mapping[str, Any]) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        for name, example in (("resources", "{'scanner': 1}"), ("runtime_env", "{'env_vars': {'A': '1'}}")):
            if name in given:
                given[name] = dict(_CHECK.mapping(name, given[name], example))
        given["max_retries"] = _CHECK.count("max_retries", options["max_retries"], least=-1)
        given["retry_exceptions"] = _checked_retried(options["retry_exceptions"])
        if "num_returns" in given:
            raise ExecutionError("found the option 'num_returns', which belongs to RayExecutor; leave it out")
        try:
            ray.remote(**given)(_nothing)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ExecutionError(f"Ray refuses the options {sorted(given)}: {error}") from error
        self._options = given

    def supports(self, function_type_id: str) -> bool:
        return function_type_id == "python"

    def with_options(self, **options: Any) -> Self:
        if wrong := sorted(options.keys() & {"address", "ray_init"}):
            raise ExecutionError(f"found {wrong}, which belong to the connection; make another RayExecutor for them")
        other = type(self).__new__(type(self))
        other._connection = self._connection
        other._set({**self._options, **options})
        return other

    def shutdown(self) -> None:
        """Stop the local cluster that was started here, or leave the one that was connected to here."""
        self._connection.close()

    def open_session(
        self, fn: Callable[..., Any], on_done: OnDone, *, concurrency: int | None, timeout: float | None
    ) -> CallSession:
        self._connection.open()
        options = dict(self._options)
        max_retries, retried = options.pop("max_retries"), options.pop("retry_exceptions")
        types = (Exception,) if retried is True else tuple(retried or ())
        return RaySession(
            fn,
            on_done,
            options,
            max_retries=max_retries,
            retry_exceptions=types,
            concurrency=concurrency,
            timeout=timeout,
        )

    def execute_callable(
        self,
        fn: Callable[..., Any],
        kwargs: Mapping[str, Any],
        *,
        logger: PacketExecutionLoggerProtocol | None = None,
    ) -> Any:
        outcomes: SimpleQueue[Outcome] = SimpleQueue()
        session = self.open_session(fn, outcomes.put, concurrency=1, timeout=None)
        try:
            session.submit([_Call(0, kwargs, logger is not None)])
            outcome = outcomes.get()
        finally:
            session.close()
        if logger is not None:
            for captured in (*outcome.earlier, outcome.captured):
                if captured is not None:
                    logger.record(**captured.fields())
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    async def async_execute_callable(
        self,
        fn: Callable[..., Any],
        kwargs: Mapping[str, Any],
        *,
        logger: PacketExecutionLoggerProtocol | None = None,
    ) -> Any:
        return await asyncio.to_thread(self.execute_callable, fn, kwargs, logger=logger)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """The cluster stays for the next run."""


def _checked_retried(found: Retried) -> Retried:
    if isinstance(found, bool):
        return found
    types = _CHECK.members("retry_exceptions", found)
    if odd := [each for each in types if not (isinstance(each, type) and issubclass(each, BaseException))]:
        raise _CHECK.wrong("retry_exceptions with", odd[0], "types of exceptions", "as in retry_exceptions=[OSError]")
    return list(types)


def _nothing() -> None:
    """What options are tried on."""
