"""Checks of a round: values against plain Python, records that stay, calls that are not made again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from plan import LABELS, Plan
from program import WrongError

import orcapod as op
from orcapod.integrity import StoreReport

Call = tuple[str, str]


def check_values(plan: Plan) -> None:
    """Hold every value that is stored against plain Python, and verify the store.

    Raises:
        WrongError: something is wrong, lost or doubled.
    """
    pipeline = plan.pipeline()
    with pipeline.result_database as database:
        for label, values in plan.expected().items():
            table = pipeline[label].as_table()
            name = table.column_names[-1]
            found = list(zip(table.column("i").to_pylist(), table.column(name).to_pylist(), strict=True))
            if len(found) != len(dict(found)):
                raise WrongError("doubled", f"{label}: doubled rows")
            wrong = {i: (value, values.get(i)) for i, value in found if values.get(i) != value}
            if wrong:
                raise WrongError("wrong", f"{label}: (found, expected) {wrong}")
            if missing := values.keys() - dict(found).keys():
                raise WrongError("lost", f"{label}: {sorted(missing)}")
        report = op.verify_store(database)
    _check_report(report)


def _check_report(report: StoreReport) -> None:
    if not report.ok:
        is_doubled = any(each.kind == "doubled" for each in report.damages)
        raise WrongError("doubled" if is_doubled else "wrong", str(report))


class Records:
    """Records of a store that were there at some time, and have to be there from then on.

    Args:
        plan: whose store it is.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._known: set[tuple[str, object]] = set()

    def check(self) -> None:
        """Check that the store is in order, and that what was there is there.

        Raises:
            WrongError: it is not.
        """
        with op.databases.open_database(self._plan.store) as database:
            _check_report(op.verify_store(database))
            results = [path for path in database.list_paths() if path[0] in ("_result", "soak")]
            found = {
                ("/".join(path), key)
                for path in results
                for key in database.get_records(path, []).column(0).to_pylist()
            }
        if missing := self._known - found:
            raise WrongError("lost", f"{len(missing)} records that were there: {sorted(map(str, missing))[:5]}")
        self._known = found


class Calls:
    """Calls that have finished, as their marks tell; those that are promised may not be made again.

    Args:
        folder: where the marks are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._promised: dict[Call, int] = {}

    def promise(self, since: float = 0.0, stored_by: float = float("inf")) -> None:
        """Take it that what has finished since and by then is stored."""
        marks = self._marks()
        counts = Counter(call for call, _ in marks)
        for call, when in marks:
            if since < when < stored_by:
                self._promised.setdefault(call, counts[call])

    def made_again(self) -> list[Call]:
        """Return the calls that were made again although they had been promised."""
        counts = Counter(call for call, _ in self._marks())
        return [call for call, count in self._promised.items() if counts[call] > count]

    def _marks(self) -> list[tuple[Call, float]]:
        return [
            ((name, x), float(when))
            for name in LABELS
            if (self._folder / name).exists()
            for x, when in map(str.split, (self._folder / name).read_text().splitlines())
        ]
