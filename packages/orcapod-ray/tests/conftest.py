"""One local cluster of two CPUs for all tests that do not need one of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before ray is imported
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # what Ray will do one day, without its warning

import ray

from orcapod_ray import RayExecutor

# In the background and under nohup, SIGINT is ignored here and in the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayExecutor]:
    executor = RayExecutor(ray_init={"num_cpus": 2, "object_store_memory": 400 * 2**20})
    _start(executor)
    yield executor
    executor.shutdown()


def _start(executor: RayExecutor) -> None:
    """Start the cluster; Ray gives it half a minute, and a busy machine may take longer."""
    for tries_left in (2, 1, 0):
        try:
            executor.execute_callable(os.getpid, {})
            return
        except Exception as error:
            if not tries_left or "timed out during startup" not in str(error):
                raise
            ray.shutdown()
