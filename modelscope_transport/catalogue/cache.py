"""What the service and its hub said of models, in one file for all processes of a user.

A convenience, not a record: what cannot be read or written counts as nothing there.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

from .._private_file import write_private_file

__all__ = ["cache_path", "read", "remember"]

Facts = dict[str, dict[str, Any]]

_decode = msgspec.json.Decoder(Facts).decode


def cache_path() -> Path:
    """The file, in the folder of the platform for an application's cache."""
    return platformdirs.user_cache_path("modelscope-adapters", appauthor=False) / "models.json"


@functools.lru_cache(maxsize=4)
def _read(path: Path, stamp: float) -> Facts:
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return _decode(path.read_bytes())
    return {}


def read() -> Facts:
    """What is kept, by model ID."""
    path = cache_path()
    try:
        return _read(path, path.stat().st_mtime)
    except OSError:
        return {}


def remember(facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Add to what is kept, where anything can be; the last word on a fact counts."""
    path = cache_path()
    kept = {model: dict(known) for model, known in read().items()}
    for model, known in facts.items():
        kept[model] = {**kept.get(model, {}), **known}
    with contextlib.suppress(OSError):
        text = msgspec.json.format(msgspec.json.encode(kept, order="sorted"), indent=1)
        write_private_file(path, text)
    _read.cache_clear()
