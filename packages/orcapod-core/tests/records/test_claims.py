"""Claims: the first to make one has it, until it lets go or is dead; in a table and in a folder alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orcapod.databases import open_database
from orcapod.protocols import Database
from orcapod.records.claims import Claims, TableClaims
from orcapod.records.folder_claims import FolderClaims, claims_in

Make = Callable[[str], Claims]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path / "claims.db") as database:
        yield database


@pytest.fixture(params=["table", "folder"])
def holder(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> Make:
    def made(name: str) -> Claims:
        if request.param == "table":
            claims: Claims = TableClaims(database, name, lease=1.0)
        else:
            claims = FolderClaims(tmp_path / "claims", database, name, lease=1.0)
        claims.beat()
        return claims

    return made


def test_the_first_to_make_a_claim_has_it_until_it_lets_go(holder: Make) -> None:
    one, two = holder("run/one"), holder("run/two")
    assert one.take(["a", "b"]) == {"a": "run/one", "b": "run/one"}
    assert two.take(["b", "c"]) == {"b": "run/one", "c": "run/two"}
    assert two.holders(["a", "b", "c", "d"]) == {"a": "run/one", "b": "run/one", "c": "run/two"}
    one.release(["b"])
    assert two.take(["b"]) == {"b": "run/two"}


def test_heartbeats_are_counted_until_a_holder_is_buried(holder: Make) -> None:
    one, two = holder("one"), holder("two")
    one.beat()
    assert two.beats() == {"one": (2, 1.0), "two": (1, 1.0)}
    two.bury("one", 2)
    assert two.beats() == {"two": (1, 1.0)}


def test_who_was_buried_alive_claims_on(holder: Make) -> None:
    one, two = holder("one"), holder("two")
    one.beat()
    two.bury("one", 2)
    assert one.take(["a"]) == {"a": "one"}
    one.beat()
    assert two.beats()["one"] == (3, 1.0), "a number that nobody has seen yet"


def test_who_leaves_lets_go_of_all_but_what_is_done_and_the_last_one_clears_up(holder: Make, tmp_path: Path) -> None:
    one, two = holder("one"), holder("two")
    one.take(["a", "b"])
    one.keep(["a"])
    one.close()
    assert two.holders(["a", "b"]) == {"a": "one"}
    assert two.beats().keys() == {"two"}
    two.close()
    assert holder("three").holders(["a", "b"]) == {}


def test_of_many_who_claim_at_once_one_has_it(holder: Make) -> None:
    names = [f"{number}" for number in range(50)]
    many = [holder(f"holder {number}") for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda each: each.take(names), many))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].keys() == {*names}


def test_a_folder_is_used_where_the_store_has_one_with_links(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(claims_in(database, "one", lease=1.0), TableClaims)
    with open_database("memory://") as memory:
        memory.claims_folder = tmp_path / "of" / "the store"  # type: ignore[attr-defined]
        assert isinstance(claims_in(memory, "one", lease=1.0), FolderClaims)
        assert not list((tmp_path / "of" / "the store").iterdir())
        memory.claims_folder = Path("/proc/claims")  # type: ignore[attr-defined]
        assert isinstance(claims_in(memory, "one", lease=1.0), TableClaims)


def test_who_comes_while_the_last_one_leaves_is_not_disturbed(holder: Make) -> None:
    """Its file, or the folder of it, may be looked for at any moment."""
    for round_ in range(20):
        with ThreadPoolExecutor(2) as pool:
            leaving, coming = holder(f"leaving {round_}"), f"coming {round_}"
            left = pool.submit(leaving.close)
            came = pool.submit(holder, coming)
            left.result()
            claims = came.result()
        claims.beat()
        assert claims.take(["a"]) == {"a": coming}
        claims.close()
