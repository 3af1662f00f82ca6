"""The PostgreSQL server of this session, for what has to hold on every store."""

import os
import signal
from tempfile import TemporaryDirectory

from orcapod_postgres.testing.fixtures import postgres_conninfo, postgres_server

__all__ = ["postgres_conninfo", "postgres_server"]

# In the background and under nohup, SIGINT is ignored here and in the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

_cache = TemporaryDirectory(prefix="orcapod-cache-", ignore_cleanup_errors=True)
os.environ["ORCAPOD_CACHE"] = _cache.name
