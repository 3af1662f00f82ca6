"""``verify_store`` names what is not as it was stored, and moves it aside."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase, open_database
from orcapod.errors import ConfigError, DamagedRecordError, DatabaseError
from orcapod.protocols import Database
from orcapod.sources import DictSource
from orcapod.testing import IntegritySuite

ROWS = 20


class TestSQLite(IntegritySuite):
    def open(self, folder: Path) -> Database:
        return open_database(folder / "store.db")


@op.function_pod("y")
def double(x: int) -> int:
    return 2 * x


@op.function_pod("total")
def total(y: list[int]) -> int:
    return sum(y)


def built(database: Database) -> op.Pipeline:
    pipeline = op.Pipeline("lab", database)
    with pipeline:
        rows = DictSource([{"i": i, "side": "lr"[i % 2], "x": i} for i in range(ROWS)], ["i", "side"], source_id="kept")
        kept = rows.cached(database)
        total.pod(double.pod(kept, label="double").group_by("side"), label="total")
    return pipeline


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with open_database(tmp_path / "store.db") as database:
        built(database).run().raise_for_errors()
    return tmp_path / "store.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with open_database(path) as database:
        yield database


def edit(path: Path, beginning: str, statement: str) -> None:
    """Change a table by hand, whose name begins like this."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT table_name FROM _orcapod_paths")]
        (name,) = [name for name in names if name.startswith(beginning)]
        connection.execute(statement.format(f'"{name}"'))
        connection.commit()


def test_a_store_as_it_was_written_is_in_order(path: Path) -> None:
    report = op.verify_store(path)
    assert (report.ok, report.findings) == (True, ())
    assert report.records > 3 * ROWS


def test_a_store_that_does_not_scan_is_read_key_by_key() -> None:
    with MemoryDatabase() as database:
        built(database).run().raise_for_errors()
        report = op.verify_store(database)
        assert (report.ok, report.findings) == (True, ())
        assert report.records > 3 * ROWS
        (results,) = [path for path in database.list_paths() if path[:2] == ("_result", "double")]
        record = database.get_records(results).slice(3, 1)
        (key,) = record["__record_id"].to_pylist()
        database.delete_records(results, [key])
        assert [each.kind for each in op.verify_store(database).damages] == ["lost result"]
        database.add_records(results, record.set_column(record.column_names.index("y"), "y", pa.array([7])))
        (damage,) = op.verify_store(database, repair=True).damages[:1]
        assert (damage.kind, damage.path, damage.key) == ("changed", results, key)
        assert built(database).run().counts("double")["computed"] == 1


def test_a_value_that_was_changed_is_never_served(path: Path, database: Database) -> None:
    edit(path, "_result/double", "UPDATE {} SET y = 77 WHERE y = 20")
    (damage,) = op.verify_store(database).damages
    assert (damage.kind, damage.path[:2]) == ("changed", ("_result", "double"))
    pipeline = built(database)
    told = r"store\.db.*_result/double.*a result of y .*__record_id"
    with pytest.raises(DamagedRecordError, match=told):
        pipeline.double.as_table()
    with pytest.raises(BaseExceptionGroup) as caught:
        pipeline.run().raise_for_errors()
    assert caught.group_contains(DamagedRecordError, match=told)


def test_what_is_moved_aside_is_computed_again(path: Path, database: Database) -> None:
    edit(path, "_result/double", "UPDATE {} SET y = 77 WHERE y = 20")
    edit(path, "_result/double", "UPDATE {} SET __code = 'x' WHERE y = 22")
    edit(path, "_result/double", "DELETE FROM {} WHERE y = 24")
    edit(path, "lab/double", "UPDATE {} SET i = 99 WHERE i = 3")
    edit(path, "_source/kept", "UPDATE {} SET x = 99 WHERE x = 4")
    report = op.verify_store(database, repair=True)
    assert sorted(each.kind for each in report.damages) == ["changed"] * 4 + ["lost result"] * 3
    assert report.moved == 7
    assert len(database.get_records(("_damaged",))) == 7
    assert op.verify_store(database).ok
    pipeline = built(database)
    assert pipeline.run().counts("double") == {"computed": 3, "cached": ROWS - 3, "failed": 0}
    assert sorted(pipeline.double.as_table()["y"].to_pylist()) == [2 * x for x in range(ROWS)]
    assert op.verify_store(database).ok


def test_rows_whose_result_is_gone_are_told_of(path: Path, database: Database) -> None:
    edit(path, "_result/double", "DELETE FROM {} WHERE y IN (24, 26)")
    with pytest.warns(UserWarning, match="double: left out 2 rows that were computed"):
        assert built(database).double.as_table().num_rows == ROWS - 2


