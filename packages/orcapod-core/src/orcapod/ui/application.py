"""``app``: the pages of a store as an ASGI application."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from orcapod.checks import Checks
from orcapod.errors import (
    ConfigError,
    LabelError,
    OrcapodError,
    SchemaError,
    UnknownCodeError,
    UnknownRowError,
    UnknownRunError,
)
from orcapod.ledger import Store
from orcapod.report import element
from orcapod.report.document import policy, resource
from orcapod.ui.code import code_page
from orcapod.ui.comparison import comparison_page
from orcapod.ui.frame import DIRECTIVES, Query, framed, script
from orcapod.ui.guard import Guard
from orcapod.ui.logs import logs_page
from orcapod.ui.nodes import node_page
from orcapod.ui.run import run_page
from orcapod.ui.runs import runs_page
from orcapod.ui.trace import trace_page
from orcapod.ui.view import CurrentView, View

__all__ = ["app", "application"]

Page = Callable[[View, Query], str]

_PAGES: dict[str, Page] = {
    "/": runs_page,
    "/run": run_page,
    "/node": node_page,
    "/trace": trace_page,
    "/logs": logs_page,
    "/compare": comparison_page,
    "/code": code_page,
}
_UNKNOWN = (LabelError, UnknownCodeError, UnknownRowError, UnknownRunError)
_WRONG = (ConfigError, SchemaError)


def app(store: Store, token: str) -> ASGIApp:
    """Return the pages of a store: what it tells of runs, nodes, rows, output and code, to be looked at only.

    Args:
        store: the store, which stays open.
        token: whoever has it in the address (``/?token=...``) may look.
    """
    check = Checks("app")
    check.instance("store", store, Store, "a Store", "give op.open_store('lab.db')")
    if not check.text("token", token):
        raise check.wrong("token", token, "a text that nobody guesses", "give secrets.token_urlsafe()")
    return application(CurrentView(lambda: store), token)


def application(current: CurrentView, token: str) -> ASGIApp:
    """Return the pages of the store that is at its place now; see ``app``."""
    pages = Starlette(
        routes=[Route(path, _answering(page, current)) for path, page in _PAGES.items()],
        exception_handlers={OrcapodError: _failed, HTTPException: _missing, Exception: _broken},
    )
    running = policy([resource("script.js"), script()], DIRECTIVES)
    headers = {
        "Content-Security-Policy": f"{running}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return Guard(pages, token, headers)


def _answering(page: Page, current: CurrentView) -> Callable[[Request], Response]:
    """Return what answers with a page; it is no coroutine, so that it runs in a thread, and may wait for the store."""

    def answer(request: Request) -> Response:
        return HTMLResponse(page(current.get(), dict(request.query_params)))

    return answer


def _failed(_: Request, error: Exception) -> Response:
    """Return the page of an error of the store, which says what was found and what was expected."""
    status = 404 if isinstance(error, _UNKNOWN) else 400 if isinstance(error, _WRONG) else 500
    title = {404: "Not found", 400: "Not understood"}.get(status, "The store cannot tell")
    return HTMLResponse(framed(title, element("p", str(error))), status)


def _missing(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return HTMLResponse(framed("Not found", element("p", f"There is no page {request.url.path}.")), status)


def _broken(_: Request, error: Exception) -> Response:
    told = f"This page failed: {type(error).__name__}. Where the server runs it says more."
    return HTMLResponse(framed("Failed", element("p", told)), 500)
