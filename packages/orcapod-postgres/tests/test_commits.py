"""What becomes of a transaction whose COMMIT was lost: it is done again, whatever others have done meanwhile.

A server that crashes before it has written a COMMIT down gives the transaction's number to whoever comes next. So
nothing is asked of a number: rows have keys, and what is written again is what is not there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

import psycopg
import pyarrow as pa
import pytest

import orcapod as op
from orcapod.errors import DuplicateKeyError
from orcapod.observers import StatusObserver
from orcapod.sources import DictSource
from orcapod_postgres import PostgresDatabase
from orcapod_postgres.testing import Relay, Server

pytestmark = pytest.mark.postgres

ROWS = 120


class Commits:
    """The COMMITs that come by a relay; some are lost, or their answers are.

    Attributes:
        number: how many there were.
        lost: the numbers of those that do not arrive.
        unanswered: the numbers of those whose answers do not arrive.
        happening: called where something is lost.
    """

    def __init__(self) -> None:
        self.number = 0
        self.lost: set[int] = set()
        self.unanswered: set[int] = set()
        self.happening: Callable[[], object] = lambda: None
        self._lock = Lock()  # two connections may commit at the same time

    def on_message(self, said: bytes) -> None:
        if b"COMMIT\0" in said:
            with self._lock:
                self.number += 1
                self._lose_one_of(self.lost)

    def on_answer(self, said: bytes) -> None:
        if b"COMMIT\0" in said:
            with self._lock:
                self._lose_one_of(self.unanswered)

    def _lose_one_of(self, numbers: set[int]) -> None:
        if self.number in numbers:
            self.happening()
            raise ConnectionResetError


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
def relay(own_server: Server, commits: Commits) -> Iterator[Relay]:
    with Relay(own_server, commits.on_message, commits.on_answer) as relay:
        yield relay


@pytest.fixture
def relayed(own_conninfo: str, relay: Relay) -> str:
    """How to connect to the database of ``own_conninfo`` by way of the relay."""
    return relay.conninfo(own_conninfo)


def commit_25(conninfo: str) -> None:
    """What a colleague does on the same server, a transaction for each row."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS colleague (x integer)")
        for x in range(25):
            connection.execute("INSERT INTO colleague VALUES (%s)", [x])


@op.function_pod(output_keys="y")
def tripled(x: int) -> int:
    time.sleep(0.002)
    return 3 * x


@op.function_pod(output_keys="z")
def shown(y: int) -> str:
    return str(y)


@pytest.mark.parametrize("neighbours", [0, 1])
def test_a_run_during_which_the_server_crashes_in_commits(
    own_server: Server, own_conninfo: str, relayed: str, commits: Commits, neighbours: int
) -> None:
    """All rows are there, whether somebody else got the number of the transaction or nobody did; soon, too."""

    def crash() -> None:
        own_server.stop("immediate")
        own_server.start()
        for _ in range(neighbours):
            commit_25(own_conninfo)

    def pipeline(database: PostgresDatabase) -> op.Pipeline:
        made = op.Pipeline("crashed", database)
        with made:
            rows = DictSource([{"i": i, "x": i} for i in range(ROWS)], ["i"], source_id="s")
            shown.pod(tripled.pod(rows, label="tripled"), label="shown")
        return made

    with PostgresDatabase(relayed) as database:
        crashed = pipeline(database)
        commits.happening, commits.lost = crash, {commits.number + at for at in (1, 3, 4, 6, 8)}
        started = time.monotonic()
        result = crashed.run(observer=StatusObserver(crashed.log_database), flush_interval=0.05)
        assert time.monotonic() - started < 25
        assert commits.number > max(commits.lost)
        assert result.counts("tripled") == result.counts("shown") == {"computed": ROWS, "cached": 0, "failed": 0}
    with PostgresDatabase(own_conninfo) as database:
        again = pipeline(database)
        assert again.shown.as_table()["z"].to_pylist() == [str(3 * x) for x in range(ROWS)]
        assert again.run().counts("shown") == {"computed": 0, "cached": ROWS, "failed": 0}
        for path in database.list_paths():
            keys = database.get_records(path).column(0).to_pylist()
            assert len(set(keys)) == len(keys), path


