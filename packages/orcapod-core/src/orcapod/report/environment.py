"""What a run ran on."""

from __future__ import annotations

import json

from orcapod.ledger import RunSummary, Store
from orcapod.report.html import Html, element, fold, joined, terms

__all__ = ["environment"]


def environment(store: Store, run: RunSummary) -> Html:
    """Return Python, platform, state of git and packages of a run."""
    found = store.environment(run.run_id)
    if not found:
        return element("p", "It is kept when a run ends.")
    commit = found["git_commit"]
    dirty = {True: ", with changes that are not committed", False: "", None: ""}[found["git_dirty"]]
    facts = {
        "Python": found["python"],
        "Platform": found["platform"],
        "Git": joined(element("code", commit), dirty) if commit else "outside of a repository",
    }
    packages: dict[str, str] = json.loads(found["packages"])
    listed = (element("li", name, " ", element("span", version, class_="quiet")) for name, version in packages.items())
    count = f"{len(packages):,} packages that could be imported"
    return joined(terms(facts), fold(count, element("ul", *listed, class_="columns small")))
