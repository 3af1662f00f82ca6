"""One hypothesis profile for all laws: bounded, and no clock, since a loaded machine is no bug."""

import os
import signal
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings

settings.register_profile(
    "orcapod", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("orcapod")

# In the background and under nohup, SIGINT is ignored here and in the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

_cache = TemporaryDirectory(prefix="orcapod-cache-", ignore_cleanup_errors=True)
os.environ["ORCAPOD_CACHE"] = _cache.name
