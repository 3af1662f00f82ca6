"""Logs: one row for every computed packet, none lost, none doubled, found again by anybody."""

import linecache
import sys
import threading
import time

import pyarrow as pa
import pytest

from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.errors import RecordSchemaError
from orcapod.observers import LoggingObserver
from orcapod.observers.buffered_table_writer import BufferedTableWriter
from orcapod.protocols import ExecutionObserver, PacketExecutionLoggerProtocol
from orcapod.sources import DictSource

QUIET = {"stdout": "", "stderr": "", "python_logs": "", "traceback": None, "success": True}


class BrokenDatabase(MemoryDatabase):
    """A store that refuses to write, or to flush, until it is mended."""

    broken = "add_records"

    def add_records(self, path, table, *, on_conflict="skip"):
        added = super().add_records(path, table, on_conflict=on_conflict) if self.broken != "before" else 0
        if self.broken in ("before", "after"):
            raise OSError("disk full")
        return added

    def flush(self):
        if self.broken == "flush":
            raise OSError("disk full")


def started(database, run_id="run-1"):
    observer = LoggingObserver(database)
    observer.on_run_start(run_id)
    return observer


def test_it_is_an_observer_with_packet_loggers(database, rows):
    observer = LoggingObserver(database)
    assert isinstance(observer, ExecutionObserver)
    assert isinstance(observer.contextualize("hash", "label"), ExecutionObserver)
    assert isinstance(observer.create_packet_logger(*rows[0]), PacketExecutionLoggerProtocol)


def test_a_row_says_which_packet_and_what_was_captured(database, rows):
    observer = started(database)
    view = observer.contextualize("hash", "label", node_path=("f", "x"))
    fields = {"stdout": "o", "stderr": "e", "python_logs": "l", "traceback": "t", "success": False}
    view.create_packet_logger(*rows[1]).record(**fields)
    observer.flush()

    assert database.list_paths() == [("_log", "f", "x")]
    table = database.get_records(("_log", "f", "x"))
    assert table.column_names == [
        "__log_id", "__run_id", "__node_label", "__node_hash", "__timestamp",
        "__stdout", "__stderr", "__python_logs", "__traceback", "__success",
        "idx", "key", "day", "weight",
    ]  # fmt: skip
    assert table.schema.field("__timestamp").type == pa.timestamp("us", "UTC")
    (row,) = table.to_pylist()
    del row["__log_id"], row["__timestamp"]
    assert row == {
        "__run_id": "run-1", "__node_label": "label", "__node_hash": "hash",
        "__stdout": "o", "__stderr": "e", "__python_logs": "l", "__traceback": "t", "__success": False,
        "idx": "1", "key": None, "day": "2024-01-02", "weight": "1.0",
    }  # fmt: skip


def test_nothing_is_written_before_the_flush(database, rows):
    observer = started(database)
    observer.contextualize("hash", "label").create_packet_logger(*rows[0]).record(**QUIET)
    assert database.list_paths() == []
    observer.on_run_end("run-1")
    assert observer.get_logs().num_rows == 1


def test_one_write_per_path(database, rows, monkeypatch):
    """Whatever the number of packets, and in every order of nodes."""
    written = []
    add = database.add_records
    monkeypatch.setattr(database, "add_records", lambda path, table: written.append(path) or add(path, table))
    observer = started(database)
    views = [observer.contextualize("h", label, node_path=(label,)) for label in ("a", "b")]
    for row in rows:
        for view in views:
            view.create_packet_logger(*row).record(**QUIET)
    observer.flush()
    assert written == [("_log", "a"), ("_log", "b")]
    assert observer.get_logs().num_rows == 6
    observer.flush()
    assert len(written) == 2


