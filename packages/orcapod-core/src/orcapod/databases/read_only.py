"""Stores that may only be read: what keeps one from writing to a file or folder, and the error for it."""

from __future__ import annotations

import os
from pathlib import Path

from orcapod.errors import ReadOnlyStoreError

__all__ = ["read_only_store", "why_unwritable"]


def why_unwritable(place: Path, what: str) -> str | None:
    """Return what keeps a file or folder from being written to, called ``what``; None if nothing does.

    What is not there has to be made, which its folder decides.
    """
    if not place.exists() or os.access(place, os.W_OK):
        return None
    if hasattr(os, "ST_RDONLY") and os.statvfs(place).f_flag & os.ST_RDONLY:
        return "it is on a file system that is mounted for reading only"
    return f"this user may not write to {what}"


def read_only_store(location: object, why: str) -> ReadOnlyStoreError:
    """Return the error for writing to a store that may only be read."""
    return ReadOnlyStoreError(
        f"{location} may only be read: {why}; nothing was written; to run pipelines on it, copy it to a folder "
        "of your own, or have yourself be given the right to write there"
    )
