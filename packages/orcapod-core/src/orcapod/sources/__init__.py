"""Where rows come from."""

from orcapod.sources.arrow import ArrowTableSource
from orcapod.sources.cached import CachedSource
from orcapod.sources.dicts import DictSource
from orcapod.sources.source import Source

__all__ = ["ArrowTableSource", "CachedSource", "DictSource", "Source"]
