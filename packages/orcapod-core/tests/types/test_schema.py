"""``Schema``: a mapping from names to Python types, and the Arrow schema that stands for it."""

from typing import NewType, TypedDict

import pyarrow as pa
import pytest
from hypothesis import given
from typing_extensions import TypeAliasType

from orcapod.errors import SchemaError
from orcapod.testing.strategies import schemas
from orcapod.types import AwareDatetime, Schema


class Point(TypedDict):
    x: float
    y: float | None


COLUMNS = {"a": int, "b": str | None, "c": list[float | None], "d": tuple[int, str], "e": AwareDatetime, "p": Point}


def test_a_schema_is_an_immutable_mapping_from_names_to_annotations():
    schema = Schema(COLUMNS)
    assert dict(schema) == COLUMNS
    assert schema == COLUMNS
    assert list(schema) == list(COLUMNS)
    assert len(schema) == 6
    assert "a" in schema
    assert "z" not in schema
    with pytest.raises(TypeError):
        schema["a"] = str


def test_schemas_are_equal_whatever_the_order_of_columns_and_hash_alike():
    one, other = Schema({"a": int, "b": str}), Schema([("b", str), ("a", int)])
    assert one == other
    assert hash(one) == hash(other)
    assert one != Schema({"a": int, "b": str | None})
    assert one != Schema({"a": int})
    assert one != {"a": int}


def test_structure_knows_names_and_types_and_no_nullability_at_any_depth():
    strict = Schema({"b": list[dict[str, int]], "a": tuple[int, tuple[str, ...]]})
    loose = Schema({"a": tuple[int | None, tuple[str | None, ...]] | None, "b": list[dict[str, int | None] | None]})
    assert strict.structure == loose.structure
    assert [name for name, _ in strict.structure] == ["a", "b"]
    assert Schema({"a": list[int]}).structure != Schema({"a": tuple[int, ...]}).structure
    assert Schema({"a": int}).structure != Schema({"a": float}).structure


def test_records_with_odd_names_do_not_pass_for_other_records():
    one = TypedDict("Odd", {"a: int, b": str})
    other = TypedDict("Other", {"a": int, "b": str})  # noqa: UP013  # beside its neighbour
    assert Schema({"x": one}).structure != Schema({"x": other}).structure
    assert Schema({"x": one}) != Schema({"x": other})


def test_select_drop_rename_and_union_give_schemas():
    schema = Schema({"a": int, "b": str, "c": float})
    assert list(schema.select(["c", "a"])) == ["c", "a"]
    assert list(schema.drop(["b", "unknown"])) == ["a", "c"]
    assert dict(schema.rename({"a": "b", "b": "a"})) == {"b": int, "a": str, "c": float}
    assert dict(schema | Schema({"c": int, "d": bool})) == {"a": int, "b": str, "c": int, "d": bool}


def test_the_arrow_schema_marks_what_may_be_null():
    arrow = Schema({"a": int, "b": str | None}).arrow
    assert arrow == pa.schema([pa.field("a", pa.int64(), nullable=False), pa.field("b", pa.large_string())])


@given(schemas("a", "b"))
def test_a_schema_survives_its_annotations(schema):
    assert Schema(dict(schema)) == schema
    assert Schema(schema.types) == schema
    assert Schema(dict(schema)).arrow == schema.arrow


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (list, ["list", "list[float]"]),
        (tuple, ["tuple[int, ...]"]),
        (dict, ["dict[str, float]", "TypedDict"]),
        (int | str, ["int | str", "T | None"]),
        (object, ["object", "register", "float"]),
        ("int", ["int", "register"]),
        (None, ["None"]),
        (dict[str | None, int], ["key", "None"]),
    ],
)
def test_a_type_without_arrow_type_is_named_with_what_to_do(annotation, words):
    with pytest.raises(SchemaError) as caught:
        Schema({"x": annotation})
    assert all(word in str(caught.value) for word in words)


Unit = NewType("Unit", int)
Part = NewType("Part", Unit)
Pair = TypeAliasType("Pair", tuple[Part, str])


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        (Unit, int),
        (Part, int),
        (Part | None, int | None),
        (list[Unit], list[int]),
        (dict[Part, Pair], dict[int, tuple[int, str]]),
        (TypeAliasType("Maybe", Unit | None), int | None),
    ],
)
def test_another_name_for_a_type_is_that_type(named, meant):
    assert Schema({"a": named}) == Schema({"a": meant})
    assert Schema({"a": named}).structure == Schema({"a": meant}).structure
