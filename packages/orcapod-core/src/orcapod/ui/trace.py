"""The page of a row: its values, and the tree of what it was made of, which unfolds."""

from __future__ import annotations

import re
import shlex

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.display import duration
from orcapod.errors import ConfigError, UnknownRowError
from orcapod.ledger import ComputedRow, Origin, RowGroup, SourceRow
from orcapod.ledger.stored_results import results_at
from orcapod.report import Html, block, element, joined, link, section, table
from orcapod.report.html import size_of
from orcapod.ui.cells import in_words, output_cells, whole
from orcapod.ui.frame import Query, address, asked, framed, number, run_link, run_trail
from orcapod.ui.logs import outputs
from orcapod.ui.rows import NodeRows
from orcapod.ui.view import View

__all__ = ["element_at", "elements_below", "trace_page"]

_MEMBERS = 20
_UNFOLDED = 40  # elements that are shown at once
_ROOM = 20_000  # bytes of a page for one value
_PLACE = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,99}")

Place = tuple[int, ...]
"""Where in a tree an element is: which of those below the root, which of those below that, and so on.

Below a group these are two numbers: of the member from which on some are read, and which of what these were made of,
since a member may be made of no row, and of several.
"""


def trace_page(view: View, query: Query) -> str:
    """Return the page of a row, or of an element of its tree."""
    run_id, label, key = (asked(query, name) for name in ("run", "node", "row"))
    row, place = view.traced(run_id, label, key), _place(query.get("at", ""))
    rows = view.rows(run_id, label)
    tree = _Tree({"run": rows.run.run_id, "node": label, "row": key})
    origin = element_at(row, place)
    title = f"{label} {in_words(row.tags)}"
    trail = run_trail(rows.run) | {label: address("node", run=rows.run.run_id, node=label)}
    if place:
        trail[title] = address("trace", **tree.query)
    return framed(
        f"Part of {title}" if place else title,
        *([] if place else [_values(rows, row)]),
        section(
            "made-of",
            "What it was made of",
            element("p", *_line(origin)),
            tree.whole(origin, place, number(query, "start")),
        ),
        *_output(origin),
        trail=trail,
    )


def _output(origin: Origin) -> list[str]:
    """Return what the function wrote when it computed a row, where that was kept."""
    if not isinstance(origin, ComputedRow) or not (log := origin.log).num_rows:
        return []
    return [section("output", "What the function wrote", outputs(log))]


class _Tree:
    """Tree of provenance as lists within lists, of which as much is unfolded as fits on a page.

    Args:
        query: which row it is of.
    """

    def __init__(self, query: dict[str, str]) -> None:
        self.query = query
        self._left = _UNFOLDED

    def whole(self, origin: Origin, place: Place, start: int) -> Html:
        """Return what is below an element, of a group from one member on."""
        return element("div", self._below(origin, place, start), id="tree")

    def _below(self, origin: Origin, place: Place, start: int = 0) -> Html:
        items = [self._item(each, place + steps) for steps, each in elements_below(origin, start)]
        if isinstance(origin, RowGroup) and (left := len(origin) - start - _MEMBERS) > 0:
            items.append(element("li", self._way(place, f"{left:,} more", start + _MEMBERS)))
        return element("ul", *items, class_="tree")

    def _item(self, origin: Origin, place: Place) -> Html:
        line = element("span", *_line(origin))
        if isinstance(origin, SourceRow) or (isinstance(origin, ComputedRow) and not origin.node):
            return element("li", line)
        self._left -= 1
        is_open = isinstance(origin, ComputedRow) and self._left > 0
        inside = self._below(origin, place) if is_open else element("p", self._way(place, "what it was made of"))
        return element("li", element("details", element("summary", line), inside, open=is_open))

    def _way(self, place: Place, text: str, start: int = 0) -> Html:
        """Return the way to what is below an element."""
        at = ".".join(map(str, place))
        return element("a", text, href=address("trace", **self.query, at=at, start=start or None), class_="unfold")


def _line(origin: Origin) -> list[str]:
    """Return an element of a tree in one line."""
    by = f" by {' and '.join(each.name for each in origin.operators)}" if origin.operators else ""
    columns = ", ".join(origin.columns) or "no value"
    match origin:
        case SourceRow(source_id=source_id, record_id=record_id):
            return [element("strong", columns), " of ", element("code", f"{source_id}::{record_id}"), by]
        case RowGroup(count=count):
            return [element("strong", columns), f" of {count:,} rows{by}"]
        case ComputedRow():
            at = f"{origin.pipeline}/{origin.node}" if origin.node else "a row that is not of this run"
            return [element("strong", columns), f" of {at} {in_words(origin.tags)}{by} ", *_computed(origin)]
    raise ConfigError(f"found an element of {type(origin).__name__}, expected one of a trace")


def _computed(row: ComputedRow) -> list[str]:
    """Return what computed a row: its function, the code, the run, and how long that took."""
    told: list[str] = [f"{row.function}()"]
    if row.code:
        told.append(link(address("code", code=row.code), f"code {row.code.rpartition(':')[2][:8]}"))
        told.append(run_link(row.run_id))
    if row.seconds is not None:
        told.append(duration(row.seconds))
    return [element("span", *(part for each in told for part in (" · ", each)), class_="quiet small")]


def _values(rows: NodeRows, row: ComputedRow) -> Html:
    """Return the values of a row."""
    ids = pa.chunked_array([array_of([bytes.fromhex(row.record_id)], pa.large_binary())])
    results = results_at(rows.store.database, rows.node.record.path, ids)
    if not (shown := output_cells(results)):
        return element("p", "Its values are not in this store.")
    values = table("What it gave", ["column", "value"], [(name, brief) for name, (brief,) in shown.items()])
    texts = {name: text for name in shown if (text := whole(results.column(name)[0].as_py())) is not None}
    blocks = [element("div", element("h3", name), block(text, _ROOM), class_="text") for name, text in texts.items()]
    return joined(values, *blocks, *([_advice(rows)] if any(size_of(text) > _ROOM for text in texts.values()) else []))


def _advice(rows: NodeRows) -> Html:
    """Return how values are read that are too long for a page."""
    words = ["orcapod", "export", rows.node.record.label, "rows.json", "--run", rows.run.run_id]
    command = element("code", shlex.join(words))
    return element("p", "Long values are shortened. All of them: ", command, class_="quiet small")


def elements_below(origin: Origin, start: int) -> list[tuple[Place, Origin]]:
    """Return what is right below an element, of a group the members from one on, and the steps to each."""
    if isinstance(origin, RowGroup):
        return [((start, at), each) for at, each in enumerate(origin.members(start, start + _MEMBERS))]
    return [((at,), each) for at, each in enumerate(origin.inputs)]


def element_at(root: Origin, place: Place) -> Origin:
    """Return the element of a tree at a place.

    Raises:
        UnknownRowError: there is none.
    """
    origin, steps = root, iter(place)
    try:
        for step in steps:
            if isinstance(origin, RowGroup):
                origin = origin.members(step, step + _MEMBERS)[next(steps)]
            else:
                origin = origin.inputs[step]
    except (IndexError, StopIteration):
        told = ".".join(map(str, place))
        raise UnknownRowError(f"found no element {told} in this trace; start from its row") from None
    return origin


def _place(text: str) -> Place:
    if text and not _PLACE.fullmatch(text):
        raise ConfigError(f"found at={text}, expected numbers with points between, such as 0.3.1")
    return tuple(map(int, text.split("."))) if text else ()
