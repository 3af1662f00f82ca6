"""``function_pod`` gives a function a pod and leaves it a function."""

import inspect
from typing import get_type_hints

import pytest

from orcapod import FunctionPod, function_pod
from orcapod.errors import SchemaError
from orcapod.pods import PodFunction
from orcapod.sources import DictSource


@function_pod("y")
def increment(x: int, by: int = 1) -> int:
    """Adds."""
    return x + by


def test_the_function_stays_what_it_was() -> None:
    typed: PodFunction[[int, int], int] = increment  # a type checker sees the function's own parameters
    assert increment(2) == 3
    assert typed(2, 5) == increment(2, by=5) == 7
    assert increment.__name__ == "increment"
    assert increment.__doc__ == "Adds."
    assert inspect.isfunction(increment)
    assert get_type_hints(increment) == {"x": int, "by": int, "return": int}


def test_the_pod_bears_what_the_decorator_was_told() -> None:
    @function_pod("y", name="other", version="v3.1", label="shown")
    def f(x: int) -> int:
        return x

    assert isinstance(f.pod, FunctionPod)
    name, _, major, kind = f.pod.packet_function.uri
    assert (name, major, kind) == ("other", "v3", "python")
    assert f.pod.label == "shown"
    assert increment.pod.label == "increment"
    assert "increment" in repr(increment.pod)


def test_mistakes_show_where_the_function_is_defined() -> None:
    with pytest.raises(SchemaError, match="f: parameter 'x' has no type"):

        @function_pod("y")
        def f(x) -> int:  # type: ignore[no-untyped-def]
            return int(x)


def test_a_stream_of_the_pod_is_made_by_the_function() -> None:
    source = DictSource([{"i": i, "x": 10 * i} for i in range(3)], tag_columns=["i"], source_id="s")
    assert increment.pod(source).as_table().to_pylist() == [{"i": i, "y": 10 * i + 1} for i in range(3)]