def test_one_write_for_all_views_of_a_path(database, rows, monkeypatch):
    """Another run of the node, rows of other chunks, other tags; read in the order written, within one moment, too."""
    moment = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: moment)
    written = []
    add = database.add_records
    monkeypatch.setattr(database, "add_records", lambda path, table: written.append(path) or add(path, table))
    observer = started(database)
    other = next(iter(_other_source().iter_packets()))
    for run_id in ("run-1", "run-2"):
        observer.on_run_start(run_id)
        view = observer.contextualize("h", "label", node_path=("p",))
        for row in [rows[2], other, next(iter(_other_source(2).iter_packets())), rows[1]]:
            view.create_packet_logger(*row).record(**QUIET)
    logs = observer.get_logs()
    assert written == [("_log", "p")]
    assert logs["__run_id"].to_pylist() == ["run-1"] * 4 + ["run-2"] * 4
    assert logs["idx"].to_pylist() == ["2", None, None, "1"] * 2
    assert logs["flag"].to_pylist() == [None, "True", "2", None] * 2
    assert logs["weight"].to_pylist() == [None, None, None, "1.0"] * 2


@pytest.mark.parametrize("method", [BufferedTableWriter.write, BufferedTableWriter.flush])
@pytest.mark.parametrize("line", range(1, 10))
def test_an_interrupt_at_any_line_puts_no_row_in_disorder_and_none_in_twice(database, rows, method, line):
    """A row that was being written may be missing; those before and after it are there, with what they said."""
    lines = iter(range(1, 100))

    def trace(frame, event, _):
        if frame.f_code is not method.__code__:
            return None
        # Python lets no interrupt in between a block and its end, where the line is that of its `with`.
        here = linecache.getline(frame.f_code.co_filename, frame.f_lineno).split()[0]
        if event == "line" and here != "with" and next(lines) == line:
            raise KeyboardInterrupt
        return trace

    observer = started(database)
    observer.create_packet_logger(*rows[0]).record(**{**QUIET, "stdout": "0"})
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        observer.create_packet_logger(*rows[1]).record(**{**QUIET, "stdout": "1"})
        observer.flush()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    observer.create_packet_logger(*rows[2]).record(**{**QUIET, "stdout": "2"})
    found = [(row["idx"], row["__stdout"]) for row in observer.get_logs().to_pylist()]
    assert found in ([("0", "0"), ("1", "1"), ("2", "2")], [("0", "0"), ("2", "2")])
    if method is BufferedTableWriter.flush:
        assert len(found) == 3


def test_where_rows_go(database, rows):
    """To the path of the logger, else of the view, else to a place made of what is known."""
    observer = started(database)
    observer.create_packet_logger(*rows[0]).record(**QUIET)
    observer.create_packet_logger(*rows[0], pipeline_path=("given",)).record(**QUIET)
    observer.contextualize("hash", "label").create_packet_logger(*rows[0]).record(**QUIET)
    view = observer.contextualize("hash", "label", node_path=("own",))
    view.create_packet_logger(*rows[0]).record(**QUIET)
    view.create_packet_logger(*rows[0], pipeline_path=("given",)).record(**QUIET)
    view.create_packet_logger(*rows[0], pipeline_path=("own",)).record(**QUIET)
    observer.flush()
    found = {path: database.get_records(path)["__node_label"].to_pylist() for path in database.list_paths()}
    assert found == {
        ("_log", "unbound"): [None],
        ("_log", "given"): [None, "label"],
        ("_log", "label", "hash"): ["label"],
        ("_log", "own"): ["label", "label"],
    }


def test_any_field_may_be_recorded(database, rows):
    """As text, so that two executors never disagree; the columns that are always there stay theirs."""
    view = started(database).contextualize("hash", "label")
    view.create_packet_logger(*rows[0]).record(seconds=0.5, run_id="theirs", success=1)
    view.create_packet_logger(*rows[1]).record(seconds="unknown", stdout=7)
    view.flush()
    view.create_packet_logger(*rows[2]).record(seconds=3, worker=None)
    logs = view.get_logs()
    assert logs["__seconds"].to_pylist() == ["0.5", "unknown", "3"]
    assert logs["__recorded_run_id"].to_pylist() == ["theirs", None, None]
    assert logs["__run_id"].to_pylist() == ["run-1"] * 3
    assert logs["__success"].to_pylist() == [True, None, None]
    assert logs["__stdout"].to_pylist() == [None, "7", None]


