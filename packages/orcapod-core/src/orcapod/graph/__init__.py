"""The plan: frozen values, nothing is read or run here."""

from orcapod.graph.graph import Element, Graph

__all__ = ["Element", "Graph"]
