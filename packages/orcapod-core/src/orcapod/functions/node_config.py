"""``NodeConfig`` and ``PipelineConfig``: how packets are run. Nothing of it enters a hash."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from orcapod.errors import ConfigError

__all__ = [
    "ErrorPolicy",
    "NodeConfig",
    "PipelineConfig",
    "checked_flush_interval",
    "checked_policy",
]

_LONGEST_FLUSH_INTERVAL = 86_400

ErrorPolicy = Literal["continue", "fail_fast"]
"""What a failed packet does to a run: it is left out, or it ends the run."""


def checked_policy(policy: str) -> ErrorPolicy:
    """Return the error policy of that name.

    Raises:
        ConfigError: there is none.
    """
    if policy not in get_args(ErrorPolicy):
        raise ConfigError(f"found error_policy {policy!r}, expected one of {get_args(ErrorPolicy)}")
    return cast(ErrorPolicy, policy)


def checked_flush_interval(seconds: float) -> float:
    """Return the flush interval.

    Raises:
        ConfigError: it is no number of seconds above 0, or more than a day.
    """
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not (is_number and 0 < seconds <= _LONGEST_FLUSH_INTERVAL):
        raise ConfigError(
            f"found flush_interval {seconds!r:.80}, expected seconds, more than 0 and at most "
            f"{_LONGEST_FLUSH_INTERVAL} (a day); the smaller, the less an accident can take, and the slower a run of "
            "quick functions"
        )
    return seconds


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Configuration of a node: how the packets of its function are run.

    Attributes:
        max_concurrency: how many packets may be computed at once; None for what suits the function and its
            executor: 32 for an async function, as many as there are workers for a pool, else one.
        retries: how often a packet that fails is tried again, with a growing pause before each try.
        timeout: after how many seconds a packet is given up; None for never.
        share_work: whether processes that run the same at the same time, on one store, each compute a part of it;
            else each computes what is not there when it gets to it.

    Raises:
        ConfigError: a number makes no sense.
    """

    max_concurrency: int | None = None
    retries: int = 0
    timeout: float | None = None
    share_work: bool = False

    def __post_init__(self) -> None:
        if self.max_concurrency is not None and (type(self.max_concurrency) is not int or self.max_concurrency < 1):
            raise ConfigError(f"found max_concurrency {self.max_concurrency!r}, expected an int from 1 on, or None")
        if type(self.retries) is not int or self.retries < 0:
            raise ConfigError(f"found retries {self.retries!r}, expected an int from 0 on")
        if self.timeout is not None and not (isinstance(self.timeout, int | float) and self.timeout > 0):
            raise ConfigError(f"found timeout {self.timeout!r}, expected seconds, more than 0, or None")
        if not isinstance(self.share_work, bool):
            raise ConfigError(f"found share_work {self.share_work!r}, expected True or False")


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """Configuration of a pipeline, for what nobody says otherwise.

    Attributes:
        node: how packets are run, in nodes without a configuration of their own.
        flush_interval: after how many seconds, at the latest, a result that exists is stored; a day at most.
    """

    node: NodeConfig = field(default_factory=NodeConfig)
    flush_interval: float = 1.0

    def __post_init__(self) -> None:
        checked_flush_interval(self.flush_interval)
