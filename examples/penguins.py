# /// script
# requires-python = ">=3.11"
# dependencies = ["orcapod-core", "palmerpenguins==0.1.6"]
#
# [tool.uv.sources]
# orcapod-core = { path = "../packages/orcapod-core", editable = true }
# ///
"""Do penguins with longer bills have deeper ones? It depends on whom you ask together.

The birds of three species were measured near Palmer Station, Antarctica (Gorman, Williams and Fraser, 2014); the
table comes inside ``palmerpenguins``. A line through all of them falls, a line through each species rises: Simpson's
paradox. Run it twice: the second run computes nothing.

Usage: penguins.py [STORE]
"""

import sys
from importlib.resources import files
from pathlib import Path
from statistics import correlation, linear_regression, mean
from typing import TypedDict

import orcapod as op
from orcapod.sources import CSVSource

BIRDS = Path(str(files("palmerpenguins") / "data" / "penguins.csv"))


class Line(TypedDict):
    """A straight line: depth = slope * length + intercept, in millimetres; r is Pearson's."""

    slope: float
    intercept: float
    r: float


@op.function_pod(output_keys="line")
def fit(bill_length_mm: list[float], bill_depth_mm: list[float]) -> Line:
    """The line of least squares through a group of birds."""
    found = linear_regression(bill_length_mm, bill_depth_mm)
    return {"slope": found.slope, "intercept": found.intercept, "r": correlation(bill_length_mm, bill_depth_mm)}


@op.function_pod(output_keys="off_mm")
def residuals(bill_length_mm: list[float], bill_depth_mm: list[float], line: Line) -> list[float]:
    """How much deeper than the line says each bill is."""
    expected = [line["slope"] * length + line["intercept"] for length in bill_length_mm]
    return [depth - said for depth, said in zip(bill_depth_mm, expected, strict=True)]


@op.function_pod(output_keys="mass_g")
def mean_mass(body_mass_g: list[float]) -> float:
    """The mean mass of a group of birds."""
    return mean(body_mass_g)


@op.function_pod(output_keys="ratio")
def dimorphism(mass_g: list[float]) -> float:
    """How many times as heavy as the lighter sex the heavier one is."""
    return max(mass_g) / min(mass_g)


def build(store: Path) -> op.Pipeline:
    """The plan: one file, four functions, groups, joins, and lists taken apart again."""
    birds = CSVSource(BIRDS, ["species", "island", "sex"], data_schema={"body_mass_g": float | None})
    pipeline = op.Pipeline("penguins", store)
    with pipeline:
        bills = birds.drop_tag_columns("sex").select_packet_columns(["bill_length_mm", "bill_depth_mm"]).drop_nulls()
        species = bills.group_by("species")
        lines = fit.pod(species, label="lines")
        fit.pod(bills.batch(), label="one_line")
        off = residuals.pod(species.join(lines.drop_tag_columns("island")), label="residuals")
        off.explode(["island", "off_mm"], index_tag="bird", label="birds")

        masses = birds.select_packet_columns("body_mass_g").drop_nulls()
        by_sex = [
            mean_mass.pod(masses.filter(sex=sex).drop_tag_columns(["sex", "island"]).group_by("species"), label=sex)
            for sex in ("male", "female")
        ]
        dimorphism.pod(by_sex[0].merge_join(by_sex[1]), label="dimorphism")
    return pipeline


def main(store: Path) -> None:
    """Run the pipeline, and tell what it did and what it found."""
    pipeline = build(store)
    result = pipeline.run()
    result.raise_for_errors()
    labels = ("lines", "one_line", "residuals", "male", "female", "dimorphism")
    counts = [result.counts(label) for label in labels]
    print(f"{sum(each['computed'] for each in counts)} computed, {sum(each['cached'] for each in counts)} cached\n")

    ratios = {row["species"]: row["ratio"] for row in pipeline.dimorphism.as_table().to_pylist()}
    print("                bill depth against length      heavier sex")
    for tag, packet in pipeline.lines.iter_packets():
        name, line = tag["species"], packet["line"]
        print(f"  {name:12}{line['slope']:+8.3f} mm/mm, r = {line['r']:+.2f}{ratios[name]:15.2f} x")
    ((_, together),) = pipeline.one_line.iter_packets()
    print(f"  {'together':12}{together['line']['slope']:+8.3f} mm/mm, r = {together['line']['r']:+.2f}")

    birds = pipeline.birds.as_table(columns={"system_tags": True, "source": True}).to_pylist()
    oddest = max(birds, key=lambda row: abs(row["off_mm"]))
    # The row's own record is one text; that its line was made of all birds of the species is a list beside it.
    record = next(
        value for name, value in oddest.items() if name.startswith("_tag_record_id") and isinstance(value, str)
    )
    line_number = int(record.removeprefix("row_")) + 2
    print(f"\nOf {len(birds)} birds, the bill of one {oddest['species']} of {oddest['island']} is the oddest:")
    print(f"  {oddest['off_mm']:+.2f} mm off the line of its species")
    print(f"  computed  {oddest['_source_off_mm']}")
    print(
        f"  from      {record} of {BIRDS.name}, line {line_number}: {BIRDS.read_text().splitlines()[line_number - 1]}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "penguins.db"))
