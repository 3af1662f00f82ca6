"""Object storage of Google and Azure: the same store, by credentials from the environment."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen
from xml.sax.saxutils import escape

import pyarrow as pa
import pytest

from orcapod.databases import open_database
from orcapod.errors import DatabaseError
from orcapod_delta import DeltaDatabase, DeltaTableSource
from orcapod_delta.locations import Location

_DATE = "Wed, 01 Jan 2020 00:00:00 GMT"


class ObjectStorage(ThreadingHTTPServer):
    """Objects in memory behind the HTTP interfaces of Google and Azure, as far as a store asks for them.

    It is on loopback; buckets and containers are there as soon as they are named.

    Attributes:
        objects: content by path, ``/bucket/name``.
        authorized: the headers by which requests were authorized.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.authorized: set[str] = set()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def do_GET(self) -> None:
        if self.path == "/?authorized":
            self._answer(200, json.dumps(sorted(self.server.authorized)).encode())
            return
        self.server.authorized.add(self.headers.get("Authorization", "").partition(" ")[0])
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if "list-type" in query or query.get("comp") == "list":
            self._answer(200, self._listed(unquote(url.path).strip("/"), query).encode())
            return
        content = self.server.objects.get(unquote(url.path))
        if content is None:
            self._answer(404)
        elif found := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", self.headers.get("x-ms-range", ""))):
            size = len(content)
            first = int(found[1]) if found[1] else size - int(found[2])
            last = min(size, int(found[2]) + 1) if found[1] and found[2] else size
            self._answer(206, content[first:last], {"Content-Range": f"bytes {first}-{last - 1}/{size}"})
        else:
            self._answer(200, content)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        path, content = unquote(urlsplit(self.path).path), self.rfile.read(int(self.headers["Content-Length"]))
        only_new = "0" in (self.headers.get("x-goog-if-generation-match"),) or self.headers.get("If-None-Match") == "*"
        with self.server.lock:
            if only_new and path in self.server.objects:
                self._answer(412 if "x-goog-if-generation-match" in self.headers else 409)
                return
            self.server.objects[path] = content
        self._answer(201)

    def do_DELETE(self) -> None:
        self._answer(202 if self.server.objects.pop(unquote(urlsplit(self.path).path), None) is not None else 404)

    def _listed(self, bucket: str, query: Mapping[str, str]) -> str:
        start = f"/{bucket}/"
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = query.get("start-after", query.get("startFrom", ""))
        names = sorted(path.removeprefix(start) for path in self.server.objects if path.startswith(start + prefix))
        folders = {
            prefix + rest.partition("/")[0] + "/"
            for name in names
            if delimiter and "/" in (rest := name.removeprefix(prefix))
        }
        files = [
            (name, len(self.server.objects[start + name]))
            for name in names
            if name > after and not any(name.startswith(folder) for folder in folders)
        ]
        if "list-type" in query:
            found = "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in folders)
            found += "".join(
                f"<Contents><Key>{escape(name)}</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified>"
                f'<ETag>"e"</ETag><Size>{size}</Size></Contents>'
                for name, size in files
            )
            return f"<ListBucketResult>{found}</ListBucketResult>"
        found = "".join(f"<BlobPrefix><Name>{escape(each)}</Name></BlobPrefix>" for each in folders)
        found += "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{_DATE}</Last-Modified>"
            f"<Content-Length>{size}</Content-Length><Content-Type>a/b</Content-Type><Etag>e</Etag></Properties></Blob>"
            for name, size in files
        )
        return f"<EnumerationResults><Blobs>{found}</Blobs><NextMarker/></EnumerationResults>"

    def _answer(self, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        about = {"Content-Length": str(len(content)), "Last-Modified": _DATE, "ETag": '"e"', **(headers or {})}
        for name, value in about.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server in a process of its own: deltalake may hold this one up while it waits for an answer."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate("")


@pytest.fixture(params=["gs", "az"])
def options(
    request: pytest.FixtureRequest,
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[str, dict[str, str]]:
    """A scheme, what is given as options, and all else in the environment."""
    if request.param == "gs":
        key = tmp_path / "account.json"
        account = {"gcs_base_url": server, "disable_oauth": True, "client_email": "", "private_key": "hunter2"}
        key.write_text(json.dumps({**account, "private_key_id": ""}))
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(key))
        return "gs", {}
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMg==")
    return "az", {"azure_storage_account_name": "lab", "azure_endpoint": server, "allow_http": "true"}


def rows(*keys: str) -> pa.Table:
    return pa.table({"key": list(keys), "n": range(len(keys))})


def test_a_store_in_a_bucket_or_container(options: tuple[str, dict[str, str]], server: str) -> None:
    """Written, listed, grown, deleted from and opened again; read as a source."""
    scheme, given = options
    with DeltaDatabase(f"{scheme}://of-{scheme}/a", given) as database:
        assert database.add_records(("p",), rows("b", "a")) == 2
        database.flush()
        assert database.add_records(("p",), rows("a", "c")) == 1
        database.flush()
        assert database.list_paths() == [("p",)]
        assert database.delete_records(("p",), ["b"]) == 1
        config = json.loads(json.dumps(dict(database.to_config())))
    assert config["path"] == f"{scheme}://of-{scheme}/a"
    assert config.get("storage_options", {}) == given
    assert "hunter2" not in str(config)
    assert "aHVudGVyMg" not in str(config)
    with open_database(config) as again:
        assert again.get_records(("p",))["key"].to_pylist() == ["a", "c"]
    source = DeltaTableSource(f"{scheme}://of-{scheme}/a/p.delta", ["key"], storage_options=given)
    assert source.as_table()["key"].to_pylist() == ["a", "c"]
    with urlopen(f"{server}/?authorized") as answer:
        assert ("" if scheme == "gs" else "SharedKey") in json.load(answer), "by what the environment says"


def test_two_writers_never_add_a_key_twice(options: tuple[str, dict[str, str]]) -> None:
    scheme, given = options
    one, two = (DeltaDatabase(f"{scheme}://of-{scheme}/b", given) for _ in range(2))
    for database, keys in ((one, "ab"), (two, "bc"), (one, "cd")):
        database.add_records(("p",), rows(*keys))
    two.flush()
    one.flush()
    for database in (one, two):
        assert sorted(database.get_records(("p",))["key"].to_pylist()) == ["a", "b", "c", "d"]
        database.close()


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("gs://lab/a/b", "gs://lab/a/b"),
        ("delta+gs://lab/a//b/", "gs://lab/a/b"),
        ("az://lab", "az://lab"),
        ("delta+az://lab/a", "az://lab/a"),
        ("delta+s3://lab/a", "s3://lab/a"),
        ("s3a://lab/a", "s3://lab/a"),
    ],
)
def test_urls_of_object_storage_are_no_folders(url: str, uri: str) -> None:
    location = Location.of(url, {"google_bucket": "x"})
    assert (location.uri, location.table_uri, location.folder) == (uri, uri, None)
    assert location.below("p.delta").uri == f"{uri}/p.delta"


@pytest.mark.parametrize("url", ["gs://me:hunter2@lab/a", "az://lab/a?sig=hunter2", "gs://lab/a#hunter2"])
def test_a_url_with_a_secret_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        open_database(url.replace("gs:", "delta+gs:").replace("az:", "delta+az:"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["google_application_credentials", "azure_storage_account_key", "azure_storage_sas_key", "sas_token"]
)
def test_credentials_belong_into_the_environment(name: str) -> None:
    found: Any
    with pytest.raises(DatabaseError, match=f"{name}.*environment.*GOOGLE_APPLICATION_CREDENTIALS") as found:
        DeltaDatabase("gs://lab/a", {name: "hunter2"})
    assert "hunter2" not in str(found.value)


if __name__ == "__main__":
    with ObjectStorage() as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        print(served.url, flush=True)
        sys.stdin.read()
