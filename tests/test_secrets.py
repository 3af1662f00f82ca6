"""No password that a user gives shows anywhere: in no message, traceback, configuration or file name."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import SQLiteDatabase, is_path, open_database
from orcapod.display import discreet
from orcapod.errors import OrcapodError
from orcapod_delta import DeltaDatabase, DeltaTableSource
from orcapod_postgres import PostgresDatabase, PostgresTableSource

PW = "hunter2XyZ"
SERVER = "127.0.0.1:1"  # nobody listens there

POSTGRES_URLS = [
    f"postgresql://u:{PW}@{SERVER}/x",
    f"POSTGRESQL://u:{PW}@{SERVER}/x",
    f"postgresql://u:{PW}/a@{SERVER}/x",
    f"postgresql://u:a/{PW}@{SERVER}/x",
    f"postgresql://u:1234/{PW}@{SERVER}/x",
    f"postgresql://u:{PW}/@{SERVER}/x",
    f"postgresql://u:a@{PW}@{SERVER}/x",
    f"postgresql://u:{PW}@a@{SERVER}/x",
    f"postgresql://u:{PW}#a@{SERVER}/x",
    f"postgresql://u:{PW}?a@{SERVER}/x",
    f"postgresql://u:a?{PW}@{SERVER}/x",
    f"postgresql://u:a?schema={PW}@{SERVER}/x",
    f"postgresql://u:a&schema={PW}@{SERVER}/x?schema=lab",
    f"postgresql://u:%{PW}@{SERVER}/x",
    f"postgresql://u:{PW}",
    f"postgresql://u:{PW}/x",
    f"postgresql://{PW}/a@h",
    f"postgresql://u:{PW}@127.0.0.1:port/x",
    f"postgresql://{SERVER}/x?password={PW}",
    f"postgresql://{SERVER}?password={PW}",
    f"postgresql://{SERVER}/x?passwort={PW}",
    f"postgresql://{SERVER}/x?user=u&password={PW}&sslmode=bad",
    f"postgresql://{SERVER}/x?sslpassword={PW}",
    f"postgres:///x?host=/nowhere&password={PW}",
]
CONNECTION_STRINGS = [
    f"host=127.0.0.1 port=1 password={PW}",
    f"password={PW}",
    f"password = {PW} host=/nowhere",
    f"host='127.0.0.1' port=1 password='{PW}'",
    f" host=/nowhere\n password={PW}",
    f"user=me password={PW} dbname=x host=/nowhere",
    f"connect_timeout=1 dbname=x password={PW} host=/nowhere",
    f"options='-c a=b' host=/nowhere password={PW}",
    f"dbname=postgresql://u:{PW}@h/x host=/nowhere",
    f"HOST=/nowhere PASSWORD={PW}",
    f"service=nothing password={PW}",
    f"host=/nowhere;password={PW}",
    f"Server=h;Database=x;User Id=u;Password={PW};",
    f"host=u:{PW}@h dbname=x",
    f"password={PW} url=http://x",
]
OTHERS = [
    f"sqlite://u:{PW}@h/x",
    f"sqlite:///x.db?password={PW}",
    f"sqlite:///u:{PW}@h?x",
    f"sqlite:u:{PW}@h/x",
    f"sqlite+pysqlcipher://:{PW}@/x.db",
    f"memory://u:{PW}@h",
    f"memory://?password={PW}",
    f"noop://u:{PW}@h",
    f"delta+s3://bucket/x?secret_access_key={PW}",
    f"delta+s3://bucket/x?a=1&aws_secret_access_key={PW}",
    f"delta+s3://bucket/x#secret={PW}",
    f"delta+s3://k:{PW}@bucket/x",
    f"delta+s3://k:a/{PW}@bucket/x",
    f"delta+s3:bucket/x?secret_access_key={PW}",
    f"s3://bucket/x?secret={PW}",
    f"s3:bucket?k={PW}",
    f"delta:///x?secret={PW}",
    f"delta://u:{PW}@h/x",
    f"delta:x?secret={PW}",
    f"postgresql:u:{PW}@h/x",
    f"postgresql:/u:{PW}@h/x",
    f"postgresql+psycopg://u:{PW}@h/x",
    f"mysql://u:{PW}@h/x",
    f"jdbc:postgresql://u:{PW}@h/x",
    f"jdbc:postgresql://h/x?user=u&password={PW}",
    f"u:{PW}@h/x",
    f"u:{PW}@h:5432/x",
    f"u:a/{PW}@h/x",
    f"//u:{PW}@h/x",
    f"://u:{PW}@h/x",
    f"u:{PW}@h://x",
]
OPENERS: dict[str, Callable[[str], Any]] = {
    "open_database": open_database,
    "path": lambda text: open_database(Path(text)),
    "Pipeline": lambda text: op.Pipeline("p", text).database,
    "configuration": lambda text: open_database({"conninfo": text}),
    "type": lambda text: open_database({"type": text}),
    "postgresql": lambda text: open_database({"type": "postgresql", "conninfo": text}),
    "bytes": lambda text: op.Pipeline("p", text.encode()),  # type: ignore[arg-type]
    "list": lambda text: op.Pipeline("p", [text]),  # type: ignore[arg-type]
    "PostgresDatabase": PostgresDatabase,
    "PostgresTableSource": lambda text: PostgresTableSource(text, "t"),
    "DeltaDatabase": DeltaDatabase,
    "DeltaTableSource": lambda text: DeltaTableSource(text, ["i"]),
}


@pytest.mark.parametrize("opener", OPENERS)
def test_no_way_of_opening_shows_a_password(
    opener: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")
    for text in [*POSTGRES_URLS, *CONNECTION_STRINGS, *OTHERS]:
        with pytest.raises(OrcapodError) as caught:
            OPENERS[opener](text)
        assert PW.lower() not in all_that_is_told(caught.value).lower(), text
    assert PW not in caplog.text
    assert not list(tmp_path.iterdir())


def all_that_is_told(error: BaseException) -> str:
    """The traceback, and what errors behind it say of which it shows nothing."""
    told, behind = "".join(traceback.format_exception(error)), error.__context__
    while behind is not None:
        told, behind = f"{told}\n{behind!r}", behind.__context__
    return told


@pytest.mark.parametrize("text", [*CONNECTION_STRINGS, "host=h", "dbname=lab user=ada", "u:p@h", "file:lab.db?mode=ro"])
def test_what_says_how_to_connect_is_no_path(text: str) -> None:
    assert not is_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "lab.db",
        "a=b.db",
        "alpha=0.1.db",
        "user=ada/2020.db",
        "data/user=ada:x@y.db",
        "data/host=a b=c.db",
        "me@home.db",
        "ada: notes.db",
        r"C:\me@home\x.db",
        "x?y#z.db",
    ],
)
def test_a_path_may_hold_strange_characters(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(open_database(text)) as database:
        assert isinstance(database, SQLiteDatabase)


def test_a_file_with_the_name_of_a_connection_string_is_opened_by_its_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OrcapodError, match=r"PGPASSWORD.*PostgresDatabase.*sqlite:///"):
        open_database("host=h dbname=x")
    with open_database("sqlite:///host=h dbname=x") as database:
        database.check_writable()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ""] == ["host=h dbname=x"]


def test_what_has_no_password_is_shown() -> None:
    assert discreet("sqlite:/x.db") == "sqlite:/x.db"
    assert discreet("pg://h/x") == "pg://h/x"
    assert discreet("pg://u:p@h/x").startswith("pg://... (not shown")
    assert discreet([1, "a"]) == "[1, 'a']"
