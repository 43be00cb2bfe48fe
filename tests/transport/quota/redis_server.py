"""A real Redis on this machine."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RedisServer:
    """A real Redis on this machine, which keeps its data while it is stopped."""

    def __init__(self, program: str, folder: Path) -> None:
        self._command = [program, "--save", "", "--appendonly", "yes", "--dir", str(folder)]
        # By default a write waits while the disk is still busy with the last one, and the answer
        # goes out before it: what was answered would be lost when the server is killed.
        self._command += ["--appendfsync", "no"]
        self.socket = folder / "redis.sock"
        self._command += ["--unixsocket", str(self.socket)]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [*self._command, "--port", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            if self._answers():
                return
            time.sleep(0.02)
        raise RuntimeError("redis-server does not answer")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")  # not while it is loading

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It accepts connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
