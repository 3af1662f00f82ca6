"""How many tasks a cluster can run at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray

__all__ = ["capacity", "needs"]


def needs(options: Mapping[str, Any]) -> dict[str, float]:
    """What a task with these options takes of a node, by Ray's names."""
    wanted = {"CPU": options.get("num_cpus"), "GPU": options.get("num_gpus"), "memory": options.get("memory")}
    wanted |= options.get("resources") or {}
    return {name: amount for name, amount in wanted.items() if amount}


def capacity(options: Mapping[str, Any]) -> int:
    """How many tasks with these options fit on the nodes that are alive, all at once."""
    needed = needs(options) or {"CPU": 1}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]  # untyped in Ray
    return sum(int(min(node.get(name, 0) / amount for name, amount in needed.items())) for node in nodes)
