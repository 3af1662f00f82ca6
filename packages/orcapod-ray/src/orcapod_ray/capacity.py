"""How many tasks a cluster can run at once, and how many on the CPUs that this process has itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

__all__ = ["capacity", "needs", "on_own_cpus", "own_slots"]


def needs(options: Mapping[str, Any]) -> dict[str, float]:
    """Return what a task with these options takes of a node, by Ray's names."""
    wanted = {"CPU": options.get("num_cpus"), "GPU": options.get("num_gpus"), "memory": options.get("memory")}
    wanted |= options.get("resources") or {}
    return {name: amount for name, amount in wanted.items() if amount}


def capacity(options: Mapping[str, Any]) -> int:
    """Return how many tasks with these options fit on the nodes that are alive, all at once."""
    needed = needs(options) or {"CPU": 1}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]  # untyped in Ray
    return sum(int(min(node.get(name, 0) / amount for name, amount in needed.items())) for node in nodes)


def own_slots(options: Mapping[str, Any]) -> int:
    """Return how many tasks with these options fit on the CPUs that this process has as a worker.

    At least one is said to fit there, and none in a process that is no worker.
    """
    context = ray.get_runtime_context()
    if context.worker.mode != ray.WORKER_MODE:
        return 0
    assigned = context.get_assigned_resources()  # type: ignore[no-untyped-call]  # untyped in Ray
    return max(1, int(assigned.get("CPU", 0) / (options.get("num_cpus") or 1)))


def on_own_cpus(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that let a task run beside this process, and take no CPUs of the cluster."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return {"num_cpus": 0, "scheduling_strategy": options.get("scheduling_strategy", here)}
