# SPDX-License-Identifier: Apache-2.0
"""A port in front of a server that loses a message, or the answer to it, as a network does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

__all__ = ['ANSWER', 'REQUEST', 'Proxy']

#: What is lost, and the connection with it: the message before the server sees it, or what the server says to it.
REQUEST, ANSWER = 'request', 'answer'


class Proxy:
    """Passes everything on between clients and a server. Use it as a context manager.

    :param lose: asked for each message of a client: REQUEST, ANSWER or None
    """

    def __init__(self, host: str, port: int) -> None:
        self.lose: Callable[[bytes], str | None] = lambda _message: None
        self._server = (host, port)
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.refuse()

    def refuse(self) -> None:
        """Take no more connections; those that are open stay."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                lost = threading.Event()
                threading.Thread(target=self._send, args=(client, server, lost), daemon=True).start()
                threading.Thread(target=self._answer, args=(client, server, lost), daemon=True).start()

    def _send(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError), _closing(client, server):
            while message := client.recv(1 << 20):
                what = self.lose(message)
                if what == REQUEST:
                    return
                if what == ANSWER:
                    lost.set()
                server.sendall(message)

    def _answer(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError), _closing(client, server):
            while answer := server.recv(1 << 20):
                if lost.is_set():
                    return
                client.sendall(answer)


@contextlib.contextmanager
def _closing(*ends: socket.socket):
    try:
        yield
    finally:
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
