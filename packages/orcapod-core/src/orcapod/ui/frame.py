"""Addresses of the pages, and the frame that they have in common."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from urllib.parse import urlencode

import pyarrow as pa

from orcapod.display import duration
from orcapod.errors import ConfigError
from orcapod.ledger import RunSummary
from orcapod.report import SECTIONS, Html, document, element, joined, link

__all__ = [
    "DIRECTIVES",
    "RUN_PARTS",
    "Query",
    "address",
    "asked",
    "choice",
    "filter_form",
    "framed",
    "node_link",
    "number",
    "pager",
    "part",
    "run_link",
    "run_trail",
    "run_ways",
    "script",
    "short_name",
    "took",
    "typed",
    "ways",
]

Query = Mapping[str, str]
"""What stands behind the ``?`` of an address."""

DIRECTIVES = {"connect-src": "'self'", "form-action": "'self'"}
"""What the pages may do beside being looked at: ask this server for more of themselves."""

_PAGE_ROWS = 50
RUN_PARTS = [name for name in SECTIONS if name != "Nodes"]
"""Parts of the report of a run that have a page of their own."""


def script() -> str:
    """Return the script of the pages."""
    return files("orcapod.ui").joinpath("script.js").read_text("utf-8")


def address(page: str, /, **query: object) -> str:
    """Return the address of a page; what is None or empty of a query is left out."""
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return f"/{page}?{urlencode(given)}" if given else f"/{page}"


def asked(query: Query, name: str) -> str:
    """Return what a query says.

    Raises:
        ConfigError: it does not say so.
    """
    if not (value := query.get(name, "")):
        raise ConfigError(f"found an address without {name}=, expected one; start from the list of runs")
    return value


def number(query: Query, name: str) -> int:
    """Return a number that a query says, 0 if it says none.

    Raises:
        ConfigError: it is none.
    """
    value = query.get(name, "")
    if value and not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ConfigError(f"found {name}={value}, expected a number")
    return int(value or 0)


def framed(title: str, *content: str, trail: Mapping[str, str] | None = None, has_heading: bool = False) -> str:
    """Return a page, with the way back to what it is a part of.

    Args:
        title: of the page.
        content: what is in it.
        trail: what is above it, and where that is.
        has_heading: whether the content has the page's heading; else its title is that.
    """
    places = {"Runs": "/", **(trail or {})}
    heading = "" if has_heading else element("h1", title)
    state = element("output", id="state", class_="quiet small")
    return document(title, heading, state, *content, places=places, scripts=[script()], directives=DIRECTIVES)


def run_trail(run: RunSummary) -> dict[str, str]:
    """Return the way back to a run."""
    return {f"{'/'.join(run.pipeline)}, {run.started:%d %b %H:%M}": address("run", run=run.run_id)}


def run_ways(run: RunSummary, here: str = "") -> Html:
    """Return the ways to all that there is of a run, given which of it this page shows."""
    places = {name: address("run", run=run.run_id, part=name) for name in RUN_PARTS}
    more = {"Output": address("logs", run=run.run_id), "Compare": address("compare", after=run.run_id)}
    return ways({"Nodes": address("run", run=run.run_id), **places, **more}, here)


def run_link(run_id: str) -> Html:
    """Return the way to a run, by what its name begins and ends with: that is when, and which."""
    return link(address("run", run=run_id), element("code", short_name(run_id), class_="steady"))


def short_name(run_id: str) -> str:
    """Return what the name of a run begins and ends with."""
    return f"{run_id[:8]}…{run_id[-4:]}"


def node_link(run: RunSummary, label: str) -> Html:
    """Return the way to a node of a run."""
    return link(address("node", run=run.run_id, node=label), label)


def ways(places: Mapping[str, str], here: str = "") -> Html:
    """Return links side by side, given where each leads to, and which is this page; nothing if there is none."""
    links = [
        element("a", name, href=target, aria_current="page" if name == here else None)
        for name, target in places.items()
    ]
    return element("div", *links, class_="ways") if links else Html("")


def took(seconds: float | None) -> Html:
    """Return how long something took; nothing where nobody knows."""
    return element("span", "" if seconds is None else duration(seconds), class_="steady")


def part(rows: pa.Table, query: Query) -> pa.Table:
    """Return the rows of a list that are on this page of it."""
    begin = _page(rows.num_rows, query)[0] * _PAGE_ROWS
    return rows.slice(begin, min(_PAGE_ROWS, rows.num_rows - begin))


def _page(count: int, query: Query) -> tuple[int, int]:
    """Return the number of this page of a list, and that of the last one."""
    last = max(0, (count - 1) // _PAGE_ROWS)
    return min(number(query, "page"), last), last


def pager(count: int, query: Query, page: str) -> Html:
    """Return the ways to the other parts of a list.

    Args:
        count: how long the list is.
        query: of this page, ``page`` being its number.
        page: what it is called.
    """
    at, last = _page(count, query)
    if not last:
        return Html("")
    pages = {"First": 0, "Previous": at - 1, "Next": at + 1, "Last": last}
    shown = [
        link(address(page, **{**query, "page": to or None}), name)
        if 0 <= to <= last and to != at
        else element("span", name)
        for name, to in pages.items()
    ]
    here = element("span", f"rows {at * _PAGE_ROWS + 1:,} to {min(count, (at + 1) * _PAGE_ROWS):,} of {count:,}")
    return element("div", here, *shown, class_="pager quiet small", role="navigation", aria_label="Parts of the list")


def filter_form(page: str, into: str, /, *fields: str, **hidden: object) -> Html:
    """Return a form that asks for the same page anew, as somebody types where scripts run.

    Args:
        page: what the page is called.
        into: the id of the element that changes with it.
        fields: what is to be filled in.
        hidden: what else the page is asked by.
    """
    given = [
        element("input", type="hidden", name=name, value=str(value))
        for name, value in hidden.items()
        if value not in (None, "")
    ]
    button = element("button", "Show", type="submit")
    return element(
        "form",
        *given,
        joined(*fields),
        button,
        action=f"/{page}",
        method="get",
        data_into=into or None,
        class_="filter",
        role="search",
    )


def choice(label: str, name: str, options: Mapping[str, str], chosen: str) -> Html:
    """Return a field of a form: one of some values, each with what is shown for it."""
    shown = [element("option", text, value=value, selected=value == chosen) for value, text in options.items()]
    return element("label", label, element("select", *shown, name=name))


def typed(label: str, name: str, value: str) -> Html:
    """Return a field of a form in which words are typed."""
    return element("label", label, element("input", type="search", name=name, value=value, autocomplete="off"))
