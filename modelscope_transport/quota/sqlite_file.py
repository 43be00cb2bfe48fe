"""The file of a ledger: where it lies, how it is made and kept private, and whether it is one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import tempfile
from pathlib import Path

from ..language import translated as _
from .steps import StoreError

__all__ = ["check", "default_path", "identity_of", "initialize", "keep_private", "make"]

# "mspl" in ASCII, in the file's head: another program's file is left alone.
_APPLICATION = 0x6D73706C
_SCHEMA = 2


def default_path() -> Path:
    """Where the ledger of this user lives, by the custom of the platform."""
    import platformdirs

    return platformdirs.user_state_path("modelscope-adapters", appauthor=False) / "ledger.sqlite3"


def identity_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of the same name; ``None`` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def keep_private(path: Path) -> None:
    """Let only its owner read a ledger's file; a link, which may lead anywhere, is left alone."""
    found = path.lstat()
    if os.name == "posix" and stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
        path.chmod(0o600)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, for their owner alone."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def make(path: Path) -> None:
    """Make the file and its folder, for their owner alone; a second process finds it ready."""
    _make_folder(path.parent)
    descriptor, unfinished = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # mode 0600
    os.close(descriptor)
    try:
        database = sqlite3.connect(unfinished, isolation_level=None)
        try:
            initialize(database)
        finally:
            database.close()
        # Neither replaces a file that has come into being meanwhile.
        with contextlib.suppress(FileExistsError):
            (os.rename if os.name == "nt" else os.link)(unfinished, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)


def initialize(database: sqlite3.Connection) -> None:
    """Make a ledger of an empty file; a second process that does so at the same time waits."""
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("BEGIN EXCLUSIVE")
    database.execute(
        "CREATE TABLE IF NOT EXISTS page (account TEXT, page TEXT, cells BLOB, "
        "PRIMARY KEY (account, page)) WITHOUT ROWID"
    )
    database.execute(f"PRAGMA application_id = {_APPLICATION}")
    database.execute(f"PRAGMA user_version = {_SCHEMA}")
    database.execute("COMMIT")


def check(database: sqlite3.Connection, path: Path) -> None:
    """Refuse a file of another program, or of another version of this one."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (schema,) = database.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION:
        raise StoreError(_("the file {path} is not a ledger").format(path=path))
    if schema != _SCHEMA:
        age = _("a newer") if schema > _SCHEMA else _("an older")
        raise StoreError(
            _(
                "the file {path} was written by {age} version of modelscope-adapters (its "
                "layout is {schema}, this version knows {schema2}) and is left as it is"
            ).format(path=path, age=age, schema=schema, schema2=_SCHEMA)
        )
