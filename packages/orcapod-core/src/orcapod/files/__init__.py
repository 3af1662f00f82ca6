"""Files: what identifies them, and where those that functions make are kept."""

from orcapod.files.calls import KnownFile, Unreadable, WithFiles, WithPlaces, output_path, with_files
from orcapod.files.content import Content, content_of, reread_content
from orcapod.files.file_store import (
    FileStore,
    folder_error,
    is_there,
    located,
    read_bytes,
    take_in,
    temporary_folder,
)
from orcapod.files.remote import files_folder, mirrored

__all__ = [
    "Content",
    "FileStore",
    "KnownFile",
    "Unreadable",
    "WithFiles",
    "WithPlaces",
    "content_of",
    "files_folder",
    "folder_error",
    "is_there",
    "located",
    "mirrored",
    "output_path",
    "read_bytes",
    "reread_content",
    "take_in",
    "temporary_folder",
    "with_files",
]
