"""A file is what is in it, and is read once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from orcapod.files import content_of

_OLD = 1_700_000_000_123_456_789


def write_unseen(path: Path, text: str) -> None:
    """Write to a file as nobody can see who does not read it: size, time and inode stay."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert path.stat().st_ino == before.st_ino


def made(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def digest_elsewhere(path: Path) -> str:
    """Return the digest that another process finds."""
    program = (
        f"from pathlib import Path; from orcapod.files import content_of; print(content_of(Path({str(path)!r})).digest)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return found.stdout.strip()


def test_the_digest_of_a_file_is_what_sha256sum_says(tmp_path: Path) -> None:
    content = content_of(made(tmp_path / "a", "x" * 100_000))
    assert content == (f"sha256:{sha256(b'x' * 100_000).hexdigest()}", 100_000)


def test_a_file_is_read_once_whatever_processes_ask(tmp_path: Path) -> None:
    path = made(tmp_path / "a", "one")
    first = content_of(path).digest
    write_unseen(path, "two")
    assert content_of(path).digest == first
    assert digest_elsewhere(path) == first


def test_what_another_process_has_read_is_not_read_here(tmp_path: Path) -> None:
    path = made(tmp_path / "a", "one")
    first = digest_elsewhere(path)
    write_unseen(path, "two")
    assert content_of(path).digest == first


def test_a_file_that_was_just_written_is_read_again_when_it_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for turn in range(20):
        made(path, f"{turn:03}")
        assert content_of(path).digest == f"sha256:{sha256(f'{turn:03}'.encode()).hexdigest()}"


def test_a_file_is_not_read_before_the_clock_has_left_its_time(tmp_path: Path) -> None:
    """Or it could be written to after that, in the same step of the clock, and nobody would see it."""
    path = made(tmp_path / "a", "one")
    content_of(path)
    assert time.time_ns() - path.stat().st_mtime_ns >= 20_000_000


def test_a_time_to_come_is_not_trusted(tmp_path: Path) -> None:
    path = made(tmp_path / "a", "one")
    to_come = path.stat().st_mtime_ns + 3600 * 10**9 + 1
    os.utime(path, ns=(to_come, to_come))
    first = content_of(path).digest
    write_unseen(path, "two")
    assert content_of(path).digest != first


def test_a_time_in_whole_seconds_that_is_young_is_not_trusted(tmp_path: Path) -> None:
    path = made(tmp_path / "a", "one")
    now = int(path.stat().st_mtime) * 1_000_000_000
    os.utime(path, ns=(now, now))
    first = content_of(path).digest
    write_unseen(path, "two")
    assert content_of(path).digest != first


@pytest.mark.parametrize("change", ["time", "size", "inode"])
def test_each_part_of_the_stamp_counts(tmp_path: Path, change: str) -> None:
    path = made(tmp_path / "a", "one")
    os.utime(path, ns=(_OLD, _OLD))
    first = content_of(path).digest
    other = made(tmp_path / "b", "three" if change == "size" else "two")
    os.utime(other, ns=(_OLD, _OLD + (change == "time")))
    if change == "inode":
        other.replace(path)
    else:
        path.write_bytes(other.read_bytes())
        os.utime(path, ns=(_OLD, other.stat().st_mtime_ns))
    assert content_of(path).digest != first


def test_a_cache_that_cannot_be_written_to_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCAPOD_CACHE", str(made(tmp_path / "no-folder", "")))
    path = made(tmp_path / "a", "one")
    assert content_of(path).digest == digest_elsewhere(path) == f"sha256:{sha256(b'one').hexdigest()}"


def test_a_damaged_cache_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "cache" / "files.db", "no database" * 1000)
    monkeypatch.setenv("ORCAPOD_CACHE", str(tmp_path / "cache"))
    assert content_of(made(tmp_path / "a", "one")).size == 3


def test_a_folder_is_the_tree_of_its_names_and_contents(tmp_path: Path) -> None:
    one = made(tmp_path / "one" / "deep" / "a", "x").parents[1]
    made(tmp_path / "two" / "deep" / "a", "x")
    assert content_of(one) == content_of(tmp_path / "two")
    digests = {content_of(one).digest}
    (one / "empty").mkdir()
    digests.add(content_of(one).digest)
    made(one / "deep" / "a", "y")
    digests.add(content_of(one).digest)
    (one / "deep" / "a").rename(one / "deep" / "b")
    digests.add(content_of(one).digest)
    (one / "deep" / "b").rename(one / "b")
    digests.add(content_of(one).digest)
    assert len(digests) == 5


def test_a_file_and_a_folder_never_meet(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert content_of(tmp_path / "empty").digest.startswith("tree-v1:")
    assert content_of(tmp_path / "empty").digest == (  # pinned: nothing that was ever hashed changes
        f"tree-v1:{sha256(b'tree-v1' + bytes([10])).hexdigest()}"
    )


def test_links_are_what_they_lead_to_and_rings_of_them_are_refused(tmp_path: Path) -> None:
    made(tmp_path / "data" / "a", "x")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a").symlink_to(tmp_path / "data" / "a")
    assert content_of(tmp_path / "linked") == content_of(tmp_path / "data")
    (tmp_path / "data" / "ring").symlink_to(tmp_path / "data")
    with pytest.raises(OSError, match="is a link to a folder that it lies in"):
        content_of(tmp_path / "data")


def test_what_is_neither_file_nor_folder_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="neither a file nor a folder"):
        content_of(tmp_path)
