"""``RayExecutor`` on a cluster of two nodes: resources that only one has, and a node that is lost in mid-run."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.observers import LoggingObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource
from orcapod_ray import RayExecutor

pytestmark = pytest.mark.ray

_STORE = 100 * 2**20
_WATCHFUL = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}  # a lost node is noticed sooner


@pytest.fixture
def nodes(cluster: RayExecutor) -> Iterator[tuple[RayExecutor, Cluster, Any]]:
    """An executor on a cluster of two nodes, the cluster, and the node that has a microscope."""
    cluster.shutdown()  # a process is part of one cluster at a time
    two = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": _STORE, "_system_config": _WATCHFUL},
    )
    second = two.add_node(num_cpus=1, resources={"microscope": 1}, object_store_memory=_STORE)
    executor = RayExecutor(two.address)
    try:
        yield executor, two, second
    finally:
        executor.shutdown()
        two.shutdown()


def where(x: int) -> str:
    return ray.get_runtime_context().get_node_id()


def test_tasks_run_where_their_resources_are(nodes: tuple[RayExecutor, Cluster, Any]) -> None:
    executor, _, second = nodes
    pipeline = op.Pipeline("p")
    with pipeline:
        op.function_pod("node", identity="version")(where).pod(
            DictSource([{"i": i, "x": i} for i in range(20)], ["i"], source_id="s")
        )
    result = pipeline.run(execution_engine=executor, execution_engine_opts={"resources": {"microscope": 1}})
    result.raise_for_errors()
    assert set(pipeline.where.as_table()["node"].to_pylist()) == {second.node_id}


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
def test_a_node_that_is_lost_loses_and_doubles_nothing(
    nodes: tuple[RayExecutor, Cluster, Any], orchestrator: Any, tmp_path: Path
) -> None:
    """Packets that it was computing are computed elsewhere."""
    executor, two, second = nodes
    lost, marks, count = second.node_id, str(tmp_path / "marks"), 150
    Path(marks).touch()

    @op.function_pod("node", identity="version")
    def measured(x: int) -> str:
        """The other node waits until the one that will be lost is at work."""
        node = ray.get_runtime_context().get_node_id()
        with open(marks, "a") as file:  # noqa: PTH123  # one write, whole
            file.write(f"{node}\n")
        while node != lost and Path(marks).read_text().count(lost) < 10:
            time.sleep(0.01)
        time.sleep(0.02)
        return node

    began: list[float] = []

    def kill() -> None:
        while Path(marks).read_text().count(lost) < 10:
            time.sleep(0.01)
        began.append(time.monotonic())
        two.remove_node(second, allow_graceful=False)

    with SQLiteDatabase(tmp_path / "lab.db") as database:
        pipeline = op.Pipeline("p", database)
        with pipeline:
            measured.pod(DictSource([{"i": i, "x": i} for i in range(count)], ["i"], source_id="s"))
        logs = LoggingObserver(pipeline.log_database)
        killing = threading.Thread(target=kill, daemon=True)
        killing.start()
        result = pipeline.run(orchestrator, execution_engine=executor, observer=logs)
        result.raise_for_errors()
        assert began
        killing.join(60)
        assert result.counts("measured") == {"computed": count, "cached": 0, "failed": 0}
        rows = pipeline.measured.as_table().to_pylist()
        assert sorted(row["i"] for row in rows) == list(range(count))
        assert len({row["node"] for row in rows}) == 2
        (results,) = (path for path in database.list_paths() if "_result" in path)
        assert database.get_records(results).num_rows == count
        succeeded = Counter(row["i"] for row in logs.get_logs().to_pylist() if row["__success"])
        assert succeeded == Counter(str(i) for i in range(count))
        again = pipeline.run(orchestrator, execution_engine=executor)
        assert again.counts("measured") == {"computed": 0, "cached": count, "failed": 0}
