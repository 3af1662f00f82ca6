"""The floor: what a run would cost if nothing but the results were kept.

A plain loop that hashes its argument, looks the keys up in SQLite in batches, calls the function where nothing was
found, and inserts in batches; durable in the same way as an orcapod store. No tags, no types, no provenance, no logs.
It is meant to be hard to beat: of several batch sizes and table layouts this was the fastest.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

BATCH = 4096


def batches(values: Iterable[int]) -> Iterator[list[int]]:
    """The values, ``BATCH`` at a time."""
    iterator = iter(values)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def run(store: Path, function: Callable[[int], int], values: Iterable[int]) -> list[int]:
    """The results of the function, computed only where the store does not have them."""
    results: list[int] = []
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("CREATE TABLE IF NOT EXISTS results (key BLOB PRIMARY KEY, y INTEGER) WITHOUT ROWID")
        for batch in batches(values):
            keys = [hashlib.sha256(x.to_bytes(8, "little", signed=True)).digest() for x in batch]
            marks = ",".join("?" * len(keys))
            known = dict(connection.execute(f"SELECT key, y FROM results WHERE key IN ({marks})", sorted(keys)))
            new = {key: function(x) for key, x in zip(keys, batch, strict=True) if key not in known}
            if new:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT INTO results VALUES (?, ?) ON CONFLICT DO NOTHING", sorted(new.items()))
                connection.execute("COMMIT")
                known |= new
            results.extend(known[key] for key in keys)
    return results
