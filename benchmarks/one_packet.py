"""The smallest pipeline there is: how long does a person wait for the first result?"""

import orcapod as op
from orcapod.sources import DictSource


@op.function_pod(output_keys="y")
def increment(x: int) -> int:
    return x + 1


pipeline = op.Pipeline("one_packet")
with pipeline:
    increment.pod(DictSource([{"i": 0, "x": 1}], tag_columns=["i"], source_id="one"), label="increment")
assert pipeline.run().ok
assert pipeline.increment.as_table()["y"].to_pylist() == [2]
