"""Links in folders that functions make: they mean in the store what they meant when they were made, or are refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.errors import InputValidationError, ValueTypeError
from orcapod.sources import DictSource


@op.function_pod(output_keys="text")
def follow(model: op.Directory) -> str:
    return " ".join(f"{path.name}={path.read_text()}" for path in sorted(model.path.rglob("*")) if path.is_symlink())


def run(pod: Any, store: Path) -> tuple[op.Pipeline, op.RunResult]:
    pipeline = op.Pipeline("study", store)
    with pipeline:
        made = pod.pod(DictSource([{"x": 1}], [], source_id="s"), label="made")
        follow.pod(made, label="followed")
    return pipeline, pipeline.run()


@op.function_pod(output_keys="model")
def train(x: int) -> op.Directory:
    """Link as training programs do: to the whole path of the last step."""
    model = op.output_path("deep/model")
    (model / "steps").mkdir(parents=True)
    (model / "step.ckpt").write_text("weights")
    (model / "absolute").symlink_to(model / "step.ckpt")
    (model / "chain").symlink_to(model / "absolute")
    (model / "relative").symlink_to("step.ckpt")
    (model / "steps" / "above").symlink_to(model / "steps" / ".." / "step.ckpt")
    return op.Directory(model)


@pytest.mark.parametrize("through_link", [False, True])
def test_links_within_a_folder_lead_there_after_it_has_moved(tmp_path: Path, *, through_link: bool) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    store = tmp_path / ("link" if through_link else "real") / "lab.db"
    for computed in (1, 0):
        pipeline, result = run(train, store)
        result.raise_for_errors()
        assert result.counts("made")["computed"] == computed
        ((_, packet),) = pipeline["followed"].iter_packets()
        assert packet["text"] == "absolute=weights chain=weights relative=weights above=weights"
    assert op.verify_store(store).findings == ()
    pipeline.database.close()
    (tmp_path / "real").rename(tmp_path / "moved")
    ((_, packet),) = run(train, tmp_path / "moved" / "lab.db")[0]["made"].iter_packets()
    assert (packet["model"].path / "absolute").read_text() == "weights"


@pytest.mark.parametrize("is_absolute", [True, False])
def test_a_link_to_a_file_elsewhere_leads_there(tmp_path: Path, *, is_absolute: bool) -> None:
    weights = tmp_path / "weights"
    weights.write_text("w")

    @op.function_pod(output_keys="model", ignores=["weights"])
    def refer(x: int) -> op.Directory:
        model = op.output_path("deep/model")
        model.mkdir()
        (model / "latest").symlink_to(weights if is_absolute else os.path.relpath(weights, model))
        return op.Directory(model)

    for _ in range(2):
        pipeline, result = run(refer, tmp_path / "lab.db")
        result.raise_for_errors()
        assert [packet["text"] for _, packet in pipeline["followed"].iter_packets()] == ["latest=w"]


@pytest.mark.parametrize("is_absolute", [True, False])
def test_a_link_to_what_goes_with_the_call_is_refused(tmp_path: Path, *, is_absolute: bool) -> None:
    @op.function_pod(output_keys="model")
    def stray(x: int) -> op.Directory:
        model = op.output_path("deep/model")
        model.mkdir()
        beside = model.parent / "beside"
        beside.write_text("w")
        (model / "latest").symlink_to(beside if is_absolute else "../beside")
        return op.Directory(model)

    pipeline, result = run(stray, tmp_path / "lab.db")
    (error,) = result.errors
    assert isinstance(error.exception, ValueTypeError)
    assert "latest leads to " in str(error.exception)
    assert "which goes when the call ends; put that into the folder" in str(error.exception)
    assert list(pipeline["made"].iter_packets()) == []


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lost").symlink_to("missing")
    with pytest.raises(InputValidationError, match=f"{tmp_path}/data/lost is a link to missing, where nothing is"):
        DictSource([{"x": op.Directory(tmp_path / "data")}], [])
