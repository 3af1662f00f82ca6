"""Connection strings: read, told apart from secrets, and shown without them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
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
        DatabaseError: it cannot be read, or a piece of a password may have become something else. The message shows
            nothing of it.
    """
    conninfo = None if conninfo is None else checked_conninfo(conninfo)
    parameters = None
    with suppress(psycopg.Error):  # which would show it
        parameters = dict(conninfo_to_dict(conninfo or ""))
    if parameters is None or _is_torn(conninfo or "", parameters):
        raise DatabaseError(
            "expected a connection string like postgresql://user@host:5432/dbname or 'host=... dbname=...', found one "
            "that PostgreSQL cannot read, or takes for something else (not shown: there may be a password in it); a "
            "special character in a URL is written %XX: / as %2F, @ as %40, : as %3A"
        )
    return parameters


def _is_torn(conninfo: str, parameters: Mapping[str, Any]) -> bool:
    """Say whether what may be a piece of a password has become part of what is shown."""
    address = _split(conninfo)[1] if "://" in conninfo.partition("=")[0] else ""
    ports = [port for port in str(parameters.get("port") or "").split(",") if port]
    hosts = str(parameters.get("host") or "").split(",")
    others = [str(parameters.get(name) or "") for name in ("host", "dbname", "user")]
    return (
        "@" in address
        or not all(port.strip().isdecimal() for port in ports)
        or any("@" in host[1:] for host in hosts)  # that of an abstract socket begins with it
        or any(re.search("[;=]|://", other) for other in others)
    )


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
    account, address, query = _split(url)
    options = query.split("&") if query else []
    ours = [option for option in options if option.startswith("schema=")]
    theirs = "&".join(option for option in options if option not in ours)
    schema = unquote(ours[-1].partition("=")[2]) if ours else None
    return account + (f"{address}?{theirs}" if theirs else address), schema


def _split(url: str) -> tuple[str, str, str]:
    """Return a URL as libpq does: up to the first ``@`` before any ``/``, then up to ``?``, and what is behind it."""
    scheme, separator, rest = url.partition("://")
    account, at, behind = rest.partition("@")
    if "/" in account or not at:
        account, at, behind = "", "", rest
    address, _, query = behind.partition("?")
    return f"{scheme}{separator}{account}{at}", address, query


def without_secrets(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that may be shown and saved."""
    return {name: value for name, value in parameters.items() if name not in _SECRET and value is not None}


def shown(parameters: dict[str, Any]) -> str:
    """Return which database it is, for messages."""
    wanted = ("user", "host", "port", "dbname", "service")
    return make_conninfo("", **{name: parameters[name] for name in wanted if parameters.get(name)}) or "PostgreSQL"
