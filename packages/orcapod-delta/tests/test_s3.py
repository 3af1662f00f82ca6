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

import orcapod as op
from orcapod.databases import open_database
from orcapod.errors import DatabaseError
from orcapod_delta import DeltaDatabase, DeltaTableSource

pytest.importorskip("moto", reason="moto[server] is not installed")

_SERVER = """
import sys
from werkzeug.serving import WSGIRequestHandler
from moto.server import ThreadedMotoServer
import boto3
requests = open(sys.argv[1], "a", buffering=1)
WSGIRequestHandler.log_request = lambda self, *_: requests.write(f"{self.command} {self.path}\\n")
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
def requests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that has a line for every request that the server was sent."""
    file = tmp_path_factory.mktemp("server") / "requests"
    file.touch()
    return file


@pytest.fixture(scope="module")
def endpoint(requests: Path) -> Iterator[str]:
    """The URL of moto's server on loopback, in a process of its own."""
    quiet = {"PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(requests)],
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


def test_a_prefix_without_a_store_is_not_made_one_by_who_looks(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="there is no store in s3://lab/.*/typo.*nothing was made there"):
        op.open_store(f"delta+s3://lab/{tmp_path.name}/typo")
    with open_database(f"delta+s3://lab/{tmp_path.name}") as database:
        assert database.list_paths() == []
    with op.open_store(f"delta+s3://lab/{tmp_path.name}") as store:
        assert store.pipelines() == []


def test_a_bucket_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DatabaseError, match="nowhere"):
        DeltaDatabase("s3://nowhere/x")


def test_a_bucket_is_not_asked_before_whether_it_may_be_written_to(tmp_path: Path, requests: Path) -> None:
    """Its first write tells; to list all tables would be requests in every run."""
    with DeltaDatabase(f"s3://lab/{tmp_path.name}/w") as database:
        database.add_records(("p",), _rows("a"))
        database.flush()
        before = requests.read_text()
        database.check_writable()
        assert requests.read_text() == before
    with pytest.raises(DatabaseError, match="closed"):
        database.check_writable()


def test_requests_stay_the_same_however_many_nights_there_were(tmp_path: Path, requests: Path) -> None:
    """Every night is a process of its own: it looks up what is there, adds a row, and later finds nothing new.

    Nights differ by what is maintained in them, in turns of a few nights; turns do not.
    """

    def sent_in(night: int) -> tuple[int, int]:
        """Return how many requests a night sent, and one after it in which nothing is new."""
        counts = []
        for _ in range(2):
            before = len(requests.read_text().splitlines())
            with DeltaDatabase(f"s3://lab/{tmp_path.name}/n") as database:
                there = database.get_records_by_ids(("p",), ["0", f"{night}"])
                assert there.num_rows == (2 if counts else 1)
                assert database.add_records(("p",), _rows("0", f"{night}")) == 1 - len(counts)
            counts.append(len(requests.read_text().splitlines()) - before)
        return counts[0], counts[1]

    with DeltaDatabase(f"s3://lab/{tmp_path.name}/n") as database:
        database.add_records(("p",), _rows("0"))
    early = [sent_in(night) for night in range(3, 11)]
    with DeltaDatabase(f"s3://lab/{tmp_path.name}/n", buffer_bytes=0) as database:
        for night in range(11, 35):
            database.add_records(("p",), _rows(f"{night}"))
    late = [sent_in(night) for night in range(35, 41)]
    for first, last in zip(zip(*early, strict=True), zip(*late, strict=True), strict=True):
        assert max(last) <= max(first) + 25
    assert max(unchanged for _, unchanged in late) <= 40


def test_a_writer_that_did_not_look_again_is_told_by_its_commit(tmp_path: Path) -> None:
    """It takes a key as new that somebody committed meanwhile; the row that was first stays, and both read it."""
    one, two = (DeltaDatabase(f"s3://lab/{tmp_path.name}/d") for _ in range(2))
    one.add_records(("p",), _rows("a"))
    one.flush()
    assert two.add_records(("p",), _rows("a")) == 0
    one.add_records(("p",), pa.table({"key": ["b"], "n": pa.array([7], pa.uint64())}))
    one.flush()
    two.add_records(("p",), _rows("b", "c"))
    two.flush()
    one.add_records(("p",), _rows("d", "c"))
    one.flush()
    for database in (one, two):
        rows = database.get_records(("p",)).to_pylist()
        assert [(row["key"], row["n"]) for row in rows] == [("a", 0), ("b", 7), ("c", 1), ("d", 0)]
        database.close()
