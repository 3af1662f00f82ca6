"""SQLite files that somebody has prepared: nothing of them runs, and all that goes wrong is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from orcapod.databases import open_database
from orcapod.errors import DatabaseError, RecordSchemaError
from orcapod.protocols import Database
from orcapod.testing import HostileStoreSuite, hostile_bytes, hostile_schema, hostile_text

CATALOG = "_orcapod_paths"
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"

MOVED = "ALTER TABLE {} RENAME TO moved"
MADE_BY = "UPDATE sqlite_master SET sql = '{}' WHERE name = 'lab'"
LARGE = [pa.binary(2**31 - 1), pa.list_(pa.int64(), 2**27), pa.list_(pa.list_(pa.null(), 2**20), 2**20)]


class TestSQLite(HostileStoreSuite):
    def open(self, folder: Path) -> Database:
        return open_database(folder / "store.db")

    def mutate(self, folder: Path, drawn: Random) -> str:
        file = folder / "store.db"
        mutation = drawn.choice(MUTATIONS)
        if mutation is changed_bytes:
            content = bytearray(file.read_bytes())
            for _ in range(drawn.choice([1, 10, 100])):
                content[drawn.randrange(drawn.choice([100, 8192, len(content)]))] = drawn.randrange(256)
            file.write_bytes(content)
            return "changed bytes"
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.text_factory = lambda text: text.decode(errors="replace")
            connection.execute("PRAGMA writable_schema = ON")
            said = [mutation(connection, drawn) for _ in range(drawn.choice([1, 1, 3]))]
        return f"{mutation.__name__}: {said}"


def tables(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return sorted(name for (name,) in connection.execute(query))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def drawn_table(connection: sqlite3.Connection, drawn: Random) -> str:
    return drawn.choice([name for name in tables(connection) if not name.startswith("_orcapod")] or [CATALOG])


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", [table])]


def attempted(connection: sqlite3.Connection, statement: str, *values: object) -> str:
    """Execute what may be no SQL any more after another mutation."""
    try:
        connection.execute(statement, values)
    except (sqlite3.Error, OverflowError) as error:
        return f"not {statement[:80]}: {error}"
    return statement[:300] + f" {values!r:.60}"


def changed_bytes(connection: sqlite3.Connection, drawn: Random) -> str:
    raise NotImplementedError  # a file is changed, not what is in it


def catalog(connection: sqlite3.Connection, drawn: Random) -> str:
    rows = connection.execute(f"SELECT rowid, arrow_schema FROM {CATALOG} ORDER BY rowid").fetchall()
    row, schema = drawn.choice(rows or [(0, b"")])
    column = drawn.choice(["path", "table_name", "arrow_schema", "columns", "arrow_schema", "arrow_schema"])
    value: object = hostile_schema(drawn, schema) if column == "arrow_schema" else hostile_text(drawn)
    if column == "table_name" and drawn.random() < 0.7:
        value = drawn.choice([*tables(connection), "sqlite_master", "pragma_table_info", "sqlite_sequence"])
    return attempted(connection, f"UPDATE OR REPLACE {CATALOG} SET {column} = ? WHERE rowid = ?", value, row)


def value(connection: sqlite3.Connection, drawn: Random) -> str:
    table = drawn_table(connection, drawn)
    column = drawn.choice(columns(connection, table) or ["x"])
    found = attempted(connection, f"SELECT {quoted(column)} FROM {quoted(table)}")
    rows = (
        [] if found.startswith("not ") else connection.execute(f"SELECT rowid, {quoted(column)} FROM {quoted(table)}")
    )
    row, before = drawn.choice(list(rows) or [(1, b"")])
    new: object = drawn.choice(
        [
            hostile_bytes(drawn, before if isinstance(before, bytes) else b""),
            hostile_bytes(drawn, before if isinstance(before, bytes) else b""),
            hostile_text(drawn),
            drawn.choice([None, 0, -1, 2**63 - 1, -(2**63), 1e308, float("inf"), 0.5]),
        ]
    )
    where = "" if drawn.random() < 0.1 else f" WHERE rowid = {row}"
    new_text = "CAST(? AS TEXT)" if isinstance(new, bytes) and drawn.random() < 0.3 else "?"
    return attempted(connection, f"UPDATE OR IGNORE {quoted(table)} SET {quoted(column)} = {new_text}{where}", new)


def view(connection: sqlite3.Connection, drawn: Random) -> str:
    """Put a view in the place of a table."""
    table = drawn.choice([*tables(connection)])
    names = columns(connection, table)
    attempted(connection, f'ALTER TABLE {quoted(table)} RENAME TO "moved {drawn.random()}"')
    moved = tables(connection)[0]
    cell = drawn.choice(
        [
            "zeroblob(900000000)", "randomblob(900000000)", "printf('%.*c', 900000000, 'x')", "load_extension('x')",
            f"({ENDLESS})", "abs(-9223372036854775808)", "replace(hex(zeroblob(10000000)), '0', 'abcdefgh')",
            "fts3_tokenizer('simple')", "sqlite_compileoption_get(1)", "writefile('hostile', 'x')", "NULL",
        ]
    )  # fmt: skip
    cells = ", ".join(f"{cell if drawn.random() < 0.3 else '1'} AS {quoted(name)}" for name in names)
    return attempted(connection, f"CREATE VIEW {quoted(table)} AS SELECT {cells} FROM {quoted(moved)}")


def trigger(connection: sqlite3.Connection, drawn: Random) -> str:
    table = drawn.choice([*tables(connection)])
    other = drawn.choice([*tables(connection)])
    action = drawn.choice(
        [
            f"DELETE FROM {quoted(other)}",
            f"UPDATE {quoted(other)} SET rowid = rowid + 1",
            f"SELECT ({ENDLESS})",
            "SELECT load_extension('x')",
            "SELECT randomblob(900000000)",
            "SELECT RAISE(ABORT, 'hostile')",
        ]
    )
    when = drawn.choice(["BEFORE INSERT", "AFTER INSERT", "AFTER DELETE", "BEFORE UPDATE"])
    return attempted(
        connection, f"CREATE TRIGGER t{drawn.randrange(10**9)} {when} ON {quoted(table)} BEGIN {action}; END"
    )


def definition(connection: sqlite3.Connection, drawn: Random) -> str:
    """Change what the file says of how one of its tables was made."""
    table = drawn_table(connection, drawn)
    names = columns(connection, table)
    if not names:
        return "nothing"
    computed = drawn.choice([f"abs({quoted(names[0])})", "zeroblob(900000000)", "printf('%.*c', 900000000, 'x')"])
    odd = drawn.choice(
        [
            f", CHECK (length({computed}) < 5)",
            f", extra GENERATED ALWAYS AS ({computed})",
            f", UNIQUE ({quoted(names[-1])})",
            ") WITHOUT ROWID; --",
            "",
        ]
    )
    kept = names if drawn.random() < 0.5 else drawn.sample(names, len(names))
    body = ", ".join([f"{quoted(kept[0])} PRIMARY KEY", *(quoted(each) for each in kept[1:])])
    new = drawn.choice(
        [
            f"CREATE TABLE {quoted(table)} ({body}{odd})",
            f"CREATE VIRTUAL TABLE {quoted(table)} USING {drawn.choice(['fts5(x)', 'rtree(a, b, c)', 'hostile(x)'])}",
            hostile_text(drawn),
        ]
    )
    return attempted(connection, "UPDATE sqlite_master SET sql = ? WHERE name = ?", new, table)


def index(connection: sqlite3.Connection, drawn: Random) -> str:
    table = drawn_table(connection, drawn)
    cell = drawn.choice(["length(zeroblob(10000000))", "abs(rowid)", "printf('%.*c', 10000000, 'x')"])
    return attempted(connection, f"CREATE INDEX i{drawn.randrange(10**9)} ON {quoted(table)} ({cell})")


def format_(connection: sqlite3.Connection, drawn: Random) -> str:
    new = drawn.choice([hostile_text(drawn), 2**63 - 1, -1, None, 3.5, b"\xff", 3])
    return attempted(connection, "UPDATE _orcapod_format SET version = ?", new)


def rootpage(connection: sqlite3.Connection, drawn: Random) -> str:
    page = drawn.choice([0, -1, 1, 2, 3, 2**31, "x"])
    return attempted(
        connection, "UPDATE sqlite_master SET rootpage = ? WHERE name = ?", page, drawn_table(connection, drawn)
    )


MUTATIONS: list[Callable[[sqlite3.Connection, Random], str]] = [
    changed_bytes, catalog, catalog, catalog, value, value, value, view, trigger, definition, index, format_, rootpage,
]  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with open_database(tmp_path / "lab.db") as database:
        database.add_records(("lab",), pa.table({"key": ["a"], "x": [1]}))
    return tmp_path / "lab.db"


def edit(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    "statements",
    [
        [
            "ALTER TABLE lab RENAME TO moved",
            f"CREATE VIEW lab AS SELECT 1 AS _row, 'a' AS key, ({ENDLESS}) AS x FROM moved",
        ],
        [
            "ALTER TABLE _orcapod_format RENAME TO moved",
            f"CREATE VIEW _orcapod_format AS SELECT ({ENDLESS}) AS version",
        ],
        [f"CREATE TRIGGER t BEFORE INSERT ON lab BEGIN SELECT ({ENDLESS}); END"],
        ["CREATE TRIGGER t AFTER INSERT ON LAB BEGIN DELETE FROM _orcapod_paths; END"],
        ["CREATE INDEX i ON lab (printf('%.*c', 100, x))"],
        ["CREATE INDEX i ON lab (x) WHERE abs(x) > 0"],
        [MADE_BY.format("CREATE TABLE lab (_row, key, x CHECK (abs(x)))")],
        [MADE_BY.format("CREATE TABLE lab (_row, key, x AS (abs(key)))")],
        [MADE_BY.format('CREATE TABLE lab (_row, key, x /* " */ CHECK (x)) /* " */')],
        [MADE_BY.format("CREATE VIRTUAL TABLE lab USING fts5(key, x)")],
    ],
)
def test_code_in_the_file_is_refused_before_it_runs(file: Path, statements: list[str]) -> None:
    edit(file, *statements)
    with pytest.raises(DatabaseError, match=r"lab\.db"):
        open_database(file)


def test_what_somebody_has_beside_our_tables_is_theirs(file: Path) -> None:
    edit(
        file,
        "CREATE VIEW present AS SELECT key FROM lab",
        "CREATE TABLE notes (day DEFAULT CURRENT_DATE, text CHECK (length(text) < 100))",
        "CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END",
        'CREATE INDEX "my (own) index" ON lab (key, x DESC)',
        'CREATE UNIQUE INDEX "another" ON lab ("x")',
    )
    with open_database(file) as database:
        assert database.add_records(("lab",), pa.table({"key": ["b"], "x": [2]})) == 1
        assert database.get_records(("lab",)).num_rows == 2


@pytest.mark.parametrize(
    "type_", [pa.binary(2**31 - 1), pa.list_(pa.int64(), 2**27), pa.list_(pa.list_(pa.null(), 2**20), 2**20)]
)
def test_types_of_which_a_null_takes_gigabytes_are_refused(type_: Any, tmp_path: Path) -> None:
    schema = pa.schema({"key": pa.string(), "x": type_})
    with open_database(tmp_path / "lab.db") as database, pytest.raises(RecordSchemaError, match="column 'x'"):
        database.add_records(("lab",), schema.empty_table())
