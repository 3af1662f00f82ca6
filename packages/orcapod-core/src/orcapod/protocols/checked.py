"""What is handed in as a store or an executor, checked to be one."""

from __future__ import annotations

from os import PathLike

from orcapod.checks import checked_object
from orcapod.protocols.database import Database
from orcapod.protocols.executor import PythonFunctionExecutorProtocol

__all__ = ["checked_database", "checked_executor"]


def checked_database(found: object) -> Database:
    """Return the database.

    Raises:
        ConfigError: it is none.
    """
    ways = "give a database such as SQLiteDatabase('lab.db'), a URL, or the path of an SQLite file"
    if isinstance(found, str | PathLike):  # where these may be given, they were opened before
        ways = (
            "open it first: orcapod.databases.open_database(...), or take a pipeline's, such as pipeline.log_database"
        )
    database: Database = checked_object(found, Database, noun="a database", ways=ways)
    return database


def checked_executor(found: object) -> PythonFunctionExecutorProtocol:
    """Return the executor.

    Raises:
        ConfigError: it is none.
    """
    ways = "give one, such as LocalExecutor(workers=4)"
    if isinstance(found, str):
        ways = f"a name is for run(execution_engine={found!r}); {ways}"
    protocol = PythonFunctionExecutorProtocol
    executor: PythonFunctionExecutorProtocol = checked_object(found, protocol, noun="an executor", ways=ways)
    return executor
