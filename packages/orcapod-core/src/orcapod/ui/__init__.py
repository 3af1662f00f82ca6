"""The page: a store to be looked at in a browser on this machine; it reads through the ledger alone."""

from orcapod.doors import door

_HOMES = {"app": "app", "serve": "server"}  # starlette and uvicorn with them, which the extra ``ui`` installs

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
