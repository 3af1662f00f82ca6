"""``SQLiteFile``: the connection to the file of a SQLite store, which may be written to or only be read."""

from __future__ import annotations

import os
import sqlite3
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from orcapod.databases.read_only import read_only_store, why_unwritable
from orcapod.databases.sqlite_guard import check_plain
from orcapod.databases.sqlite_keys import KeyIndex
from orcapod.databases.sqlite_locks import BUSY_SECONDS, begin_to_write, error_code, set_up_log
from orcapod.databases.sqlite_views import VIEWS_TABLE
from orcapod.databases.store_format import STORE_FORMAT, check_format
from orcapod.databases.view import check_process, closed_store
from orcapod.errors import DatabaseError, StoreLockedError
from orcapod.protocols.database import Key

__all__ = ["SQLiteFile", "open_file"]

_MOST_ABSENT, _MOST_TABLES = 10_000, 8
_TRANSIENT = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL)
_IN_MEMORY = "file::memory:"
_LOGS = ("-wal", "-journal")  # what SQLite has beside a file, until it is in the file


def open_file(path: Path) -> SQLiteFile:
    """Open a file, for reading only where it may not be written to; one that is not there is made by the first write.

    Raises:
        StoreVersionError: a newer or an older version of orcapod wrote the file.
        DatabaseError: the file cannot be opened, or is not one of orcapod's.
    """
    if path.name == ":memory:":
        raise DatabaseError("expected a file, found ':memory:'; use MemoryDatabase() or memory://")
    try:
        if path.is_dir():
            raise DatabaseError(
                f"cannot open {path}: it is a folder; expected the path of a file, such as {path / 'lab.db'}"
            )
        folder, why = _nearest_folder(path), _why_unwritable(path)
    except OSError as error:
        raise DatabaseError(f"cannot open {path}: {error}") from error
    if not folder.is_dir():
        raise DatabaseError(f"cannot open {path}: {folder} is no folder")
    if why is None:
        return WritableFile(path)
    if not path.exists():
        raise _cannot_make(path, why)
    if os.access(path, os.W_OK):  # not its folder: it can be written to while somebody else's log is there
        try:
            return WritableFile(path)
        except DatabaseError:
            pass
    return ReadOnlyFile(path, why)


_FAULTS = (sqlite3.Error, UnicodeDecodeError)  # the latter for an error that quotes what is damaged


