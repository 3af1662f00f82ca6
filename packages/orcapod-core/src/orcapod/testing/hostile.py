"""``HostileStoreSuite``: stores that somebody has prepared execute nothing, and allocate nothing absurd."""

from __future__ import annotations

import faulthandler
import inspect
import json
import os
import pickle
import shutil
import subprocess
import sys
import sysconfig
import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from random import Random
from typing import Any, ClassVar, TypeVar

import pyarrow as pa

from orcapod.errors import OrcapodError
from orcapod.integrity import verify_store
from orcapod.pipeline import Pipeline
from orcapod.pods import function_pod
from orcapod.protocols import Database
from orcapod.sources import DictSource

__all__ = ["HostileStoreSuite", "hostile_bytes", "hostile_schema", "hostile_text"]

_ROWS = 12
_SECONDS = 60  # for one store, on a busy machine
_ADDRESSES = 6 << 30  # bytes that may be reserved beyond those of the beginning
_RESIDENT = 400 << 20  # bytes of memory that may really be taken, likewise
_ORCAPOD = str(Path(__file__).parents[1])
_HARMLESS = tuple(str(Path(path).resolve()) for path in (*sysconfig.get_paths().values(), _ORCAPOD))
_WRITE_CODE = ("collections", "dataclasses")  # where a module is imported that has a class of theirs

T = TypeVar("T")


@function_pod(["y", "parts"])
def taken_apart(x: int) -> tuple[float, list[list[int]]]:
    return x / 2, [[x], [x, x + 1], []]


@function_pod(["notes", "name"])
def told(y: float, parts: list[list[int]]) -> tuple[dict[str, list[str]], str | None]:
    return {"parts": [str(part) for part in parts]}, None if y > 3 else f"row {y}"


class HostileStoreSuite(ABC):
    """Law of stores: whatever was put into one, nothing of it runs, and every error is one of ours.

    Subclass it in a file of its own, which a program imports: what goes wrong there may end it. The environment
    variable ``ORCAPOD_MUTANTS`` says how many stores are tried; ``ORCAPOD_MUTANTS_FROM`` lets some of them out.

    Attributes:
        mutants: how many are tried if nothing is said.
    """

    mutants: ClassVar[int] = 100

    @abstractmethod
    def open(self, folder: Path) -> Database:
        """Open the store in a folder, or make one."""

    @abstractmethod
    def mutate(self, folder: Path, drawn: Random) -> str:
        """Put something hostile into the store in a folder; return what."""

    def test_hostile_stores_execute_nothing_and_allocate_nothing_absurd(self, tmp_path: Path) -> None:
        program = f"from {__name__} import attack; attack(*__import__('sys').argv[1:])"
        count = os.environ.get("ORCAPOD_MUTANTS", str(self.mutants))
        arguments = [inspect.getfile(type(self)), type(self).__name__, str(tmp_path), count]
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)  # where is no repository
        assert (done.returncode, done.stdout) == (0, ""), f"{done.stdout}\n{done.stderr[-3000:]}"