def test_text_that_is_not_unicode_is_kept_as_escapes(database, rows):
    view = started(database).contextualize("hash", "label")
    view.create_packet_logger(*rows[0]).record(stdout="\ud800é\0", success=True)
    assert view.get_logs()["__stdout"].to_pylist() == ["\\ud800é\0"]


def test_logs_of_all_nodes_in_the_order_of_time(database, rows):
    """Nodes with other tags have null there."""
    observer = started(database)
    first = observer.contextualize("h1", "first")
    second = observer.contextualize("h2", "second")
    other = next(iter(_other_source().iter_packets()))
    first.create_packet_logger(*rows[0]).record(**QUIET | {"stdout": "1"})
    second.create_packet_logger(*other).record(**QUIET | {"stdout": "2"})
    first.create_packet_logger(*rows[1]).record(**QUIET | {"stdout": "3"})
    logs = observer.get_logs()
    assert logs["__stdout"].to_pylist() == ["1", "2", "3"]
    assert logs["idx"].to_pylist() == ["0", None, "1"]
    assert logs["flag"].to_pylist() == [None, "True", None]
    assert logs["__timestamp"].to_pylist() == sorted(logs["__timestamp"].to_pylist())
    assert len(set(logs["__log_id"].to_pylist())) == 3


def _other_source(flag=True):
    return DictSource([{"flag": flag, "y": 1}], tag_columns=["flag"], source_id="other")


def test_logs_can_be_asked_for_by_run_and_label(database, rows):
    observer = LoggingObserver(database)
    for run_id in ("run-1", "run-2"):
        observer.on_run_start(run_id)
        for label in ("a", "b"):
            observer.contextualize("h", label).create_packet_logger(*rows[0]).record(**QUIET)
        observer.on_run_end(run_id)
    assert observer.get_logs().num_rows == 4
    assert observer.get_logs("run-2")["__run_id"].to_pylist() == ["run-2", "run-2"]
    assert observer.get_logs(node_label="b")["__node_label"].to_pylist() == ["b", "b"]
    assert observer.get_logs("run-1", "a").num_rows == 1
    assert observer.get_logs("run-3").num_rows == 0


def test_without_logs_there_is_a_table_all_the_same(database):
    logs = LoggingObserver(database).get_logs()
    assert logs.num_rows == 0
    assert {"__log_id", "__run_id", "__stdout", "__success"} <= set(logs.column_names)


def test_another_observer_reads_what_the_first_one_wrote(tmp_path, rows):
    """In another process, too: nothing but the database tells it."""
    with SQLiteDatabase(tmp_path / "logs.db") as database:
        observer = started(database)
        observer.contextualize("h", "label").create_packet_logger(*rows[0]).record(**QUIET | {"stdout": "kept"})
        observer.on_run_end("run-1")
    with SQLiteDatabase(tmp_path / "logs.db") as database:
        (row,) = LoggingObserver(database).get_logs().to_pylist()
    assert (row["__stdout"], row["__run_id"], row["idx"], row["key"]) == ("kept", "run-1", "0", "a")


@pytest.mark.parametrize("broken", ["before", "after", "flush"])
def test_a_write_that_fails_is_an_error_and_loses_nothing(rows, broken):
    """Nor is anything doubled, when the store had written after all."""
    database = BrokenDatabase()
    observer = started(database)
    view = observer.contextualize("h", "label")
    view.create_packet_logger(*rows[0]).record(**QUIET)
    database.broken = broken
    with pytest.raises(OSError, match="disk full"):
        observer.flush()
    view.create_packet_logger(*rows[1]).record(**QUIET)
    with pytest.raises(OSError, match="disk full"):
        observer.flush()
    database.broken = None
    observer.flush()
    assert observer.get_logs()["idx"].to_pylist() == ["0", "1"]


