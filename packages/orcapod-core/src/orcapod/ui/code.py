"""The page of a function's code, as it was when it computed something."""

from __future__ import annotations

from orcapod.report import block, element, fold
from orcapod.ui.frame import Query, asked, framed
from orcapod.ui.view import View

__all__ = ["code_page"]


def code_page(view: View, query: Query) -> str:
    """Return the page of the parts of a function's code."""
    code = asked(query, "code")
    parts = view.store.code(code)
    shown = [
        fold(f"{part.kind} {part.name}", block(part.source), is_open=not at)
        if part.source
        else element("p", f"{part.kind} {part.name}")
        for at, part in enumerate(parts)
    ]
    return framed("Code", element("p", element("code", code)), *shown)
