from orcapod.sources.arrow import ArrowTableSource
from orcapod.sources.cached import CachedSource
from orcapod.sources.csv import CSVSource
from orcapod.sources.dataset import DatasetSource
from orcapod.sources.dicts import DictSource
from orcapod.sources.files import FileSource
from orcapod.sources.frames import DataFrameSource
from orcapod.sources.lists import ListSource
from orcapod.sources.live import LiveSource
from orcapod.sources.root import Source
from orcapod.sources.spool import spooled
from orcapod.sources.sqlite import SQLiteQuerySource, SQLiteTableSource
from orcapod.sources.stored import StoredSource
from orcapod.sources.sweeps import cases, grid
from orcapod.sources.table import TableSource

__all__ = [
    "ArrowTableSource",
    "CSVSource",
    "CachedSource",
    "DataFrameSource",
    "DatasetSource",
    "DictSource",
    "FileSource",
    "ListSource",
    "LiveSource",
    "SQLiteQuerySource",
    "SQLiteTableSource",
    "Source",
    "StoredSource",
    "TableSource",
    "cases",
    "grid",
    "spooled",
]
