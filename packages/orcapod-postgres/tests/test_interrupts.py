"""Ctrl-C, or another signal, while the server is away: the program ends at once, and says what it could not store."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from orcapod_postgres.testing import Relay, Server

pytestmark = pytest.mark.postgres

PROGRAM = """
import asyncio, logging, os, signal, sys, time
import orcapod as op
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource
from orcapod_postgres import PostgresDatabase, connection

logging.basicConfig()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
connection._SILENT_SECONDS = 0.5  # a server that is merely slow has longer

@op.function_pod(output_keys="y")
def double(x: int) -> int:
    if x == 50:
        os.write(1, b"computing\\n")  # what is printed is logged
    time.sleep(0.01)
    return 2 * x

@op.function_pod(output_keys="z")
def shown(y: int) -> str:
    return str(y)

with PostgresDatabase(sys.argv[1]) as database:
    pipeline = op.Pipeline("interrupted", database)
    with pipeline:
        numbers = DictSource([{"i": i, "x": i} for i in range(3000)], ["i"], source_id="s")
        shown.pod(double.pod(numbers, label="double"), label="shown")
    logs = pipeline.log_database
    options = {
        "observer": CompositeObserver(LoggingObserver(logs), StatusObserver(logs)),
        "flush_interval": float(sys.argv[3]),
    }
    try:
        match sys.argv[2]:
            case "sync":
                pipeline.run(SyncPipelineOrchestrator(), **options)
            case "async":
                pipeline.run(AsyncPipelineOrchestrator(), **options)
            case "awaited":
                asyncio.run(pipeline.run_async(**options))
    except (KeyboardInterrupt, SystemExit) as interrupt:
        error = interrupt if sys.argv[2] != "awaited" else interrupt.__context__
        print(*getattr(error, "__notes__", ()), sep="\\n", flush=True)
        raise
"""

STOPPED, SILENT = "stopped", "silent"


@pytest.fixture
def relay(own_server: Server) -> Iterator[Relay]:
    with Relay(own_server) as relay:
        yield relay


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("server", "how", "flush_interval", "by"),
    [
        (STOPPED, "sync", "0.1", signal.SIGINT),
        (STOPPED, "sync", "60", signal.SIGINT),  # the main thread itself stores
        (STOPPED, "async", "0.1", signal.SIGINT),
        (STOPPED, "awaited", "0.1", signal.SIGINT),
        (STOPPED, "sync", "0.1", signal.SIGTERM),
        (STOPPED, "sync", "60", signal.SIGTERM),
        (STOPPED, "async", "0.1", signal.SIGTERM),
        (SILENT, "sync", "0.1", signal.SIGINT),
        (SILENT, "async", "0.1", signal.SIGINT),
    ],
)
def test_it_ends_the_program(
    own_server: Server,
    own_conninfo: str,
    relay: Relay,
    server: str,
    how: str,
    flush_interval: str,
    by: signal.Signals,
) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, relay.conninfo(own_conninfo), how, flush_interval],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "computing\n", program.communicate()[1][-3000:]
        if server == STOPPED:
            own_server.stop("immediate")
            wait_until(lambda: relay.refused > 1)
        else:
            relay.hold()
            wait_until(lambda: relay.held)
        program.send_signal(by)
        interrupted = time.monotonic()
        told, errors = program.communicate(timeout=60)
        seconds = time.monotonic() - interrupted
    finally:
        program.kill()
        program.communicate()
        own_server.start()
    assert program.returncode == (-signal.SIGINT if by == signal.SIGINT else 3), errors[-3000:]
    assert ("KeyboardInterrupt" in errors) is (by == signal.SIGINT)
    assert "when the run ended, this failed: DatabaseError: " in told
    assert "nothing of this call was written" in told
    assert "psycopg" not in errors
    assert seconds < 20  # two are promised, to a machine that does nothing else; the patience of one call is 30
