"""``make_batch``: what runs in a worker of the cluster.

It is sent there by value, with what it uses of orcapod, so that workers need nothing of it.
"""

from __future__ import annotations

import io
import pickle
import time
from collections.abc import Iterator
from typing import Any

from ray import cloudpickle

from orcapod.executors import Capture, Compact, Loaded, run_call, unpicklable

__all__ = ["Packed", "make_batch", "packed"]

Packed = tuple[pickle.PickleBuffer, list[pickle.PickleBuffer]]
"""A pickled value, and its large parts beside it, which Ray hands on without a copy."""

_GROUP_SECONDS = 0.05

_LOADED: dict[str, Any] = {}  # the function of the last task, with whatever it keeps in its globals


class _Pickler(Compact, cloudpickle.Pickler):  # type: ignore[misc]  # untyped in Ray
    pass


def packed(value: Any) -> Packed:
    """The value in a form that Ray keeps in shared memory; what it cannot import it takes by value."""
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    _Pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)  # type: ignore[no-untyped-call]  # untyped in Ray
    return pickle.PickleBuffer(file.getvalue()), buffers


def make_batch(function: bytes, name: str, calls: Packed, each: bool) -> Iterator[list[Packed]]:  # noqa: FBT001  # Ray passes it on
    """Make calls one after the other, and hand on what has become of them in groups.

    Args:
        function: the user's function, pickled.
        name: what tells it from others; it is loaded once in each worker.
        calls: key, arguments and whether to capture, of each.
        each: hand on every outcome at once, and an empty group at the start, for those who watch the time.

    Yields:
        Lists of what ``run_call`` gives, each list packed: one, or as many as cannot be sent together.
    """
    if each:
        yield []
    if name not in _LOADED:
        _LOADED.clear()
        _LOADED[name] = Loaded(function)
    capture = Capture()
    group: list[tuple[Any, ...]] = []
    since = time.monotonic()
    content, buffers = calls
    try:
        for key, kwargs, wanted in pickle.loads(content, buffers=buffers):  # noqa: S301  # from the driver
            if not wanted:
                capture.pause()
            group.append(run_call(_LOADED[name], key, kwargs, capture if wanted else None, cloudpickle.dumps))
            if each or time.monotonic() - since > _GROUP_SECONDS:
                capture.pause()
                yield _answers(group)
                group, since = [], time.monotonic()
    finally:
        capture.close()
    if group:
        yield _answers(group)


def _answers(group: list[tuple[Any, ...]]) -> list[Packed]:
    try:
        return [packed(group)]
    except Exception:  # noqa: BLE001  # one of them cannot be sent: which?
        return [_answer(answer) for answer in group]


def _answer(answer: tuple[Any, ...]) -> Packed:
    try:
        return packed([answer])
    except Exception as error:  # noqa: BLE001  # then it is this that the caller has to know
        return packed([unpicklable(answer, error, cloudpickle.dumps)])
