"""The ledger: what a store tells whoever opens it, of runs, nodes, rows and code; it is never written to."""

from orcapod.ledger.compare import compare
from orcapod.ledger.lineage import Impact
from orcapod.ledger.provenance import ComputedRow, Origin, RowGroup, SourceRow
from orcapod.ledger.run_summary import NodeSummary, RunSummary
from orcapod.ledger.store import Store, open_store

__all__ = [
    "ComputedRow",
    "Impact",
    "NodeSummary",
    "Origin",
    "RowGroup",
    "RunSummary",
    "SourceRow",
    "Store",
    "compare",
    "open_store",
]
