"""The local executor, and a stranger's, hold what the suite asks for."""

import asyncio
import functools
import re
import sys
import threading

import pytest

from orcapod.errors import PluginError
from orcapod.executors import LocalExecutor, executor_registry, open_executor
from orcapod.plugins import Registry
from orcapod.testing.executor import ExecutorSuite, RecordingLogger


class TestLocalExecutor(ExecutorSuite):
    @pytest.fixture
    def executor(self):
        return LocalExecutor()

    def test_functions_run_in_the_calling_thread(self, running, logger):
        assert running.execute_callable(threading.get_ident, {}) == threading.get_ident()
        assert running.execute_callable(threading.get_ident, {}, logger=logger) == threading.get_ident()

    def test_awaited_functions_leave_the_loop_free(self, running):
        """A plain function that waits for what the loop does next would wait for ever in its thread."""
        reached = threading.Event()

        async def main():
            waiting = asyncio.ensure_future(running.async_execute_callable(reached.wait, {"timeout": 60}))
            await asyncio.sleep(0)
            reached.set()
            return await waiting

        assert asyncio.run(main()) is True

    def test_partials_and_objects_may_be_async(self, running):
        async def add(a, b):
            return a + b

        class Adder:
            async def __call__(self, a):
                return a + 1

        assert running.execute_callable(functools.partial(add, b=2), {"a": 1}) == 3
        assert asyncio.run(_awaited(running, functools.partial(add, b=2), {"a": 1})) == 3
        assert running.execute_callable(Adder(), {"a": 1}) == 2
        assert asyncio.run(_awaited(running, Adder(), {"a": 1})) == 2

    @pytest.mark.parametrize("interrupt", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
    def test_interrupts_are_recorded_and_go_on(self, running, logger, interrupt):
        def work():
            raise interrupt("now")

        with pytest.raises(interrupt, match="now"):
            running.execute_callable(work, {}, logger=logger)
        assert logger.only["success"] is False
        assert logger.only["traceback"].rstrip().endswith(f"{interrupt.__name__}: now")

    def test_a_cancelled_call_is_recorded(self, running, logger):
        async def work():
            sys.stdout.write("begun\n")
            await asyncio.sleep(60)

        async def main():
            call = asyncio.ensure_future(running.async_execute_callable(work, {}, logger=logger))
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
            assert call.cancelled()

        asyncio.run(main())
        assert (logger.only["stdout"], logger.only["success"]) == ("begun\n", False)

    def test_missing_arguments_are_the_callers_error(self, running, logger):
        with pytest.raises(TypeError, match="missing 1 required"):
            running.execute_callable(lambda a: a, {}, logger=logger)
        assert logger.only["traceback"].startswith("TypeError: ")

    def test_without_a_logger_output_goes_where_it_always_went(self, running, capsys):
        running.execute_callable(print, {"end": "shown"})
        assert capsys.readouterr().out == "shown"

    def test_nothing_is_wrapped_for_a_run_without_loggers(self):
        before = sys.stdout
        with LocalExecutor() as executor:
            executor.execute_callable(print, {})
            assert sys.stdout is before
            executor.execute_callable(print, {}, logger=RecordingLogger())
            assert sys.stdout is not before
        assert sys.stdout is before


async def _awaited(executor, function, kwargs):
    return await executor.async_execute_callable(function, kwargs)


def test_it_is_found_by_name(monkeypatch):
    """Built-ins come through the door of plugins; an unknown name says what to install."""
    assert executor_registry.load("local") is LocalExecutor
    with pytest.raises(LookupError, match=r"no executor is called 'slurm'; known here: .*local.*check the spelling"):
        executor_registry.load("slurm")
    registry = Registry("orcapod.executors", noun="executor", homes={"slurm": "orcapod-slurm"})
    with pytest.raises(LookupError, match="pip install orcapod-slurm"):
        registry.load("slurm")


@pytest.mark.parametrize("name", ["thread", "threads", "process", "processes"])
def test_what_is_a_kind_of_pool_and_no_name_says_how_to_make_one(name):
    kind = "thread" if "thread" in name else "process"
    with pytest.raises(PluginError, match=re.escape(f'LocalExecutor(workers=4, kind="{kind}")')):
        open_executor(name)
