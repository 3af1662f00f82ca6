"""Sessions on a cluster keep what the sessions of every executor must."""

from __future__ import annotations

import pytest

from orcapod.testing import SessionSuite
from orcapod_ray import RayExecutor

pytestmark = pytest.mark.ray


class TestRay(SessionSuite):
    sessions = 8
    largest_batch = 60  # some milliseconds; it waits for a fifth of a second, also where the machine is busy

    @pytest.fixture
    def executor(self, cluster: RayExecutor) -> RayExecutor:
        return cluster.with_options(max_retries=0)  # a call that ends its worker would do so again