def attack(file: str, name: str, folder: str, count: str) -> None:
    """Try so many stores, and print what each has done that it may not."""
    spec = spec_from_file_location("hostile", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    suite: HostileStoreSuite = getattr(module, name)()
    warnings.simplefilter("ignore")
    whole, victims, place = (Path(folder) / part for part in ("whole", "victims", "place"))
    for each in (whole, victims):
        each.mkdir()
    (victims / "diary").write_text("dear diary")
    for _ in range(2):  # the second finds everything there
        _use(suite, whole, [])
    watch = _Watch(place)
    _limit_addresses()
    for seed in range(int(os.environ.get("ORCAPOD_MUTANTS_FROM", "0")), int(count)):
        shutil.copytree(whole, place)
        errors: list[str] = []
        said = suite.mutate(place, Random(seed))
        before = _begin_of_memory()
        faulthandler.dump_traceback_later(_SECONDS, exit=True)
        sys.stderr.write(f"{seed}: {said}\n")  # the last line tells what ended the program, if it did
        sys.stderr.flush()
        with watch:
            _use(suite, place, errors)
        faulthandler.cancel_dump_traceback_later()
        if (taken := _memory("VmHWM") - before) > _RESIDENT:
            errors.append(f"took {taken >> 20} MB")
        if sorted(path.name for path in Path(folder).iterdir()) != ["place", "victims", "whole"]:
            errors.append("left something beside the store")
        if [path.read_text() for path in victims.iterdir()] != ["dear diary"]:
            errors.append("changed a file beside the store")
        for error in (*errors, *watch.events):
            sys.stdout.write(f"{seed}: {said}: {error}\n")
        sys.stdout.flush()
        shutil.rmtree(place)


def _use(suite: HostileStoreSuite, folder: Path, errors: list[str]) -> None:
    """Do everything with a store that reads it."""

    def tried(call: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return call(*arguments)
        except BaseException as error:  # noqa: BLE001  # a panic of Rust, too
            errors.extend(_told(each) for each in _leaves(error) if not isinstance(each, OrcapodError))
        return None

    def used() -> None:
        with suite.open(folder) as database:
            report = str(tried(verify_store, database))
            if "MemoryError" in report:
                errors.append(report)
            for path in tried(database.list_paths) or ():
                table = tried(database.get_records, path)
                if table is not None and table.num_columns:
                    tried(database.get_records_by_ids, path, table.column(0)[:3].to_pylist())
            pipeline = _built(database)
            for label in ("apart", "told"):
                tried(lambda label=label: pipeline[label].as_table())
            tried(pipeline.run)

    tried(used)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Give the errors of a group, or the one that it is."""
    for each in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _leaves(each)
    if not isinstance(error, BaseExceptionGroup):
        yield error


def _told(error: BaseException) -> str:
    """Return what an error is, and where in orcapod it arose."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if f"{os.sep}orcapod" in each.filename]
    return f"{type(error).__name__}: {error!s:.200} ({frames[-1].filename}:{frames[-1].lineno})"


def _built(database: Database) -> Pipeline:
    pipeline = Pipeline("hostile", database)
    with pipeline:
        rows = DictSource([{"i": i, "x": i} for i in range(_ROWS)], ["i"], source_id="s").cached(database)
        told.pod(taken_apart.pod(rows, label="apart"), label="told")
    return pipeline


def _limit_addresses() -> None:
    """Let what is reserved beyond all measure be an error, where the system can."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415  # not there on every system

        most = _memory("VmSize") + _ADDRESSES
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def _begin_of_memory() -> int:
    """Return how much memory this process has, which is its peak from now on."""
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(which: str) -> int:
    """Return how much memory this process has; nothing where the system does not tell."""
    if sys.platform != "linux":
        return 0
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:")) << 10


class _Watch:
    """Watch over what Python does: a context manager.

    Args:
        place: the folder of a store, where files may be written.

    Attributes:
        events: what was done in the last block that may not be.
    """

    def __init__(self, place: Path) -> None:
        self.events: list[str] = []
        self._place = str(place.resolve())
        self._is_on = False
        sys.addaudithook(self._hear)

    def __enter__(self) -> None:
        self.events, self._is_on = [], True

    def __exit__(self, *exc_info: object) -> None:
        self._is_on = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on:
            return
        match event.partition(".")[0], arguments:
            case "exec", (code,):
                caller = sys._getframe(1).f_globals.get("__name__")
                is_bad = not code.co_filename.startswith(_HARMLESS) and caller not in _WRITE_CODE
            case "open", (str() as path, _, int() as flags):
                is_write = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
                is_bad = bool(is_write) and not path.startswith((self._place, os.devnull))
            case "sqlite3", (str() as path,) if event == "sqlite3.connect":
                is_bad = self._place not in path
            case "subprocess", (program, *_):
                is_bad = Path(os.fsdecode(program)).name != "git"  # a run asks it for the state of the code
            case "pickle" | "ctypes" | "socket" | "urllib", _:
                is_bad = True
            case _:
                is_bad = event in _FORBIDDEN and self._place not in str(arguments)
        if is_bad:
            self.events.append(f"{event} {arguments!s:.300}")


_OF_OS = ("system", "exec", "posix_spawn", "spawn", "fork", "kill", "putenv", "remove", "rename", "mkdir", "rmdir")
_FORBIDDEN = {*(f"os.{name}" for name in _OF_OS), "sqlite3.enable_load_extension", "sqlite3.load_extension"}


def hostile_text(drawn: Random) -> str:
    """Return a text that somebody may have put where a name, a path or a document was."""
    texts = ["", "\0", "a\0b", "'; DROP TABLE x; --", '"', "null", "5", "1e999", "-0", "NaN", "1" * 5_000, "\U0010ffff"]
    paths = ["../../victims/diary", "/etc/passwd", "sqlite_master", "_orcapod_paths", "x" * 1_000_000]
    documents = ["[]", "{}", '["a"]', '[["a"]]', '["_row"]', '["rowid"]', json.dumps(["x"] * 5_000)]
    deep = ["[" * 5_000, "{" * 5_000, "[" * 100_000 + "]" * 100_000]
    code = ["__import__('os').system('touch hostile')", "{0.__class__}", "%s%n"]
    return drawn.choice([*texts, *paths, *documents, *deep, *code])


class _Touching:
    """Value that a pickle makes a command of."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch hostile",)


def hostile_bytes(drawn: Random, found: bytes = b"") -> bytes:
    """Return bytes that somebody may have put where these were."""
    largest = drawn.choice([2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, 2**64 - 1, 10**7])
    count = largest.to_bytes(8, "little")
    match drawn.randrange(8):
        case 0:
            return found[: drawn.randrange(len(found) + 1)]
        case 1:
            return count + found[8:]
        case 2:
            return count + drawn.choice([b"\0", b"\1"]) + found[9:]
        case 3:
            return pickle.dumps(_Touching())
        case 4:
            return drawn.randbytes(drawn.randrange(200))
        case 5:
            return b"\xff" * drawn.choice([1, 8, 9, 16, 100_000])
        case 6:
            return bytes(drawn.choice([9, 4_000, 5_000_000]))
        case _:
            return _flipped(found, drawn)


def hostile_schema(drawn: Random, found: bytes) -> bytes:
    """Return the bytes of an Arrow schema that somebody may have put in the place of this one."""
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(found))
    except (pa.ArrowException, OSError):
        schema = pa.schema([])
    fields = list(schema)
    match drawn.randrange(6):
        case 0:
            return _flipped(found, drawn)
        case 1:
            return hostile_bytes(drawn, found)
        case 2 if fields:
            index = drawn.randrange(len(fields))
            fields[index] = fields[index].with_type(_hostile_type(drawn, fields[index].type))
        case 3 if fields:
            index = drawn.randrange(len(fields))
            fields[index] = fields[index].with_name(drawn.choice(["", "x" * 100_000, fields[0].name, "a\0b", "_row"]))
        case 4:
            fields = (fields or [pa.field("x", pa.int64())]) * drawn.choice([2, 1_000])
        case _:
            fields = fields[: drawn.randrange(len(fields) + 1)]
    return pa.schema(fields).serialize().to_pybytes()


