"""``code_of`` and ``compare_code``: the code that made a value, and what differs between two pieces of code."""

from __future__ import annotations

from orcapod.display import shown
from orcapod.errors import ConfigError
from orcapod.functions import PythonPacketFunction
from orcapod.hashing import CodeChanges, ContentHash, Part, compare_parts
from orcapod.pods.pod import FunctionPod
from orcapod.protocols import Database, checked_database
from orcapod.records import CodeRecords

__all__ = ["code_of", "compare_code"]


def code_of(code: object, store: Database | None = None) -> tuple[Part, ...]:
    """Return the parts of a piece of code, each with its source: functions, classes and values.

    Args:
        code: a function with a pod, a pod, or a packet function, as it is now; or a fingerprint, as results have it
            in their column ``__code``.
        store: the database that holds the results, for a fingerprint: ``pipeline.result_database``.

    Raises:
        ConfigError: it is nothing of that kind, or a fingerprint without a store.
        UnknownCodeError: the store does not know the fingerprint.
    """
    if isinstance(code, str | ContentHash):
        if store is None:
            raise ConfigError(
                f"found the fingerprint {code} and no store; give the database that holds its results too, "
                "as in code_of(fingerprint, pipeline.result_database)"
            )
        fingerprint = code if isinstance(code, ContentHash) else ContentHash.parse(code)
        return CodeRecords(checked_database(store)).parts(fingerprint)
    pod = getattr(code, "pod", code)
    function = pod.packet_function if isinstance(pod, FunctionPod) else pod
    if not isinstance(function, PythonPacketFunction):
        raise ConfigError(
            f"found {shown(code)} of type {type(code).__qualname__}, expected a function with a pod, a pod, "
            "a packet function, or a fingerprint",
            found=type(code).__qualname__,
        )
    return function.parts()


def compare_code(before: object, after: object, store: Database | None = None) -> CodeChanges:
    """Return the parts that differ between two pieces of code, as ``code_of`` takes them; empty if none does.

    Printed, it shows each part with the lines of its source that differ.

    Raises:
        ConfigError: one of them is nothing that has code, or a fingerprint without a store.
        UnknownCodeError: the store does not know a fingerprint.
    """
    return compare_parts(code_of(before, store), code_of(after, store))
