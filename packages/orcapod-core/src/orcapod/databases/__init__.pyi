from orcapod.databases.contract import (
    checked_ids,
    checked_path,
    checked_table,
    chosen_columns,
    conformed,
    duplicate_key,
    filtered,
    merged_schema,
    named_columns,
)
from orcapod.databases.json_columns import to_json
from orcapod.databases.location import is_path
from orcapod.databases.long_lists import ListDialect, SQLTable
from orcapod.databases.memory import MemoryDatabase
from orcapod.databases.node_views import (
    HISTORY,
    Dialect,
    NodeTables,
    free_view_name,
    misnamed,
    tables_of,
    view_keys,
    view_names,
    view_selects,
)
from orcapod.databases.noop import NoOpDatabase
from orcapod.databases.open import open_database
from orcapod.databases.sql import (
    Layout,
    SQLColumn,
    damaged_catalog,
    free_identifier,
    path_of_text,
    path_text,
    rows_of,
    sql_column,
    table_of,
)
from orcapod.databases.sqlite import SQLiteDatabase
from orcapod.databases.store_format import STORE_FORMAT, check_format
from orcapod.databases.view import DatabaseView, check_process, checked_config, closed_store

__all__ = [
    "HISTORY",
    "STORE_FORMAT",
    "DatabaseView",
    "Dialect",
    "Layout",
    "ListDialect",
    "MemoryDatabase",
    "NoOpDatabase",
    "NodeTables",
    "SQLColumn",
    "SQLTable",
    "SQLiteDatabase",
    "check_format",
    "check_process",
    "checked_config",
    "checked_ids",
    "checked_path",
    "checked_table",
    "chosen_columns",
    "closed_store",
    "conformed",
    "damaged_catalog",
    "duplicate_key",
    "filtered",
    "free_identifier",
    "free_view_name",
    "is_path",
    "merged_schema",
    "misnamed",
    "named_columns",
    "open_database",
    "path_of_text",
    "path_text",
    "rows_of",
    "sql_column",
    "table_of",
    "tables_of",
    "to_json",
    "view_keys",
    "view_names",
    "view_selects",
]
