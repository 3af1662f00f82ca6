"""Files: what identifies them, and where those that functions make are kept."""

from orcapod.files.content import Content, content_of, reread_content
from orcapod.files.file_store import (
    FileStore,
    Unreadable,
    is_there,
    located,
    output_path,
    read_bytes,
    remember_folder,
    take_in,
    temporary_folder,
    with_files,
)
from orcapod.files.remote import files_folder, mirrored

__all__ = [
    "Content",
    "FileStore",
    "Unreadable",
    "content_of",
    "files_folder",
    "is_there",
    "located",
    "mirrored",
    "output_path",
    "read_bytes",
    "remember_folder",
    "reread_content",
    "take_in",
    "temporary_folder",
    "with_files",
]
