"""``FileSource``: a stream with one row for every file of a folder that a pattern names."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.display import shown
from orcapod.errors import InputValidationError, ValueTypeError
from orcapod.sources.path_pattern import PathPattern
from orcapod.sources.record_names import RecordNames
from orcapod.sources.table import TableSource
from orcapod.types import STR, Directory, File, LogicalType, Schema, column_of, registry

__all__ = ["FileSource"]

_COLUMN = "file"
_PATH = "path"


class FileSource(TableSource):
    """A source over the files of a folder that a pattern names, in the order of their names, one row each.

    The data is the column ``file``, of type ``File``: what identifies it is its content, so that a file that was moved
    or touched is the same, and an edited one is another. Parts of the pattern in braces become tags of type ``str``:
    ``sub-{subject}/ses-{session}/*_bold.nii.gz``. Within a name, the first of two such parts is as short as it can be.
    Where nothing is in braces, the tag is ``path``, below the folder. Records are called ``file={path}``.

    Args:
        folder: where the files are.
        pattern: of paths below the folder: ``*``, ``?``, ``[...]`` within names, ``**`` for any folders, ``{tag}``.
            Names that begin with a dot are left out; links are followed, but by ``**`` not into a folder above. One
            that ends in ``/`` names folders, of type ``Directory``.
        source_id: what the source is called in provenance; the folder's absolute path and the pattern if None.
        label: what the source is called in a pipeline; ``source_id``, or else the folder's name, if None.

    Raises:
        InputValidationError: the folder is not there, a file cannot be read, or the pattern is none.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        pattern: str,
        *,
        source_id: str | None = None,
        label: str | None = None,
    ) -> None:
        check = Checks(type(self).__name__, InputValidationError)
        self.folder = Path(os.path.abspath(Path(check.file("folder", folder)).expanduser()))  # noqa: PTH100  # links stay
        self.pattern = check.text("pattern", pattern)
        self._named = f"{type(self).__name__} {str(folder)!r}"
        if not self.folder.is_dir():
            found = "a file" if self.folder.exists() else "nothing"
            raise self._wrong(f"found {found} there, expected a folder; check the path")
        self._pattern = PathPattern(self.pattern, taken=_COLUMN, wrong=self._wrong)
        tags, paths = self._found()
        if not paths:
            warnings.warn(f"{self._named}: no file is called like {pattern!r}; check it", stacklevel=2)
        dtype = registry.resolve(Directory if self._pattern.is_of_folders else File)
        columns: dict[str, pa.ChunkedArray[Any]] = {
            name: pa.chunked_array([pa.array(values, STR.arrow)]) for name, values in tags.items()
        }
        columns[_COLUMN] = pa.chunked_array([self._files(paths, dtype)])
        super().__init__(
            columns,
            tag_columns=list(tags),
            source_id=source_id,
            record_id_column=None,
            data_schema={**dict.fromkeys(tags, str), _COLUMN: dtype},
            label=check.text_or_none("label", label) or check.text_or_none("source_id", source_id) or self.folder.name,
            type_name=type(self).__name__,
            location=str(self.folder / pattern),
        )
        self._records = _FileNames(paths)

    def _found(self) -> tuple[dict[str, list[str]], list[str]]:
        """Return tags, and paths below the folder, of what the pattern names, in the order of the paths."""
        matches = self._pattern.matches(self.folder)
        paths = [match[0] for match in matches]
        for path in paths:
            try:
                path.encode()
            except UnicodeEncodeError:
                raise self._wrong(
                    f"found the file {shown(path)}, whose name is no UTF-8, which no record can hold; rename it",
                    column=_COLUMN,
                    found=shown(path),
                ) from None
        if not self._pattern.tags:
            return {_PATH: paths}, paths
        return {name: [match[name] for match in matches] for name in self._pattern.tags}, paths

    def _files(self, paths: Sequence[str], dtype: LogicalType) -> pa.Array[Any]:
        try:
            return column_of([dtype.annotation(self.folder / path) for path in paths], dtype)
        except ValueTypeError as error:
            raise self._wrong(f"column {_COLUMN!r}: {error}", **error.about(column=_COLUMN)) from None

    def _wrong(self, why: str, **about: Any) -> InputValidationError:
        return InputValidationError(f"{self._named}: {why}", **about)


class _FileNames(RecordNames):
    """Names of the records of a source of files: ``file=sub-01/signal.txt``."""

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__((), Schema({}))
        self._names = pa.array([f"{_COLUMN}={path}" for path in paths], STR.arrow)

    def of(self, columns: Mapping[str, pa.Array[Any]], start: int, length: int) -> pa.Array[Any]:
        return self._names.slice(start, length)
