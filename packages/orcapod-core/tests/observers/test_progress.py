"""How far a run is, seen on a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import sys, time
import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.observers import LoggingObserver
from orcapod.sources import ListSource

@op.function_pod("y", identity="version")
def slow(x: int) -> int:
    {body}
    if x == 3:
        raise ValueError("three")
    return x

pipeline = op.Pipeline("p", MemoryDatabase())
with pipeline:
    slow.pod(ListSource("x", [1, 2, 3, 1], source_id="s"), label="slow_node")
out, err = sys.stdout, sys.stderr
{run}
assert (sys.stdout, sys.stderr) == (out, err)
print("rich" in sys.modules, "after the run")
"""


def program(body: str = "time.sleep(0.2)", run: str = "pipeline.run()") -> str:
    return PROGRAM.format(body=body, run=run)


def seen(code: str, *, stdout: int | None = None, **environment: str) -> str:
    """What a person sees on the terminal while a program runs there."""
    return _watched(code, stdout=stdout, environment=environment)


def _watched(code: str, *, stdout: int | None, environment: dict[str, str], interrupt: bool = False) -> str:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONWARNINGS": "error", **environment},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
        if interrupt and b"slow_node" in shown:
            interrupt = False
            process.send_signal(signal.SIGINT)
    os.close(ours)
    process.wait()
    return shown.decode()


def plain(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


def test_every_function_node_has_a_line() -> None:
    shown = plain(seen(program()))
    assert re.search(r"slow_node +2 computed +1 cached +1 failed +[\d,.]+/s", shown), shown
    assert "True after the run" in shown
    assert len(re.findall("slow_node", shown)) > 2, "it is drawn again and again"


def test_every_other_node_has_its_rows_and_what_is_incomplete_is_told() -> None:
    more = """
@op.function_pod("z", identity="version")
def after(y: list[int]) -> int:
    return sum(y)
with pipeline:
    after.pod(pipeline.slow_node.batch(2, label="pairs"), label="after_it")
pipeline.run(progress=True)
"""
    done = subprocess.run([sys.executable, "-c", program("pass", more)], capture_output=True, text=True, check=True)
    assert re.search(r"^s +4 rows", done.stderr, re.MULTILINE), done.stderr
    assert re.search(r"slow_node +2 computed +1 cached +1 failed +[\d,.]+/s +4 in, 3 out", done.stderr), done.stderr
    assert re.search(r"pairs +3 in, 1 out", done.stderr), done.stderr
    assert re.search(r"after_it +1 computed +0 cached +0 failed +1 incomplete .* 1 in, 1 out", done.stderr), done.stderr


def test_what_functions_print_stands_whole_above_the_lines() -> None:
    shown = plain(seen(program("print(f'value <{x}> is here'); sys.stderr.write('beside it\\n')")))
    assert [f"value <{i}> is here" in shown for i in (1, 2, 3)] == [True] * 3
    assert "beside it" in shown
    assert shown.rindex("slow_node") > shown.rindex("value <3> is here")


def test_captured_output_is_captured_while_it_draws() -> None:
    run = (
        "logs = LoggingObserver(MemoryDatabase()); pipeline.run(observer=logs); "
        "assert logs.get_logs()['__stdout'].to_pylist() == ['hidden\\n'] * 3"
    )
    shown = plain(seen(program("print('hidden')", run)))
    assert "hidden" not in shown
    assert "after the run" in shown, shown


@pytest.mark.parametrize("how", ["progress=False", "TERM=dumb"])
def test_it_can_be_switched_off(how: str) -> None:
    if how == "TERM=dumb":
        shown = seen(program(), TERM="dumb")
    else:
        shown = seen(program(run=f"pipeline.run({how})"))
    assert shown == "False after the run\r\n"


def test_without_a_terminal_nothing_is_written_and_rich_is_not_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", program()], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False after the run\n", "")


def test_asked_for_without_a_terminal_it_is_written_once() -> None:
    run = "import asyncio; asyncio.run(pipeline.run_async(progress=True))"
    done = subprocess.run([sys.executable, "-c", program(run=run)], capture_output=True, text=True, check=True)
    assert len(re.findall(r"slow_node +2 computed +1 cached +1 failed", done.stderr)) == 1, done.stderr
    assert done.stdout == "True after the run\n"


def test_what_goes_to_a_file_stays_there(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with path.open("w") as out:
        shown = plain(seen(program("print(x)"), stdout=out.fileno()))
    assert path.read_text() == "1\n2\n3\nTrue after the run\n"
    assert "slow_node" in shown


def test_two_runs_at_a_time_share_a_terminal() -> None:
    run = (
        "import threading\n"
        "threads = [threading.Thread(target=pipeline.run) for _ in range(2)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]"
    )
    shown = plain(seen(program(run=run)))
    assert "Traceback" not in shown, shown
    assert "slow_node" in shown


def test_a_run_inside_a_function_of_a_run_leaves_the_terminal_as_it_was() -> None:
    shown = plain(seen(program("op.Pipeline('q', MemoryDatabase()).run()")))
    assert "Traceback" not in shown, shown
    assert re.search(r"slow_node +2 computed", shown)


def test_an_interrupt_gives_the_cursor_back() -> None:
    run = "try:\n    pipeline.run()\nexcept KeyboardInterrupt:\n    print('stopped')"
    started = time.monotonic()
    shown = _watched(program("time.sleep(600)", run), stdout=None, environment={}, interrupt=True)
    assert time.monotonic() - started < 60
    assert "stopped" in shown, shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is shown again"


def test_a_label_is_text_and_moves_no_cursor() -> None:
    more = """
with pipeline:
    slow.pod(ListSource("x", [5], source_id="t"), label="[red]dark\\x1b[2Jening[/red]")
pipeline.run()
"""
    shown = seen(program("pass", more))
    assert "[red]dark\\x1b[2Jening[/red]" in plain(shown)
    assert "\x1b[2J" not in shown
