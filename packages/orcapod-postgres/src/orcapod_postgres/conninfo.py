"""Connection strings: read, told apart from secrets, and shown without them."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orcapod.errors import DatabaseError

__all__ = ["connection_parameters", "shown", "split_url", "without_secrets"]

# libpq marks passwords; the keys that are made of one, and serve as well, it takes for a matter of debugging.
_SECRET = {option.keyword.decode() for option in pq.Conninfo.get_defaults() if option.dispchar == b"*"} | {
    "password",
    "sslpassword",
    "oauth_client_secret",
    "scram_client_key",
    "scram_server_key",
}


def connection_parameters(conninfo: str | None) -> dict[str, Any]:
    """Return the parameters of a URL or ``key=value`` string; libpq completes them from its variables.

    Raises:
        DatabaseError: it cannot be read. The message shows nothing of it, since there may be a password in it.
    """
    conninfo = None if conninfo is None else checked_conninfo(conninfo)
    try:
        return dict(conninfo_to_dict(conninfo or ""))
    except psycopg.Error:
        raise DatabaseError(
            "expected a connection string like postgresql://user@host:5432/dbname or 'host=... dbname=...', found one "
            "that PostgreSQL cannot read (not shown: there may be a password in it); a special character in a "
            "password is written %XX in a URL"
        ) from None


def checked_conninfo(found: str) -> str:
    """Return a connection string, which nothing is known of but that it is text.

    Raises:
        DatabaseError: it is none. The message shows nothing of it.
    """
    kind = "a text with characters that are none" if isinstance(found, str) else type(found).__qualname__
    is_text = isinstance(found, str) and found == found.encode(errors="replace").decode() and "\0" not in found
    if not is_text:
        raise DatabaseError(
            "expected a connection string like postgresql://user@host:5432/dbname or 'host=... dbname=...', found "
            f"{kind} (not shown: there may be a password in it); give a str"
        )
    return found


def split_url(url: str) -> tuple[str, str | None]:
    """Return a URL without the option that is ours, ``schema``, and its value if it is there."""
    address, _, query = url.partition("?")
    options = query.split("&") if query else []
    ours = [option for option in options if option.startswith("schema=")]
    theirs = "&".join(option for option in options if option not in ours)
    schema = unquote(ours[-1].partition("=")[2]) if ours else None
    return (f"{address}?{theirs}" if theirs else address), schema


def without_secrets(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that may be shown and saved."""
    return {name: value for name, value in parameters.items() if name not in _SECRET and value is not None}


def shown(parameters: dict[str, Any]) -> str:
    """Return which database it is, for messages."""
    wanted = ("user", "host", "port", "dbname", "service")
    return make_conninfo("", **{name: parameters[name] for name in wanted if parameters.get(name)}) or "PostgreSQL"
