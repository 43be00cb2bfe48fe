"""The hub's page of a model: ``GET /api/v1/models/{owner}/{name}``, for everybody, undocumented.

It names the model's tasks (public client, recorded 2026-10-04). What it says of API-Inference is
not read: a model that was served was said not to be (recorded 2026-08-08).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from .encoded import Encoded
from .outcomes import Failure, Reply, open_body, read_failure

__all__ = ["model_page"]

_UNKNOWN = "unknown to the hub"


class _Named(Struct):
    Name: str | None = None


class _Model(Struct):
    Tasks: list[_Named] | None = None


class _Envelope(Struct):
    Data: _Model | None = None
    Success: bool | None = None
    Code: Any = None


_envelope = msgspec.json.Decoder(_Envelope, strict=False)


def model_page(hub: str, model: str) -> Encoded:
    """How to look a model up, without a provider; reads as the names of its tasks, perhaps none."""
    path = f"{hub}/api/v1/models/{quote(model, safe='/')}"
    return Encoded(path=path, read=_read, refused=_refused)


def _read(reply: Reply) -> tuple[str, ...] | Failure:
    envelope = open_body(_envelope, reply.body)
    if isinstance(envelope, Failure):
        return envelope
    if envelope.Data is None or envelope.Success is False:
        return read_failure(reply.body)
    return tuple(task.Name for task in envelope.Data.Tasks or () if task.Name)


def _refused(reply: Reply) -> Failure:
    failure = read_failure(reply.body)
    return replace(failure, code=_UNKNOWN) if reply.status == 404 else failure
