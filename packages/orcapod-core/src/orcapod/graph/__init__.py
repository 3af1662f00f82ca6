"""The plan: frozen values, nothing is read or run here."""

from orcapod.doors import door

_HOMES = {"Element": "graph", "Graph": "graph", "Picture": "picture"}  # most programs draw nothing

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
