"""What tests of packages together share: the PostgreSQL server of this session, and a browser for pages."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod_delta import DeltaDatabase
from orcapod_postgres import PostgresDatabase
from orcapod_postgres.testing.fixtures import postgres_conninfo, postgres_server

__all__ = ["browser", "database", "postgres_conninfo", "postgres_server", "visit"]

# In the background and under nohup, SIGINT is ignored here and in the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

_cache = TemporaryDirectory(prefix="orcapod-cache-", ignore_cleanup_errors=True)
os.environ["ORCAPOD_CACHE"] = _cache.name

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_MS = 120_000  # where only a hang takes as long, however busy the machine is
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")


@pytest.fixture(params=["memory", "sqlite", "delta", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Yield an empty store of each kind; of an SQLite file and a Delta folder, they are in ``tmp_path``."""
    match request.param:
        case "memory":
            store: Any = MemoryDatabase()
        case "sqlite":
            store = SQLiteDatabase(tmp_path / "lab.db")
        case "delta":
            store = DeltaDatabase(tmp_path / "lab")
        case "postgres":
            store = PostgresDatabase(request.getfixturevalue("postgres_conninfo"))
    with store:
        yield store


@pytest.fixture(scope="module")  # while it is open, an event loop runs in this thread, and no test can start another
def browser() -> Iterator[Browser]:
    """Yield a browser without a window; where there is none tests are skipped, and fail with ``CI`` set."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        told = f"found no browser, expected one of {', '.join(_BROWSERS)}; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *_QUIET], timeout=_PATIENCE_MS)
        expect.set_options(timeout=_PATIENCE_MS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Yield what opens a page, ``visit(url, width=1280, scheme="light")``; no page may complain or ask elsewhere."""
    complaints: list[str] = []
    contexts = []

    def visit(url: str, *, width: int = 1280, scheme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.set_default_timeout(_PATIENCE_MS)
        contexts.append(context)
        page, home = context.new_page(), urlsplit(url)

        def asked(request: Request) -> None:
            to = urlsplit(request.url)
            if (to.scheme, to.netloc) != (home.scheme, home.netloc) or (to.scheme == "file" and to.path != home.path):
                complaints.append(f"asked for {request.url}")

        page.on("request", asked)
        page.on("pageerror", lambda error: complaints.append(f"raised {error}"))
        page.on("dialog", lambda dialog: (complaints.append(f"said {dialog.message}"), dialog.dismiss()))
        page.on("console", lambda said: complaints.append(f"logged {said.text}"))
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not complaints