@pytest.mark.parametrize("lost", ["lost", "unanswered"])
@pytest.mark.parametrize("on_conflict", ["skip", "raise"])
def test_rows_of_a_commit_that_broke_off(relayed: str, commits: Commits, lost: str, on_conflict: Any) -> None:
    """They are there once, none is in conflict with itself, and what is returned is how many were new."""
    table = pa.table({"key": ["a", "b", "c"], "x": [1, None, 3], "y": [0.0, float("-inf"), None]})
    more = pa.table({"key": ["d", "e"], "x": [4, 5], "y": [-0.0, float("inf")]})
    with PostgresDatabase(relayed) as database:
        setattr(commits, lost, {commits.number + 1})
        assert database.add_records(("p",), table, on_conflict=on_conflict) == 3
        setattr(commits, lost, {commits.number + 1, commits.number + 2})
        assert database.add_records(("p",), more, on_conflict=on_conflict) == 2
        with pytest.raises(DuplicateKeyError, match="'a'"):
            database.add_records(("p",), table, on_conflict="raise")
        assert database.get_records(("p",)).equals(pa.concat_tables([table, more]))


@pytest.mark.parametrize("lost", ["lost", "unanswered"])
def test_rows_that_were_there_in_part_before(relayed: str, commits: Commits, lost: str) -> None:
    with PostgresDatabase(relayed) as database:
        database.add_records(("p",), pa.table({"key": ["a", "b"], "x": [1, 7]}))
        setattr(commits, lost, {commits.number + 1})
        assert database.add_records(("p",), pa.table({"key": ["a", "b", "c"], "x": [1, 2, 3]})) == 1
        assert database.get_records(("p",))["x"].to_pylist() == [1, 7, 3]


@pytest.mark.parametrize(("theirs", "added"), [({"a": 7}, 1), ({"a": 7, "b": 7}, 0)])
@pytest.mark.parametrize("on_conflict", ["skip", "raise"])
def test_others_were_faster_while_the_server_was_away(
    own_server: Server,
    own_conninfo: str,
    relay: Relay,
    relayed: str,
    commits: Commits,
    on_conflict: Any,
    theirs: dict[str, int],
    added: int,
) -> None:
    """What they wrote stays, and is not taken for ours."""

    def write() -> None:
        relay.hold()
        own_server.stop("immediate")
        own_server.start()
        others.add_records(("p",), pa.table({"key": [*theirs], "x": [*theirs.values()]}))
        relay.release()

    with PostgresDatabase(own_conninfo) as others, PostgresDatabase(relayed) as database:
        others.add_records(("p",), pa.table({"key": ["old"], "x": [0]}))
        commits.happening, commits.lost = write, {commits.number + 1}
        ours = pa.table({"key": ["a", "b"], "x": [1, 2]})
        if on_conflict == "skip":
            assert database.add_records(("p",), ours) == added
        else:
            with pytest.raises(DuplicateKeyError, match="'a'"):
                database.add_records(("p",), ours, on_conflict="raise")
        found = dict(zip(*database.get_records(("p",)).to_pydict().values(), strict=True))
        assert found == {"old": 0, **({"a": 1, "b": 2} if on_conflict == "skip" else {}), **theirs}


@pytest.mark.parametrize("lost", ["lost", "unanswered"])
def test_records_that_a_commit_deleted_which_broke_off(relayed: str, commits: Commits, lost: str) -> None:
    with PostgresDatabase(relayed) as database:
        database.add_records(("p",), pa.table({"key": ["a", "b", "c"]}))
        setattr(commits, lost, {commits.number + 1})
        assert database.delete_records(("p",), ["a", "c", "x"]) == 2
        assert database.get_records(("p",))["key"].to_pylist() == ["b"]


@pytest.mark.parametrize("lost", ["lost", "unanswered"])
def test_a_store_that_a_commit_made_which_broke_off(relayed: str, commits: Commits, lost: str) -> None:
    setattr(commits, lost, {1})
    with PostgresDatabase(relayed) as database:
        assert commits.number == 2
        assert database.add_records(("p",), pa.table({"key": ["a"]})) == 1
