"""Who is told what happens in a run: nobody, logs, statuses, or several; and a person who watches."""

from orcapod.doors import door

_HOMES = {
    "CompositeObserver": "composite",
    "LoggingObserver": "logging",
    "NoOpObserver": "orcapod.protocols",
    "ProgressObserver": "progress",
    "StatusObserver": "status",
    "is_watched": "drawing",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
