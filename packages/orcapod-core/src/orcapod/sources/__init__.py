"""Sources: where rows come from."""

from orcapod.sources.arrow import ArrowTableSource
from orcapod.sources.cached import CachedSource
from orcapod.sources.csv import CSVSource
from orcapod.sources.dicts import DictSource
from orcapod.sources.files import FileSource
from orcapod.sources.frames import DataFrameSource
from orcapod.sources.lists import ListSource
from orcapod.sources.live import LiveSource
from orcapod.sources.root import Source
from orcapod.sources.stored import StoredSource
from orcapod.sources.sweeps import cases, grid
from orcapod.sources.table import TableSource

__all__ = [
    "ArrowTableSource",
    "CSVSource",
    "CachedSource",
    "DataFrameSource",
    "DictSource",
    "FileSource",
    "ListSource",
    "LiveSource",
    "Source",
    "StoredSource",
    "TableSource",
    "cases",
    "grid",
]
