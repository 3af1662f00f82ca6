"""One hypothesis profile for all laws: bounded, and no clock, since a loaded machine is no bug."""

import os
import signal
from collections.abc import Callable
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "orcapod", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("orcapod")

# In the background and under nohup, SIGINT is ignored here and in the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

_cache = TemporaryDirectory(prefix="orcapod-cache-", ignore_cleanup_errors=True)
os.environ["ORCAPOD_CACHE"] = _cache.name


@pytest.fixture
def all_shown() -> Callable[[int], str]:
    """Reads our end of a terminal until no program has its other end: one reading may give a part."""

    def read(ours: int) -> str:
        shown = b""
        try:
            while part := os.read(ours, 65_536):
                shown += part
        except OSError:  # Linux says so when the other end is closed
            pass
        os.close(ours)
        return shown.decode()

    return read
