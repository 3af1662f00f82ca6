"""``orcapod fsck``: whether all that is stored is as it was when it was stored."""

from __future__ import annotations

from typing import Any

import click

from orcapod.cli.compact import ask
from orcapod.cli.exits import DIFFERS, FINE
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output
from orcapod.display import sizes
from orcapod.integrity import Finding, verify_store

__all__ = ["fsck_command"]


@click.command("fsck")
@store_option
@output_option
@click.option("--repair", is_flag=True, help="Move damaged records aside, so that the next run computes them again.")
@click.option("--yes", is_flag=True, help="Do not ask before repairing.")
def fsck_command(store: str, output: Output, *, repair: bool, yes: bool) -> int:
    """Read all that a store holds, and say what is not as it was when it was stored: then the exit code is 3."""
    if repair:
        ask(yes=yes, question="Move damaged records to the table _damaged?")
    report = verify_store(store, repair=repair)
    if output.is_json:
        facts = {"ok": report.ok, "records": report.records, "bytes": report.bytes, "moved": report.moved}
        output.json({**facts, "findings": [_finding(each) for each in report.findings]})
    else:
        for finding in report.damages:
            output.line(str(finding), "red")
        for finding in report.findings:
            if not finding.is_damage:
                output.line(str(finding), "dim")
        moved = f", {report.moved:,} moved aside" if report.moved else ""
        state = "as they were stored" if report.ok else f"{len(report.damages):,} are damaged{moved}"
        output.line(f"{report.records:,} records, {sizes(report.bytes)[0]}: {state}", "green" if report.ok else "red")
    return FINE if report.ok else DIFFERS


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "is_damage": finding.is_damage,
        "table": "/".join(finding.path),
        "key": finding.key,
        "column": finding.column,
        "why": finding.why,
    }
