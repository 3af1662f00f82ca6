"""``NodeRows``: the rows that a node gave in a run, of which a page looks at a few."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.arrow import array_of
from orcapod.compute import pc
from orcapod.ledger import RunSummary, Store
from orcapod.ledger.run_summary import NodeSummary
from orcapod.ledger.stored_results import results_at
from orcapod.records import RECORD_ID
from orcapod.ui.cells import cell

__all__ = ["NodeRows", "matching", "query_of", "texts_of"]

_NAME = re.compile(r'[^\s="]+')
_TERM = re.compile(rf'({_NAME.pattern})=(?:"([^"]*)"|(\S*))|"([^"]*)"|(\S+)')


@dataclass(frozen=True)
class NodeRows:
    """Rows that a function node gave in a run that has ended, whose number and order never change.

    Attributes:
        store: where they are.
        run: the run.
        node: the node.
        entries: the records of all rows: their keys, tags and results.
    """

    store: Store
    run: RunSummary
    node: NodeSummary
    entries: pa.Table

    @classmethod
    def of(cls, store: Store, run_id: str, label: str) -> NodeRows:
        """Return the rows of a node.

        Raises:
            UnknownRunError: there is no such run, or it has not ended.
            LabelError: it had no such node.
        """
        run, node = store.node("/".join(store.run(run_id).pipeline), label, run_id)
        (entries,) = store.entries_in(label, run, wanted=_is_shown)
        return cls(store, run, node, entries)

    @property
    def tags(self) -> list[str]:
        """The tags of its rows."""
        return [name for name in self.entries.column_names if not name.startswith("_")]

    def results(self, entries: pa.Table) -> pa.Table:
        """Return what is stored of the results of some rows, their values among it."""
        if not entries.num_columns:
            return entries
        return results_at(self.store.database, self.node.record.path, entries.column(RECORD_ID))

    def found(self, query: str) -> pa.Table:
        """Return the records of the rows in which a person finds what was typed; see ``matching``."""
        if not [*_terms(query)] or not self.entries.num_rows:
            return self.entries
        return self.entries.filter(matching(self._texts, query)) if self._texts else self.entries.slice(0, 0)

    @cached_property
    def _texts(self) -> Mapping[str, Any]:
        """What is looked for in: the tags as text, and the outputs that are texts or numbers."""
        outputs = [field.name for field in self.results(self.entries.slice(0, 0)).schema if _is_plain(field)]
        ids, path = self.entries.column(RECORD_ID), self.node.record.path
        values = results_at(self.store.database, path, ids, outputs) if outputs else pa.table({})
        tags = self.entries.select(self.tags)
        return {**texts_of(values.select(outputs)), **texts_of(tags)}


def query_of(tags: Mapping[str, Any]) -> str:
    """Return what is typed to find the rows of these tags; see ``matching``. What cannot be typed is left out."""
    terms = []
    for name, value in tags.items():
        text = "" if value is None else value if isinstance(value, str) else cell(value)
        if _NAME.fullmatch(name) and '"' not in text:
            terms.append(f'{name}="{text}"')
    return " ".join(terms)


def matching(texts: Mapping[str, Any], query: str) -> Any:
    """Say in which rows of some columns is all that was typed.

    Args:
        texts: the columns, as text; at least one.
        query: words, all of which are to be found, in any column, whatever their case; ``column=value`` says in which,
            and is all of what is there; ``column=`` means those that are empty or missing. Quotes keep several words
            together.
    """
    if not (terms := [*_terms(query)]):
        return array_of([True] * len(next(iter(texts.values()))), pa.bool_())
    lowered = {name: pc.utf8_lower(column) for name, column in texts.items()}
    return reduce(pc.and_, [_holds(lowered, name, text) for name, text in terms])


def _terms(query: str) -> Iterator[tuple[str, str]]:
    """Give what was typed: words, each with the column that it is to be in, if one is named."""
    for name, *texts in _TERM.findall(query):
        yield name, "".join(texts)


def _holds(lowered: Mapping[str, Any], name: str, text: str) -> Any:
    if name in lowered:
        return pc.fill_null(pc.equal(lowered[name], _lower(text)), not text)
    wanted = _lower(f"{name}={text}" if name else text)
    return reduce(pc.or_, [pc.fill_null(pc.match_substring(column, wanted), False) for column in lowered.values()])


def _lower(text: str) -> str:
    """Return a text in the lower case of Arrow, which is not that of Python."""
    return str(pc.utf8_lower(text).as_py())


def _is_shown(column: str) -> bool:
    return column == RECORD_ID or not column.startswith("_")


def _is_plain(field: pa.Field[Any]) -> bool:
    """Say whether a column is an output whose values are texts, numbers or times."""
    is_text = pat.is_string(field.type) or pat.is_large_string(field.type)
    return not field.name.startswith("_") and (is_text or pat.is_primitive(field.type))


def texts_of(columns: pa.Table) -> Mapping[str, Any]:
    """Return columns as they are seen, to look for words in them."""
    return {name: _text(column) for name, column in zip(columns.column_names, columns.columns, strict=True)}


def _text(column: Any) -> Any:
    if pat.is_string(column.type) or pat.is_large_string(column.type) or pat.is_integer(column.type):
        return pc.cast(column, pa.large_string())
    values: Sequence[Any] = column.to_pylist()
    return array_of([None if value is None else cell(value) for value in values], pa.large_string())
