from orcapod.graph.graph import Element, Graph
from orcapod.graph.picture import Picture

__all__ = ["Element", "Graph", "Picture"]
