"""The report: a run as one page, and what every page of runs is made of; it reads through the ledger alone."""

from orcapod.report.document import document
from orcapod.report.html import Html, block, element, fold, joined, link, search, section, table, terms, wide
from orcapod.report.report import SECTIONS, part, run_page, write_report

__all__ = [
    "SECTIONS",
    "Html",
    "block",
    "document",
    "element",
    "fold",
    "joined",
    "link",
    "part",
    "run_page",
    "search",
    "section",
    "table",
    "terms",
    "wide",
    "write_report",
]
