"""The suite can be passed by an executor written from the protocol alone, on one page."""

import asyncio
import contextlib
import inspect
import io
import logging
import traceback
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from orcapod.errors import ExecutionError
from orcapod.testing.executor import ExecutorSuite


class OneProcessExecutor:
    """Runs everything in one other process, which is busy with one call at a time."""

    executor_type_id = "one-process"

    def __init__(self, pool):
        self._pool = pool

    def supports(self, function_type_id):
        return function_type_id == "python"

    def with_options(self, **options):
        if options:
            raise ExecutionError(f"unknown options {sorted(options)}; there are none")
        return self

    def execute_callable(self, fn, kwargs, *, logger=None):
        fields, result, error = self._pool.submit(call, fn, dict(kwargs)).result()
        if logger is not None:
            logger.record(**fields, success=error is None)
        if error is not None:
            raise rebuilt(error)
        return result

    async def async_execute_callable(self, fn, kwargs, *, logger=None):
        return await asyncio.to_thread(self.execute_callable, fn, kwargs, logger=logger)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        pass


def call(fn, kwargs):
    """In the other process: call, and give what was captured, the result, and the exception in parts."""
    out, err, logs = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(3))
    logging.basicConfig(stream=logs, level=logging.INFO, format="%(levelname)s:%(name)s:%(message)s", force=True)
    fields, result, parts = {"traceback": None}, None, None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            returned = fn(**kwargs)
            result = asyncio.run(returned) if inspect.iscoroutine(returned) else returned
        except BaseException as error:  # noqa: BLE001  # sent back, and raised there
            trace = error.__traceback__.tb_next
            while trace.tb_next and "asyncio" in trace.tb_frame.f_code.co_filename:
                trace = trace.tb_next
            fields["traceback"] = "".join(traceback.format_exception(type(error), error, trace))
            parts = type(error), error.args, error.__dict__
    texts = {"stdout": out, "stderr": err, "python_logs": logs}
    return fields | {name: text.buffer.getvalue().decode() for name, text in texts.items()}, result, parts


def rebuilt(parts):
    kind, args, attributes = parts
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    if isinstance(error, SystemExit):
        error.code = args[0]
    return error


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


class TestOneProcessExecutor(ExecutorSuite):
    @pytest.fixture
    def executor(self, pool):
        return OneProcessExecutor(pool)
