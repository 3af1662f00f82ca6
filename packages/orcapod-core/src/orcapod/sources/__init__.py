"""Sources: where rows come from."""

from orcapod.doors import door

_HOMES = {
    "ArrowTableSource": "arrow",
    "CSVSource": "csv",
    "CachedSource": "cached",
    "DataFrameSource": "frames",
    "DatasetSource": "dataset",
    "DictSource": "dicts",
    "FileSource": "files",
    "ListSource": "lists",
    "LiveSource": "live",
    "SQLiteQuerySource": "sqlite",
    "SQLiteTableSource": "sqlite",
    "Source": "root",
    "StoredSource": "stored",
    "TableSource": "table",
    "cases": "sweeps",
    "grid": "sweeps",
    "spooled": "spool",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
