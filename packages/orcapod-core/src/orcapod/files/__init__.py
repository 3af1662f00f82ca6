"""Files: what identifies them, and where those that functions make are kept."""

from orcapod.files.content import Content, content_of
from orcapod.files.file_store import FileStore, Unreadable, output_path, take_in, temporary_folder, with_files

__all__ = [
    "Content",
    "FileStore",
    "Unreadable",
    "content_of",
    "output_path",
    "take_in",
    "temporary_folder",
    "with_files",
]
