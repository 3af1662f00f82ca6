"""``CodeRecords``: the code that made what is stored, part by part, with its source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.errors import UnknownCodeError
from orcapod.hashing import ContentHash, Fingerprint, Part, hash_structure
from orcapod.protocols import Database, decoding
from orcapod.records.address import CODE

__all__ = ["CodeRecords"]

_COLUMNS = ("__code_id", "__kind", "__name", "__digest", "__source", "__uses", "__parts")


class CodeRecords:
    """Table ``_code`` of a store: one row for each distinct part, and one for each distinct fingerprint.

    The row of a fingerprint is called by it, as results name it in ``__code``, and lists its parts; the row of a part
    has its kind, name and source. Parts that fingerprints share are stored once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def store(self, name: str, code: Fingerprint) -> None:
        """Store what a function of this name says, unless it is there already."""
        if self._rows([str(code.hash)], ["__code_id"]):
            return
        parts = {_part_id(part): part for part in code.parts}
        rows = [_row(part_id, part, None) for part_id, part in parts.items()]
        whole = Part(name, "fingerprint", code.hash.hex)
        rows.append(_row(str(code.hash), whole, list(parts)))
        columns = zip(_COLUMNS, zip(*rows, strict=True), strict=True)
        self._database.add_records(CODE, pa.table({name: array_of(held, pa.large_string()) for name, held in columns}))

    def parts(self, fingerprint: ContentHash) -> tuple[Part, ...]:
        """Return the parts of a fingerprint that is stored.

        Raises:
            UnknownCodeError: the store does not know it.
        """
        found = self._rows([str(fingerprint)], ["__code_id", "__parts"])
        if not found:
            raise UnknownCodeError(
                f"found no code {fingerprint} in the store; expected a fingerprint as results have it in '__code', "
                "and the store that holds them",
                found=str(fingerprint),
            )
        with decoding(CODE, str(fingerprint), "__parts"):
            ids: list[str] = json.loads(found[0]["__parts"])
            if not isinstance(ids, list) or not all(isinstance(part_id, str) for part_id in ids):
                raise TypeError("it is no list of keys")
            rows = {row["__code_id"]: row for row in self._rows(ids, _COLUMNS)}
            return tuple(_part(rows[part_id]) for part_id in ids)

    def _rows(self, ids: Sequence[str], columns: Sequence[str]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._database.get_records_by_ids(CODE, ids, columns).to_pylist()
        return rows


def _row(row_id: str, part: Part, parts: Sequence[str] | None) -> tuple[str | None, ...]:
    listed = None if parts is None else json.dumps(parts)
    return row_id, part.kind, part.name, part.digest, part.source, json.dumps(part.uses), listed


def _part(row: dict[str, Any]) -> Part:
    with decoding(CODE, row["__code_id"], "__uses"):
        uses = tuple(json.loads(row["__uses"]))
    return Part(row["__name"], row["__kind"], row["__digest"], row["__source"], uses)


def _part_id(part: Part) -> str:
    return hash_structure(("part", part.kind, part.name, part.digest, part.uses)).hex
