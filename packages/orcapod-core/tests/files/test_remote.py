"""Files on object storage: uploaded before they are recorded, downloaded when they are opened. The server speaks S3."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

import orcapod as op
from orcapod.errors import ValueTypeError
from orcapod.executors import LocalExecutor
from orcapod.sources import DictSource

boto3 = pytest.importorskip("boto3", reason="boto3 and moto[server] are not installed")

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
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **_CREDENTIALS, "PYTHONWARNINGS": "ignore"},
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert url, "moto's server did not start; moto[server] is needed"
        yield url
        server.communicate("")


@pytest.fixture(autouse=True)
def environment(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**_CREDENTIALS, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ORCAPOD_CACHE", str(tmp_path / "cache"))


@op.function_pod(output_keys=["figure", "tiles"])
def draw(x: str) -> tuple[op.File, list[op.Directory]]:
    figure, tiles = op.output_path("figure.txt"), op.output_path("tiles")
    figure.write_text(f"x = {x}")
    (tiles / "deep").mkdir(parents=True)
    (tiles / "deep" / "tile.txt").write_text(f"tile of {x}")
    (tiles / "nothing").mkdir()
    return op.File(figure), [op.Directory(tiles)]


@op.function_pod(output_keys="length")
def measure(figure: Path, tiles: list[Path]) -> int:
    return len(figure.read_text()) + len((tiles[0] / "deep" / "tile.txt").read_text())


class Lab:
    """A bucket, a store, and a machine with a cache."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self.url = f"s3://lab/{folder.name}/files"
        self.bucket = boto3.resource("s3", endpoint_url=endpoint, region_name="us-east-1").Bucket("lab")

    def objects(self) -> dict[str, Any]:
        found = self.bucket.objects.filter(Prefix=f"{self.folder.name}/files/")
        return {each.key.removeprefix(f"{self.folder.name}/files/"): each for each in found}

    def run(self, *, measured: bool = True, executor: Any = None) -> tuple[op.Pipeline, op.RunResult]:
        pipeline = op.Pipeline("lab", self.folder / "lab.db", files=self.url)
        with pipeline:
            rows = [{"i": i, "x": f"{self.folder.name} {i}"} for i in range(3)]  # nobody else has such files
            drawn = draw.pod(DictSource(rows, ["i"], source_id="s"), label="drawn")
            if measured:
                measure.pod(drawn, label="lengths")
        result = pipeline.run(execution_engine=executor)
        result.raise_for_errors()
        return pipeline, result

    def move(self, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Go to another machine, whose cache is empty; return that."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        monkeypatch.setenv("ORCAPOD_CACHE", str(self.folder / "elsewhere"))
        return self.folder / "elsewhere"


@pytest.fixture
def lab(tmp_path: Path, endpoint: str) -> Lab:
    return Lab(tmp_path, endpoint)


def check(pipeline: op.Pipeline) -> None:
    """Check that all files have what was written into them."""
    rows = [packet for _, packet in pipeline["drawn"].iter_packets()]
    for row, x in zip(rows, [f"{pipeline.database.files_folder.parent.name} {i}" for i in range(3)], strict=True):
        assert row["figure"].path.read_text() == f"x = {x}"
        assert (row["tiles"][0].path / "deep" / "tile.txt").read_text() == f"tile of {x}"
        assert (row["tiles"][0].path / "nothing").is_dir()


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_files_of_a_bucket_are_opened_on_any_machine(
    lab: Lab, kind: Literal["thread", "process"], monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalExecutor(1, kind) as executor:
        pipeline, _ = lab.run(measured=False, executor=executor)
    check(pipeline)
    names = [key.split("/", 2)[2] for key in lab.objects() if key.endswith(".txt")]
    assert sorted(names) == ["figure.txt"] * 3 + ["tiles/deep/tile.txt"] * 3
    cache = lab.move(monkeypatch)
    pipeline, result = lab.run(measured=False)
    assert result.counts("drawn") == {**result.counts("drawn"), "computed": 0, "cached": 3}
    assert not list(cache.rglob("*.txt")), "what nobody opens is not downloaded"
    pipeline, result = lab.run()
    assert (result.counts("drawn")["computed"], result.counts("lengths")["computed"]) == (0, 3)
    check(pipeline)
    figure = next(iter(pipeline["drawn"].iter_packets()))[1]["figure"].path
    assert figure.is_relative_to(cache)
    assert not figure.stat().st_mode & 0o222


def test_what_is_lost_or_changed_in_a_bucket_is_noticed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.run()
    first, second, _ = sorted(key for key in lab.objects() if key.endswith("figure.txt"))
    lab.objects()[first].delete()
    lab.move(monkeypatch)
    pipeline, result = lab.run()
    assert result.counts("drawn")["computed"] == 1, "a lost one is made again"
    check(pipeline)
    lab.objects()[second].put(Body=b"forged")
    shutil.rmtree(lab.folder / "elsewhere")
    with pytest.raises(ValueTypeError, match="it has changed: found sha256:"):
        check(pipeline)


def test_orphans_in_a_bucket_are_listed_and_removed(lab: Lab) -> None:
    pipeline, _ = lab.run()
    assert op.verify_store(pipeline.database, files=lab.url).findings == ()
    orphan = f"ab/{'ab' * 32}/old.txt"
    lab.bucket.put_object(Key=f"{lab.folder.name}/files/{orphan}", Body=b"left")
    for other in ("01/ses-1/t1.nii", f"ab/{'cd' * 32}/t1.nii"):
        lab.bucket.put_object(Key=f"{lab.folder.name}/files/{other}", Body=b"my only copy")
    kept = lab.objects().keys() - {orphan}
    assert op.remove_orphans(pipeline.database, files=lab.url) == [], "they may be those of a run that is under way"
    (removed,) = op.remove_orphans(pipeline.database, files=lab.url, hours=1e-9)
    assert removed.name == "old.txt"
    assert {key for key in lab.objects() if key.endswith(".txt")} == {key for key in kept if key.endswith(".txt")}


def test_a_bucket_is_asked_only_where_somebody_names_it(lab: Lab) -> None:
    """A record of a store that one was sent may name any."""
    lab.run(measured=False)
    shutil.rmtree(lab.folder / "cache")
    program = lab.folder / "program.py"
    program.write_text(
        "import sys\n"
        "from orcapod.databases import open_database\n"
        "from orcapod.types import File, registry\n"
        "with open_database(sys.argv[1]) as database:\n"
        "    for path in database.list_paths():\n"
        "        table = database.get_records(path)\n"
        "        if 'figure' in table.column_names:\n"
        "            registry.resolve(File).to_python(table['figure'])\n"
    )
    command = [sys.executable, str(program), str(lab.folder / "lab.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert f"it is kept in {lab.url}, which nobody has named here" in done.stderr


def test_a_bucket_that_is_not_there_fails_the_packets_whose_files_it_should_have(lab: Lab) -> None:
    lab.url = "s3://nowhere/files"
    with pytest.raises(ExceptionGroup) as caught:
        lab.run()
    assert len(caught.value.exceptions) == 3
    assert all("nowhere" in str(error) for error in caught.value.exceptions)
    assert op.verify_store(lab.folder / "lab.db").ok, "nothing of them was recorded"
