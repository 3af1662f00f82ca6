"""Stores of Arrow tables of records: in memory, in an SQLite file, nowhere, or in what a plugin provides.

After the stores come the pieces for those who write another one.
"""

from orcapod.doors import door

_HOMES = {
    "HISTORY": "node_views",
    "STORE_FORMAT": "store_format",
    "DatabaseView": "view",
    "Dialect": "node_views",
    "Layout": "sql",
    "ListDialect": "long_lists",
    "MemoryDatabase": "memory",
    "NoOpDatabase": "noop",
    "NodeTables": "node_views",
    "SQLColumn": "sql",
    "SQLTable": "long_lists",
    "SQLiteDatabase": "sqlite",
    "check_format": "store_format",
    "check_process": "view",
    "checked_config": "view",
    "checked_ids": "contract",
    "checked_path": "contract",
    "checked_table": "contract",
    "chosen_columns": "contract",
    "closed_store": "view",
    "conformed": "contract",
    "damaged_catalog": "sql",
    "duplicate_key": "contract",
    "filtered": "contract",
    "free_identifier": "sql",
    "free_view_name": "node_views",
    "is_path": "location",
    "merged_schema": "contract",
    "misnamed": "node_views",
    "named_columns": "contract",
    "open_database": "open",
    "path_of_text": "sql",
    "path_text": "sql",
    "rows_of": "sql",
    "sql_column": "sql",
    "table_of": "sql",
    "tables_of": "node_views",
    "to_json": "json_columns",
    "view_keys": "node_views",
    "view_names": "node_views",
    "view_selects": "node_views",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
