"""``function_pod`` gives a function a pod and leaves it a function."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial, wraps
from typing import Any, get_type_hints

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


class Scale:
    """What a user has: methods of every kind."""

    __slots__ = ("factor",)

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def times(self, x: int) -> int:
        return self.factor * x

    def __call__(self, x: int) -> int:
        return self.factor + x

    @function_pod("y")
    @staticmethod
    def over(x: int) -> int:
        return x + 1

    @staticmethod
    @function_pod("y")
    def under(x: int) -> int:
        return x + 2

    @classmethod
    def by_class(cls, x: int) -> int:
        return x + 3


def applied(function: Any) -> list[int]:
    source = DictSource([{"i": i, "x": 10 * i} for i in range(3)], ["i"], source_id="s")
    values: list[int] = function.pod(source).as_table()["y"].to_pylist()
    assert [function(10 * i) for i in range(3)] == values, "it is the function still"
    return values


WAYS: dict[str, tuple[Callable[[], Any], list[int]]] = {
    "the method of an object": (lambda: function_pod("y")(Scale(3).times), [0, 30, 60]),
    "an object that can be called": (lambda: function_pod("y", name="scale")(Scale(3)), [3, 13, 23]),
    "over staticmethod, by the class": (lambda: Scale.over, [1, 11, 21]),
    "over staticmethod, by an object": (lambda: Scale(1).over, [1, 11, 21]),
    "under staticmethod": (lambda: Scale.under, [2, 12, 22]),
    "the method of a class": (lambda: function_pod("y")(Scale.by_class), [3, 13, 23]),
    "a partial": (lambda: function_pod("y", name="by")(partial(increment, by=5)), [5, 15, 25]),
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_can_be_called_is_given_a_pod(way: str) -> None:
    make, expected = WAYS[way]
    assert applied(make()) == expected


def test_two_methods_of_two_objects_are_two() -> None:
    assert applied(function_pod("y")(Scale(3).times)) != applied(function_pod("y")(Scale(4).times))
    one = Scale(3)
    function_pod("y", name="scale")(one)
    assert not hasattr(one, "pod"), "an object of the user's stays as it is"


def generated(x: int) -> Iterator[int]:
    yield x


async def generated_later(x: int) -> AsyncIterator[int]:
    yield x


class Generating:
    def __call__(self, x: int) -> list[int]:  # type: ignore[misc]  # the mistake that is the subject
        yield x  # type: ignore[misc]

    def method(self, x: int) -> int:
        return x


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no parentheses": (lambda: function_pod(increment), r"expected the name of its output.*@function_pod\('y'\)"),
    "no parentheses, staticmethod": (lambda: function_pod(staticmethod(increment)), "name of its output"),
    "no parentheses, an object": (lambda: function_pod(Scale(1)), "name of its output"),
    "a generator": (lambda: function_pod("y")(generated), "generated: is a generator.*return a list"),
    "an async generator": (lambda: function_pod("y")(generated_later), "is a generator"),
    "a partial of a generator": (lambda: function_pod("y", name="p")(partial(generated)), "p: is a generator"),
    "an object that generates": (lambda: function_pod("y", name="p")(Generating()), "p: is a generator"),
    "a plain method": (lambda: function_pod("y")(Generating.method), r"method: is a method.*an_object\.method"),
    "a classmethod": (lambda: function_pod("y")(vars(Scale)["by_class"]), r"is a classmethod.*TheClass\.by_class"),
    "an object without a name": (lambda: function_pod("y")(Scale(1)), "name='...'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_gives_no_result_is_refused_with_the_way_that_works(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(SchemaError, match=message):
        make()


def test_what_consumes_a_generator_is_a_function() -> None:
    @wraps(generated)
    def listed(x: int) -> list[int]:
        return list(generated(x))

    listed.__annotations__ = {"x": int, "return": list[int]}
    del listed.__wrapped__  # type: ignore[attr-defined]
    assert function_pod("y")(listed).pod.packet_function.signature.outputs == {"y": list[int]}
