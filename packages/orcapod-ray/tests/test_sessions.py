"""Sessions on a cluster keep what the sessions of every executor must."""

from __future__ import annotations

import pytest

from orcapod.testing import SessionSuite
from orcapod_ray import RayExecutor, session

pytestmark = pytest.mark.ray


class TestRay(SessionSuite):
    sessions = 8
    largest_batch = 60  # some milliseconds

    @pytest.fixture
    def executor(self, cluster: RayExecutor, monkeypatch: pytest.MonkeyPatch) -> RayExecutor:
        # A machine that is busy with something else may take its time for a batch, and to hand over what it gave.
        monkeypatch.setattr(session, "_SEVERAL_SECONDS", 30.0)
        monkeypatch.setattr(session, "_CLOSING_SECONDS", 60.0)
        return cluster.with_options(max_retries=0)  # a call that ends its worker would do so again
