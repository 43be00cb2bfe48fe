"""Writes small files that only their owner can read."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

__all__ = ["write_private_file"]


def write_private_file(path: Path, data: bytes) -> None:
    """Replace a file as a whole: no reader ever sees half of it.

    Raises:
        OSError: it cannot be written; the previous file stays, and no other is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600: at no moment can another user read it
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
