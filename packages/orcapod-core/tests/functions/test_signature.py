"""What a function takes and gives is read from what it declares, and refused where it declares too little."""

import functools
from typing import Any, NewType

import pytest

from orcapod import PythonPacketFunction, Schema
from orcapod.errors import SchemaError


def test_inputs_and_outputs_come_from_annotations() -> None:
    def f(x: int, name: str | None, *, ratio: float = 0.5) -> tuple[float, list[str]]:
        return x * ratio, [name or ""]

    signature = PythonPacketFunction(f, ["scaled", "names"]).signature
    assert signature.inputs == Schema({"x": int, "name": str | None, "ratio": float})
    assert signature.optional == {"ratio"}
    assert signature.outputs == Schema({"scaled": float, "names": list[str]})
    assert list(signature.outputs) == ["scaled", "names"]


def test_one_output_key_takes_the_whole_annotation_even_a_tuple() -> None:
    def f(x: int) -> tuple[int, str]:
        return x, str(x)

    assert PythonPacketFunction(f, "pair").signature.outputs == Schema({"pair": tuple[int, str]})
    assert PythonPacketFunction(f, ["pair"]).signature.outputs == Schema({"pair": tuple[int, str]})


def test_several_outputs_may_be_declared_by_another_name_of_their_tuple() -> None:
    pair = NewType("pair", tuple[int, str])

    def f(x: int) -> pair:  # type: ignore[valid-type]
        return x, str(x)  # type: ignore[return-value]

    assert PythonPacketFunction(f, ["a", "b"]).signature.outputs == Schema({"a": int, "b": str})


def test_annotations_given_as_text_are_understood() -> None:
    def f(x: "int", y: "str | None") -> "tuple[int, bool]":
        return x, y is None

    signature = PythonPacketFunction(f, ["a", "b"]).signature
    assert signature.inputs == Schema({"x": int, "y": str | None})
    assert signature.outputs == Schema({"a": int, "b": bool})


def test_schemas_given_as_arguments_take_the_place_of_annotations() -> None:
    def f(x, y: int = 3):  # type: ignore[no-untyped-def]
        return x + y

    signature = PythonPacketFunction(f, "z", input_schema={"x": float}, output_schema={"z": float}).signature
    assert signature.inputs == Schema({"x": float, "y": int})
    assert signature.optional == {"y"}
    assert signature.outputs == Schema({"z": float})


def no_type(x) -> int:  # type: ignore[no-untyped-def]
    return int(x)


def no_result(x: int):  # type: ignore[no-untyped-def]
    return x


def stars(*values: int) -> int:
    return sum(values)


def keywords(**values: int) -> int:
    return sum(values.values())


def positional(x: int, /) -> int:
    return x


def any_type(x: Any) -> int:
    return int(x)


def either(x: int | str) -> int:
    return int(x)


def missing_name(x: "Nowhere") -> int:  # type: ignore[name-defined]  # noqa: F821
    return 1


def private(_x: int) -> int:
    return _x


def pair(x: int) -> tuple[int, int]:
    return x, x


def many(x: int) -> tuple[int, ...]:
    return (x, x)


def single(x: int) -> int:
    return x


@pytest.mark.parametrize(
    ("function", "keys", "words"),
    [
        (no_type, "y", ["no_type", "'x'", "no type"]),
        (no_result, "y", ["no_result", "result has no type", "-> float"]),
        (stars, "y", ["stars", "*values"]),
        (keywords, "y", ["keywords", "**values"]),
        (positional, "y", ["positional", "x"]),
        (any_type, "y", ["any_type", "'x'", "Any"]),
        (either, "y", ["either", "'x'", "int | str"]),
        (missing_name, "y", ["missing_name", "Nowhere"]),
        (private, "y", ["private", "_x", "system"]),
        (single, "_y", ["single", "_y", "system"]),
        (single, "", ["single"]),
        (single, [], ["single", "at least one"]),
        (single, ["y", "y"], ["single", "twice"]),
        (single, ["y", "z"], ["single", "2 outputs", "found '-> int'", "tuple"]),
        (pair, ["y", "z", "w"], ["pair", "3 outputs", "tuple[int, int]"]),
        (many, ["y", "z"], ["many", "2 outputs", "..."]),
    ],
)
def test_what_is_not_declared_is_refused_by_name(function: Any, keys: Any, words: list[str]) -> None:
    with pytest.raises(SchemaError) as caught:
        PythonPacketFunction(function, keys)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_schemas_that_name_something_else_are_refused() -> None:
    with pytest.raises(SchemaError, match="'nope'.*'x'"):
        PythonPacketFunction(single, "y", input_schema={"nope": int})
    with pytest.raises(SchemaError, match="output_schema.*'z'.*'y'"):
        PythonPacketFunction(single, "y", output_schema={"z": int})
    with pytest.raises(SchemaError, match="output_schema"):
        PythonPacketFunction(pair, ["y", "z"], output_schema={"y": int})


@pytest.mark.parametrize("version", ["", "one", "v", "1.x", "v1.0-beta"])
def test_a_version_has_a_major_number(version: str) -> None:
    with pytest.raises(SchemaError, match="version"):
        PythonPacketFunction(single, "y", version=version)


def test_an_unknown_kind_of_identity_is_refused() -> None:
    with pytest.raises(SchemaError, match="identity 'name'.*'code', 'version'"):
        PythonPacketFunction(single, "y", identity="name")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a b", "a/b", "a:b", ""])
def test_a_name_can_be_part_of_a_path(name: str) -> None:
    if name:
        with pytest.raises(SchemaError, match="name="):
            PythonPacketFunction(single, "y", name=name)
    with pytest.raises(SchemaError, match="lambda.*name="):
        PythonPacketFunction(lambda x: x, "y", input_schema={"x": int}, output_schema={"y": int})


def test_a_lambda_with_a_name_and_schemas_is_a_function_like_any_other() -> None:
    twice = PythonPacketFunction(lambda x: 2 * x, "y", name="twice", input_schema={"x": int}, output_schema={"y": int})
    assert twice.uri[0] == "twice"
    assert twice.call({"x": 4}) == (8,)


def test_a_partial_is_a_function_like_any_other() -> None:
    def f(x: int, k: int) -> int:
        return x + k

    made = PythonPacketFunction(
        functools.partial(f, k=2), "y", name="g", input_schema={"x": int}, output_schema={"y": int}
    )
    assert made.call({"x": 1}) == (3,)


def test_a_builtin_without_a_signature_is_refused_with_advice() -> None:
    with pytest.raises(SchemaError, match="max"):
        PythonPacketFunction(max, "y", input_schema={"x": int}, output_schema={"y": int})
