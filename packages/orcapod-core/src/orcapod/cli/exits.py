"""The exit codes of the command."""

__all__ = ["DIFFERS", "FAILED", "FINE", "UNREADABLE", "USAGE"]

FINE = 0
"""All is as it should be."""

FAILED = 1
"""Some packets failed."""

USAGE = 2
"""It cannot be done as it was asked for: no such command, run, node or pipeline."""

DIFFERS = 3
"""Two runs, or a store and what was written to it, differ."""

UNREADABLE = 4
"""The store cannot be read."""
