"""A plan as text: a tree for a terminal, and what Mermaid and Graphviz draw."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orcapod.display import one_line
from orcapod.graph.box import COLOURS, DASHED, Box, Kind

__all__ = ["dot", "mermaid", "tree"]

_SHAPES: dict[Kind, tuple[str, str, str]] = {
    "source": ('[("', '")]', "cylinder"),
    "function": ('("', '")', "box"),
    "operator": ('{{"', '"}}', "hexagon"),
}
"""What opens and closes a node of Mermaid's, and the shape of one of Graphviz's."""

_MARKS = re.compile(r"[^\w ,:]|(?<!\w)_|_(?!\w)")


def tree(title: str, boxes: Sequence[Box]) -> str:
    """Return boxes as a tree from what nobody reads: below each stands what it is made of.

    What is made of one thing stands right above it, so that a long chain stays at the left. What was shown before is
    named only.
    """
    read = {part for box in boxes for part in box.inputs}
    todo = [(number, "", "") for number in reversed(range(len(boxes))) if number not in read]
    lines, known = [one_line(title)], set[int]()
    while todo:
        number, branch, margin = todo.pop()
        name, detail = boxes[number].heading
        if number in known:
            lines.append(f"{branch}{name}, as above")
            continue
        known.add(number)
        lines.append(f"{branch}{': '.join([f'{name} ({detail})', *_counts(boxes[number])])}")
        match boxes[number].inputs:
            case [part]:
                todo.append((part, margin, margin))
            case [*parts, last] if parts:
                todo.append((last, f"{margin}└─ ", f"{margin}   "))
                todo += [(part, f"{margin}├─ ", f"{margin}│  ") for part in reversed(parts)]
    return "\n".join(lines)


def mermaid(boxes: Sequence[Box]) -> str:
    """Return boxes as a flowchart in Mermaid's language."""
    lines = ["flowchart TD"]
    for number, box in enumerate(boxes):
        opening, closing, _ = _SHAPES[box.kind]
        label = "<br>".join(map(_mermaid_text, (*box.heading, *_counts(box))))
        lines.append(f"    n{number}{opening}{label}{closing}:::{box.outcome.replace(' ', '_')}")
    lines += [f"    n{part} --> n{number}" for part, number in _lines(boxes)]
    for outcome in dict.fromkeys(box.outcome for box in boxes):
        colours, dashes = COLOURS[outcome], ",stroke-dasharray:5 4" * (outcome in DASHED)
        style = f"fill:{colours.fill},stroke:{colours.border},color:#1f2328{dashes}"
        lines.append(f"    classDef {outcome.replace(' ', '_')} {style}")
    return "\n".join(lines)


def dot(title: str, boxes: Sequence[Box]) -> str:
    """Return boxes as a graph in Graphviz's language, DOT."""
    lines = [f"digraph {_dot_text(one_line(title))} {{", '    node [fontname="monospace"];']
    for number, box in enumerate(boxes):
        style = ",".join(["filled", *["rounded"] * (box.kind == "function"), *["dashed"] * (box.outcome in DASHED)])
        attributes = {
            "label": "\n".join([*box.heading, *_counts(box)]),
            "shape": _SHAPES[box.kind][2],
            "style": style,
            "fillcolor": COLOURS[box.outcome].fill,
            "color": COLOURS[box.outcome].border,
        }
        lines.append(f"    n{number} [{', '.join(f'{name}={_dot_text(text)}' for name, text in attributes.items())}];")
    lines += [f"    n{part} -> n{number};" for part, number in _lines(boxes)]
    return "\n".join([*lines, "}"])


def _counts(box: Box) -> list[str]:
    return [", ".join(box.counts)] if box.counts else []


def _lines(boxes: Sequence[Box]) -> Iterator[tuple[int, int]]:
    return ((part, number) for number, box in enumerate(boxes) for part in box.inputs)


def _mermaid_text(text: str) -> str:
    """Return text in which nothing is a quote, a tag, a mark of Markdown or the start of an entity."""
    return _MARKS.sub(lambda found: f"#{ord(found[0])};", text)


def _dot_text(text: str) -> str:
    r"""Return text as a quoted string, in which neither ``\\N`` nor ``&lt;`` stands for something else."""
    escaped = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