def test_a_cell_that_cannot_be_read_is_named(path: Path, database: Database) -> None:
    edit(path, "_result/double", "UPDATE {} SET y = 'many' WHERE y = 20")
    told = r"store\.db, table _result/double.*column 'y' of the record \w+ is damaged"
    with pytest.raises(DamagedRecordError, match=told):
        built(database).run(error_policy="fail_fast")
    (damage,) = [each for each in op.verify_store(database).damages if each.kind == "unreadable"]
    assert (damage.column, type(damage.key)) == ("y", bytes)
    op.verify_store(database, repair=True)
    assert built(database).run().counts("double")["computed"] == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE _orcapod_paths SET path = '[' WHERE table_name LIKE '_result/double%'",
        "UPDATE _orcapod_paths SET arrow_schema = x'00' WHERE table_name LIKE '_result/double%'",
        "UPDATE _orcapod_paths SET arrow_schema = 'text' WHERE table_name LIKE '_result/double%'",
        "UPDATE _orcapod_paths SET columns = '[]' WHERE table_name LIKE '_result/double%'",
        "UPDATE _orcapod_paths SET columns = '{' WHERE table_name LIKE '_result/double%'",
        "UPDATE _orcapod_paths SET columns = 5 WHERE table_name LIKE '_result/double%'",
        "UPDATE _orcapod_paths SET table_name = 'x' WHERE table_name LIKE '_result/double%'",
        "DELETE FROM _orcapod_paths WHERE table_name LIKE '_result/double%'",
        "DROP TABLE _orcapod_paths",
    ],
)
def test_a_catalog_that_lies_is_found_and_no_bare_error_arises(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    said = ""
    try:
        with open_database(path) as database:
            assert not op.verify_store(database).ok
            built(database).run()
    except DatabaseError as error:
        said = str(error)
    assert not said or str(path) in said or "_result/double" in said


def test_results_in_another_store_are_looked_for_there(tmp_path: Path) -> None:
    with open_database(tmp_path / "rows.db") as rows, open_database(tmp_path / "results.db") as results:
        pipeline = op.Pipeline("lab", rows, result_database=results)
        with pipeline:
            double.pod(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s"))
        pipeline.run()
        assert [each.kind for each in op.verify_store(rows).damages] == ["lost result"]
        assert op.verify_store(rows, result_database=results).ok
        assert [each.kind for each in op.verify_store(results).findings] == ["unused result"]
        assert op.verify_store(results).ok


def test_results_of_another_store_that_cannot_be_read_are_told_of(tmp_path: Path) -> None:
    with open_database(tmp_path / "rows.db") as rows, open_database(tmp_path / "results.db") as results:
        pipeline = op.Pipeline("lab", rows, result_database=results)
        with pipeline:
            double.pod(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s"))
        pipeline.run()
        edit(tmp_path / "results.db", "_result/double", "ALTER TABLE {} RENAME TO gone")
        assert [each.kind for each in op.verify_store(rows, result_database=results).damages] == ["unreadable"]


@op.function_pod("y")
def padded(x: int) -> str:
    return f"<{x}>" + 1000 * "-"


def test_results_that_cannot_be_read_any_more_cost_no_rows_of_nodes(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_database(path) as database:
        pipeline = op.Pipeline("lab", database)
        with pipeline:
            padded.pod(DictSource([{"i": i, "x": i} for i in range(200)], ["i"], source_id="s"))
        pipeline.run().raise_for_errors()
    content = bytearray(path.read_bytes())
    page = content.index(b"<199>") // 8192 * 8192
    content[page : page + 8192] = bytes(8192)
    path.write_bytes(content)
    with open_database(path) as database:
        report = op.verify_store(database, repair=True)
    assert report.moved == 0
    assert {finding.kind for finding in report.damages} == {"storage", "unreadable"}


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(ConfigError):
        op.verify_store(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", ["path", "text", "sqlite", "delta", "config"])
@pytest.mark.parametrize("what", ["verify", "orphans"])
def test_a_misspelt_store_is_refused_and_nothing_is_made_there(tmp_path: Path, way: str, what: str) -> None:
    place = tmp_path / "lba.db"
    store: Any = {
        "path": place,
        "text": str(place),
        "sqlite": f"sqlite:///{place}",
        "delta": f"delta:///{place}",
        "config": {"type": "sqlite", "path": str(place), "prefix": []},
    }[way]
    with pytest.raises(DatabaseError, match=r"there is no store at .*lba\.db.*check the path"):
        op.verify_store(store) if what == "verify" else op.remove_orphans(store)
    assert not list(tmp_path.iterdir())
