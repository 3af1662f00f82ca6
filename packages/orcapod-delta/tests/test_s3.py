"""Object storage: the same store over HTTP, on a server that speaks S3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from orcapod.databases import open_database
from orcapod.errors import DatabaseError
from orcapod_delta import DeltaDatabase, DeltaTableSource

pytest.importorskip("moto", reason="moto[server] is not installed")

_SERVER = """
import sys
from moto.server import ThreadedMotoServer
import boto3
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://127.0.0.1:{port}"
boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="lab")
print(url, flush=True)
sys.stdin.read()
"""
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "hunter2"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The URL of moto's server on loopback, in a process of its own."""
    quiet = {"PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **_CREDENTIALS, **quiet},
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert url, "moto's server did not start; moto[server] is needed"
        yield url
        server.communicate("")


@pytest.fixture(autouse=True)
def environment(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials come from the environment, and so may the rest."""
    for name, value in {**_CREDENTIALS, "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")


def _rows(*keys: str) -> pa.Table:
    return pa.table({"key": list(keys), "n": pa.array(range(len(keys)), pa.uint64())})


def test_a_store_in_a_bucket(tmp_path: Path) -> None:
    """Written, listed, grown, deleted from, put in order and opened again; read as a source; nothing on disk."""
    with open_database(f"delta+s3://lab/{tmp_path.name}/a") as database:
        assert isinstance(database, DeltaDatabase)
        view = database.at("B b")
        assert view.add_records(("p",), _rows("b", "a")) == 2
        database.flush()
        assert view.add_records(("p",), pa.table({"key": ["a", "c"], "new": [[1], [2]]})) == 1
        database.add_records(("q", "r"), _rows("x"))
        database.flush()
        assert database.list_paths() == [("B b", "p"), ("q", "r")]
        assert view.delete_records(("p",), ["b"]) == 1
        assert database.compact() == 0
        database.checkpoint()
        assert database.vacuum(timedelta(0)) >= 2
        config = json.loads(json.dumps(dict(view.to_config())))
    assert config == {"type": "delta", "path": f"s3://lab/{tmp_path.name}/a", "prefix": ["B b"]}
    with open_database(config) as again:
        expected = [{"key": "a", "n": 1, "new": None}, {"key": "c", "n": None, "new": [2]}]
        assert again.get_records(("p",)).to_pylist() == expected
        assert again.get_records_by_ids(("p",), ["c", "b"], ["new"]).to_pylist() == [{"key": "c", "new": [2]}]
    source = DeltaTableSource(f"s3://lab/{tmp_path.name}/a/q/r.delta", ["key"], columns=["key", "n"])
    assert source.as_table().to_pylist() == [{"key": "x", "n": 0}]
    assert list(tmp_path.iterdir()) == []


def test_two_writers_never_add_a_key_twice(tmp_path: Path) -> None:
    """The server itself refuses a second commit of the same version."""
    one, two = (DeltaDatabase(f"s3://lab/{tmp_path.name}/b") for _ in range(2))
    for database, keys in ((one, "ab"), (two, "bc"), (one, "cd"), (two, "de")):
        database.add_records(("p",), _rows(*keys))
    two.flush()
    one.flush()
    for database in (one, two):
        assert database.get_records(("p",))["key"].to_pylist() == ["b", "c", "d", "e", "a"]
        database.close()


def test_options_that_are_no_secret_are_kept(tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    options = {"aws_endpoint_url": endpoint, "aws_allow_http": "true", "timeout": "20s"}
    with DeltaDatabase(f"s3://lab/{tmp_path.name}/c", options) as database:
        database.add_records(("p",), _rows("a"))
        config = database.to_config()
    assert "hunter2" not in json.dumps(dict(config))
    assert config["storage_options"] == {"aws_endpoint_url": endpoint, "aws_allow_http": "true"}
    with DeltaDatabase.from_config(config) as again:
        assert again.get_records(("p",)).num_rows == 1


def test_a_bucket_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DatabaseError, match="nowhere"):
        DeltaDatabase("s3://nowhere/x")
