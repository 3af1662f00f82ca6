"""``Intake``: what is delivered is taken, whenever it comes."""

from __future__ import annotations

import threading

from orcapod.functions import Intake, Signal
from orcapod.protocols import Outcome


class Late(Intake):
    """An outcome comes just after it was looked for: while the inputs are asked, in another thread."""

    def _input(self) -> Signal:
        threading.Thread(target=self.deliver, args=(Outcome(7),), daemon=True).start()
        while not self._outcomes:
            pass
        return Signal.NOTHING


def test_an_outcome_that_comes_between_looking_and_waiting_is_not_slept_through() -> None:
    taken = Late().take(hungry=True, timeout=20)
    assert isinstance(taken, Outcome)
    assert taken.key == 7
