"""Runs, nodes, pipelines and tags that a command is given by name; and how a shell completes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from itertools import pairwise
from typing import Any, TypeVar

import click
import pyarrow.types as pat
from click.shell_completion import CompletionItem

from orcapod.cli.suggestion import unknown
from orcapod.cli.tags import unquoted
from orcapod.display import one_line
from orcapod.ledger import RunSummary, Store, open_store
from orcapod.ledger.node_entries import NodeEntries
from orcapod.ledger.node_views import node_paths
from orcapod.ledger.run_names import pipelines_in, run_names
from orcapod.ledger.run_summary import NodeSummary

__all__ = [
    "check_pipeline",
    "find_node",
    "find_run",
    "node_argument",
    "node_option",
    "pipeline_option",
    "read_tags",
    "run_argument",
    "run_option",
    "short_names",
]

_PLAIN = re.compile(r"[\w@%+=:,./][\w@%+=:,./-]*")
"""A name that every shell takes as it is: of what it completes, it quotes nothing."""

_NEWEST = re.compile(r"last(?:~(\d{1,9}))?")
_SHORTEST = 13  # the milliseconds in which a run began

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Name(click.ParamType):  # type: ignore[type-arg]  # those of older clicks take no parameter
    """Names of a kind that a store knows, which a shell completes.

    Args:
        name: the kind.
        known: reads the names, given the store and the pipeline that is named.
    """

    def __init__(self, name: str, known: Callable[[Store, str | None], Iterable[str]]) -> None:
        self.name = name
        self._known = known

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with suppress(Exception):  # who is typing is not to read of it
            with open_store(ctx.params["store"]) as store:
                known = [*self._known(store, ctx.params.get("pipeline"))]
            return [CompletionItem(name) for name in known if name.startswith(incomplete) and _PLAIN.fullmatch(name)]
        return []


def _labels(store: Store, pipeline: str | None) -> list[str]:
    return [label for _, label in _nodes(store, pipeline)]


_RUN = _Name("run", lambda store, pipeline: ["last", *reversed(run_names(store.database, pipeline))])
_NODE = _Name("node", _labels)
_PIPELINE = _Name("pipeline", lambda store, _: store.pipelines())
_NAMED_RUN = "A run: its id, the beginning of it, last, or last~1 for the one before."


def run_argument(name: str = "run") -> Callable[[_Command], _Command]:
    """Give a command an argument that names a run."""
    return click.argument(name, type=_RUN, metavar="RUN")


def node_argument(command: _Command) -> _Command:
    """Give a command the argument ``node``."""
    return click.argument("node", type=_NODE)(command)


def node_option(command: _Command) -> _Command:
    """Give a command the option ``--node``."""
    return click.option("--node", type=_NODE, metavar="NODE", help="Only one node.")(command)


def run_option(command: _Command) -> _Command:
    """Give a command the option ``--run``."""
    return click.option("--run", type=_RUN, metavar="RUN", help=_NAMED_RUN)(command)


def pipeline_option(command: _Command) -> _Command:
    """Give a command the option ``--pipeline``."""
    return click.option("--pipeline", type=_PIPELINE, metavar="NAME", help="Only one pipeline.")(command)


def check_pipeline(store: Store, pipeline: str | None) -> None:
    """Check that there is a pipeline of a name, if one is given.

    Raises:
        UsageError: there is none.
    """
    if pipeline is not None and pipeline not in (known := store.pipelines()):
        if not known:
            raise click.UsageError(f"no pipeline has run in this store, nor {pipeline!r}; orcapod run TARGET runs it")
        raise unknown("pipeline", pipeline, known)


def find_run(store: Store, name: str, pipeline: str | None = None) -> RunSummary:
    """Return a run.

    Args:
        store: where it is.
        name: its id, the beginning of it, ``last``, or ``last~1`` for the one before.
        pipeline: of which pipeline it is.

    Raises:
        UsageError: there is no such pipeline, or there are not so many runs.
        UnknownRunError: no run, or more than one, is called so.
    """
    check_pipeline(store, pipeline)
    if match := _NEWEST.fullmatch(name):
        names, back = [*run_names(store.database, pipeline)], int(match[1] or 0)
        if back >= len(names):
            raise click.UsageError(f"there is no run {name!r}; there are {len(names)} runs")
        name = names[-1 - back]
    run = store.run(name)
    if pipeline not in (None, "/".join(run.pipeline)):
        raise click.UsageError(
            f"run {run.run_id} is one of pipeline {'/'.join(run.pipeline)!r}, not of {pipeline!r}; "
            f"orcapod runs --pipeline {pipeline} lists those that are"
        )
    return run


def find_node(
    store: Store, label: str, *, pipeline: str | None = None, run: str | None = None
) -> tuple[RunSummary, NodeSummary]:
    """Return a function node, and the run that gave its rows: the last that gave all of them, or the one that is named.

    Raises:
        UsageError: there is no such node, or there are several; or no such run or pipeline.
    """
    if run is not None:
        begun = find_run(store, run, pipeline)
        _check_node(label, begun.nodes, begun.functions)
        begun, node = store.node("/".join(begun.pipeline), label, begun.run_id)
        if note := begun.partial_note([label]):
            click.echo(one_line(note), err=True)
        return begun, node
    check_pipeline(store, pipeline)
    nodes = _nodes(store, pipeline)
    names = [name for name, each in nodes if each == label]
    if not names:
        raise unknown("function node", label, (each for _, each in nodes))
    if len(names) > 1:
        raise click.UsageError(f"several pipelines have a node {label!r}; say which by --pipeline: {', '.join(names)}")
    return store.node(names[0], label)


def _check_node(label: str, nodes: Mapping[str, NodeSummary], functions: Mapping[str, NodeSummary]) -> None:
    if label in functions:
        return
    if label in nodes:
        raise click.UsageError(
            f"node {label!r} is no function, so that no rows of it are stored; functions are {', '.join(functions)}"
        )
    raise unknown("function node", label, functions)


def _nodes(store: Store, pipeline: str | None) -> list[tuple[str, str]]:
    """Return pipeline and label of all function nodes."""
    names = [name for name in pipelines_in(store.database) if pipeline in (None, "/".join(name))]
    return [("/".join(name), label) for name in names for label in node_paths(store.database, name)]


def read_tags(given: Sequence[str], store: Store, *nodes: tuple[RunSummary, NodeSummary]) -> dict[str, Any]:
    """Return tags by name, each as a value of the type that it has in the first of some nodes that has it.

    Args:
        given: texts such as ``patient=1``.
        store: where the nodes have their rows.
        nodes: each with a run that has it; of a tag that no row has, the text is the value.

    Raises:
        UsageError: one is no such text, or its value is none of its type.
    """
    types: dict[str, Any] = {}
    for run, node in nodes if given else ():
        schema = NodeEntries(store.database.at(*run.pipeline), node).schema
        types = {field.name: field.type for field in schema if not field.name.startswith("_")} | types
    tags = {}
    for text in given:
        name, sign, given_value = text.partition("=")
        if not sign or not name:
            raise click.UsageError(f"found the tag {text!r}, expected one such as patient=1")
        value = unquoted(given_value)
        tags[name] = value if value is None or name not in types else _value(name, value, types[name])
    return tags


def _value(name: str, text: str, type_: Any) -> Any:
    """Return what a text says, for a tag of a type."""
    read, expected = _reading(type_)
    try:
        return read(text)
    except (ValueError, KeyError):
        raise click.UsageError(f"found {name}={text}, expected {expected}") from None


def _reading(type_: Any) -> tuple[Callable[[str], Any], str]:
    """Return what reads a value of a type, and what it expects; of nested types JSON."""
    for is_it, read, expected in _READINGS:
        if is_it(type_):
            return read, expected
    return json.loads, f"a value of {type_} as JSON"


_READINGS: tuple[tuple[Callable[[Any], bool], Callable[[str], Any], str], ...] = (
    (pat.is_large_string, str, "a text"),
    (pat.is_boolean, {"true": True, "false": False, "True": True, "False": False}.__getitem__, "true or false"),
    (pat.is_integer, int, "a whole number"),
    (pat.is_floating, float, "a number"),
    (pat.is_date, date.fromisoformat, "a date such as 2026-01-31"),
    (pat.is_timestamp, datetime.fromisoformat, "a time such as 2026-01-31T12:00:00+00:00"),
)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return for each name of a run the beginning of it that no other of them has."""
    ordered = sorted(names)
    shared = [_shared(one, other) for one, other in pairwise(ordered)]
    length = max(_SHORTEST, 1 + max(shared, default=0))
    return {name: name[:length] for name in names}


def _shared(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginnings."""
    return next((at for at, (mine, its) in enumerate(zip(one, other, strict=False)) if mine != its), len(one))
