"""``Guard``: who may look at a page: whoever has its token, from this machine, to read and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from urllib.parse import urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orcapod.report import document, element

__all__ = ["TOKEN", "Guard"]

TOKEN = "token"
_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_METHODS = ("GET", "HEAD")


class Guard:
    """Middleware that answers in place of a page that somebody may not see, and says of every answer what it may do.

    A token in the address is taken out of it, and kept in a cookie that no script and no other site has. Names of other
    hosts are refused, so that no site can have its own name lead here (DNS rebinding).

    Args:
        app: gives the pages.
        token: what has to be known.
        headers: of every answer.
    """

    def __init__(self, app: ASGIApp, token: str, headers: Mapping[str, str]) -> None:
        self._app = app
        self._token = token
        self._headers = headers
        self._cookie = f"orcapod-{sha256(token.encode()).hexdigest()[:12]}"  # ports of a host share their cookies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close"})

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        answer = self._refusal(Request(scope)) or self._app
        return await answer(scope, receive, send_marked)

    def _refusal(self, request: Request) -> Response | None:
        """Return what is answered in place of the page; None if it may be seen."""
        if _host(request.headers) not in _HOSTS:
            return PlainTextResponse("This page is for this machine only: open it at http://127.0.0.1\n", 421)
        if request.method not in _METHODS:
            allowed = ", ".join(_METHODS)
            return PlainTextResponse(f"Nothing can be changed here: {allowed} only\n", 405, {"Allow": allowed})
        given = request.query_params.get(TOKEN)
        if given is not None and self._is_token(given):
            return self._entered(request)
        if self._is_token(request.cookies.get(self._cookie, "")):
            return None
        return HTMLResponse(
            document(
                "Not opened",
                element("h1", "This page opens with its token"),
                element("p", "Use the whole address that was printed when it was started; each start has its own."),
            ),
            403,
        )

    def _is_token(self, given: str) -> bool:
        return compare_digest(given.encode("utf-8", "surrogatepass"), self._token.encode())

    def _entered(self, request: Request) -> Response:
        """Return the way to the same page without the token in its address."""
        query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != TOKEN])
        path = f"/{request.url.path.lstrip('/')}"  # two slashes would be the start of another host
        answer = RedirectResponse(f"{path}?{query}" if query else path, 303)
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
        return answer


def _host(headers: Headers) -> str:
    """Return the host that is asked for, without its port."""
    name, separator, port = headers.get("host", "").rpartition(":")
    return name if separator and port.isdigit() else headers.get("host", "")
