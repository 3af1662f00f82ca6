"""``NodeConfig`` and ``PipelineConfig``: how packets are run. Nothing of it enters a hash."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from orcapod.checks import MOST_AT_ONCE, Checks
from orcapod.display import shown
from orcapod.errors import ConfigError

__all__ = [
    "ErrorPolicy",
    "NodeConfig",
    "PipelineConfig",
    "checked_config",
    "checked_flush_interval",
    "checked_node_config",
    "checked_policy",
]

_LONGEST_FLUSH_INTERVAL = 86_400
_LEAST_MEMORY = 1 << 20

ErrorPolicy = Literal["continue", "fail_fast"]
"""What a failed packet does to a run: it is left out, or it ends the run."""


def checked_policy(policy: str) -> ErrorPolicy:
    """Return the error policy of that name.

    Raises:
        ConfigError: there is none.
    """
    checked: ErrorPolicy = Checks().choice("error_policy", policy, get_args(ErrorPolicy))
    return checked


def checked_flush_interval(seconds: float) -> float:
    """Return the flush interval.

    Raises:
        ConfigError: it is no number of seconds above 0, or more than a day.
    """
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not (is_number and 0 < seconds <= _LONGEST_FLUSH_INTERVAL):
        raise ConfigError(
            f"found flush_interval {shown(seconds)}, expected seconds, more than 0 and at most "
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
        check = Checks()
        if self.max_concurrency is not None:
            check.count("max_concurrency", self.max_concurrency, least=1, most=MOST_AT_ONCE, also=", or None")
        check.count("retries", self.retries, least=0)
        if self.timeout is not None:
            check.seconds("timeout", self.timeout, also=", or None")
        check.flag("share_work", self.share_work)


def checked_node_config(config: NodeConfig | None) -> NodeConfig | None:
    """Return the configuration of a node, or None.

    Raises:
        ConfigError: it is neither.
    """
    if config is None:
        return None
    return Checks().instance("node_config", config, NodeConfig, "a NodeConfig", "give one, as in NodeConfig(retries=2)")


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """Configuration of a pipeline, for what nobody says otherwise.

    Attributes:
        node: how packets are run, in nodes without a configuration of their own.
        flush_interval: after how many seconds, at the latest, a result that exists is stored; a day at most.
        memory: about how much of values is in flight in a run, such as ``"2 GiB"`` or an int of bytes: what is being
            computed, stored and handed on. The rest is in the store. One value always has room.

    Raises:
        ConfigError: a number makes no sense.
    """

    node: NodeConfig = field(default_factory=NodeConfig)
    flush_interval: float = 1.0
    memory: int | str = "512 MiB"

    def __post_init__(self) -> None:
        Checks().instance("node", self.node, NodeConfig, "a NodeConfig", "give NodeConfig(...)")
        checked_flush_interval(self.flush_interval)
        self.memory_bytes  # noqa: B018  # checked

    @property
    def memory_bytes(self) -> int:
        """The memory in bytes."""
        return Checks().size("memory", self.memory, least=_LEAST_MEMORY)


def checked_config(config: PipelineConfig | None) -> PipelineConfig:
    """Return the configuration of a pipeline; the usual one if None.

    Raises:
        ConfigError: it is neither.
    """
    advice = "how packets are run goes into it: PipelineConfig(node=NodeConfig(...))"
    given = PipelineConfig() if config is None else config
    return Checks().instance("the config", given, PipelineConfig, "a PipelineConfig", advice)
