"""``Relay``: a socket between clients and a server, where connections break and messages are held up."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from psycopg.conninfo import make_conninfo

from orcapod_postgres.testing.server import Server, short_folder

__all__ = ["Relay"]

_SOCKET = ".s.PGSQL.5432"
_BYTES_AT_ONCE = 1 << 16


class Relay:
    """A socket that passes on what clients and a server say to each other.

    A context manager: leaving breaks all connections off and removes the socket.

    Args:
        server: where to pass it on to, for every connection anew: it may be restarted.
        on_message: called with what a client says before it is passed on; a ``ConnectionError`` that it raises
            breaks that connection off instead.
        on_answer: likewise, with what the server says.

    Attributes:
        refused: how many connections came while the server was away, or the relay was cut.
        held: how many messages came while nothing was passed on.
    """

    refused = 0
    held = 0

    def __init__(
        self,
        server: Server,
        on_message: Callable[[bytes], object] = len,
        on_answer: Callable[[bytes], object] = len,
    ) -> None:
        self._server = server
        self._on_message = on_message
        self._on_answer = on_answer
        self._passing = threading.Event()
        self._passing.set()
        self._is_cut = False
        self._open: set[socket.socket] = set()
        self.folder = short_folder()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.folder / _SOCKET))
        self._listening.listen()
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def conninfo(self, conninfo: str) -> str:
        """Return how to connect to a database of the server by way of this socket."""
        return make_conninfo(conninfo, host=str(self.folder))

    def hold(self) -> None:
        """Pass on nothing any more, as a network does whose cable was pulled; connections stay open."""
        self._passing.clear()

    def cut(self) -> None:
        """Break all connections off, and each that is tried, as a network does that is down."""
        self._is_cut = True
        for each in tuple(self._open):
            _end(each)

    def release(self) -> None:
        """Pass on what was held up, and what comes."""
        self._is_cut = False
        self._passing.set()

    def close(self) -> None:
        """Break all connections off, and remove the socket."""
        for each in (self._listening, *self._open):
            _end(each)
        self.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return  # closed
            server = socket.socket(socket.AF_UNIX)
            try:
                if self._is_cut:
                    raise ConnectionResetError
                server.connect(str(self._server.folder / _SOCKET))
            except OSError:
                self.refused += 1
                _end(client)
                _end(server)
                continue
            self._open |= {client, server}
            for source, sink, look in ((client, server, self._on_message), (server, client, self._on_answer)):
                threading.Thread(target=self._pass_on, args=(source, sink, look), name="relay", daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, look: Callable[[bytes], object]) -> None:
        with suppress(OSError):  # one of the two is gone, and so is the other then
            while said := source.recv(_BYTES_AT_ONCE):
                self.held += not self._passing.is_set()
                self._passing.wait()
                look(said)
                sink.sendall(said)
        for each in (source, sink):
            _end(each)
        self._open -= {source, sink}


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)  # whoever reads from it wakes up
    each.close()
