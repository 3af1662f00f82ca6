"""``orcapod sql``: a question to a store, in SQL."""

from __future__ import annotations

import click

from orcapod.arrow import rows_of
from orcapod.cli.options import output_option, store_option
from orcapod.cli.output import Output
from orcapod.databases import free_identifier
from orcapod.errors import DatabaseError
from orcapod.ledger import open_store

__all__ = ["sql_command"]


@click.command("sql")
@click.argument("statement")
@store_option
@output_option
def sql_command(statement: str, store: str, output: Output) -> None:
    """Print the answer to one SELECT: "study.bmi" has the present rows of a node, "study.bmi_history" all it ever gave.

    It is put to the store's own engine, SQLite or PostgreSQL, or to DuckDB.
    """
    with open_store(store) as ledger:
        try:
            answer = ledger.sql(statement)
        except DatabaseError as error:
            if type(error) is not DatabaseError or error.is_transient:  # it is not because of the statement
                raise
            raise click.UsageError(str(error)) from error
    names: list[str] = []
    for name in answer.column_names:  # a join may have a name twice
        names.append(free_identifier(name, names))
    output.data(rows_of(answer.rename_columns(names)))
