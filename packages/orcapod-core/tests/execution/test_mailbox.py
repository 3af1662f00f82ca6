"""``Mailbox``: what is put is taken, whenever it comes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from orcapod.execution.mailbox import Mailbox, Signal
from orcapod.protocols import Outcome


def test_a_completion_that_comes_between_looking_and_waiting_is_not_slept_through() -> None:
    """It comes just after it was looked for: while the inputs are asked, in another thread."""
    mailbox: Mailbox[Any]

    def next_input() -> Signal:
        threading.Thread(target=mailbox.put, args=(Outcome(7),), daemon=True).start()
        while not mailbox._completions:
            pass
        return Signal.NOTHING

    mailbox = Mailbox(next_input)
    taken = mailbox.take(wants_input=True, timeout=60)
    assert isinstance(taken, Outcome)
    assert taken.key == 7


def test_after_a_stop_what_is_finished_is_there_to_be_taken_in() -> None:
    mailbox: Mailbox[Any] = Mailbox(lambda: Signal.OVER)
    mailbox.put(Outcome(1))
    mailbox.stop(ValueError("the run ends"))
    mailbox.put(Outcome(2))
    with pytest.raises(ValueError, match="the run ends"):
        mailbox.take(wants_input=True)
    assert [outcome.key for outcome in mailbox.completions()] == [1, 2]


def test_completions_come_before_inputs_and_inputs_only_where_they_are_wanted() -> None:
    mailbox: Mailbox[Any] = Mailbox(lambda: Signal.OVER)
    assert mailbox.take(wants_input=False, timeout=0) is Signal.NOTHING
    mailbox.put(Outcome(1))
    assert mailbox.take(wants_input=True).key == 1  # type: ignore[union-attr]
    assert mailbox.take(wants_input=True) is Signal.OVER
