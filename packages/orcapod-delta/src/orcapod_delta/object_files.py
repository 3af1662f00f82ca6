"""``ObjectFiles``: files in object storage, where a small one is read by one request, once."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from deltalake.fs import DeltaStorageHandler

__all__ = ["ObjectFiles"]

_SMALL = 1 << 20
_CACHED_BYTES = 8 << 20


class ObjectFiles(DeltaStorageHandler):
    """Files below a location in object storage, for Arrow.

    A parquet file is read in pieces, and its keys are wanted before its values: each piece is a request. Small files
    are therefore read whole, and the last of them are cached: files of a Delta table never change.
    """

    def open_input_file(self, path: str) -> Any:
        """Return a file for reading at any place."""
        contents = self.__dict__.setdefault("_contents", {})
        if (content := contents.get(path)) is None:
            file = super().open_input_file(path)
            if file.size() > _SMALL:
                return file
            content = file.read_buffer()
            if content.size + sum(each.size for each in contents.values()) > _CACHED_BYTES:
                contents.clear()
            contents[path] = content
        return pa.BufferReader(content)
