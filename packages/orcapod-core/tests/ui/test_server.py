"""The server listens on this machine alone, says what is wrong before it starts, and what is missing."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import ConfigError, DatabaseError
from orcapod.sources import DictSource
from orcapod.ui import serve
from orcapod.ui.application import application
from orcapod.ui.view import CurrentView


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}: Address already in use; give another") as raised:
            serve(MemoryDatabase(), port=port, open_browser=False)
    assert raised.value.found == str(port)


@pytest.mark.parametrize("port", [-1, 65_536, "80", None, 1.5])
def test_a_port_is_a_number(port: object) -> None:
    with pytest.raises(ConfigError, match="port"):
        serve(MemoryDatabase(), port=port, open_browser=False)  # type: ignore[arg-type]


def test_a_store_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="there is no store"):
        serve(tmp_path / "none.db", open_browser=False)
    assert not [*tmp_path.iterdir()]


def test_nothing_listens_for_other_machines() -> None:
    """The address is told once the socket is open, and a browser that is told of it need not wait."""
    told: list[str] = []

    def announce(url: str) -> None:
        told.append(url)
        host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
        assert host == "127.0.0.1"
        with socket.create_connection((host, int(port))), pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", int(port)))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(MemoryDatabase(), open_browser=False, announce=announce)
    assert len(told) == 1
    assert len(told[0].partition("token=")[2]) >= 32


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_what_is_not_installed_is_named_with_how_to_install_it(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; import orcapod.ui as ui; ui.serve"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert f"served by {missing}, which is not installed" in done.stderr
    assert "pip install 'orcapod-core[ui]'" in done.stderr


def test_the_command_says_in_a_line_what_is_wrong(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "orcapod.ui", "--store", str(tmp_path / "none.db")]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("there is no store at")
    assert len(done.stderr.splitlines()) == 1


def test_the_door_gives_the_application_though_the_server_was_asked_for_first() -> None:
    program = "import orcapod.ui as ui; ui.serve; assert callable(ui.app)"
    subprocess.run([sys.executable, "-c", program], check=True)


def named_run(path: Path, note: str) -> None:
    @op.function_pod(output_keys="y")
    def twice(x: int) -> int:
        return 2 * x

    with op.Pipeline("lab", path) as pipeline:
        twice.pod(DictSource([{"i": 1, "x": 2}], ["i"], source_id="s"), label="twice")
    pipeline.run(note=note, progress=False)
    pipeline.database.close()


def test_the_store_that_is_there_now_is_shown_and_none_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    named_run(path, "the first store")
    with closing(CurrentView(partial(op.open_store, path))) as current:
        client = TestClient(application(current, "a-token"), base_url="http://127.0.0.1")
        assert "the first store" in client.get("/?token=a-token").text
        path.rename(tmp_path / "moved.db")
        gone = client.get("/")
        assert gone.status_code == 500
        assert "there is no store at" in gone.text
        assert not path.exists()
        named_run(path, "the second store")
        assert "the second store" in client.get("/").text
        assert "the first store" not in client.get("/").text
        path.unlink()
