"""``Picture``: a plan to be looked at, with the outcome of a run where there is one."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Self

from orcapod.display import notebook_display, shown
from orcapod.errors import PipelineError
from orcapod.graph.box import Box
from orcapod.graph.graph import Graph
from orcapod.graph.svg import PAGE, drawn
from orcapod.graph.text import dot, mermaid, tree

__all__ = ["Picture"]


@dataclass(frozen=True, slots=True, repr=False)
class Picture:
    """Plan of a pipeline as a picture: a notebook draws it, ``print`` writes it as a tree.

    A cylinder is a source, a box with round corners a function, one with cut corners an operator. After a run,
    colours and numbers say what became of each: computed green, cached blue, failed red, incomplete amber; what was
    not computed has a broken border.

    Attributes:
        title: what it shows.
        boxes: its elements, each behind what it is made of.
    """

    title: str
    boxes: tuple[Box, ...]

    @classmethod
    def of(cls, title: str, graph: Graph) -> Self:
        """Return the picture of a plan."""
        return cls(title, tuple(map(Box.of, graph.elements)))

    def after(self, counts: Mapping[str, Mapping[str, int]], rows: Mapping[str, int]) -> Self:
        """Return the picture with what a run made of it.

        Args:
            counts: packets of each function node by what became of them, by label.
            rows: how many rows each node gave, by label.

        Raises:
            PipelineError: it was a run of something else.
        """
        labels = {**counts, **rows}
        if not labels.keys() <= {box.label for box in self.boxes}:
            found, expected = shown(list(labels)), shown([box.label for box in self.boxes])
            raise PipelineError(
                f"found a run of the nodes {found}, expected one of {expected}; give what this pipeline's run returned",
                expected=expected,
                found=found,
            )
        boxes = tuple(box.after(counts.get(box.label), rows.get(box.label)) for box in self.boxes)
        return type(self)(self.title, boxes)

    def to_svg(self) -> str:
        """Return it as an SVG document, which needs nothing else, and is light or dark as its reader has it."""
        return drawn(self.title, self.boxes)[0]

    def to_mermaid(self) -> str:
        """Return it as a flowchart of Mermaid's, which Markdown draws on many sites."""
        return mermaid(self.boxes)

    def to_dot(self) -> str:
        """Return it in DOT, the language of Graphviz."""
        return dot(self.title, self.boxes)

    def show(self) -> None:
        """Show it: in the cell of a notebook, else in a browser; as text where there is neither."""
        if display := notebook_display():
            display(self)
        elif not _has_browser() or not webbrowser.open(self._file().as_uri()):
            sys.stdout.write(f"{self}\n")

    def _file(self) -> Path:
        with NamedTemporaryFile(
            "w", encoding="utf-8", prefix="orcapod-", suffix=".svg", delete=False
        ) as file:  # it is there as long as the browser shows it
            file.write(self.to_svg())
        return Path(file.name)

    def _repr_svg_(self) -> str:
        return self.to_svg()

    def _repr_html_(self) -> str | None:
        """Return what can be moved to and fro, of a picture that a notebook would else make too small to read."""
        svg, width = drawn(self.title, self.boxes)
        return f'<div style="overflow: auto">{svg}</div>' if width > PAGE else None

    def __str__(self) -> str:
        return tree(self.title, self.boxes)

    __repr__ = __str__


def _has_browser() -> bool:
    """Say whether there may be a browser with a window: one in a terminal would take that away."""
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
