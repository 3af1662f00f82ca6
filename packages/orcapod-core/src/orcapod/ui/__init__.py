"""The page: a store to be looked at in a browser on this machine; it reads through the ledger alone."""

from orcapod.doors import door
from orcapod.errors import PluginError

_HOMES = {"app": "application", "serve": "server"}

__all__ = list(_HOMES)
_load, __dir__ = door(__name__, _HOMES)


def __getattr__(name: str) -> object:
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("starlette", "uvicorn"):
            raise
        raise PluginError(
            f"the page of a store is served by {missing}, which is not installed; install it: "
            "pip install 'orcapod-core[ui]'",
            expected=missing,
        ) from None
