"""Statuses: what became of every packet; one row for a fast one, two for one that was seen running."""

import pytest

from orcapod.observers import StatusObserver
from orcapod.protocols import ExecutionObserver


@pytest.fixture
def observer(database):
    observer = StatusObserver(database, cached=True)
    observer.on_run_start("run-1")
    return observer


@pytest.fixture
def view(observer):
    return observer.contextualize("hash", "label", node_path=("f", "x"))


def states(observer):
    return [(row["idx"], row["__state"]) for row in observer.get_status().to_pylist()]


def test_it_is_an_observer_that_captures_nothing(view, rows):
    assert isinstance(view, ExecutionObserver)
    assert view.create_packet_logger(*rows[0]) is None


def test_a_row_says_which_packet_and_what_became_of_it(view, rows, database):
    tag, packet = rows[1]
    view.on_packet_start("label", tag, packet)
    view.on_packet_end("label", tag, packet, packet, cached=False)
    view.flush()
    assert database.list_paths() == [("_status", "f", "x")]
    table = database.get_records(("_status", "f", "x"))
    assert table.column_names == [
        "__status_id", "__run_id", "__node_label", "__node_hash", "__timestamp", "__state", "__error",
        "idx", "key", "day", "weight",
    ]  # fmt: skip
    (row,) = table.to_pylist()
    del row["__status_id"], row["__timestamp"]
    assert row == {
        "__run_id": "run-1", "__node_label": "label", "__node_hash": "hash", "__state": "SUCCESS", "__error": None,
        "idx": "1", "key": None, "day": "2024-01-02", "weight": "1.0",
    }  # fmt: skip


def test_found_packets_are_cached(view, rows):
    for tag, packet in rows:
        view.on_packet_end("label", tag, packet, packet, cached=True)
    assert states(view) == [("0", "CACHED"), ("1", "CACHED"), ("2", "CACHED")]


def test_found_packets_have_no_row_unless_that_is_wanted(rows, database):
    """A night with nothing new costs nothing per packet."""
    StatusObserver(database).contextualize("hash", "label").on_packet_end("label", *rows[0], rows[0][1], cached=True)
    assert StatusObserver(database).get_status().num_rows == 0


def test_failures_say_why(view, rows):
    tag, packet = rows[0]
    view.on_packet_start("label", tag, packet)
    view.on_packet_crash("label", tag, packet, ZeroDivisionError("division by zero"))
    assert states(view) == [("0", "FAILED")]
    assert view.get_status()["__error"].to_pylist() == ["ZeroDivisionError: division by zero"]


def test_a_packet_that_runs_when_the_buffer_is_flushed_is_seen_running_once(view, rows, database):
    """At the time it was started, also if it is flushed again and again."""
    slow, fast = rows[:2]
    view.on_packet_start("label", *slow)
    view.on_packet_start("label", *fast)
    view.on_packet_end("label", *fast, fast[1], cached=False)
    view.flush()
    view.flush()
    assert sorted(database.get_records(("_status", "f", "x"))["__state"].to_pylist()) == ["RUNNING", "SUCCESS"]
    assert states(view) == [("0", "RUNNING"), ("1", "SUCCESS")]
    view.on_packet_end("label", *slow, slow[1], cached=False)
    assert states(view) == [("0", "RUNNING"), ("1", "SUCCESS"), ("0", "SUCCESS")]


def test_one_packet_in_two_nodes_is_two(observer, rows):
    """A fan-out: both nodes have the same chunk."""
    first, second = (observer.contextualize("h", label) for label in ("first", "second"))
    for view in (first, second):
        view.on_packet_start("any", *rows[0])
    first.on_packet_end("any", *rows[0], rows[0][1], cached=False)
    found = observer.get_status()
    assert sorted(zip(found["__node_label"].to_pylist(), found["__state"].to_pylist(), strict=True)) == [
        ("first", "SUCCESS"),
        ("second", "RUNNING"),
    ]


def test_a_failed_packet_may_be_tried_again(view, rows):
    for _ in range(2):
        view.on_packet_start("label", *rows[0])
        view.on_packet_crash("label", *rows[0], ValueError("x"))
    view.on_packet_start("label", *rows[0])
    view.on_packet_end("label", *rows[0], rows[0][1], cached=False)
    assert [state for _, state in states(view)] == ["FAILED", "FAILED", "SUCCESS"]


def test_without_a_node_events_go_under_the_label_told(observer, rows, database):
    observer.on_packet_start("label", *rows[0])
    observer.on_packet_end("label", *rows[0], rows[0][1], cached=False)
    observer.on_packet_end("label", *rows[1], rows[1][1], cached=True)
    assert states(observer) == [("0", "SUCCESS"), ("1", "CACHED")]
    assert database.list_paths() == [("_status", "label")]


def test_the_end_of_a_run_writes_what_is_left(observer, view, rows, database):
    """A packet that was given up without a word is still running, as far as anybody knows."""
    view.on_packet_start("label", *rows[0])
    view.on_packet_end("label", *rows[1], rows[1][1], cached=True)
    observer.on_run_end("run-1")
    assert database.get_records(("_status", "f", "x")).num_rows == 2
    assert states(StatusObserver(database)) == [("0", "RUNNING"), ("1", "CACHED")]


def test_statuses_can_be_asked_for_by_run_and_label(observer, view, rows):
    view.on_packet_end("label", *rows[0], rows[0][1], cached=True)
    assert observer.get_status("run-1", "label").num_rows == 1
    assert observer.get_status("run-2").num_rows == 0
    assert observer.get_status(node_label="other").num_rows == 0
