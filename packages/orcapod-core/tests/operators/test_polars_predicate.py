"""Filter takes polars expressions, in pipelines and in identities."""

import os
import subprocess
import sys

import pytest

import orcapod as op
from orcapod.errors import SchemaError
from orcapod.operators import Filter
from orcapod.sources import DictSource

pl = pytest.importorskip("polars")


@pytest.fixture
def numbers():
    given = [{"k": i, "x": None if i == 2 else i * 1.5, "s": f"n{i}"} for i in range(5)]
    return DictSource(given, ["k"], source_id="numbers")


def test_rows_are_kept_for_which_it_holds(numbers):
    """Null does not hold; constraints hold as well."""
    found = numbers.filter((pl.col("x") > 1) & pl.col("s").is_in(["n1", "n2", "n4"]))
    assert found.as_table().column("k").to_pylist() == [1, 4]
    assert numbers.filter(pl.col("x") > 1, s="n4").as_table().column("k").to_pylist() == [4]
    assert found.schema == numbers.schema


def test_it_works_inside_a_pipeline(numbers):
    @op.function_pod(output_keys="y")
    def doubled(x: float) -> float:
        return 2 * x

    pipeline = op.Pipeline("filtered")
    with pipeline:
        doubled.pod(numbers.drop_nulls().filter(pl.col("k").is_between(3, 4)), label="doubled")
    pipeline.run().raise_for_errors()
    assert pipeline.doubled.as_table().column("y").to_pylist() == [9.0, 12.0]


def test_what_it_says_is_its_identity(numbers):
    three, again, four = (numbers.filter(pl.col("x") > limit) for limit in (3, 3, 4))
    assert three.content_hash() == again.content_hash()
    assert three.content_hash() != four.content_hash()
    assert numbers.filter(pl.col("s") == "3").content_hash() != numbers.filter(pl.col("s") == 3 * "3").content_hash()
    program = (
        "import polars as pl; from orcapod.operators import Filter; "
        "print(hash(Filter((pl.col('x') > 3) & pl.col('s').is_in(['a'])).arguments()[0]) and "
        "Filter((pl.col('x') > 3) & pl.col('s').is_in(['a'])).arguments()[0][1])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    printed = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert printed.strip() == Filter((pl.col("x") > 3) & pl.col("s").is_in(["a"])).arguments()[0][1]


def test_what_does_not_fit_is_said_when_it_is_built(numbers):
    with pytest.raises(SchemaError, match=r"no column 'z'; found \['k', 'x', 's'\]"):
        numbers.filter(pl.col("z") > 1)
    with pytest.raises(SchemaError, match="expected bool"):
        numbers.filter(pl.col("x") + 1)
    with pytest.raises(SchemaError, match="does not apply"):
        numbers.filter(pl.col("s").dt.year() > 1)


@pytest.mark.parametrize(
    "expression",
    [
        lambda: pl.col("x") > pl.col("x").mean(),
        lambda: pl.col("x").shift() > 1,
        lambda: pl.col("x").is_duplicated(),
        lambda: pl.col("x").rank().over("s") > 1,
        lambda: pl.col("x") > pl.Series([1, 2, 3, 4, 5]),
        lambda: pl.len() > 3,
        lambda: pl.all() > 3,
        lambda: pl.lit(True),
    ],
)
def test_it_may_look_at_one_row_at_a_time(expression):
    """What looks at others would depend on how rows are cut into chunks."""
    with pytest.raises(SchemaError, match="of one row alone"):
        Filter(expression())
