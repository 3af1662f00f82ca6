"""A plan as SVG: boxes in layers and lines between them, light or dark as whoever looks at it has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple, assert_never

from orcapod.display import one_line, width_of
from orcapod.graph.box import COLOURS, DASHED, Box, Outcome
from orcapod.graph.layout import Layout, Line, Size, layout_of

__all__ = ["PAGE", "STYLE", "drawn"]

PAGE = 1000.0
"""How wide a page is, in pixels: what would be wider goes from the left to the right, where that is narrower."""


class _Font(NamedTuple):
    size: int
    advance: float
    height: float


_LABEL, _DETAIL = _Font(13, 7.85, 17.0), _Font(11, 6.65, 15.0)
_FAMILY = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
_LONGEST = 34  # characters of a line
_NARROWEST = 100.0
_MARGIN, _PADDING, _CORNER, _LID = 16.0, 10.0, 11.0, 5.0


def _class(outcome: Outcome) -> str:
    return outcome.replace(" ", "-")


_RULES = (
    ("text", f"font:{_DETAIL.size}px {_FAMILY};text-anchor:middle;fill:#57606a", "fill:#9aa4af"),
    (".label", f"font-size:{_LABEL.size}px;font-weight:600;fill:#1f2328", "fill:#e6edf3"),
    (".line", "fill:none;stroke:#8c959f;stroke-width:1.4", "stroke:#6e7681"),
    (".ground", "fill:#ffffff", "fill:#0d1117"),
    (".box", "stroke-width:1.4", ""),
    *(
        (
            f".{_class(outcome)} .box",
            f"fill:{each.fill};stroke:{each.border}",
            f"fill:{each.dark_fill};stroke:{each.dark_border}",
        )
        for outcome, each in COLOURS.items()
    ),
    (".failed .box", "stroke-width:2.6", ""),
    *((f".{_class(outcome)} .box", "stroke-dasharray:5 4", "") for outcome in sorted(DASHED)),
)
"""What looks how, by day and at night; selectors within the picture, which may be part of a page."""


def _style() -> str:
    day, night = ("".join(f".orcapod-graph {rule[0]}{{{rule[at]}}}\n" for rule in _RULES if rule[at]) for at in (1, 2))
    return f"\n{day}@media (prefers-color-scheme: dark) {{\n{night}}}\n"


STYLE = _style()
"""The style sheet of every picture, which a page that has one must allow."""


def drawn(title: str, boxes: Sequence[Box]) -> tuple[str, float]:
    """Return boxes, and lines from what they are made of, as an SVG document; and how wide that is."""
    texts = [_lines_of(box) for box in boxes]
    sizes = [_size(lines) for lines in texts]
    layout, is_turned = _laid_out(sizes, [box.inputs for box in boxes])
    left, width, height = (
        _number(each) for each in (-_MARGIN, layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN)
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="orcapod-graph" role="img" width="{width}" height="{height}"'
        f' viewBox="{left} {left} {width} {height}">',
        f"<title>{escape(one_line(title))}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="ground" x="{left}" y="{left}" width="{width}" height="{height}" rx="8"/>',
        *(_line(line, is_turned=is_turned) for line in layout.lines),
    ]
    for box, lines, size, centre in zip(boxes, texts, sizes, layout.centres, strict=True):
        parts += _box(box, lines, size, centre)
    return "\n".join([*parts, "</svg>"]), layout.width


def _laid_out(sizes: Sequence[Size], inputs: Sequence[Sequence[int]]) -> tuple[Layout, bool]:
    """Return a layout from the top to the bottom, or, of what is too wide then, the narrower one, and which it is."""
    down = layout_of(sizes, inputs)
    if down.width <= PAGE:
        return down, False
    right = layout_of([(height, width) for width, height in sizes], inputs).turned()
    return (right, True) if right.width < down.width else (down, False)


def _lines_of(box: Box) -> list[str]:
    """Return the lines in a box: its label, what it is, and what became of it, two numbers to a line."""
    counts = [", ".join(box.counts[at : at + 2]) for at in range(0, len(box.counts), 2)]
    return [one_line(line, _LONGEST) for line in (*box.heading, *counts)]


def _size(lines: Sequence[str]) -> Size:
    label, *details = lines
    widths = [width_of(label) * _LABEL.advance, *(width_of(line) * _DETAIL.advance for line in details)]
    height = _LABEL.height + _DETAIL.height * len(details)
    return max(_NARROWEST, *widths) + 2 * _CORNER, height + 2 * _PADDING


def _line(line: Line, *, is_turned: bool) -> str:
    """Return a line, straight beside boxes and bent between layers, and its tip."""
    (x, y), *rest = line.points
    path = [f"M{_number(x)} {_number(y)}"]
    for number, (to_x, to_y) in enumerate(rest):
        end = f"{_number(to_x)} {_number(to_y)}"
        if number % 2 == 0:
            path.append(f"L{end}")
        elif is_turned:
            middle = _number((x + to_x) / 2)
            path.append(f"C{middle} {_number(y)} {middle} {_number(to_y)} {end}")
        else:
            middle = _number((y + to_y) / 2)
            path.append(f"C{_number(x)} {middle} {_number(to_x)} {middle} {end}")
        x, y = to_x, to_y
    tip = "m-6 -4l6 4l-6 4" if is_turned else "m-4 -6l4 6l4 -6"
    return f'<path class="line" d="{"".join(path)}{tip}"/>'


def _box(box: Box, lines: Sequence[str], size: Size, centre: tuple[float, float]) -> Iterator[str]:
    """Give the parts of a box; its title has all of what is shortened in it."""
    (width, height), (x, y) = size, centre
    whole = "\n".join([*box.heading, *box.counts])
    yield f'<g class="{box.kind} {_class(box.outcome)}"><title>{escape(whole)}</title>'
    yield f'<path class="box" d="{_outline(box, x - width / 2, y - height / 2, width, height)}"/>'
    base = y - height / 2 + _PADDING + _LABEL.size + (_LID / 2 if box.kind == "source" else 0)
    for number, text in enumerate(lines):
        name = "" if number else ' class="label"'
        yield f'<text{name} x="{_number(x)}" y="{_number(base + number * _DETAIL.height)}">{escape(text)}</text>'
    yield "</g>"


def _outline(box: Box, x: float, y: float, width: float, height: float) -> str:
    """Return the path around a box: a cylinder is a source, round corners a function has, cut ones an operator."""
    w, h, c, lid = width - 2 * _CORNER, height - 2 * _CORNER, _number(_CORNER), _number(_LID)
    match box.kind:
        case "source":
            start = f"M{_number(x)} {_number(y + _LID)}a{_number(width / 2)} {lid} 0 0"
            side = _number(height - 2 * _LID)
            across = _number(width)
            return f"{start} 1 {across} 0v{side}a{_number(width / 2)} {lid} 0 0 1 -{across} 0z{start} 0 {across} 0"
        case "function":
            corner = f"a{c} {c} 0 0 1"
        case "operator":
            corner = "l"
        case _:
            assert_never(box.kind)
    across, side = _number(w), _number(h)
    return (
        f"M{_number(x + _CORNER)} {_number(y)}h{across}{corner} {c} {c}v{side}{corner} -{c} {c}"
        f"h-{across}{corner} -{c} -{c}v-{side}{corner} {c} -{c}z"
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
