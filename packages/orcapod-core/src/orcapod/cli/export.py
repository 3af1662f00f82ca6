"""``orcapod export``: the rows of a node, as a file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from orcapod.arrow import rows_of
from orcapod.cli.names import find_node, node_argument, pipeline_option, run_option
from orcapod.cli.new_file import check_free, check_not_of_store, force_option
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output, json_of
from orcapod.ledger import Store, open_store
from orcapod.ledger.node_rows import in_portions, with_results
from orcapod.ledger.run_summary import NodeSummary, RunSummary
from orcapod.records import RECORD_ID

__all__ = ["export_command"]

_QUOTED = re.compile('[,"\r\n]')


@click.command("export")
@node_argument
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@store_option
@output_option
@pipeline_option
@run_option
@force_option
def export_command(
    node: str, file: Path, store: str, output: Output, pipeline: str | None, run: str | None, *, force: bool
) -> None:
    """Write the rows of a function node to FILE: .parquet, .arrow, .csv, .json or .jsonl, by its name.

    Rows are those of its last whole run, or of another. The file is there whole, or not at all.
    """
    write = _WRITERS.get(file.suffix.lower())
    if write is None:
        raise click.UsageError(f"found the file {str(file)!r}, expected one that ends in {', '.join(_WRITERS)}")
    check_free(file, force=force)
    with open_store(store) as ledger:
        check_not_of_store(file, ledger)
        begun, summary = find_node(ledger, node, pipeline=pipeline, run=run)
        part = file.with_name(f".{os.getpid()}-{file.name}")
        try:
            rows = write(_portions(ledger, begun, summary), part)
            check_free(file, force=force)  # somebody may have made it meanwhile
            part.replace(file)
        except OSError as error:
            raise click.UsageError(f"{str(file)!r} cannot be written: {error.strerror or error}") from error
        finally:
            part.unlink(missing_ok=True)
    facts = {"file": str(file), "node": node, "run_id": begun.run_id, "rows": rows, "bytes": file.stat().st_size}
    if output.is_json:
        output.json(facts)
    else:
        output.line(f"{rows:,} rows of {node}, run {begun.run_id}: {file}")


def _portions(store: Store, run: RunSummary, node: NodeSummary) -> Iterator[pa.Table]:
    """Give the rows; once at least."""
    label = node.record.label
    (entries,) = store.entries_in(label, run, wanted=lambda name: name == RECORD_ID or not name.startswith("_"))
    return in_portions(
        entries.num_rows, lambda start, count: with_results(store.database, node, entries.slice(start, count))
    )


def _write_parquet(tables: Iterator[pa.Table], file: Path) -> int:
    parquet = import_module("pyarrow.parquet")  # which takes as long to import as all else, and nobody else needs it
    return _written(tables, lambda schema: parquet.ParquetWriter(file, schema))


def _write_arrow(tables: Iterator[pa.Table], file: Path) -> int:
    return _written(tables, lambda schema: pa.ipc.new_file(str(file), schema))


def _written(tables: Iterator[pa.Table], opened: Callable[[pa.Schema], Any]) -> int:
    first, rows = next(tables), 0
    with opened(first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)
            rows += table.num_rows
    return rows


def _write_csv(tables: Iterator[pa.Table], file: Path) -> int:
    rows = 0
    with file.open("x", encoding="utf-8", newline="") as sink:
        for table in tables:
            if not rows:
                sink.write(_csv_line(table.column_names))
            sink.writelines(_csv_line(row.values()) for row in rows_of(table))
            rows += table.num_rows
    return rows


def _csv_line(values: Iterable[Any]) -> str:
    """Return a line of a CSV file; one that would be empty, which readers leave out, is an empty text."""
    return (",".join(map(_cell, values)) or '""') + "\r\n"


def _cell(value: Any) -> str:
    """Return a value as CSV has it: null is nothing, the empty text is quoted, what is made of others is JSON."""
    match value:
        case None:
            return ""
        case list() | Mapping():
            text = json.dumps(json_of(value), ensure_ascii=False)
        case float():
            text = str(value)
        case _:
            text = str(json_of(value))
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if not text or _QUOTED.search(text) else text


def _write_jsonl(tables: Iterator[pa.Table], file: Path) -> int:
    rows = 0
    with file.open("x", encoding="utf-8") as sink:
        for table in tables:
            sink.writelines(f"{json.dumps(json_of(row), ensure_ascii=False)}\n" for row in rows_of(table))
            rows += table.num_rows
    return rows


def _write_json(tables: Iterator[pa.Table], file: Path) -> int:
    rows = 0
    with file.open("x", encoding="utf-8") as sink:
        for row in (row for table in tables for row in rows_of(table)):
            sink.write(("[\n" if not rows else ",\n") + json.dumps(json_of(row), ensure_ascii=False))
            rows += 1
        sink.write("\n]\n" if rows else "[]\n")
    return rows


_WRITERS: Mapping[str, Callable[[Iterator[pa.Table], Path], int]] = {
    ".parquet": _write_parquet,
    ".arrow": _write_arrow,
    ".csv": _write_csv,
    ".json": _write_json,
    ".jsonl": _write_jsonl,
}
