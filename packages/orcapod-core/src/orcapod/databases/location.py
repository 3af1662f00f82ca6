"""``is_path``: what is meant as the path of a store, and what would be a file whose name tells a password."""

from __future__ import annotations

import re

__all__ = ["is_path"]

_URL = re.compile(
    r"(sqlite|memory|noop|delta|delta\+s3|s3a?|delta\+gs|gs|delta\+az|az|postgres|postgresql|mysql|mariadb|mongodb|jdbc|odbc|file|https?):",
    re.IGNORECASE,
)
_ACCOUNT = re.compile(r"(?![a-zA-Z]:\\)/{0,2}[^/:@]*:[^@]*@")
_PAIRS = re.compile(r"\s*\w+(\s\w+)?\s*=")
_PASSWORD = re.compile(r"(?:^|[\s;])(password|passwd|pwd|sslpassword)\s*=", re.IGNORECASE)
_SERVER = re.compile(
    r"(?:^|[\s;])(host|hostaddr|port|dbname|database|user|uid|passfile|service|server|sslmode)\s*=", re.IGNORECASE
)
_PARTITION = re.compile(r"\w+=[^/\s;]+/\S*")


def is_path(text: str) -> bool:
    """Say whether a text is meant as the path of a file or folder.

    A URL that lacks its slashes is not, nor is what says how to connect to a database server:
    ``host=... password=...``, as libpq and others have it, or ``user:password@host/database``. The folder of a
    partition, ``user=ada/2020.db``, is.
    """
    if _URL.match(text) or _ACCOUNT.match(text):
        return False
    if not _PAIRS.match(text):
        return True
    return not _PASSWORD.search(text) and (not _SERVER.search(text) or bool(_PARTITION.fullmatch(text)))
