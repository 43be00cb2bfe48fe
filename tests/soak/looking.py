"""What a process holds, from Linux's ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["COUNTED", "descriptors", "resident"]

# Whether it can be counted here.
COUNTED = Path("/proc/self/fd").is_dir()


def descriptors() -> int:
    """Descriptors that this process has open."""
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Bytes of memory that this process occupies."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
