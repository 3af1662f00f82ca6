"""Connection strings without their secrets, and paths in a person's words; no server needed."""

from __future__ import annotations

import pytest

from orcapod_postgres.comments import described
from orcapod_postgres.conninfo import connection_parameters, shown, split_url, without_secrets


@pytest.mark.parametrize("password", ["hunter2", "p@ss:word/?#[]%", " '\\ "])
def test_no_secret_is_left(password: str) -> None:
    secrets = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
    kept = without_secrets(
        {"host": "h", "sslkey": "k.pem", "sslmode": "verify-full", **dict.fromkeys(secrets, password)}
    )
    assert kept == {"host": "h", "sslkey": "k.pem", "sslmode": "verify-full"}
    assert password not in shown({"host": "h", "user": "u", "password": password})


def test_a_url_is_read() -> None:
    found = connection_parameters("postgresql://u:p%40@h:1/d?sslmode=require&application_name=a%20b")
    assert found == {
        "user": "u",
        "password": "p@",
        "host": "h",
        "port": "1",
        "dbname": "d",
        "sslmode": "require",
        "application_name": "a b",
    }
    assert connection_parameters(None) == {}


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("postgresql://h/a%40b", "dbname", "a@b"),
        ("postgresql://u@h/x?user=me@server", "user", "me@server"),
        ("postgresql://u:p#?&@h1:1,h2:2/x", "password", "p#?&"),
        ("postgresql://h1:1,h2:2/x", "port", "1,2"),
        ("host=@abstract dbname=a@b", "host", "@abstract"),
        ("host=@abstract dbname=a@b", "dbname", "a@b"),
    ],
)
def test_signs_that_mean_nothing_are_understood(text: str, name: str, value: str) -> None:
    assert connection_parameters(text)[name] == value


@pytest.mark.parametrize(
    ("url", "rest", "schema"),
    [
        ("postgres://h/d", "postgres://h/d", None),
        ("postgres://h/d?schema=a", "postgres://h/d", "a"),
        ("postgres://u:p?schema=b@h/d?schema=a", "postgres://u:p?schema=b@h/d", "a"),
        ("postgres://h/d?a=b%20c+&schema=x%2By&d=e", "postgres://h/d?a=b%20c+&d=e", "x+y"),
    ],
)
def test_the_schema_is_an_option_of_ours(url: str, rest: str, schema: str | None) -> None:
    assert split_url(url) == (rest, schema)


def test_paths_are_described() -> None:
    uri = ("double", "0123", "v0", "python")
    assert described(("a", "b", "_result", *uri)).startswith(
        "orcapod: results of function double of pipeline a/b; path"
    )
    assert described(("a", *uri, "schema:01")).startswith("orcapod: rows of node double of pipeline a; path")
    assert described(("a", "_runs")) == 'orcapod: runs of pipeline a; path ["a", "_runs"]'
    assert described(("x\0",)) == 'orcapod: records; path ["x\\u0000"]'
