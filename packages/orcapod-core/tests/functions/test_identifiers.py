"""Names of columns and parameters meet in the form in which Python knows identifiers.

Keyboards and instruments write the micro sign, Python makes the Greek letter of it in identifiers, not in strings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import InputValidationError, SchemaError
from orcapod.functions import PythonPacketFunction
from orcapod.pods import FunctionPod
from orcapod.sources import DictSource
from orcapod.streams import Stream

MICRO, GREEK = "\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m"
FORMS = {
    "the micro sign": (MICRO, GREEK),
    "a ligature": ("\N{LATIN SMALL LIGATURE FI}t", "fit"),
    "an accent of its own": ("e\N{COMBINING ACUTE ACCENT}", "\N{LATIN SMALL LETTER E WITH ACUTE}"),
    "a full-width letter": ("\N{FULLWIDTH LATIN SMALL LETTER X}", "x"),
}


def doubled(μm: float) -> float:  # the subject
    return μm * 2


def lengths(name: str, **more: Any) -> Stream:
    return DictSource([{"id": i, name: 1.5 * i, **more} for i in range(3)], ["id"], source_id="lengths")


@pytest.mark.parametrize("name", [MICRO, GREEK])
def test_a_parameter_finds_its_column_in_whatever_form_it_is_written(name: str) -> None:
    database = MemoryDatabase()
    pipeline = op.Pipeline("p", database)
    with pipeline:
        op.function_pod("y", identity="version")(doubled).pod(lengths(name, unused=1), label="doubled")
    assert pipeline.run().ok
    assert pipeline.doubled.as_table()["y"].to_pylist() == [0.0, 3.0, 6.0]
    entries = pipeline.log_database.get_records(pipeline.doubled.path)
    assert entries[f"_source_{name}"].to_pylist() == [f"lengths::row_{i}::{name}" for i in range(3)]


def test_both_forms_are_one_computation() -> None:
    database, counts = MemoryDatabase(), []
    for name in (MICRO, GREEK):
        pipeline = op.Pipeline("p", database)
        with pipeline:
            op.function_pod("y", identity="version")(doubled).pod(lengths(name))
        counts.append(pipeline.run().counts("doubled")["computed"])
    assert counts == [3, 0]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_meets(form: str) -> None:
    written, known = FORMS[form]
    namespace: dict[str, Any] = {}
    exec(f"def f({written}: float, other: int = 0) -> float:\n    return {written} + other", namespace)
    pod = FunctionPod(PythonPacketFunction(namespace["f"], known, identity="version"))
    for name in (written, known):
        assert pod(lengths(name)).as_table()[known].to_pylist() == [0.0, 1.5, 3.0]
        assert lengths(name).filter(**{known: 1.5}).as_table()["id"].to_pylist() == [1]
        assert lengths(name).filter({written: 1.5}).as_table()["id"].to_pylist() == [1]
    declared = PythonPacketFunction(lambda x: x, "y", name="d", input_schema={"x": float}, output_schema={"y": float})
    assert declared.signature.inputs == {"x": float}


def test_what_one_function_gives_another_takes() -> None:
    def measured(x: int) -> float:
        return x / 2

    made = FunctionPod(PythonPacketFunction(measured, MICRO))(DictSource([{"id": 1, "x": 3}], ["id"], source_id="s"))
    assert made.keys() == (("id",), (MICRO,))
    assert FunctionPod(PythonPacketFunction(doubled, "y"))(made).as_table()["y"].to_pylist() == [3.0]


def test_a_label_is_found_as_an_attribute() -> None:
    written, known = FORMS["a ligature"]
    pipeline = op.Pipeline("p")
    with pipeline:
        lengths("x").map_packets({"x": "y"}, label=written)
    assert pipeline[written] is getattr(pipeline, known)


@pytest.mark.parametrize("form", FORMS)
def test_two_columns_that_are_one_name_in_python_are_refused(form: str) -> None:
    one, other = FORMS[form]
    plain = lengths("z")
    makers: list[tuple[type[Exception], Callable[[], object]]] = [
        (InputValidationError, lambda: DictSource([{one: 1, other: 2}], [])),
        (InputValidationError, lambda: DictSource([{one: 1, other: 2}], [one])),
        (SchemaError, lambda: lengths(one).join(lengths(other))),
        (SchemaError, lambda: lengths(one, z=1).map_packets({"z": other})),
        (SchemaError, lambda: plain.map_tags({"id": one}).map_packets({"z": other})),
        (SchemaError, lambda: PythonPacketFunction(two, [one, other])),
    ]
    for error, make in makers:
        with pytest.raises(error, match="are one name in Python") as caught:
            make()
        assert all(ascii(each) in str(caught.value) for each in (one, other))


def test_an_operator_says_that_two_names_only_look_the_same() -> None:
    with pytest.raises(SchemaError, match=r"written with other signs: '\\xb5m'"):
        lengths(MICRO).select_packet_columns([GREEK])


def two(z: float) -> tuple[float, float]:
    return z, z
