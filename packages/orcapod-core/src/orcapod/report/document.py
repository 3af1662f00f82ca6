"""``document``: the frame of every page, with all that it needs in it, and leave for nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files

from orcapod.graph.svg import STYLE
from orcapod.report.html import Html, element, joined, link

__all__ = ["document", "policy", "resource"]


@cache
def resource(name: str) -> str:
    """Return the text of a file of this room: ``style.css`` or ``script.js``."""
    return files("orcapod.report").joinpath(name).read_text("utf-8")


def document(
    title: str,
    *content: str,
    places: Mapping[str, str] | None = None,
    scripts: Sequence[str] = (),
    directives: Mapping[str, str] | None = None,
) -> str:
    """Return a page: one HTML document, light or dark as its reader has it.

    Its policy allows the style sheet and the scripts that are in it, by their hashes, and nothing else: whatever is in
    the content, nothing runs and nothing is asked for.

    Args:
        title: of the page.
        content: what is in it, one after the other; what is no ``Html`` is text.
        places: what its navigation shows, and where each leads to.
        scripts: more that run, after ``script.js``.
        directives: what its policy allows besides, such as ``{"connect-src": "'self'"}``.
    """
    style, running = resource("style.css"), [resource("script.js"), *scripts]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy(running, directives)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(style)),
    )
    listed = [element("li", link(target, name)) for name, target in (places or {}).items()]
    ways = element("nav", element("ul", *listed), aria_label="Parts of the page") if listed else ""
    body = element("body", ways, element("main", *content), *(element("script", Html(each)) for each in running))
    return joined(Html("<!doctype html>\n"), element("html", head, body, lang="en"))


def policy(scripts: Sequence[str], directives: Mapping[str, str] | None = None) -> str:
    """Return the Content-Security-Policy of a page with these scripts."""
    allowed = {
        "default-src": "'none'",
        "style-src": " ".join(map(_hash, (resource("style.css"), STYLE))),
        "script-src": " ".join(map(_hash, scripts)),
        "base-uri": "'none'",
        "form-action": "'none'",
        **(directives or {}),
    }
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
