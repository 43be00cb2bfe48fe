"""Sets up ``.venv``: ``python demo/environment.py run``, then ``engine`` or ``tools``.

With another name, as ``lowest``, it sets up ``.venv/lowest`` from ``requirements-lowest.lock``.

Laws of this file: it runs on a bare Python, before anything is installed; every package is checked
against the hashes of a lock file and none is built here; each part of the work is one line, which
grows while it runs, and the words of the installers go to ``.venv/install.log``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _language_alone() -> None:
    """Make ``modelscope_transport.language`` importable without what the package itself imports."""
    sys.path.insert(0, str(ROOT))
    spec = importlib.util.find_spec("modelscope_transport")
    assert spec is not None
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)


if __name__ == "__main__":
    _language_alone()

from modelscope_transport.language import translated as _  # noqa: E402 - see above

VENV = ROOT / ".venv"
LOG = VENV / "install.log"
_INSIDE = Path("Scripts/python.exe" if os.name == "nt" else "bin/python")
PYTHON = VENV / _INSIDE
_PIP = (str(PYTHON), "-m", "pip")
_CHECKED = ("--only-binary", ":all:", "--require-hashes")
_PROJECT = ("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
# copy: uv would link the files of its cache, and nltk, which LlamaIndex uses, opens no linked file
_SETTINGS = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_LINK_MODE": "copy"}
_TICK = 1.0  # seconds between two dots


class InstallError(Exception):
    """A part of the work failed; the text says which, and where its words are."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Install a set of packages; 1 when it failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    what = parser.parse_args(arguments).what
    VENV.mkdir(exist_ok=True)
    known = {"run": _run, "engine": _engine, "tools": _tools, "proof": _proof, "docs": _docs}
    try:
        known[what]() if what in known else _apart(what)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run() -> None:
    """A new environment with what the demo, the examples and the project itself need."""
    if not PYTHON.exists():
        _work(_("an environment in .venv"), [sys.executable, "-m", "venv", str(VENV)])
    lock = str(ROOT / "requirements-uv.lock")
    _work(_("the installer uv"), [*_PIP, "install", *_CHECKED, "--no-compile", "-r", lock])
    _install(_("the frameworks"), *_CHECKED, "-r", str(ROOT / "requirements-run.lock"))
    _install(_("this project"), *_PROJECT)


def _engine() -> None:
    """The engine of the small real model."""
    lock = str(ROOT / "requirements-demo.lock")
    _install(_("the small real model's engine"), *_CHECKED, "-r", lock, seconds=120)


def _tools() -> None:
    """What a developer needs beside: checks, tests, notebooks."""
    _install(_("a developer's tools"), *_CHECKED, "-r", str(ROOT / "requirements.lock"))
    _install(_("this project"), *_PROJECT)


def _proof() -> None:
    """What finds mutants and odd input."""
    lock = str(ROOT / "requirements-proof.lock")
    _install(_("a developer's tools"), *_CHECKED, "-r", lock)


def _docs() -> None:
    """What builds the site, and drives the browser that looks at it."""
    lock = str(ROOT / "requirements-docs.lock")
    _install(_("the site's tools"), *_CHECKED, "-r", lock)


def _apart(name: str) -> None:
    """A new environment of its own, for packages that the others shall not meet."""
    place = VENV / name
    # its pip is only for where uv finds no way out
    _work(_("an environment in .venv"), [sys.executable, "-m", "venv", "--clear", str(place)])
    python, lock = place / _INSIDE, str(ROOT / f"requirements-{name}.lock")
    _install(f".venv/{name}", *_CHECKED, "--no-deps", "-r", lock, python=python)
    _install(_("this project"), *_PROJECT, python=python)


def _install(what: str, *wanted: str, seconds: float | None = None, python: Path = PYTHON) -> None:
    """Install with uv, which takes a tenth of pip's time; with pip where uv finds no way out."""
    uv = str(PYTHON.with_name("uv.exe" if os.name == "nt" else "uv"))
    try:
        _work(what, [uv, "pip", "install", "--python", str(python), *_index(), *wanted], seconds)
    except InstallError:
        pip = [str(python), "-m", "pip", "install", "--no-compile", *wanted]
        _work(what, pip, seconds)


def _index() -> list[str]:
    """The registry, perhaps a mirror, that the user told pip of: uv reads no pip.conf."""
    if os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL"):
        return []
    asked = [*_PIP, "config", "list"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    except OSError:
        return []
    settings = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    # later ones win, as for pip: the environment over all
    places = ("global.index-url", "install.index-url", ":env:.index-url")
    found = [settings[place].strip("'\"") for place in places if place in settings]
    return ["--default-index", found[-1]] if found else []


def _work(what: str, command: Sequence[str], seconds: float | None = None) -> None:
    """Run a command and show that it runs: a line that grows by a dot a second.

    Args:
        what: what is being installed.
        command: the command; what it says goes to the log.
        seconds: the most that it may take.

    Raises:
        InstallError: it failed, or took too long.
    """
    print("==> " + _("installing {what}").format(what=what), end=" ", flush=True)
    began = time.monotonic()
    env = {**os.environ, **_SETTINGS}
    try:
        with (
            LOG.open("ab") as log,
            subprocess.Popen(command, stdout=log, stderr=log, env=env) as run,
        ):
            while (code := _ended(run)) is None:
                print(".", end="", flush=True)
                if seconds is not None and time.monotonic() - began > seconds:
                    run.kill()
    except OSError as error:  # there is no such program
        with LOG.open("a", encoding="utf-8") as file:
            file.write(f"{error}\n")
        code = 1
    took = time.monotonic() - began
    print(_(" {seconds:.0f} s").format(seconds=took) if code == 0 else _(" failed"), flush=True)
    if code:
        said = _("{what} could not be installed; {log} says why.")
        raise InstallError(said.format(what=what, log=LOG.relative_to(ROOT)))


def _ended(run: subprocess.Popen[bytes]) -> int | None:
    """The exit code; ``None`` where it still runs after a moment."""
    try:
        return run.wait(_TICK)
    except subprocess.TimeoutExpired:
        return None


if __name__ == "__main__":
    sys.exit(main())
