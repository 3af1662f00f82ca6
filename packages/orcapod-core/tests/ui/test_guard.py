"""A page is seen by whoever has its token, on this machine, and nothing can be changed by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import ConfigError
from orcapod.ui import app

TOKEN = "a-token"


def visitor(host: str = "127.0.0.1:8765") -> TestClient:
    return TestClient(app(op.open_store(MemoryDatabase()), TOKEN), base_url=f"http://{host}", follow_redirects=False)


def test_nothing_is_seen_without_the_token() -> None:
    client = visitor()
    for address in ("/", "/?token=another", "/?token=", "/?token=%ff%00", "/run?run=1", "/nowhere", "/script.js"):
        answer = client.get(address)
        assert answer.status_code == 403
        assert "token" in answer.text
        assert "set-cookie" not in answer.headers
    assert client.get("/", headers={"cookie": f"orcapod={TOKEN}"}).status_code == 403


def test_the_token_leaves_the_address_for_a_cookie_that_no_script_and_no_other_site_has() -> None:
    client = visitor()
    entered = client.get(f"/logs?run=a%26b&token={TOKEN}&q=x")
    assert (entered.status_code, entered.headers["location"]) == (303, "/logs?run=a%26b&q=x")
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/").status_code == 200


def test_the_way_after_the_token_leads_to_no_other_site() -> None:
    for path in ("//elsewhere.org/", "///elsewhere.org", "/\\elsewhere.org"):
        location = visitor().get(f"http://127.0.0.1:8765{path}?token={TOKEN}").headers["location"]
        assert location.startswith("/")
        assert not location.startswith(("//", "/\\"))


@pytest.mark.parametrize("host", ["elsewhere.org", "elsewhere.org:8765", "127.0.0.1.elsewhere.org", "localhost.org:1"])
def test_a_name_of_another_host_is_refused_though_it_leads_here(host: str) -> None:
    answer = visitor(host).get(f"/?token={TOKEN}")
    assert answer.status_code == 421
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:80", "localhost:8765", "[::1]:8765"])
def test_every_name_of_this_machine_is_taken(host: str) -> None:
    assert visitor(host).get(f"/?token={TOKEN}").status_code == 303


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"])
def test_nothing_but_looking_is_allowed(method: str) -> None:
    answer = visitor().request(method, f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_a_head_has_the_headers_and_no_page() -> None:
    client = visitor()
    client.get(f"/?token={TOKEN}")
    answer = client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")


def test_every_answer_forbids_what_it_does_not_need() -> None:
    client = visitor()
    answers = [
        client.get("/"),
        client.post("/"),
        client.get(f"/?token={TOKEN}"),
        client.get("/"),
        client.get("/nowhere"),
    ]
    answers.append(visitor("elsewhere.org").get("/"))
    for answer in answers:
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_a_socket_is_not_opened() -> None:
    with pytest.raises(WebSocketDisconnect), visitor().websocket_connect(f"/?token={TOKEN}"):
        pass


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="store"):
        app(tmp_path, TOKEN)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="token"):
        app(op.open_store(MemoryDatabase()), "")
