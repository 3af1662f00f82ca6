"""``orcapod graph``: what a pipeline is made of."""

from __future__ import annotations

from pathlib import Path

import click

from orcapod.cli.names import find_run
from orcapod.cli.new_file import check_free, check_not_of_store, force_option
from orcapod.cli.options import output_option
from orcapod.cli.output import Output
from orcapod.cli.target import load_pipeline
from orcapod.graph import Picture
from orcapod.ledger import open_store

__all__ = ["graph_command"]


@click.command("graph")
@click.argument("target")
@output_option
@click.option("--mermaid", "form", flag_value="mermaid", help="As a flowchart of Mermaid's, for Markdown.")
@click.option("--dot", "form", flag_value="dot", help="In DOT, for Graphviz.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="As a picture, to a file.")
@force_option
@click.option("--run", metavar="RUN", help="With the outcome of a run in the pipeline's store.")
def graph_command(
    target: str, output: Output, form: str | None, svg: Path | None, run: str | None, *, force: bool
) -> None:
    """Show what a pipeline is made of: a tree from what nobody reads, below each what it is made of."""
    if svg is not None:
        check_free(svg, force=force)
    pipeline = load_pipeline(target, output)
    store = open_store(pipeline.database)
    if svg is not None:
        check_not_of_store(svg, store)
    picture = pipeline.graph()
    if run is not None:
        begun = find_run(store, run, "/".join(pipeline.name))
        totals = {label: node.totals for label, node in begun.nodes.items()}
        counts = {label: node.counts for label, node in totals.items() if node.counts}
        picture = picture.after(counts, {label: node.given for label, node in totals.items()})
    if svg is not None:
        try:
            svg.write_text(picture.to_svg(), encoding="utf-8")
        except OSError as error:
            raise click.UsageError(f"{str(svg)!r} cannot be written: {error.strerror or error}") from error
        click.echo(f"written to {svg}", err=True)
    elif output.is_json:
        output.json(_plan(picture))
    else:
        match form:
            case "mermaid":
                text = picture.to_mermaid()
            case "dot":
                text = picture.to_dot()
            case _:
                text = str(picture)
        output.lines(text, whole=form is not None)  # for a program of another kind


def _plan(picture: Picture) -> object:
    labels = [box.label for box in picture.boxes]
    nodes = [
        {
            "label": box.label,
            "kind": box.kind,
            "detail": box.detail,
            "inputs": [labels[number] for number in box.inputs],
            "outcome": box.outcome,
            "counts": box.counts,
        }
        for box in picture.boxes
    ]
    return {"pipeline": picture.title, "nodes": nodes}
