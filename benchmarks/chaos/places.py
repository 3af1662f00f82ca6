"""``Place``: where one round happens: a folder, a store, and what may be done harm beside the program."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from orcapod_postgres.testing import Relay, Server

_DISK_BYTES = 24 << 20
_OBJECT_BYTES = 100 << 20
_WATCHFUL = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}  # a lost node is noticed sooner


class NoPlaceError(Exception):
    """Something that a round needs cannot be had: the round says nothing."""


@dataclass(frozen=True)
class Place:
    """Place of one round.

    Attributes:
        folder: a folder of its own.
        store: the URL of its store.
        server: the server of the store, where it has one.
        relay: what stands between programs and the server.
        disk: the small disk on which the store is.
        nodes: the Ray cluster in which calls are made.
    """

    folder: Path
    store: str
    server: Server | None = None
    relay: Relay | None = None
    disk: Path | None = None
    nodes: Nodes | None = None

    def fill_disk(self) -> None:
        """Leave no room on the disk."""
        assert self.disk is not None
        with suppress(OSError), (self.disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    def empty_disk(self) -> None:
        """Make room on the disk."""
        assert self.disk is not None
        (self.disk / "filler").unlink(missing_ok=True)


class Nodes:
    """A Ray cluster of two nodes on this machine, one of which can be lost.

    A context manager: leaving it ends the cluster.

    Raises:
        NoPlaceError: it does not start, on a machine that is too busy.
    """

    def __init__(self) -> None:
        os.environ["RAY_raylet_start_wait_time_s"] = "120"  # noqa: SIM112  # as Ray spells it
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
        from ray.cluster_utils import Cluster  # noqa: PLC0415  # heavy, and only where nodes are asked for

        head = {"num_cpus": 1, "object_store_memory": _OBJECT_BYTES, "_system_config": _WATCHFUL}
        self._cluster: Any = Cluster()
        try:
            self._cluster.add_node(**head)
            self._second: Any = self._cluster.add_node(num_cpus=1, object_store_memory=_OBJECT_BYTES)
        except Exception as error:  # of no class of its own
            self._cluster.shutdown()
            raise NoPlaceError(f"Ray does not start: {error}") from error

    @property
    def address(self) -> str:
        """Where to connect to."""
        return str(self._cluster.address)

    def lose_one(self) -> None:
        """End the second node at once, with all that it does."""
        self._cluster.remove_node(self._second, allow_graceful=False)

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._cluster.shutdown()


@contextmanager
def place_of(fault: str, kind: str, executor: str, server: Server | None) -> Iterator[Place]:
    """Give a place for one round."""
    with TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder, disk, relay = Path(name), None, None
        if fault == "disk":
            disk = folder / "disk"
            disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", disk], check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", disk], check=True)
        match kind:
            case "sqlite":
                store = f"sqlite:///{(disk or folder) / 'chaos.db'}"
            case "delta":
                store = f"delta:///{(disk or folder) / 'chaos'}"
            case _:
                assert server is not None
                database = server.create_database()
                stack.callback(server.drop_database, database)
                relay = stack.enter_context(Relay(server)) if fault == "network" else None
                store = f"postgresql:///{database}?host={(relay or server).folder}&port=5432&user=postgres"
        os.environ |= {"CHAOS_MARKS": name, "CHAOS_EXECUTOR": executor}  # for the workers of the nodes
        nodes = stack.enter_context(Nodes()) if executor == "ray" else None
        yield Place(folder, store, server, relay, disk, nodes)
