"""Errors say what they speak of, in words and as attributes, wherever they arrive."""

from __future__ import annotations

import pickle

import pytest

from orcapod.errors import DatabaseError, RecordTooLargeError


def test_a_record_that_is_too_large_says_how_large_it_is_and_how_large_it_may_be() -> None:
    error = RecordTooLargeError(("lab", "p"), "a", 1_100_000_000, 1_000_000_000, "an SQLite store")
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert (each.path, each.column, each.size, each.limit) == (("lab", "p"), "a", 1_100_000_000, 1_000_000_000)
        assert each.store == "an SQLite store"
        assert str(each).startswith("lab/p: column 'a' makes a record of 1.1 GB, an SQLite store takes 1.0 GB; ")
        with pytest.raises(DatabaseError):
            raise each
