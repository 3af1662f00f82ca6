"""``adapted``: an observer that answers every call, whatever the user's own has of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from orcapod.display import shown
from orcapod.errors import ConfigError
from orcapod.protocols.database import RecordPath
from orcapod.protocols.noop import NoOpObserver
from orcapod.protocols.observer import ExecutionObserver

__all__ = ["adapted", "checked_observer"]

_HOOKS = [name for name in vars(NoOpObserver) if not name.startswith("_")]


def adapted(observer: object) -> ExecutionObserver:
    """Return an observer that answers every call of the protocol.

    A stranger's observer need not inherit from anything: what it has no method for, ``NoOpObserver`` does, and a
    ``contextualize`` that takes no ``node_path`` is called without. Whoever asks for a view adapts that, too.

    Raises:
        ConfigError: it is a class, or has no method of an observer at all.
    """
    checked = checked_observer(observer)
    is_whole = all(hasattr(checked, hook) for hook in _HOOKS) and _takes_path(checked.contextualize)
    return checked if is_whole else _AdaptedObserver(checked)


def checked_observer(observer: Any) -> ExecutionObserver:
    """Return the observer, as it is.

    Raises:
        ConfigError: it is a class, or has no method of an observer at all.
    """
    if isinstance(observer, type):
        name = observer.__name__
        raise ConfigError(f"found the class {name}, expected an observer; make one: {name}(...)")
    if not any(hasattr(observer, hook) for hook in _HOOKS):
        found = type(observer).__qualname__
        raise ConfigError(
            f"found {shown(observer)} of type {found}, expected an observer; give one, such as "
            "LoggingObserver(pipeline.log_database), or several as CompositeObserver(one, other)",
            expected="observer",
            found=found,
        )
    return observer  # type: ignore[no-any-return]  # what it lacks, adapted adds


def _takes_path(contextualize: Callable[..., object]) -> bool:
    known = inspect.signature(contextualize).parameters.values()
    return any(each.name == "node_path" or each.kind is each.VAR_KEYWORD for each in known)


class _AdaptedObserver(NoOpObserver):
    """Passes on what an observer has a method for.

    Args:
        observer: who is told.
    """

    def __init__(self, observer: object) -> None:
        self._observer: Any = observer
        for hook in _HOOKS:
            if hook != "contextualize" and hasattr(observer, hook):
                setattr(self, hook, getattr(observer, hook))

    def contextualize(  # type: ignore[override]  # a view of the stranger's
        self, node_hash: str, node_label: str, *, node_path: RecordPath = ()
    ) -> ExecutionObserver:
        contextualize = getattr(self._observer, "contextualize", None)
        if contextualize is None:
            return self
        options = {"node_path": node_path} if _takes_path(contextualize) else {}
        view: ExecutionObserver = contextualize(node_hash, node_label, **options)
        return view
