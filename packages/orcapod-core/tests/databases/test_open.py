"""``open_database`` finds the store by scheme, file or configuration."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from orcapod.databases import MemoryDatabase, SQLiteDatabase, open_database
from orcapod.errors import DatabaseError, PluginError


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("place", "file"),
    [
        ("sqlite:///{folder}/a b.db", "a b.db"),
        ("sqlite:///lab.db", "lab.db"),
        ("SQLITE:///lab.db", "lab.db"),
        ("lab.db", "lab.db"),
        ("results/2024/lab.db", "results/2024/lab.db"),
        (Path("results/lab.db"), "results/lab.db"),
        ("{folder}/lab.db", "lab.db"),
    ],
)
def test_sqlite_by_url_or_path(place: str | Path, file: str, tmp_path: Path) -> None:
    """Folders that are not there are made, once something is to be written."""
    place = place.format(folder=tmp_path) if isinstance(place, str) else place
    with open_database(place) as database:
        assert isinstance(database, SQLiteDatabase)
        assert not (tmp_path / file).exists()
        database.check_writable()
        assert (tmp_path / file).is_file()
        assert database.to_config() == {"type": "sqlite", "path": str(tmp_path / file), "prefix": []}


def test_memory_by_url() -> None:
    assert isinstance(open_database("memory://"), MemoryDatabase)


def test_by_configuration() -> None:
    with open_database("lab.db") as database:
        database.at("a").add_records(("p",), pa.table({"key": ["k"]}))
        config = database.at("a").to_config()
    with open_database(config) as again:
        assert again.list_paths() == [("p",)]


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("mongodb://localhost/x", "install the package that provides it"),
        ("mssql://localhost/x", "install the package that provides it"),
    ],
)
def test_an_unknown_scheme_is_named_with_the_known_ones(url: str, advice: str) -> None:
    with pytest.raises(PluginError) as caught:
        open_database(url)
    for part in (url.partition(":")[0], "memory", "sqlite", advice):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("delta", "orcapod-delta"),
        ("delta+s3", "orcapod-delta"),
        ("delta+gs", "orcapod-delta"),
        ("postgresql", "orcapod-postgres"),
    ],
)
def test_what_to_install_is_said(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: ())
    with pytest.raises(PluginError, match=f"pip install {package}$"):
        open_database(f"{name}://somewhere")


@pytest.mark.parametrize(
    "place", ["", "sqlite:lab.db", "sqlite://lab.db", "sqlite:///", "sqlite:///x.db?mode=ro", {"path": "x"}]
)
def test_what_is_neither_is_refused(place: str, tmp_path: Path) -> None:
    """And no file of a strange name appears."""
    with pytest.raises(DatabaseError, match="expected"):
        open_database(place)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [":memory:", "sqlite:///:memory:"])
def test_sqlite_in_memory_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="memory://"):
        open_database(place)
    assert list(tmp_path.iterdir()) == []
