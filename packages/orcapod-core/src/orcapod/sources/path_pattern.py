"""``PathPattern``: what paths below a folder are called, and which there are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from string import Formatter

__all__ = ["PathPattern"]

_MAGIC = re.compile(r"(\*\*/|\*\*|\*|\?|\[[!^]?\]?[^\]/]*\])")
_MEANINGS = {"**/": r"(?:[^/]+/)*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
_ANY_DEPTH = "**"

_Wrong = Callable[[str], Exception]
_Segment = str | re.Pattern[str]


class PathPattern:
    """Pattern of paths below a folder, with wildcards as in the shell, and tags in braces.

    Args:
        pattern: ``sub-{subject}/*.csv``.
        taken: the name that no tag may have.
        wrong: makes the error that is raised.

    Attributes:
        tags: what stands in braces.
        is_of_folders: whether it ends in ``/`` and names folders.
    """

    def __init__(self, pattern: str, *, taken: str, wrong: _Wrong) -> None:
        advice = "write 'sub-{subject}/*.csv', below the folder; double the braces that name no tag"
        segments = [segment for segment in pattern.split("/") if segment not in ("", ".")]
        if not segments or pattern.startswith("/") or ".." in segments:
            raise wrong(f"found the pattern {pattern!r}, expected one of paths below the folder; {advice}")
        self.is_of_folders = pattern.endswith("/")
        self.tags: list[str] = []
        wildcards = meaning = ""
        try:
            parts = list(Formatter().parse("/".join(segments)))
        except ValueError as error:
            raise wrong(f"found the pattern {pattern!r}: {error}; {advice}") from None
        for text, name, spec, conversion in parts:
            wildcards += text
            meaning += _meaning(text, wrong)
            if name is None:
                continue
            if not name.isidentifier() or name == taken or spec or conversion:
                raise wrong(
                    f"found {{{name}}} in the pattern {pattern!r}, expected the name of a tag alone, other than "
                    f"{taken!r}; {advice}"
                )
            wildcards += "*"
            meaning += f"(?P={name})" if name in self.tags else f"(?P<{name}>[^/]+?)"
            if name not in self.tags:
                self.tags.append(name)
        self._meaning = re.compile(meaning, re.DOTALL)
        self._segments = [_segment(text, wrong) for text in wildcards.split("/")]

    def matches(self, folder: Path) -> list[re.Match[str]]:
        """Return the paths below a folder that it names, in their order, with their tags."""
        is_wanted = Path.is_dir if self.is_of_folders else Path.is_file
        found = sorted(map(Path, set(_paths(folder, self._segments))))
        matches = (self._meaning.fullmatch(path.as_posix()) for path in found)
        return [match for match in matches if match and is_wanted(folder / match[0])]


def _paths(folder: Path, segments: Sequence[_Segment]) -> Iterator[str]:
    """Give the paths below a folder that segments name, perhaps more than once."""
    segment, *rest = segments
    if segment == _ANY_DEPTH:
        yield from _paths_below(folder, rest, frozenset())
        return
    if isinstance(segment, str):
        names = [segment] if os.path.lexists(folder / segment) else []
    else:
        names = list(filter(segment.fullmatch, _names(folder)))
    for name in names:
        yield from _in(name, _paths(folder / name, rest)) if rest else [name]


def _paths_below(folder: Path, rest: Sequence[_Segment], above: frozenset[tuple[int, int]]) -> Iterator[str]:
    """Give the paths below a folder, at any depth, that segments name; links are followed, but not in a circle."""
    if not folder.is_dir():
        return
    found = folder.stat()
    here = (found.st_dev, found.st_ino)
    if here in above:
        return
    if rest:
        yield from _paths(folder, rest)
    for name in _names(folder):
        if name.startswith("."):
            continue
        if not rest:
            yield name
        yield from _in(name, _paths_below(folder / name, rest, above | {here}))


def _in(name: str, paths: Iterator[str]) -> Iterator[str]:
    return (f"{name}/{path}" for path in paths)


def _names(folder: Path) -> list[str]:
    with suppress(OSError):  # it is no folder, or may not be read
        return os.listdir(folder)  # noqa: PTH208  # names, not paths
    return []


def _segment(text: str, wrong: _Wrong) -> _Segment:
    """Return a name, ``**``, or what names look like; wildcards leave out those that begin with a dot."""
    if text == _ANY_DEPTH or not _MAGIC.search(text):
        return text
    return re.compile(("" if text.startswith(".") else r"(?!\.)") + _meaning(text, wrong), re.DOTALL)


def _meaning(text: str, wrong: _Wrong) -> str:
    return "".join(_MEANINGS.get(piece) or _set(piece, wrong) for piece in _MAGIC.split(text))


def _set(piece: str, wrong: _Wrong) -> str:
    """Return what a piece without stars means: ``[a-z]``, ``[!a-z]``, or what is written."""
    if not (piece.startswith("[") and _MAGIC.fullmatch(piece)):
        return re.escape(piece)
    is_other = piece[1] in "!^"
    members = ""
    for first, last, alone in re.findall(r"(?s)(.)-(.)|(.)", piece[1 + is_other : -1]):
        if first > last:
            raise wrong(f"found {first}-{last} in the pattern, expected the lower first; write {last}-{first}")
        members += re.escape(alone) if alone else f"{re.escape(first)}-{re.escape(last)}"
    return f"[^/{members}]" if is_other else f"[{members}]"
