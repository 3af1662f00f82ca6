"""``serve``: the pages of a store, served to a browser on this machine."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import partial

import uvicorn

from orcapod.checks import Checks
from orcapod.errors import ConfigError
from orcapod.ledger import open_store
from orcapod.protocols import Database
from orcapod.ui.application import application
from orcapod.ui.guard import TOKEN
from orcapod.ui.view import CurrentView

__all__ = ["serve"]

_HOST = "127.0.0.1"
_print = partial(print, flush=True)  # whoever reads the address through a pipe waits for it


def serve(
    store: Database | str | os.PathLike[str] | Mapping[str, object],
    *,
    port: int = 0,
    open_browser: bool = True,
    announce: Callable[[str], object] = _print,
) -> None:
    """Serve the pages of a store until Ctrl-C, on this machine only; nothing is written.

    Args:
        store: whatever ``op.open_store`` takes.
        port: where; any that is free if 0.
        open_browser: whether a browser is opened.
        announce: is told the address once, with the token without which nobody sees anything.

    Raises:
        ConfigError: the port is taken, or is none.
        DatabaseError: the store cannot be opened.
    """
    check = Checks("serve")
    check.flag("open_browser", open_browser)
    if not isinstance(port, int) or not 0 <= port < 65_536:
        raise check.wrong("port", port, "a number from 0, for any that is free, to 65535")
    with closing(CurrentView(partial(open_store, store))) as current, _listening(port) as listener:
        token = secrets.token_urlsafe(24)
        url = f"http://{_HOST}:{listener.getsockname()[1]}/?{TOKEN}={token}"
        config = uvicorn.Config(
            application(current, token),
            lifespan="off",
            ws="none",
            log_level="error",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        announce(url)
        if open_browser:  # one in a terminal would keep us here
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run([listener])


def _listening(port: int) -> socket.socket:
    """Return a socket at which the browser may ask at once, though it is answered a little later."""
    listener = socket.socket()
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"serve: cannot listen at port {port}: {error.strerror}; give another, or 0 for any that is free",
            expected="a free port",
            found=str(port),
        ) from error
    return listener
