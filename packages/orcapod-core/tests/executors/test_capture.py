"""What is captured, what is not, and that everything is put back."""

# printing is what is tested

import asyncio
import contextvars
import io
import logging
import sys
import threading
import warnings
from contextlib import contextmanager, redirect_stdout

import pytest

from orcapod.executors.capture import CapturedCall, capturing
from orcapod.testing.executor import RecordingLogger


@pytest.fixture
def logger():
    return RecordingLogger()


@contextmanager
def captured(logger):
    with capturing(), CapturedCall(logger):
        yield


@contextmanager
def streams(out, err=None):
    """These streams in place of ``sys.stdout`` and ``sys.stderr``."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class Shown(logging.Handler):
    """What a user's own handler shows."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@contextmanager
def plain(level=logging.WARNING):
    """The root logger without pytest's handlers, at this level; a context manager, since pytest adds them late."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = []
    root.setLevel(level)
    try:
        yield root
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])


@pytest.fixture
def named():
    """A logger of its own, without settings; put back afterwards."""
    named = logging.getLogger("test_capture.named")
    yield named
    named.handlers[:] = []
    named.setLevel(logging.NOTSET)
    named.propagate = True


class TestStreams:
    def test_outside_of_a_call_everything_is_as_it_was(self, capsys):
        with capturing():
            print("shown")
            print("shown, too", file=sys.stderr)
            sys.stdout.writelines(["a", "b"])
        assert capsys.readouterr() == ("shown\nab", "shown, too\n")

    def test_inside_nothing_is_shown(self, logger, capsys):
        with captured(logger):
            print("kept")
            sys.stdout.writelines(["a", "b"])
            sys.stderr.buffer.writelines([b"c", bytearray(b"d"), memoryview(b"e")])
        assert capsys.readouterr() == ("", "")
        assert (logger.only["stdout"], logger.only["stderr"]) == ("kept\nab", "cde")

    def test_the_attributes_are_those_of_the_original(self, tmp_path):
        with (tmp_path / "out").open("w", encoding="latin-1") as file, streams(file), capturing():
            assert sys.stdout is not file
            assert sys.stdout.encoding == "latin-1"
            assert sys.stdout.fileno() == file.fileno()
            assert sys.stdout.isatty() is False
            assert sys.stdout.name == file.name
            assert sys.stdout.buffer.raw is file.buffer.raw
            with pytest.raises(AttributeError, match="no_such"):
                _ = sys.stdout.no_such
            assert sys.stdout.write("ö") == 1
            assert sys.stdout.buffer.write(b"\xff") == 1
            sys.stdout.flush()
            assert (tmp_path / "out").read_bytes() in (b"\xf6\xff", b"\xff\xf6")

    def test_a_stream_without_a_buffer_has_none(self, logger):
        with streams(io.StringIO()), captured(logger):
            assert not hasattr(sys.stdout, "buffer")

    def test_a_process_without_streams(self, logger):
        """As under pythonw or a service manager: calls are captured, the rest goes nowhere."""
        with streams(None):
            with capturing():
                print("nowhere", flush=True)
            with captured(logger):
                print("kept", flush=True)
            assert sys.stdout is None
        assert logger.only["stdout"] == "kept\n"

    def test_bytes_and_text_that_are_not_unicode_are_shown_as_escapes(self, logger):
        """Whatever was written can be kept as text."""
        with captured(logger):
            sys.stdout.write("\ud800 ")
            sys.stdout.buffer.write(b"\xff ")
            for byte in "ö".encode():
                sys.stdout.buffer.write(bytes([byte]))
        assert logger.only["stdout"] == "\\ud800 \\xff ö"

    def test_writing_something_else_is_an_error_as_ever(self, logger):
        with captured(logger):
            with pytest.raises(TypeError, match="must be str, not int"):
                sys.stdout.write(1)
            with pytest.raises(TypeError):
                sys.stdout.buffer.write("text")

    def test_blocks_nest_and_the_last_one_restores(self):
        before = sys.stdout, sys.stderr
        first, second = capturing(), capturing()
        first.__enter__()
        wrapped = sys.stdout
        second.__enter__()
        first.__exit__(None, None, None)
        assert sys.stdout is wrapped
        second.__exit__(None, None, None)
        assert (sys.stdout, sys.stderr) == before

    def test_a_stream_that_somebody_put_there_meanwhile_stays(self):
        mine = io.StringIO()
        with streams(io.StringIO()):
            with capturing():
                sys.stdout = mine
            assert sys.stdout is mine

    def test_a_wrapper_that_somebody_puts_back_later_does_no_harm(self, logger):
        original = io.StringIO()
        with streams(original):
            with capturing():
                theirs = redirect_stdout(io.StringIO())
                theirs.__enter__()
            theirs.__exit__(None, None, None)
            print("still shown")
            with captured(logger):
                print("kept")
            assert sys.stdout is original
        assert original.getvalue() == "still shown\n"
        assert logger.only["stdout"] == "kept\n"

    def test_redirection_inside_a_call_is_the_functions_own(self, logger):
        with captured(logger):
            with redirect_stdout(io.StringIO()) as own:
                print("own")
            with redirect_stdout(sys.stderr):
                print("turned")
            print("kept")
        assert own.getvalue() == "own\n"
        assert (logger.only["stdout"], logger.only["stderr"]) == ("kept\n", "turned\n")

    def test_a_call_inside_a_call_has_its_own_output(self, logger):
        inner = RecordingLogger()
        with captured(logger):
            print("before")
            with captured(inner):
                print("inner")
            print("after")
        assert inner.only["stdout"] == "inner\n"
        assert logger.only["stdout"] == "before\nafter\n"

    def test_threads_of_the_function(self, logger, capsys):
        """With a copy of the context they belong to the call, without one to nobody."""
        context = contextvars.Context()

        def run(*args):
            thread = threading.Thread(target=args[0], args=args[1:])
            thread.start()
            thread.join()

        with captured(logger):
            run(contextvars.copy_context().run, print, "mine")
            run(context.run, print, "nobody's")
        assert logger.only["stdout"] == "mine\n"
        assert capsys.readouterr().out == "nobody's\n"

    def test_what_a_call_left_behind_writes_as_if_there_had_been_none(self, logger, capsys):
        with capturing():
            with CapturedCall(logger):
                print("in time")
                left_behind = contextvars.copy_context()
            left_behind.run(print, "late")
        assert logger.only["stdout"] == "in time\n"
        assert capsys.readouterr().out == "late\n"

    def test_two_calls_at_the_same_time(self):
        """Each thread writes only when the other is inside its call, too."""
        both = threading.Barrier(2, timeout=60)
        loggers = RecordingLogger(), RecordingLogger()

        def work(number):
            with captured(loggers[number]):
                for _ in range(3):
                    both.wait()
                    print(number)
                both.wait()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [logger.only["stdout"] for logger in loggers] == ["0\n" * 3, "1\n" * 3]

    def test_warnings_are_left_alone(self, logger):
        with captured(logger), pytest.warns(UserWarning, match="as ever"):
            warnings.warn("as ever", UserWarning, stacklevel=1)
        assert logger.only["python_logs"] == ""

    def test_a_coroutine_thrown_away_in_another_context_is_recorded(self, logger):
        async def work():
            with CapturedCall(logger):
                await asyncio.sleep(60)

        coroutine = work()
        with capturing():
            contextvars.copy_context().run(asyncio.run, _first_step(coroutine))
            coroutine.close()
        assert logger.only["success"] is False


async def _first_step(coroutine):
    coroutine.send(None).cancel()


class TestLogging:
    @pytest.mark.parametrize(
        ("level", "found"),
        [
            (logging.NOTSET, ["DEBUG", "INFO", "WARNING", "ERROR"]),
            (logging.DEBUG, ["DEBUG", "INFO", "WARNING", "ERROR"]),
            (logging.INFO, ["INFO", "WARNING", "ERROR"]),
            (logging.WARNING, ["INFO", "WARNING", "ERROR"]),
            (logging.CRITICAL, ["INFO", "WARNING", "ERROR"]),
        ],
    )
    def test_info_is_captured_and_handlers_show_what_they_would_have_shown(self, named, logger, level, found):
        """For every level of the root logger; in the call, outside of it, and afterwards."""
        with plain(level) as root:
            on_root, on_named = Shown(), Shown()
            root.addHandler(on_root)
            named.addHandler(on_named)

            def speak():
                for word in ("DEBUG", "INFO", "WARNING", "ERROR"):
                    named.log(logging.getLevelName(word), word)
                    root.log(logging.getLevelName(word), word)
                on_named.lines, named_lines = [], on_named.lines
                on_root.lines, root_lines = [], on_root.lines
                return named_lines, root_lines

            usual = speak()
            with capturing():
                with CapturedCall(logger):
                    assert speak() == usual
                assert speak() == usual
            assert speak() == usual
            lines = logger.only["python_logs"].splitlines()
            assert lines == [f"{word}:{name}:{word}" for word in found for name in ("test_capture.named", "root")]
            assert (root.level, root.handlers) == (level, [on_root])
            assert (on_root.filters, on_named.filters) == ([], [])

    def test_levels_of_named_loggers_are_the_users_choice(self, named, logger):
        with plain() as root:
            shown = Shown()
            root.addHandler(shown)
            named.setLevel(logging.DEBUG)
            quiet = logging.getLogger("test_capture.named.quiet")
            quiet.setLevel(logging.ERROR)
            with captured(logger):
                named.debug("detail")
                named.getChild("child").debug("of a child")
                quiet.warning("never")
            quiet.setLevel(logging.NOTSET)
            assert shown.lines == ["detail", "of a child"]
            assert logger.only["python_logs"] == (
                "DEBUG:test_capture.named:detail\nDEBUG:test_capture.named.child:of a child\n"
            )

    def test_handlers_of_loggers_that_do_not_propagate_stay_quiet(self, named, logger):
        with plain():
            shown = Shown()
            named.addHandler(shown)
            named.propagate = False
            with captured(logger):
                named.info("not asked for")
                named.warning("asked for")
            assert shown.lines == ["asked for"]
            assert logger.only["python_logs"] == ""

    def test_a_level_that_somebody_set_meanwhile_stays_and_holds(self, logger):
        with plain() as root:
            shown = Shown()
            root.addHandler(shown)
            with captured(logger):
                root.setLevel(logging.DEBUG)
                root.debug("now asked for")
            assert root.level == logging.DEBUG
            assert shown.lines == ["now asked for"]

    def test_a_handler_added_or_removed_meanwhile_is_no_trouble(self, logger):
        with plain() as root:
            before, after = Shown(), Shown()
            root.addHandler(before)
            with captured(logger):
                root.removeHandler(before)
                root.addHandler(after)
                root.warning("heard")
            assert root.handlers == [after]
            assert (before.lines, before.filters, after.lines) == ([], [], ["heard"])

    def test_without_handlers_python_shows_warnings_on_stderr_as_ever(self, named, logger, capsys, monkeypatch):
        """Outside of calls; inside, they are in the log, and stderr is what the function wrote there."""
        with plain() as root:
            with capturing():
                named.warning("outside")
                named.info("not asked for")
                with CapturedCall(logger):
                    named.warning("inside")
                root.setLevel(logging.ERROR)
            assert capsys.readouterr().err == "outside\n"
            assert (logger.only["stderr"], logger.only["python_logs"]) == ("", "WARNING:test_capture.named:inside\n")

    def test_the_last_resort_holds_the_root_level_too(self, named, capsys):
        with plain(logging.ERROR):
            with capturing():
                named.warning("not asked for")
                named.error("asked for")
                named.addHandler(Shown())
                named.error("heard elsewhere")
            assert capsys.readouterr().err == "asked for\n"

    def test_exceptions_are_part_of_the_line(self, logger):
        with plain() as root:
            with captured(logger):
                try:
                    raise ValueError("broken")
                except ValueError:
                    root.exception("it is")
            text = logger.only["python_logs"]
            assert text.startswith("ERROR:root:it is\nTraceback (most recent call last):\n")
            assert text.endswith("ValueError: broken\n")

    def test_a_bad_log_call_is_reported_and_harms_nobody(self, logger):
        with plain() as root:
            with captured(logger):
                root.warning("%d", "no number")
                root.warning("fine")
            assert logger.only["python_logs"] == "WARNING:root:fine\n"
            assert "no number" in logger.only["stderr"]

    def test_records_from_elsewhere_pass(self, logger):
        """A record that was made in another process, by a logger that this one does not know."""
        with plain() as root:
            shown = Shown()
            root.addHandler(shown)
            with captured(logger):
                fields = {"name": "elsewhere", "levelno": logging.INFO, "levelname": "INFO", "msg": "hello"}
                root.handle(logging.makeLogRecord(fields))
            assert shown.lines == ["hello"]
            assert logger.only["python_logs"] == "INFO:elsewhere:hello\n"
