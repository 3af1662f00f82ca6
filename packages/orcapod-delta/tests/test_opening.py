"""How a store is opened, and what is refused."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

import orcapod as op
from orcapod.databases import open_database
from orcapod.errors import DatabaseError, StoreVersionError
from orcapod.ledger import open_store
from orcapod_delta import DeltaDatabase, DeltaTableSource
from orcapod_delta.buffered_table import BufferedTable
from orcapod_delta.locations import Location

_ROW = pa.table({"key": ["a"]})


@pytest.mark.parametrize("location", ["delta:///{folder}/lab", "delta:///lab", "DELTA:///lab"])
def test_by_url(location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes and a relative path, or four, as with SQLite."""
    monkeypatch.chdir(tmp_path)
    with open_database(location.format(folder=tmp_path)) as database:
        assert isinstance(database, DeltaDatabase)
        assert database.to_config() == {"type": "delta", "path": str(tmp_path / "lab"), "prefix": []}
        assert repr(database.at("a")) == f"DeltaDatabase('{tmp_path}/lab', at a)"
        with open_database(database.to_config()) as again:
            assert isinstance(again, DeltaDatabase)


def test_who_names_its_folder_is_told_its_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with DeltaDatabase("lab") as database:
        database.add_records(("p",), _ROW)
    with pytest.raises(DatabaseError) as raised:
        open_store("lab")
    url = re.search("delta:.*lab", str(raised.value))
    assert url is not None
    with open_store(url[0]) as store:
        assert store.database.list_paths() == [("p",)]


@pytest.mark.parametrize("name", ["a b", "100% sure", "naïve ☃", "a#b", "a?b", "a*b", "a=b", "{x}", "<a>"])
def test_a_folder_may_have_any_name(name: str, tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path / name) as database:
        database.add_records(("p",), _ROW)
    with DeltaDatabase(tmp_path / name) as database:
        assert database.get_records(("p",)).equals(_ROW)
        assert database.list_paths() == [("p",)]
    assert DeltaTableSource(tmp_path / name / "p.delta", ["key"]).as_table().num_rows == 1
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["[x]", "a|b", "^x", "lab/[x]/store"])
def test_a_folder_in_which_deltalake_cannot_write_is_refused(name: str, tmp_path: Path) -> None:
    """Before anything is made there; a table that was copied there is read all the same."""
    with pytest.raises(DatabaseError, match=r"without \[ \] \^ \|.*found .*rename"):
        DeltaDatabase(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    write_deltalake(tmp_path / "t", pa.table({"id": ["a"]}))
    (tmp_path / "t").rename(tmp_path / "[t]")
    assert DeltaTableSource(tmp_path / "[t]", ["id"]).as_table().num_rows == 1


@pytest.mark.parametrize("name", ["a%20b", "a\\b", "a\nb", "a\x7fb", "a\udcffb", "a%20b/store"])
def test_a_folder_that_deltalake_cannot_open_is_refused(name: str, tmp_path: Path) -> None:
    for opened in (DeltaDatabase, lambda location: DeltaTableSource(location, ["id"])):
        with pytest.raises(DatabaseError, match=r"expected a folder.*found.*rename"):
            opened(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "location",
    [
        "",
        "delta://",
        "delta:///",
        "delta://host/x",
        "delta:///x?y=1",
        "gcs://b/x",
        "s3://",
        "gs:///x",
        "az://",
        "a%20b",
    ],
)
def test_what_is_no_location_is_refused(location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatabaseError, match="expected"):
        DeltaDatabase(location)
    assert list(tmp_path.iterdir()) == []


def test_a_url_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(DatabaseError) as caught:
        DeltaDatabase("s3://me:hunter2@bucket/x")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["aws_secret_access_key", "AWS_ACCESS_KEY_ID", "aws_session_token", "password"])
def test_credentials_belong_into_the_environment(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=f"{name}.*environment") as caught:
        DeltaDatabase(tmp_path, {name: "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("description", "error", "message"),
    [
        ('{"format": 99}', StoreVersionError, "format 99.*upgrade"),
        ('{"format": 1}', StoreVersionError, "format 1, written by an older.*give another store"),
        ("what", DatabaseError, "what"),
    ],
)
def test_another_format_is_refused(tmp_path: Path, description: str, error: type[DatabaseError], message: str) -> None:
    write_deltalake(tmp_path / ".orcapod", pa.table({"format": [1]}), description=description)
    with pytest.raises(error, match=message):
        DeltaDatabase(tmp_path)


def test_a_store_is_looked_into_by_its_configuration(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        config = database.at("lab").to_config()
        database.add_records(("lab", "p"), pa.table({"key": ["a"]}))
    with open_store(config) as store:
        assert store.database.list_paths() == [("p",)]
    assert op.verify_store(config).records == 1


def test_a_store_is_looked_into_by_a_url_in_capitals(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("p",), _ROW)
    with open_store(f"DELTA:///{tmp_path}") as store:
        assert store.database.list_paths() == [("p",)]


def test_a_folder_that_is_no_store_is_not_made_one(tmp_path: Path) -> None:
    """Whoever looks into a store writes nothing, whatever it is that he was led to."""
    (tmp_path / "data.csv").write_text("a")
    for look in (op.open_store, op.verify_store, op.remove_orphans):
        for location in (f"delta:///{tmp_path}", f"DELTA:///{tmp_path}", {"type": "delta", "path": str(tmp_path)}):
            with pytest.raises(DatabaseError, match=f"there is no store in {tmp_path}.*nothing was made there"):
                look(location)
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_tables_of_others_are_left_alone(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "mine", pa.table({"x": [1]}))
    with pytest.raises(DatabaseError, match="DeltaTableSource"):
        DeltaDatabase(tmp_path / "mine")
    write_deltalake(tmp_path / "store" / "p.delta", pa.table({"x": [1]}))
    database = DeltaDatabase(tmp_path / "store")
    with pytest.raises(DatabaseError, match="'x'.*DeltaTableSource"):
        database.add_records(("p",), _ROW)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_may_not_use_it(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        child = os.fork()
        if child == 0:
            try:
                database.list_paths()
            except DatabaseError as error:
                os._exit(0 if "forked" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert database.list_paths() == []


def test_a_forgotten_store_commits_what_waits(tmp_path: Path) -> None:
    database = DeltaDatabase(tmp_path)
    database.add_records(("p",), _ROW)
    del database
    gc.collect()
    with DeltaDatabase(tmp_path) as again:
        assert again.get_records(("p",)).equals(_ROW)


def test_a_write_that_fails_is_an_error_and_nothing_is_lost(tmp_path: Path) -> None:
    """What could not be committed still waits for the next flush."""
    database = DeltaDatabase(tmp_path)
    database.add_records(("p",), _ROW)
    (tmp_path / "p.delta").rmdir()
    (tmp_path / "p.delta").write_text("in the way")
    with pytest.raises(DatabaseError, match=r"p\.delta"):
        database.flush()
    (tmp_path / "p.delta").unlink()
    database.close()
    with DeltaDatabase(tmp_path) as again:
        assert again.get_records(("p",)).equals(_ROW)


def test_a_panic_of_deltalake_is_an_error_of_the_store(tmp_path: Path) -> None:
    """Not a ``BaseException`` that nobody expects; the rows wait on."""
    table = BufferedTable(("p",), Location(str(tmp_path / "[x]"), {}), 1 << 20)
    table.add(_ROW, "skip")
    for _ in range(2):
        with pytest.raises(DatabaseError, match=r"p\.delta: Invalid object store url"):
            table.commit()
    assert table.get(None, None).equals(_ROW)
