"""The report: a run as one page, and what every page of runs is made of; it reads through the ledger alone."""

from orcapod.report.document import document
from orcapod.report.html import Html, block, element, fold, joined, link, search, section, table, wide

__all__ = [
    "Html",
    "block",
    "document",
    "element",
    "fold",
    "joined",
    "link",
    "search",
    "section",
    "table",
    "wide",
]
