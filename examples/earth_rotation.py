# /// script
# requires-python = ">=3.11"
# dependencies = ["orcapod-core", "astropy-iers-data==0.2026.11.2.0.34.55"]
#
# [tool.uv.sources]
# orcapod-core = { path = "../packages/orcapod-core", editable = true }
# ///
"""How long was each day, and when would the next leap second be due?

Radio telescopes and satellites time the Earth's rotation. Two services of the IERS publish what they find: Washington
every week, Paris a final series some weeks later; both tables come inside ``astropy-iers-data``. The last days are only
predicted, so they fail. Run it twice: the second run computes nothing, and tries the failed days again.

Usage: earth_rotation.py [STORE]
"""

import logging
import math
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from statistics import median

import astropy_iers_data as iers
import pyarrow.compute as pc

import orcapod as op
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource

FIRST, LAST = date(2024, 1, 1), date(2026, 10, 31)
EQUATOR_SPEED = 465.1  # metres per second
POLE_SHIFT = 30_818  # millimetres on the ground, per arcsecond


@op.function_pod(output_keys=["excess_ms", "equator_m"])
def day_length(lod_ms: float | None) -> tuple[float, float]:
    """By how much the day exceeded 86,400 seconds, and how far the equator fell behind."""
    if lod_ms is None:
        raise ValueError("predicted only, no length of day measured yet")
    if lod_ms < -1.5:
        logging.getLogger("rotation").warning("shorter than 24 hours by %.2f ms", -lod_ms)
    return lod_ms, lod_ms / 1000 * EQUATOR_SPEED


@op.function_pod(output_keys=["leap_second", "due_years"])
def next_leap_second(excess_ms: float, ut1_utc: float) -> tuple[str, float]:
    """If all days were like this one: a second to insert or to remove, once the clocks are 0.9 s apart."""
    kind, limit = ("insert", -0.9) if excess_ms > 0 else ("remove", 0.9)
    return kind, (ut1_utc - limit) / (excess_ms / 1000) / 365.25


@op.function_pod(output_keys="apart_mm")
def disagreement(rapid_x: float, rapid_y: float, final_x: float, final_y: float) -> float:
    """How far apart, on the ground, the two services put the pole."""
    return math.hypot(rapid_x - final_x, rapid_y - final_y) * POLE_SHIFT


def rapid_service() -> Iterator[dict[str, object]]:
    """Day by day: position of the pole (arcsec), UT1 - UTC (s), length of day (ms; empty where predicted)."""
    for line in Path(iers.IERS_A_FILE).read_text().splitlines():
        if line[18:27].strip():
            day = date(int(line[:2]) + (1900 if line[:2] >= "73" else 2000), int(line[2:4]), int(line[4:6]))
            pole = {"rapid_x": float(line[18:27]), "rapid_y": float(line[37:46])}
            lod = line[79:86].strip()
            yield {"date": day, **pole, "ut1_utc": float(line[58:68]), "lod_ms": float(lod) if lod else None}


def final_series() -> Iterator[dict[str, object]]:
    """Day by day: position of the pole (arcsec), from all techniques combined."""
    for line in Path(iers.IERS_B_FILE).read_text().splitlines():
        if not line.startswith("#"):
            year, month, day, _hour, _mjd, x, y = line.split()[:7]
            yield {"date": date(int(year), int(month), int(day)), "final_x": float(x), "final_y": float(y)}


def build(store: Path) -> op.Pipeline:
    """The plan: two sources, three functions, two joins."""
    by_date = {"tag_columns": ["date"], "record_id_column": "date"}
    rapid = DictSource(list(rapid_service()), source_id="iers_rapid", **by_date)
    final = DictSource(list(final_series()), source_id="iers_final", **by_date)
    pipeline = op.Pipeline("earth_rotation", store)
    with pipeline:
        days = rapid.filter((pc.field("date") >= FIRST) & (pc.field("date") <= LAST))
        length = day_length.pod(days.select_packet_columns(["lod_ms"]), label="length")
        next_leap_second.pod(length.join(days).select_packet_columns(["excess_ms", "ut1_utc"]), label="leap")
        disagreement.pod(days.join(final), label="apart")
    return pipeline


def main(store: Path) -> None:
    """Run the pipeline, and tell what it did and what it found."""
    pipeline = build(store)
    logs = LoggingObserver(pipeline.log_database)
    result = pipeline.run(observer=logs)

    print(f"\nThe Earth's rotation from {FIRST} to {LAST}, kept in {store}\n")
    states = ("computed", "cached", "failed", "incomplete")
    print(f"{'node':8}" + "".join(f"{state:>12}" for state in states))
    for label in ("length", "leap", "apart"):
        print(f"{label:8}" + "".join(f"{result.counts(label)[state]:12,}" for state in states))

    ran = [row for row in logs.get_logs().to_pylist() if row["__run_id"] == result.run_id]
    warned = sum("shorter than 24 hours" in (row["__python_logs"] or "") for row in ran)
    failed = sorted(row["date"] for row in ran if not row["__success"])
    print(f"\nThis run's log: {len(ran):,} executed, {warned} warned of a very short day, {len(failed)} failed")
    for error in result.errors[:1]:
        print(f"  {', '.join(failed[:3])}, ...: {error.exception}")

    lengths = sorted(pipeline.length.as_table().to_pylist(), key=lambda row: row["excess_ms"])
    leaps = {row["date"]: row for row in pipeline.leap.as_table().to_pylist()}
    print("\nThe shortest days, and the longest    the equator is ahead    if every day were so, a leap second")
    for row in [*lengths[:4], lengths[-1]]:
        leap = leaps[row["date"]]
        print(f"  {row['date']}   24 h {row['excess_ms']:+.4f} ms {-row['equator_m']:+16.2f} m", end="")
        print(f"            to {leap['leap_second']} in {leap['due_years']:.1f} years")

    apart = pipeline.apart.as_table(columns={"source": True, "system_tags": True}).to_pylist()
    worst = max(apart, key=lambda row: row["apart_mm"])
    print(f"\nThe two services put the pole {median(row['apart_mm'] for row in apart):.1f} mm apart (median).")
    print(f"The worst day is {worst['date']}, {worst['apart_mm']:.1f} mm. Where that value comes from:")
    print(f"  computed   {worst['_source_apart_mm']}")
    for column, source in worst.items():
        if column.startswith("_tag_source_id"):
            print(f"  from       {source}::{worst[column.replace('source_id', 'record_id', 1)]}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "earth_rotation.db"))