class SQLiteFile(ABC):
    """The one connection to a file that all views of a store share, used by one thread at a time.

    Attributes:
        path: where the file is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._process = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._closer: Callable[[], object] | None = None
        self._inodes: Mapping[Path, tuple[int, int]] = {}
        self._absent: dict[int, tuple[int, set[Key]]] = {}
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        """Open the file, and make a store of it if nothing of ours is in it."""
        connection = self._connect()
        self._max_record_bytes = connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)
        with self._transacting(connection, write=False):
            check_plain(connection, self.path)
            version = self._version(connection)
        if version is None:
            self._set_up(connection)
        else:
            check_format(version, location=self.path, package="orcapod-core")
        self._inodes = self._found_inodes()

    @property
    def max_record_bytes(self) -> int:
        """The limit SQLite was built with, or told to hold."""
        with suppress(sqlite3.ProgrammingError):  # it may be closed by now, and by another thread
            if self._connection is not None:
                self._max_record_bytes = self._connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)
        return self._max_record_bytes

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        """Have the connection in a transaction that ends with the block, undone if that raises."""
        check_process(self._process, self.path, "SQLiteDatabase")
        with self._lock:
            connection = self._opened(write=write)
            if write:
                self._check_in_place()
            with self._transacting(connection, write=write):
                yield connection

    @contextmanager
    def _transacting(self, connection: sqlite3.Connection, *, write: bool) -> Iterator[None]:
        try:
            with self._translating():
                if write:
                    begin_to_write(connection)
                else:
                    connection.execute("BEGIN")
                yield
                connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.rollback()

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Raise what SQLite raises as an error of ours."""
        try:
            yield
        except _FAULTS as error:
            raise self._translated(error) or DatabaseError(
                f"{self.path}: {error}; nothing of this call was written", is_transient=error_code(error) in _TRANSIENT
            ) from error

    def vacuum(self) -> None:
        """Write the file anew, which no transaction can do."""
        self.check_in_place()
        with self._lock, self._translating():
            connection = self._opened()
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # as far as nobody reads what is in it

    def note_absent(self, table: int, keys: Sequence[Key]) -> None:
        """Take it that a table has none of these keys, in the transaction that is open; a few tables' are kept."""
        self._absent.pop(table, None)
        if len(keys) <= _MOST_ABSENT:
            self._absent[table] = (self._data_version(), {*keys})
        while len(self._absent) > _MOST_TABLES:
            del self._absent[next(iter(self._absent))]

    def absent(self, table: int) -> set[Key]:
        """Return keys that a table is known not to have, in the transaction that is open: nobody has written since.

        Whoever adds some of them takes them out.
        """
        version, keys = self._absent.get(table, (0, set()))
        return keys if keys and version == self._data_version() else set()

    def _data_version(self) -> int:
        """Return a number that changes when others write to the file, in the transaction that is open."""
        assert self._connection is not None
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def check_writable(self) -> None:
        """Check that the file may be written to, and make it if it is not there.

        Raises:
            ReadOnlyStoreError: it may only be read.
            DatabaseError: it is no longer where it was opened, or cannot be made.
        """
        self.check_in_place(write=True)

    def check_in_place(self, *, write: bool = False) -> None:
        """Check that the file is open, and still the one at its path.

        Raises:
            DatabaseError: it was closed, deleted or replaced, or belongs to the process that this one was forked from.
        """
        check_process(self._process, self.path, "SQLiteDatabase")
        with self._lock:
            self._opened(write=write)
            self._check_in_place()

    def open_again(self) -> sqlite3.Connection:
        """Return a connection of the caller's own, for reading, while all others use the one that is shared.

        Raises:
            DatabaseError: the file was closed, deleted or replaced.
        """
        check_process(self._process, self.path, "SQLiteDatabase")
        with self._lock:
            self._opened()
            self._check_in_place()
            uri = self._reading_uri
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        if uri == _IN_MEMORY:
            _create_store(connection)
        return connection

    def close(self) -> None:
        """Let go of the file; closing twice is fine.

        Raises:
            DatabaseError: it is no longer where it was opened.
        """
        with self._lock:
            is_open, self._connection = self._connection is not None, None
            try:
                if is_open:
                    self._check_in_place()
            finally:
                if self._closer is not None:
                    self._closer()

    def _check_in_place(self) -> None:
        found = self._found_inodes()
        for file, opened in self._inodes.items():
            if found.get(file) != opened:
                happened = "was replaced by another file" if file in found else "was deleted or moved away"
                lost = "what was written to it" if file == self.path else "what was written to it last"
                raise DatabaseError(
                    f"{file} {happened} while {self.path} was open: {lost} is not at that path any more, and what this "
                    "program has yet to write would not be either; put it back if it was moved, else open it again and "
                    "run again: what is missing is computed anew",
                    expected=f"{file} as it was opened",
                    found=happened,
                )

    def _found_inodes(self) -> Mapping[Path, tuple[int, int]]:
        """Return which files are at the paths of those that are open: device and inode."""
        found = {}
        for file in self._open_files():
            try:
                status = file.stat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise DatabaseError(f"cannot look at {file}: {error}", is_transient=True) from error
            found[file] = status.st_dev, status.st_ino
        return found

    @property
    @abstractmethod
    def _reading_uri(self) -> str:
        """The URI by which SQLite opens the file once more, for reading."""

    @abstractmethod
    def _open_files(self) -> Sequence[Path]:
        """Return the files that SQLite has open as long as the store is."""

    @abstractmethod
    def _connect(self) -> sqlite3.Connection:
        """Open the file, and return a connection that is ready for use."""

    @abstractmethod
    def _set_up(self, connection: sqlite3.Connection) -> None:
        """Make a store of a file that has nothing of ours in it."""

    def _open(self, database: str, *, uri: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            database, uri=uri, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection = connection
        self._closer = weakref.finalize(self, _close, connection, self._process)
        connection.execute("PRAGMA cache_size = -65536")  # KiB: the keys of four million records stay in memory
        return connection

    def _opened(self, *, write: bool = False) -> sqlite3.Connection:
        """Return the connection.

        Raises:
            DatabaseError: it was closed, or is to write what may only be read.
        """
        if self._connection is None:
            raise closed_store(self.path)
        return self._connection

    def _translated(self, error: Exception) -> DatabaseError | None:
        """Return what an error of SQLite means for whoever uses the store, if it says less than that itself."""
        match error_code(error):
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return StoreLockedError(
                    f"{self.path} was locked by another program as long as there was time to wait, "
                    f"{BUSY_SECONDS:.0f} seconds at the most; it is still writing or has left a transaction open "
                    "(another run, a database browser, an sqlite3 shell); end that, and do the same again: nothing of "
                    "this call was written, nothing else is lost"
                )
            case sqlite3.SQLITE_READONLY:
                return read_only_store(self.path, _why_unwritable(self.path) or "SQLite says so")
            case _:
                return None

    def _version(self, connection: sqlite3.Connection) -> int | None:
        """Return the format of the file, None if nothing of ours is in it yet."""
        ours = {
            name: [column[1] for column in connection.execute(f"PRAGMA table_info({name})")]
            for name in ("_orcapod_format", "_orcapod_paths")
        }
        if not any(ours.values()):
            return None
        if ours["_orcapod_format"] == ["version"]:
            rows = connection.execute("SELECT version FROM _orcapod_format").fetchall()
            if len(rows) == 1 and isinstance(rows[0][0], int):
                return int(rows[0][0])
        raise DatabaseError(
            f"{self.path} has tables called _orcapod_format or _orcapod_paths which orcapod did not make; "
            "use another file"
        )


class WritableFile(SQLiteFile):
    """A file that is read and written, by any number of processes of one machine at a time.

    As long as it is not there, or is empty, and nothing is written, an empty store in memory is read in its place.
    """

    def __init__(self, path: Path) -> None:
        self._is_there = _is_there(path)
        super().__init__(path)

    @property
    def _reading_uri(self) -> str:
        return f"{self.path.as_uri()}?mode=ro" if self._is_there else _IN_MEMORY

    def check_writable(self) -> None:
        super().check_writable()
        if why := why_unwritable(self.path, "it"):  # somebody else has made it meanwhile
            raise read_only_store(self.path, why)

    def _opened(self, *, write: bool = False) -> sqlite3.Connection:
        connection = super()._opened(write=write)
        if self._is_there or not (write or _is_there(self.path)):
            return connection
        try:
            self._reload(is_there=True)
        except BaseException:
            self._reload(is_there=False)
            raise
        return super()._opened(write=write)

    def _reload(self, *, is_there: bool) -> None:
        if self._closer is not None:
            self._closer()
        self._is_there = is_there
        self._load()

    def _open_files(self) -> Sequence[Path]:
        return (self.path, Path(f"{self.path}-wal")) if self._is_there else ()

    def _connect(self) -> sqlite3.Connection:
        if not self._is_there:
            return self._open(_IN_MEMORY, uri=True)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = self._open(str(self.path), uri=False)
            self._prepare(connection)
            return connection
        except (*_FAULTS, OSError) as error:
            if not self.path.exists() and (why := _why_unwritable(self.path)):
                raise _cannot_make(self.path, why) from error
            raise self._translated(error) or DatabaseError(
                f"cannot open {self.path}: {error}", is_transient=error_code(error) in _TRANSIENT
            ) from error

    def _set_up(self, connection: sqlite3.Connection) -> None:
        with self._transacting(connection, write=True):
            if self._version(connection) is None:
                _create_store(connection)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA page_size = 8192")  # of a new file; twice SQLite's own: a tenth faster
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 16000")  # pages: keys are random, so many pages change often
        set_up_log(connection)


class ReadOnlyFile(SQLiteFile):
    """A file that may only be read, while somebody else may write to it.

    Where there is no log beside it, the file is all there is, and is read as it is, since SQLite would have to
    make files of its own to look out for writers. What it was like is compared before and after each transaction.

    Args:
        path: where the file is.
        why: what keeps it from being written to.
    """

    def __init__(self, path: Path, why: str) -> None:
        self._why = why
        super().__init__(path)

    @contextmanager
    def _transacting(self, connection: sqlite3.Connection, *, write: bool) -> Iterator[None]:
        with super()._transacting(connection, write=write):
            yield
            if self._as_it_is and self._opened_files != self._files():
                raise DatabaseError(f"{self.path} was changed by another program while it was read; read it again")

    @property
    def _reading_uri(self) -> str:
        return f"{self.path.as_uri()}?{'immutable=1' if self._as_it_is else 'mode=ro'}"

    def _open_files(self) -> Sequence[Path]:
        return ()  # what is there now is read

    def _opened(self, *, write: bool = False) -> sqlite3.Connection:
        connection = super()._opened(write=write)
        if write:
            raise read_only_store(self.path, self._why)
        if self._as_it_is and self._opened_files != self._files():
            if self._closer is not None:
                self._closer()
            connection = self._connect()
        return connection

    def _connect(self) -> sqlite3.Connection:
        self._opened_files = self._files()
        logs = [log for ending in _LOGS if _size(log := Path(f"{self.path}{ending}"))]
        self._as_it_is = not logs
        try:
            connection = self._open(self._reading_uri, uri=True)
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
            return connection
        except _FAULTS as error:
            self._opened_files, self._as_it_is = (), True  # whoever asks again tries again
            if logs and isinstance(error, sqlite3.OperationalError):
                raise DatabaseError(
                    f"cannot read {self.path}: records that were written last are still in {logs[0].name}, and SQLite "
                    f"cannot read them here ({error}), as {self._why}; open it once where it may be written to, or "
                    "copy both files to a folder of your own"
                ) from error
            raise self._translated(error) or DatabaseError(f"cannot open {self.path}: {error}") from error

    def _set_up(self, connection: sqlite3.Connection) -> None:
        raise DatabaseError(f"{self.path} holds no records of orcapod, and may only be read: {self._why}")

    def _files(self) -> tuple[object, ...]:
        """Return what changes whenever somebody writes to the file."""
        try:
            status = self.path.stat()
        except OSError as error:
            raise DatabaseError(f"cannot read {self.path}: {error.strerror}") from error
        return status.st_ino, status.st_size, status.st_mtime_ns, *(_size(Path(f"{self.path}{end}")) for end in _LOGS)


def _is_there(path: Path) -> bool:
    try:
        return path.exists() and (path.stat().st_size > 0 or not path.is_file())
    except OSError:  # nothing can be called so, or nobody may look; whoever opens it is told
        return True


def _create_store(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE _orcapod_format (version INTEGER NOT NULL)")
    connection.execute("INSERT INTO _orcapod_format VALUES (?)", (STORE_FORMAT,))
    connection.execute(
        "CREATE TABLE _orcapod_paths (number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE,"
        " table_name TEXT NOT NULL UNIQUE, arrow_schema BLOB NOT NULL, columns TEXT NOT NULL)"
    )
    connection.execute(VIEWS_TABLE)
    KeyIndex.create(connection)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _why_unwritable(path: Path) -> str | None:
    """Return what keeps a file from being made or written to, None if nothing does."""
    return why_unwritable(path, "it") or why_unwritable(_nearest_folder(path), "its folder")


def _nearest_folder(path: Path) -> Path:
    return next(each for each in path.parents if each.exists())


def _cannot_make(path: Path, why: str) -> DatabaseError:
    return DatabaseError(f"cannot open {path}: it is not there, and {why}; choose a folder of your own")


def _close(connection: sqlite3.Connection, process: int) -> None:
    if os.getpid() == process:
        connection.close()
