"""A relay between the two ends of a Unix socket that counts what flows, descriptors included."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self


class Relay:
    """Listens at `path` and forwards every connection to `target`. `bytes` counts both directions."""

    def __init__(self, path: Path, target: Path) -> None:
        self.bytes = 0
        self.descriptors = 0
        self._path = path
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._sockets: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for sock in self._sockets:
            sock.close()
        self._path.unlink(missing_ok=True)

    def _start(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._target))
            self._sockets += [client, server]
            self._start(self._forward, client, server)
            self._start(self._forward, server, client)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(source, 65536, 16)
            except OSError:
                data, fds = b"", []
            if not data:
                with contextlib.suppress(OSError):
                    sink.shutdown(socket.SHUT_WR)
                return
            with self._lock:
                self.bytes += len(data)
                self.descriptors += len(fds)
            try:
                sent = socket.send_fds(sink, [data], fds)
                sink.sendall(data[sent:])
            except OSError:
                return
            finally:
                for fd in fds:
                    os.close(fd)
