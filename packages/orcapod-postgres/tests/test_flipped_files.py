"""Bits of the files of a PostgreSQL server are flipped while it is stopped: it serves no wrong value of ours."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from orcapod.errors import DatabaseError
from orcapod.protocols import Database
from orcapod.testing import IntegritySuite
from orcapod_postgres import PostgresDatabase
from orcapod_postgres.testing import Server, ServerUnavailableError

pytestmark = pytest.mark.postgres

FLIPS = int(os.environ.get("ORCAPOD_FLIPS", "4"))
STORE = "test_1"
FIRST_OF_USERS = 16_384  # the first number that a server gives to what is not its own


class Served(PostgresDatabase):
    """A store on a server that is stopped with it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        super().__init__(server.conninfo(STORE))

    def close(self) -> None:
        with ExitStack() as stack:
            stack.callback(self._server.stop)
            super().close()


class TestPostgres(IntegritySuite):
    """One server, whose files are those of the folder that was opened last."""

    server: Server

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def files(cls) -> Iterator[None]:
        try:
            cls.server = Server()
        except ServerUnavailableError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))
        with cls.server:
            assert cls.server.create_database() == STORE
            yield

    def open(self, folder: Path) -> Database:
        self.server.stop()
        files = self.server.folder / "data"
        if files.is_symlink():
            files.unlink()
        else:
            shutil.move(files, folder / "data")
        files.symlink_to(folder / "data")
        try:
            self.server.start()
            return Served(self.server)
        except (ServerUnavailableError, DatabaseError) as error:
            self.server.stop("immediate")
            raise DatabaseError(f"{folder}: {error}") from error

    def drawn_file(self, folder: Path, drawn: random.Random) -> Path:
        """Return a file of the store's database: mostly one of its own tables or indexes, else one of the catalog."""
        database = max((folder / "data" / "base").iterdir(), key=lambda each: int(each.name))
        files = sorted(path for path in database.iterdir() if path.stat().st_size)
        ours = [
            path for path in files if path.name[:1].isdigit() and int(re.sub(r"\D.*", "", path.name)) >= FIRST_OF_USERS
        ]
        return drawn.choice(ours if drawn.random() < 0.8 else files)

    @pytest.mark.filterwarnings("ignore:.* left out")
    @pytest.mark.parametrize("seed", range(FLIPS))
    def test_a_damaged_store_serves_no_wrong_value(self, whole: Path, truth: object, seed: int, tmp_path: Path) -> None:
        super().test_a_damaged_store_serves_no_wrong_value(whole, truth, seed, tmp_path)  # type: ignore[arg-type]
