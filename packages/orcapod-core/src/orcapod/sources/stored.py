"""``StoredSource``: everything that a source ever gave, as stored; the source may be gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.datagrams import SEPARATOR, Chunk, StreamSchema
from orcapod.errors import DamagedRecordError, InputValidationError
from orcapod.hashing import ContentHash, recipes
from orcapod.protocols import Database, files_folder_of
from orcapod.sources.catalog import Catalog, widest
from orcapod.sources.root import Source, root_schema
from orcapod.types import OptionalType, Schema, registry, type_of_column, with_current_files

__all__ = ["CONTENT", "RECORD", "StoredSource"]

CONTENT = "__content_hash"
RECORD = "__record_id"
_CHUNK_ROWS = 65_536
_OPTIONAL = " | None"


class StoredSource(Source):
    """All rows that ``source.cached(database)`` ever stored of a source, once per content.

    Args:
        database: where they are stored, under ``_source/{source id}/{schema hash}``.
        source_id: what the source is called in provenance.
        schema: of the rows.
        label: what the source is called in a pipeline; ``source_id`` if None.
    """

    def __init__(self, database: Database, *, source_id: str, schema: StreamSchema, label: str | None = None) -> None:
        self.source_id = source_id
        self.schema = schema
        self.label = label or source_id
        self._database = database
        self._path = ("_source", source_id, recipes.kept_schema(schema.structure))

    @classmethod
    def open(
        cls,
        database: Database,
        source_id: str,
        *,
        data_schema: Mapping[str, Any] | None = None,
        label: str | None = None,
    ) -> StoredSource:
        """Open what is stored of a source that may be there no more.

        Args:
            database: the one that was given to ``source.cached``.
            source_id: what the source was called.
            data_schema: types of columns that Arrow alone cannot tell, such as a ``TypedDict``.
            label: what the source is called in a pipeline; ``source_id`` if None.

        Raises:
            InputValidationError: nothing is stored of it, or under several schemas, or a type is to be declared.
        """
        catalog = Catalog(database)
        entries = catalog.entries(source_id)
        if not entries:
            names = catalog.source_ids()
            raise InputValidationError(
                f"nothing is kept of a source called {source_id!r}; found {names}",
                source_id=source_id,
                found=str(names),
            )
        if len(keys := sorted({entry.schema_key for entry in entries})) > 1:
            raise InputValidationError(
                f"found rows of {source_id!r} under several schemas, expected one; read their tables below "
                f"'_source/{source_id}': {keys}",
                source_id=source_id,
                found=str(keys),
            )
        declared = {name: registry.resolve(dtype) for name, dtype in (data_schema or {}).items()}
        empty = database.get_records_by_ids(("_source", source_id, keys[0]), [])
        types = {}
        for name, called in widest(entries).items():
            types[name] = declared[name] if name in declared else type_of_column(empty.column(name))
            if called.endswith(_OPTIONAL) and not isinstance(types[name], OptionalType):
                types[name] = OptionalType(types[name])
            if types[name].name != called:
                raise InputValidationError(
                    f"column {name!r} of source {source_id!r} is kept as {called}, and found to be "
                    f"{types[name].name}; declare it in data_schema",
                    source_id=source_id,
                    column=name,
                    expected=called,
                    found=types[name].name,
                )
        tags = entries[0].tags
        packets = [name for name in types if name not in tags]
        schema = root_schema(Schema(types).select(tags), Schema(types).select(packets))
        return StoredSource(database, source_id=source_id, schema=schema, label=label)

    def chunks(self) -> Iterator[Chunk]:
        types = (self.schema.tags | self.schema.packets).types
        rows = self._database.get_records(self._path, [RECORD, *types])
        rows = with_current_files(rows, files_folder_of(self._database))
        source_tag, record_tag = self.schema.system_tags
        for start in range(0, rows.num_rows, _CHUNK_ROWS):
            part = rows.slice(start, _CHUNK_ROWS)
            columns = {name: self._as_declared(part.column(name), name, dtype.arrow) for name, dtype in types.items()}
            records = part.column(RECORD).cast(pa.large_string()).combine_chunks()
            named = pa.scalar(self.source_id, pa.large_string())
            columns[source_tag] = pa.repeat(named, part.num_rows)
            columns[record_tag] = records
            producing: Any = pc.binary_join_element_wise(
                columns[source_tag], records, pa.scalar(SEPARATOR, pa.large_string())
            )
            yield Chunk.from_record(self.schema, columns, producing, self.schema.packets)

    def _as_declared(self, column: pa.ChunkedArray[Any], name: str, type_: pa.DataType) -> pa.Array[Any]:
        try:
            return column.cast(type_).combine_chunks()
        except pa.ArrowException as error:
            raise DamagedRecordError(
                f"{'/'.join(self._path)}: column {name!r} is damaged: expected {type_}, found {column.type}: "
                f"{error!s:.200}; restore the store from a copy, or move it aside to read the source again",
                column=name,
                expected=str(type_),
                found=str(column.type),
            ) from error

    def content_hash(self) -> ContentHash:
        rows = self._database.get_records(self._path, [CONTENT])
        ids: list[Any] = rows.column(0).to_pylist() if rows.num_rows else []
        return recipes.stored_content(self.source_id, self.schema.structure, ids)
