"""``NoOpDatabase`` accepts everything and has nothing."""

from __future__ import annotations

import pyarrow as pa
import pytest

from orcapod.databases import NoOpDatabase, open_database
from orcapod.errors import DatabaseError
from orcapod.protocols.database import Database


def test_it_keeps_nothing() -> None:
    with NoOpDatabase() as database:
        assert isinstance(database, Database)
        view = database.at("a")
        assert view.add_records(("p",), pa.table({"key": ["a"]})) == 0
        assert view.get_records(("p",)).num_rows == view.get_records_by_ids(("p",), ["a"]).num_rows == 0
        assert view.list_paths() == []
        assert view.delete_records(("p",), ["a"]) == 0
        view.flush()
    for place in (database.to_config(), "noop://"):
        assert isinstance(open_database(place), NoOpDatabase)
    with pytest.raises(DatabaseError, match="expected noop://, found noop://place"):
        NoOpDatabase.from_url("noop://place")