def test_a_table_that_cannot_be_written_keeps_no_other_from_being_written(rows, monkeypatch):
    """And its rows are let go with their run; those of another run under way are kept."""
    database = MemoryDatabase()
    observer = LoggingObserver(database)
    add = database.add_records

    def add_records(path, table):
        if path == ("_log", "bad"):
            raise RecordSchemaError("refused")
        return add(path, table)

    monkeypatch.setattr(database, "add_records", add_records)
    for run_id in ("run-1", "run-2"):
        observer.on_run_start(run_id)
        for path in ("bad", "good"):
            view = observer.contextualize("h", "label", node_path=(path,))
            view.create_packet_logger(*rows[0]).record(**QUIET)
    with pytest.raises(RecordSchemaError, match="refused"):
        observer.on_run_end("run-1")
    assert database.get_records(("_log", "good"))["__run_id"].to_pylist() == ["run-1", "run-2"]
    monkeypatch.undo()
    observer.on_run_end("run-2")
    assert database.get_records(("_log", "bad"))["__run_id"].to_pylist() == ["run-2"]


def test_a_flush_that_failed_is_asked_for_again(rows):
    """Also if nothing came after it: what is written is not yet safe."""
    database = BrokenDatabase()
    observer = started(database)
    observer.create_packet_logger(*rows[0]).record(**QUIET)
    database.broken = "flush"
    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            observer.flush()


def test_threads_lose_and_double_nothing(database, rows):
    """Several write while another flushes, all the time."""
    observer = started(database)
    view = observer.contextualize("h", "label")
    count, threads = 500, 4
    done = threading.Event()

    def write(number):
        for at in range(count):
            view.create_packet_logger(*rows[at % 3]).record(**QUIET | {"stdout": f"{number}:{at}"})

    def flush():
        while not done.is_set():
            view.flush()

    flusher = threading.Thread(target=flush)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(threads)]
    for thread in [flusher, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    flusher.join()
    found = view.get_logs()["__stdout"].to_pylist()
    assert sorted(found) == sorted(f"{number}:{at}" for number in range(threads) for at in range(count))
    for number in range(threads):
        mine = [text for text in found if text.startswith(f"{number}:")]
        assert mine == [f"{number}:{at}" for at in range(count)]


def test_two_runs_at_a_time_do_not_mix(database, rows):
    """Each in its own thread, with one observer."""
    observer = LoggingObserver(database)
    both = threading.Barrier(2, timeout=60)

    def run(run_id):
        observer.on_run_start(run_id)
        both.wait()
        view = observer.contextualize("h", run_id)
        both.wait()
        view.create_packet_logger(*rows[0]).record(**QUIET)
        both.wait()
        observer.on_run_end(run_id)

    threads = [threading.Thread(target=run, args=(run_id,)) for run_id in ("run-1", "run-2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logs = observer.get_logs()
    assert sorted(logs["__run_id"].to_pylist()) == ["run-1", "run-2"]
    assert logs["__run_id"].to_pylist() == logs["__node_label"].to_pylist()


def test_a_run_inside_a_run_is_its_own(database, rows):
    """A function that runs a pipeline of its own, watched by the same observer."""
    observer = started(database, "outer")
    observer.on_run_start("inner")
    observer.contextualize("h", "inner").create_packet_logger(*rows[0]).record(**QUIET)
    observer.on_run_end("inner")
    observer.contextualize("h", "outer").create_packet_logger(*rows[0]).record(**QUIET)
    observer.on_run_end("outer")
    observer.contextualize("h", "later").create_packet_logger(*rows[0]).record(**QUIET)
    logs = observer.get_logs()
    found = dict(zip(logs["__node_label"].to_pylist(), logs["__run_id"].to_pylist(), strict=True))
    assert found == {"inner": "inner", "outer": "outer", "later": None}
