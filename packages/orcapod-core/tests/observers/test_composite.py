"""Several observers as one."""

import pytest

from orcapod.observers import CompositeObserver, LoggingObserver, NoOpObserver, StatusObserver
from orcapod.protocols import ExecutionObserver
from orcapod.testing.executor import RecordingLogger


class Diary(NoOpObserver):
    """Writes down what it is told, in a list that it shares with others."""

    def __init__(self, name, told, *, logger=None, broken=()):
        self.name, self.told, self.logger, self.broken = name, told, logger, broken

    def contextualize(self, node_hash, node_label, *, node_path=()):
        self.told.append((self.name, "contextualize", node_hash, node_label, node_path))
        return self

    def create_packet_logger(self, tag, packet, *, pipeline_path=()):
        self.told.append((self.name, "create_packet_logger", pipeline_path))
        return self.logger

    def __getattribute__(self, name):
        if name not in EVENTS:
            return super().__getattribute__(name)

        def tell(*args, **kwargs):
            self.told.append((self.name, name, *args, *kwargs.items()))
            if name in self.broken:
                raise OSError(self.name)

        return tell


EVENTS = {
    "on_run_start": ("run",),
    "on_run_end": ("run",),
    "on_node_start": ("label", "hash"),
    "on_node_end": ("label", "hash"),
    "on_packet_start": ("label", "tag", "packet"),
    "on_packet_crash": ("label", "tag", "packet", "error"),
    "flush": (),
}


@pytest.mark.parametrize("event", EVENTS)
def test_everybody_is_told_in_order(event):
    told = []
    getattr(CompositeObserver(Diary("a", told), Diary("b", told)), event)(*EVENTS[event])
    assert told == [("a", event, *EVENTS[event]), ("b", event, *EVENTS[event])]


def test_everybody_is_told_of_the_end_of_a_packet():
    told = []
    composite = CompositeObserver(Diary("a", told), Diary("b", told))
    EVENTS["on_packet_end"] = ()
    try:
        composite.on_packet_end("label", "tag", "packet", None, cached=True)
    finally:
        del EVENTS["on_packet_end"]
    assert told == [(name, "on_packet_end", "label", "tag", "packet", None, ("cached", True)) for name in "ab"]


def test_a_view_is_a_composite_of_views():
    told = []
    view = CompositeObserver(Diary("a", told), Diary("b", told)).contextualize("h", "l", node_path=("p",))
    assert isinstance(view, ExecutionObserver)
    assert told == [("a", "contextualize", "h", "l", ("p",)), ("b", "contextualize", "h", "l", ("p",))]


def test_every_logger_is_given_the_record():
    loggers = [RecordingLogger(), None, RecordingLogger()]
    told = []
    composite = CompositeObserver(*(Diary(str(number), told, logger=logger) for number, logger in enumerate(loggers)))
    composite.create_packet_logger("tag", "packet", pipeline_path=("p",)).record(stdout="x", success=True)
    assert loggers[0].only == loggers[2].only == {"stdout": "x", "success": True}
    assert told == [(str(number), "create_packet_logger", ("p",)) for number in range(3)]


def test_without_any_logger_nothing_is_captured():
    assert CompositeObserver().create_packet_logger("tag", "packet") is None
    assert CompositeObserver(NoOpObserver(), NoOpObserver()).create_packet_logger("tag", "packet") is None


def test_a_broken_observer_is_an_error_at_once():
    told = []
    composite = CompositeObserver(Diary("a", told, broken=["on_node_start"]), Diary("b", told))
    with pytest.raises(OSError, match="a"):
        composite.on_node_start("label", "hash")
    assert told == [("a", "on_node_start", "label", "hash")]


@pytest.mark.parametrize("event", ["flush", "on_run_end"])
def test_but_what_keeps_things_reaches_everybody_first(event):
    told = []
    composite = CompositeObserver(Diary("a", told, broken=[event]), Diary("b", told, broken=[event]), Diary("c", told))
    with pytest.raises(OSError, match="b") as caught:
        getattr(composite, event)(*EVENTS[event])
    assert [name for name, *_ in told] == ["a", "b", "c"]
    assert str(caught.value.__context__) == "a"


def test_logs_and_statuses_share_a_database(database, rows):
    logs, status = LoggingObserver(database), StatusObserver(database)
    composite = CompositeObserver(logs, status)
    composite.on_run_start("run-1")
    view = composite.contextualize("h", "l", node_path=("p",))
    tag, packet = rows[0]
    view.on_packet_start("l", tag, packet)
    view.create_packet_logger(tag, packet).record(stdout="x", success=True)
    view.on_packet_end("l", tag, packet, packet, cached=False)
    composite.on_run_end("run-1")
    assert database.list_paths() == [("_log", "p"), ("_status", "p")]
    assert logs.get_logs()["__stdout"].to_pylist() == ["x"]
    assert status.get_status()["__state"].to_pylist() == ["SUCCESS"]


def test_the_noop_observer_takes_no_notice(rows):
    observer = NoOpObserver()
    assert isinstance(observer, ExecutionObserver)
    assert observer.contextualize("h", "l", node_path=("p",)) is observer
    assert observer.create_packet_logger(*rows[0]) is None
    assert observer.on_packet_end("l", *rows[0], None, cached=True) is None
    assert observer.flush() is None
