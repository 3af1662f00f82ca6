"""What is handed in as a store or an executor, checked to be one."""

from __future__ import annotations

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
