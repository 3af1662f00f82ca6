"""Async functions for callers who cannot await."""

import asyncio
import contextvars
import gc
import signal
import threading
import warnings

import pytest

from orcapod.functions.awaiting import is_async, run_to_end

VARIABLE = contextvars.ContextVar("VARIABLE", default="nothing")


def here(call):
    """Where no loop is running."""
    return call()


def in_a_loop(call):
    """Where one is running in this thread: a notebook."""

    async def main():
        return call()

    return asyncio.run(main())


def in_a_thread(call):
    """In a thread that ends with the call."""
    results = []

    def target():
        try:
            results.append((call(), None))
        except BaseException as error:  # noqa: BLE001  # raised again by the caller
            results.append((None, error))

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    ((result, error),) = results
    if error is not None:
        raise error
    return result


def nested(call):
    """Inside of an async function that runs to its end itself."""

    async def main():
        return call()

    return run_to_end(main())


def nested_in_a_loop(call):
    return in_a_loop(lambda: nested(call))


@pytest.fixture(params=[here, in_a_loop, in_a_thread, nested, nested_in_a_loop])
def somewhere(request):
    return request.param


def test_the_result_comes_back(somewhere):
    async def work():
        await asyncio.sleep(0)
        return 1

    assert somewhere(lambda: run_to_end(work())) == 1


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), KeyboardInterrupt("x"), asyncio.CancelledError("x"), GeneratorExit("x")]
)
def test_whatever_was_raised_arrives_as_itself(somewhere, error):
    """And the next call is as any other."""

    async def work():
        await asyncio.sleep(0)
        raise error

    async def fine():
        return 1

    def call():
        with pytest.raises(type(error)) as caught:
            run_to_end(work())
        assert caught.value.args == error.args
        return run_to_end(fine())

    assert somewhere(call) == 1


def test_context_variables_are_the_callers(somewhere):
    async def work():
        await asyncio.sleep(0)
        return VARIABLE.get()

    def call():
        VARIABLE.set("first")
        first = run_to_end(work())
        VARIABLE.set("second")
        return first, run_to_end(work())

    assert somewhere(call) == ("first", "second")


def test_a_thread_keeps_its_loop():
    """Making one takes longer than most calls."""

    async def loop():
        return asyncio.get_running_loop()

    assert run_to_end(loop()) is run_to_end(loop())
    assert in_a_loop(lambda: run_to_end(loop()) is run_to_end(loop()))


def test_a_thread_that_ends_closes_its_loop():
    async def loop():
        return asyncio.get_running_loop()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ended = in_a_thread(lambda: run_to_end(loop()))
        gc.collect()
    assert ended.is_closed()


def test_the_threads_own_event_loop_is_not_touched():
    async def work():
        pass

    def call():
        mine = asyncio.new_event_loop()
        asyncio.set_event_loop(mine)
        try:
            run_to_end(work())
            assert asyncio.get_event_loop_policy().get_event_loop() is mine
        finally:
            asyncio.set_event_loop(None)
            mine.close()

    in_a_thread(call)


@pytest.mark.parametrize("where", [here, in_a_loop])
def test_ctrl_c_cancels_what_is_awaited(where):
    """The coroutine cleans up, and the next call is as any other."""
    seen = []

    async def work():
        main = threading.main_thread().ident
        asyncio.get_running_loop().call_later(0.05, signal.pthread_kill, main, signal.SIGINT)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0.01)
            seen.append("cleaned up")

    async def fine():
        return 1

    def call():
        with pytest.raises(KeyboardInterrupt):
            run_to_end(work())
        return seen[:], run_to_end(fine())

    assert _interrupted(where, call) == (["cancelled", "cleaned up"], 1)


def test_an_interrupt_that_asyncio_does_not_see_leaves_nothing_behind():
    """A handler of the program's own raises where it likes: in the middle of the loop."""
    seen = []

    def interrupt(*_):
        raise KeyboardInterrupt

    async def work():
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
        try:
            for number in range(100):
                await asyncio.sleep(0)
                seen.append(number)
        finally:
            seen.append("cleaned up")

    async def fine():
        for _ in range(100):
            await asyncio.sleep(0)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_to_end(work())
    finally:
        signal.signal(signal.SIGINT, before)
    ended = seen[:]
    assert ended[-1] == "cleaned up"
    run_to_end(fine())
    assert seen == ended


def _interrupted(where, call):
    if where is here:
        return call()

    # asyncio.run would take Ctrl-C for itself; a notebook's loop does not.
    async def main():
        return call()

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def test_async_functions_are_known():
    async def function():
        pass

    class Callable:
        async def __call__(self):
            pass

    assert is_async(function)
    assert is_async(Callable())
    assert not is_async(print)
    assert not is_async(Callable)
    assert not is_async(lambda: function())
