"""Promise 24 on every store: the present, any past run, and what differs between two, over random histories.

Thirty nights, half of them beside another process that runs the same pipeline on rows of its own: patients come, go,
are corrected and corrected back; the function is edited; packets fail; runs are interrupted, end at the first
failure, or compute a part only. A plain Python model says what every run gave.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from psycopg.conninfo import conninfo_to_dict

import orcapod as op
from orcapod.databases import open_database
from orcapod.protocols import Database
from orcapod.sources import DictSource

NIGHTS = 30
BAD, DEADLY = 13, 17
"""A weight whose packet fails, and one that interrupts the run."""

Weights = dict[str, int]
Night = tuple[Weights, int, str]
"""Weights by patient, which version of the function, and how the run ends."""


def edited(factor: int) -> Any:
    """Return the function as it is after an edit: another value in its closure."""

    def index(weight: int) -> int:
        if weight == DEADLY:
            raise KeyboardInterrupt
        if weight == BAD:
            raise ValueError("thirteen")
        return factor * weight

    return op.function_pod(output_keys="index")(index)


@op.function_pod(output_keys="most", identity="version")
def most(index: list[int]) -> int:
    return max(index)


def study(database: Database, weights: Weights, factor: int) -> op.Pipeline:
    rows = [{"patient": patient, "weight": weight} for patient, weight in weights.items()]
    with op.Pipeline("study", database) as pipeline:
        types = {"patient": str, "weight": int}
        source = DictSource(rows, ["patient"], source_id="s", record_id_column="patient", data_schema=types)
        each = edited(factor).pod(source, label="index")
        most.pod(each.batch(), label="most")
    return pipeline


def nights(seed: int) -> list[Night]:
    rng, weights, factor, history = random.Random(seed), dict[str, int](), 2, list[Night]()
    for _ in range(NIGHTS):
        for _ in range(rng.randint(0, 2)):
            patient = rng.choice("abcdef")
            if rng.random() < 0.25:
                weights.pop(patient, None)
            else:
                weights[patient] = rng.choice([1, 2, 3, 3, BAD])
        if rng.random() < 0.2:
            factor = 5 - factor
        ending = rng.choice(["whole"] * 6 + ["interrupted", "fail_fast", "only"])
        history.append((weights | {"z": DEADLY} if ending == "interrupted" else dict(weights), factor, ending))
    return history


class _RunId(op.observers.NoOpObserver):
    run_id = ""

    def on_run_start(self, run_id: str) -> None:
        self.run_id = run_id


def run_all(url: str, history: list[Night]) -> list[str]:
    """Run these nights; return the names of the runs."""
    names = []
    with open_database(url) as database:
        for weights, factor, ending in history:
            seen = _RunId()
            options: dict[str, Any] = {"only": "most"} if ending == "only" else {}
            policy: Any = "fail_fast" if ending == "fail_fast" else "continue"
            try:
                study(database, weights, factor).run(observer=seen, error_policy=policy, progress=False, **options)
            except (KeyboardInterrupt, ValueError):
                assert ending in ("interrupted", "fail_fast")
            names.append(seen.run_id)
    return names


def given(night: Night) -> dict[str, Counter[Any]] | None:
    """Return what a run gives, with plain Python; None if it does not reach all rows."""
    weights, factor, ending = night
    good = {patient: factor * weight for patient, weight in weights.items() if weight != BAD}
    if ending in ("interrupted", "only") or (ending == "fail_fast" and len(good) < len(weights)):
        return None
    is_whole = good and len(good) == len(weights)  # of a batch with a failed row, nothing is made
    return {"index": Counter(good.items()), "most": Counter([max(good.values())] if is_whole else [])}


def told(store: op.ledger.Store, run: str | None) -> dict[str, Counter[Any]]:
    index, largest = (store.rows("study", label, run) for label in ("index", "most"))
    pairs = zip(index["patient"].to_pylist(), index["index"].to_pylist(), strict=True) if index.num_rows else ()
    return {"index": Counter(pairs), "most": Counter(largest["most"].to_pylist() if largest.num_rows else [])}


def compared(before: Counter[Any], after: Counter[Any]) -> Counter[Any]:
    old, new = dict(before.keys()), dict(after.keys())
    found = {patient: "equal" if value == old.get(patient) else "changed" for patient, value in new.items()}
    found |= dict.fromkeys(new.keys() - old.keys(), "new") | dict.fromkeys(old.keys() - new.keys(), "gone")
    return Counter(found.items())


@pytest.fixture(params=["sqlite", "delta", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "sqlite":
            return f"sqlite:///{tmp_path / 'store.db'}"
        case "delta":
            return f"delta:///{tmp_path / 'store'}"
        case _:
            parameters = conninfo_to_dict(request.getfixturevalue("postgres_conninfo"))
            return f"postgresql://?{urlencode(parameters)}"


@pytest.mark.parametrize("seed", [1])
def test_the_present_any_past_and_what_differs_are_what_plain_python_says(url: str, seed: int) -> None:
    mine, others = nights(seed), nights(seed + 100)[: NIGHTS // 2]
    program = f"import sys, json; from {__name__} import run_all; print(json.dumps(run_all(*json.loads(sys.argv[1]))))"
    command = [sys.executable, "-c", program, json.dumps([url, others])]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    names = run_all(url, mine)
    output, _ = other.communicate(timeout=300)
    assert other.returncode == 0
    ran = {**dict(zip(names, mine, strict=True)), **dict(zip(json.loads(output), others, strict=True))}
    with op.open_store(url) as store:
        assert store.runs()["run_id"].to_pylist() == sorted(ran)
        whole = {run: rows for run in sorted(ran) if (rows := given(ran[run])) is not None}
        for run, rows in whole.items():
            assert told(store, run) == rows
        states = [run for run in whole if store.nodes(run)["index"].totals.state]
        last = max(states, key=lambda run: store.nodes(run)["index"].totals.state or 0)
        assert told(store, None)["index"] == whole[last]["index"]
        for before, after in zip(list(whole)[:-1], list(whole)[1:], strict=True):
            changes = op.compare(store, before, after)["index"].to_pylist()
            found = Counter((row["patient"], row["change"]) for row in changes)
            assert found == compared(whole[before]["index"], whole[after]["index"])
        node = study(store.database, {}, 2).index
        run = names[-1]
        rows = node.at(run).to_pylist()
        assert Counter((row["patient"], row["index"]) for row in rows) == told(store, run)["index"]
