# /// script
# requires-python = ">=3.11"
# dependencies = ["orcapod-core", "scikit-image==0.26.0"]
#
# [tool.uv.sources]
# orcapod-core = { path = "../packages/orcapod-core", editable = true }
# ///
"""How many things are in a picture, and does it depend on what counts as one?

Coins of Pompeii, galaxies of Hubble's deep field, stained nuclei of a colon: the pictures come inside ``scikit-image``
(the first and the last without known copyright restrictions, the second of NASA, in the public domain). Each is
searched with one threshold after the other. There are 24 coins, whichever one takes; of galaxies there are more, the
fainter they may be. A fourth file has broken off half-way, and fails alone. Run it twice: the second run computes
nothing.

Usage: pictures.py [STORE]
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage import io
from skimage.color import gray2rgb, rgb2gray
from skimage.filters import gaussian
from skimage.measure import label
from skimage.segmentation import mark_boundaries
from skimage.util import img_as_float, img_as_ubyte

import orcapod as op
from orcapod.sources import DictSource, FileSource

THINGS = {"coins": "bright", "hubble_deep_field": "bright", "ihc": "dark", "moon": "bright"}
THRESHOLDS = (0.04, 0.06, 0.08, 0.10, 0.12, 0.14, 0.16)
SMALLEST = 50  # pixels; what is smaller is noise


@dataclass(frozen=True)
class Plateau:
    """Three thresholds that follow each other, between which the count changes least."""

    low: float
    high: float
    count: int  # in the middle
    spread: float  # of the three counts, as a part of that in the middle


@op.function_pod(output_keys="flat")
def flatten(file: op.File, things: str) -> NDArray[np.float64]:
    """The picture in grey: things are bright, and the ground is 0 wherever it gets lighter or darker."""
    picture = img_as_float(io.imread(file.path))
    grey = rgb2gray(picture) if picture.ndim == 3 else picture
    if things == "dark":
        grey = 1 - grey
    return gaussian(grey, 2) - gaussian(grey, 25)


@op.function_pod(output_keys=["found", "count"])
def find(flat: NDArray[np.float64], threshold: float) -> tuple[NDArray[np.uint16], int]:
    """The things in a picture, numbered from 1, and how many there are."""
    numbered = label(flat > threshold)
    sizes = np.bincount(numbered.ravel())
    numbers = np.zeros(len(sizes), np.uint16)
    large = np.flatnonzero(sizes[1:] >= SMALLEST) + 1
    numbers[large] = np.arange(1, len(large) + 1)
    return numbers[numbered], len(large)


@op.function_pod(output_keys="figure")
def outline(file: op.File, found: NDArray[np.uint16]) -> op.File:
    """The picture, with what was found in it outlined in red."""
    picture = img_as_float(io.imread(file.path))
    marked = mark_boundaries(picture if picture.ndim == 3 else gray2rgb(picture), found, color=(1, 0, 0))
    figure = op.output_path("outlined.png")
    io.imsave(figure, img_as_ubyte(marked), check_contrast=False)
    return op.File(figure)


@op.function_pod(output_keys="plateau")
def steadiest(threshold: list[float], count: list[int]) -> Plateau:
    """Where it matters least what counts as a thing."""
    triples = [count[at : at + 3] for at in range(len(count) - 2)]
    spreads = [(max(triple) - min(triple)) / triple[1] for triple in triples]
    best = int(np.argmin(spreads))
    return Plateau(threshold[best], threshold[best + 2], count[best + 1], spreads[best])


def prepare(folder: Path) -> None:
    """Lay out the files of the study: four pictures, one of them as a full disk leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("coins.png", "hubble_deep_field.jpg", "ihc.png", "moon.png"):
        data = (files("skimage") / "data" / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2] if name == "moon.png" else data)


def build(store: Path, pictures: Path, thresholds: Sequence[float]) -> op.Pipeline:
    """The plan: a folder, what is sought in each picture, and the thresholds that are tried on all of them."""
    taken = FileSource(pictures, "{picture}.*", source_id="pictures")
    rows = [{"picture": picture, "things": things} for picture, things in THINGS.items()]
    sought = DictSource(rows, ["picture"], source_id="sought", record_id_column="picture")
    rows = [{"at": f"{threshold:.2f}", "threshold": threshold} for threshold in thresholds]
    tried = DictSource(rows, ["at"], source_id="tried", record_id_column="at")
    pipeline = op.Pipeline("pictures", store)
    with pipeline:
        flat = flatten.pod(taken.join(sought), label="flat")
        found = find.pod(flat.cross(tried), label="found")  # every picture with every threshold
        outline.pod(taken.join(found), label="figures")
        counts = tried.join(found).select_packet_columns(["threshold", "count"])
        steadiest.pod(counts.group_by("picture"), label="plateaus")
    return pipeline


def tell(title: str, result: op.RunResult) -> None:
    """Print what a run did, and which packets failed."""
    outcomes = ("computed", "cached", "failed")
    print(f"\n{title:22}" + "".join(f"{outcome:>10}" for outcome in outcomes))
    for node in ("flat", "found", "figures", "plateaus"):
        print(f"  {node:20}" + "".join(f"{result.counts(node)[outcome]:10}" for outcome in outcomes))
    for error in result.errors:
        print(f"  {error.tag['picture']}: {error.exception}")


def main(store: Path) -> None:
    """Run the pipeline, tell what it did and what it found, and try one threshold more."""
    pictures = store.with_name(f"{store.name}.pictures")
    prepare(pictures)
    pipeline = build(store, pictures, THRESHOLDS)
    tell("Seven thresholds", pipeline.run(progress=False))

    print(f"\n{'things, by threshold':22}" + "".join(f"{each:6.2f}" for each in THRESHOLDS) + "   steadiest")
    counts = {(tag["picture"], tag["at"]): packet["count"] for tag, packet in pipeline.found.iter_packets()}
    for tag, packet in pipeline.plateaus.iter_packets():
        best = packet["plateau"]
        row = "".join(f"{counts[tag['picture'], at]:6}" for at in tag["at"])
        print(f"  {tag['picture']:20}{row}   {best.count}, {best.low:.2f} to {best.high:.2f}, within {best.spread:.0%}")

    figures = pipeline.figures.export(store.with_name(f"{store.name}.figures") / "{picture}_{at}.png", prune=True)
    print(f"\n{len(figures)} figures, such as {figures[0]}")
    print("Where the first count comes from:")
    tag, packet = next(iter(pipeline.found.iter_packets()))
    print(f"  computed   {packet.source_info()['count']}")
    for column, source in (ids := tag.system_tags()).items():
        if column.startswith("_tag_source_id"):
            print(f"  from       {source}::{ids[column.replace('source_id', 'record_id', 1)]}")

    tell("One threshold more", build(store, pictures, (*THRESHOLDS, 0.18)).run(progress=False))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "pictures.db"))