def _hostile_type(drawn: Random, inner: pa.DataType) -> Any:
    """Return a type that takes much memory, or leads somewhere."""
    extension = {"ARROW:extension:name": drawn.choice(["arrow.py_extension_type", "arrow.json", "arrow.opaque", "x"])}
    metadata = pickle.dumps(_Touching()).decode("latin-1")
    types: list[Callable[[], Any]] = [
        lambda: pa.binary(2**31 - 1),
        lambda: pa.list_(pa.int64(), 2**31 - 1),
        lambda: pa.list_(pa.list_(pa.int64(), 2**15), 2**15),
        lambda: pa.list_(pa.binary(2**20), 2**20),
        lambda: pa.list_(pa.struct([])),
        lambda: pa.large_list(pa.large_list(pa.struct([]))),
        lambda: pa.map_(pa.struct([]), pa.struct([])),
        lambda: pa.list_(pa.null()),
        lambda: pa.struct([]),
        lambda: pa.sparse_union([pa.field("a", inner)]),
        lambda: pa.dictionary(pa.int8(), inner),
        lambda: pa.dictionary(pa.int8(), pa.list_(inner)),
        lambda: pa.run_end_encoded(pa.int16(), inner),
        lambda: pa.list_view(inner),
        lambda: _nested(inner, drawn.choice([10, 60, 120, 500]), pa.list_),
        lambda: _nested(inner, drawn.choice([10, 60, 120, 500]), lambda type_: pa.struct([pa.field("f", type_)])),
        lambda: pa.struct([pa.field("f", inner, metadata=extension | {"ARROW:extension:metadata": metadata})]),
        lambda: pa.decimal256(76, 38),
        lambda: pa.timestamp("ns", "No/Where"),
        lambda: pa.month_day_nano_interval(),
        lambda: pa.string_view(),
        lambda: pa.float16(),
    ]  # fmt: skip
    return drawn.choice(types)()


def _nested(inner: Any, depth: int, around: Callable[[Any], Any]) -> Any:
    for _ in range(depth):
        inner = around(inner)
    return inner


def _flipped(found: bytes, drawn: Random) -> bytes:
    content = bytearray(found)
    for _ in range(drawn.choice([1, 1, 5, 30]) if content else 0):
        content[drawn.randrange(len(content))] = drawn.choice([0, 1, 0x7F, 0x80, 0xFF, drawn.randrange(256)])
    return bytes(content)
